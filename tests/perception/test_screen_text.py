"""Text over time, from screens written here: what belongs together, and when a text can be read."""

from __future__ import annotations

from omni_agent.perception.lite.screen_text import Passage, shown
from omni_agent.perception.lite.screens import Screen
from omni_agent.types import Box, Line

HEADS = ("Group", "Visitors", "Day")
ROWS = (("Rowing club", "12", "Tuesday"), ("Ferry crew", "8", "Thursday"), ("City archive", "15", "Friday"))


def line(text: str, x: float, y: float, height: float = 0.04) -> Line:
    return Line(text, Box(x, y, x + 0.01 * len(text), y + height))


def table() -> list[Line]:
    return [
        line(text, 0.1 + 0.25 * column, 0.2 + 0.06 * number)
        for number, row in enumerate((HEADS, *ROWS))
        for column, text in enumerate(row)
    ]


def passage(passages: list[Passage], text: str) -> Passage:
    return next(one for one in passages if one.text == text)


def test_a_row_knows_the_heads_of_its_columns() -> None:
    row = passage(shown([Screen(0.0, 0.0, tuple(table()))], 5.0), "Ferry crew 8 Thursday")
    assert row.cells == (("Group", "Ferry crew"), ("Visitors", "8"), ("Day", "Thursday"))


def test_a_first_row_of_words_heads_the_numbers_below_it() -> None:
    """Though it looks like any other row: in a window's table, where all cells have the letters of one size."""
    kinds = (("Name", "Storage", "Range"), ("smallint", "2 bytes", "32767"), ("bigint", "8 bytes", "9223372036"))
    lines = tuple(
        line(text, 0.1 + 0.25 * x, 0.2 + 0.06 * y) for y, row in enumerate(kinds) for x, text in enumerate(row)
    )
    row = passage(shown([Screen(0.0, 0.0, lines)], 5.0), "bigint 8 bytes 9223372036")
    assert row.cells == (("Name", "bigint"), ("Storage", "8 bytes"), ("Range", "9223372036"))


def test_what_stands_in_a_dialog_is_no_part_of_the_row_behind_it() -> None:
    dialog = Box(0.3, 0.15, 0.9, 0.6)
    behind = [one for one in table() if not dialog.contains(*one.box.center)]
    inside = [line("Visitors", 0.35, 0.32), line("24", 0.5, 0.32), line("Save", 0.35, 0.5)]
    texts = {one.text for one in shown([Screen(0.0, 0.0, (*behind, *inside), (dialog,))], 5.0)}
    assert "Visitors 24" in texts and "Ferry crew" in texts
    assert not any("Ferry crew" in text and "24" in text for text in texts)


def test_a_small_glimpse_is_not_when_a_text_is_shown() -> None:
    far, near = line("one more thing", 0.1, 0.1, 0.015), line("one more thing", 0.3, 0.4, 0.07)
    screens = [Screen(0.0, 0.0, (far,)), Screen(10.0, 10.5, (near,)), Screen(20.0, 20.0, (far,))]
    seen = passage(shown(screens, 30.0), "one more thing")
    assert (seen.start, seen.end) == (0.0, 30.0)
    assert (seen.prominent.start, seen.prominent.end, seen.prominent.at) == (10.0, 20.0, 10.5)


def test_an_emphasised_word_ends_the_sentence_above_it() -> None:
    lines = (line("the only limit is your", 0.3, 0.385, 0.084), line("imagination", 0.3, 0.48, 0.125))
    assert passage(shown([Screen(0.0, 0.0, lines)], 5.0), "the only limit is your imagination")


def valued(lines: tuple[Line, ...], panes: tuple[Box, ...] = ()) -> set[tuple[str, str]]:
    """The labels and values that one screen may state."""
    return {(one.label, one.text) for one in shown([Screen(0.0, 0.0, lines, panes)], 5.0) if one.label}


def test_a_value_stands_beside_or_under_its_label() -> None:
    settings = (line("Repeat delay", 0.1, 0.1), line("500 ms", 0.6, 0.1), line("Repeat speed", 0.1, 0.2))
    card = (line("Project leader", 0.1, 0.5), line("Tony Chicken", 0.1, 0.55))
    assert ("Repeat delay", "500 ms") in valued(settings) and ("Repeat speed", "500 ms") not in valued(settings)
    assert ("Project leader", "Tony Chicken") in valued(card)


def test_a_large_number_stands_over_its_label() -> None:
    assert ("Pending orders", "18") in valued((line("18", 0.1, 0.3, 0.06), line("Pending orders", 0.1, 0.38, 0.03)))


