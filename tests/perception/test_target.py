"""What a phrase means, as a person would say it."""

from __future__ import annotations

import pytest

from omni_agent.perception.lite.target import Target, readings


@pytest.mark.parametrize(
    ("phrase", "meant"),
    [
        ("Submit", Target("Submit")),
        ('"Submit"', Target("Submit", quoted=True)),
        ("Submit button", Target("Submit", "button")),
        ("the 'Save as…' button", Target("Save as…", "button", quoted=True)),
        ("button labelled Save", Target("Save", "button")),
        ('link "Forgot Password?"', Target("Forgot Password?", "link", quoted=True)),
        ("Last name field", Target("Last name", "field")),
        ("search box", Target("search", "field")),
        ("don't ask again checkbox", Target("don't ask again", "checkbox")),
        ("second Delete button", Target("Delete", "button", nth=2)),
        ("last checkbox", Target("", "checkbox", nth=-1)),
        ("top right gear icon", Target("gear", "icon", corner=("right", "top"))),
        ("Settings in the top right corner", Target("Settings", corner=("right", "top"))),
        ("Email field in the footer", Target("Email", "field", corner=("", "bottom"))),
        ("bottom left icon", Target("", "icon", corner=("left", "bottom"))),
        ("leftmost tab", Target("", "tab", corner=("left", ""))),
        ('field below "Email"', Target("", "field", relation="below", anchor="Email")),
        ("the checkbox next to Remember me", Target("", "checkbox", relation="near", anchor="Remember me")),
        ("icon to the left of Total", Target("", "icon", relation="left", anchor="Total")),
        ("trash icon next to 'Report.pdf'", Target("trash", "icon", relation="near", anchor="Report.pdf")),
        ("remove the Design tag", Target("close", "icon", relation="on", anchor="Design")),
        ("close 'Web'", Target("close", "icon", relation="on", anchor="Web")),
        ("x next to tag Web", Target("close", "icon", relation="on", anchor="Web")),
        ("Delete button for Angelica Ramos", Target("Delete", "button", relation="near", anchor="Angelica Ramos")),
        ("Sign in with Google button", Target("Sign in with Google", "button")),
        ("Costs sheet", Target("Costs", "tab")),
        ("Edit in the row of Smith", Target("Edit", relation="row", anchor="Smith")),
        ("Message for Ada", Target("Message", relation="near", anchor="Ada")),
        ("checkbox next to Download link", Target("", "checkbox", relation="near", anchor="Download link")),
        ("VAT number field", Target("VAT number", "field")),
        ("Search box at the top", Target("Search", "field", corner=("", "top"))),
        ("Log in button", Target("Log in", "button")),
        ("Inbox in the list on the left", Target("Inbox", corner=("left", ""))),
        ("Undo button in the tool bar at the top", Target("Undo", "button", corner=("", "top"))),
        ("Quit in the menu", Target("Quit")),
        ("Open icon in the toolbar", Target("Open", "icon")),
        ("close icon of the dialog", Target("close", "icon")),
        ("File in the menu bar", Target("File", corner=("", "top"))),  # no file, although "file" is a kind of thing
        ("folder in the menu bar", Target("", "item", corner=("", "top"))),
        ("Size column header", Target("Size", "item")),
        ("Timeout spin box", Target("Timeout", "field")),
    ],
)
def test_a_phrase_is_read_as_it_is_meant(phrase: str, meant: Target) -> None:
    assert meant in readings(phrase)


def test_the_literal_reading_comes_first() -> None:
    """A label may be made of position and role words: "Last name", "Top button"."""
    assert readings("Last name field")[0] == Target("Last name field")
    assert readings("Last name field")[1] == Target("Last name", "field")


def test_what_is_quoted_after_a_relation_is_never_the_target() -> None:
    assert all(reading.words != "Email" for reading in readings('field below "Email"'))


@pytest.mark.parametrize(
    "phrase", ["Submit", "top", "first", "the", "“”", "button", "in the top right", "'", "x of y of z"]
)
def test_no_phrase_breaks_it(phrase: str) -> None:
    for reading in readings(phrase):
        assert reading.words or reading.role