def test_a_line_with_its_own_value_names_no_other() -> None:
    lines = (line("Homepage: https://www.vim.org/", 0.1, 0.1), line("Suggests: indent", 0.1, 0.15))
    assert not valued(lines)


def test_a_command_is_followed_by_what_it_prints_and_no_more() -> None:
    lines = tuple(
        line(text, 0.05, 0.1 + 0.05 * number)
        for number, text in enumerate(("$ id -u nobody", "65534", "$ wc -l a b", "284 a", "78 b", "$"))
    )
    found = valued(lines)
    assert ("$ id -u nobody", "65534") in found and ("$ wc -l a b", "284 a 78 b") in found


def test_what_a_heading_heads_ends_at_the_next_one() -> None:
    lines = (
        line("Personal", 0.1, 0.1, 0.05), line("Appearance", 0.1, 0.17, 0.03), line("Panel", 0.1, 0.21, 0.03),
        line("Hardware", 0.1, 0.27, 0.05), line("Display", 0.1, 0.34, 0.03),
    )  # fmt: skip
    assert {("Personal", "Appearance Panel"), ("Hardware", "Display")} <= valued(lines)
    display = passage(shown([Screen(0.0, 0.0, lines)], 5.0), "Display")
    assert display.heading == "Hardware"


def test_a_value_is_shown_only_while_its_label_is_beside_it() -> None:
    """A number that is elsewhere later is no value of the label then."""
    label, here, elsewhere = line("Volume", 0.1, 0.1), line("75", 0.5, 0.1), line("75", 0.5, 0.8)
    screens = [Screen(0.0, 0.0, (label,)), Screen(4.0, 4.0, (label, here)), Screen(9.0, 9.0, (label, elsewhere))]
    one = next(one for one in shown(screens, 12.0) if one.label == "Volume" and one.text == "75")
    assert (one.start, one.end) == (4.0, 9.0)


MAILS = (("From", "Subject", "Size"), ("Ilse Brandt", "Rye flour", "4 KB"), ("Cem Aydin", "New oven", "12 KB"))


def test_a_row_of_words_heads_what_is_lined_up_under_it() -> None:
    """Names and subjects: no column of numbers tells where the columns lie."""
    lines = [line(text, 0.1 + 0.25 * x, 0.2 + 0.06 * y) for y, row in enumerate(MAILS) for x, text in enumerate(row)]
    beside = line("Showing 1 to 2 of 143 mails in this folder, newest mails first", 0.1, 0.4)
    passages = shown([Screen(0.0, 0.0, (*lines, beside))], 5.0)
    assert passage(passages, "Cem Aydin New oven 12 KB").cells == (
        ("From", "Cem Aydin"), ("Subject", "New oven"), ("Size", "12 KB"),
    )  # fmt: skip
    assert not any(one.cells for one in passages if "143" in one.text)


def test_a_cell_is_named_by_its_row_and_its_column_and_not_by_its_neighbours() -> None:
    values = valued(tuple(table()))
    assert ("Ferry crew, Visitors", "8") in values
    assert not values & {("Ferry crew", "8"), ("12", "8"), ("8", "Thursday"), ("Visitors", "12")}


def test_pairs_of_labels_and_values_have_no_heads() -> None:
    pairs = (("Time zone", "Vienna"), ("Low stock", "25 kg"), ("Quiet hours", "22:00"))
    lines = tuple(
        line(text, 0.1 + 0.4 * x, 0.2 + 0.06 * y) for y, row in enumerate(pairs) for x, text in enumerate(row)
    )
    assert ("Low stock", "25 kg") in valued(lines)
    assert not any(head for one in shown([Screen(0.0, 0.0, lines)], 5.0) for head, _ in one.cells)


def test_four_letters_in_a_high_box_are_not_sideways() -> None:
    """OCR puts a box around "High" that is as high as wide, with its margins."""
    high = Line("High", Box(0.35, 0.2, 0.38, 0.248))
    texts = {one.text for one in shown([Screen(0.0, 0.0, (line("NAV-88", 0.1, 0.2, 0.048), high))], 5.0)}
    assert "NAV-88 High" in texts


def test_a_window_opens_where_it_takes_over_from_its_menu_entry() -> None:
    entry, title = line("About Atlas", 0.7, 0.3, 0.02), line("About Atlas", 0.4, 0.2, 0.03)
    seen = [Screen(0.0, 0.0, ()), Screen(4.0, 4.0, (entry,)), Screen(6.0, 6.0, (title,))]
    assert passage(shown(seen, 12.0), "About Atlas").opened.start == 6.0
    long = [seen[0], Screen(1.0, 1.0, (title,)), Screen(6.0, 6.0, (entry,))]
    assert passage(shown(long, 12.0), "About Atlas").opened.start == 1.0
