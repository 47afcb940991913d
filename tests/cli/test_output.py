"""What reaches a terminal from a file, a screen or a model has lost its teeth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_agent.cli.output import clean, emit, emit_json
from omni_agent.types import Box, Line


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain [/x] [bold]text[/bold]", "plain [/x] [bold]text[/bold]"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x07b\x08c\x9b31md", "abc31md"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ("\u2067right\u2069", "right"),
        ("one\r\ntwo\tthree\n", "one\ntwo\tthree\n"),
        ("été 日本 שלום 🎧", "été 日本 שלום 🎧"),
    ],
)
def test_clean(text: str, left: str) -> None:
    assert clean(text) == left


@given(st.text())
def test_cleaned_text_holds_no_control_character_and_stays_clean(text: str) -> None:
    once = clean(text)
    assert not any((ord(sign) < 32 and sign not in "\t\n") or 127 <= ord(sign) < 160 for sign in once)
    assert clean(once) == once


def test_results_end_with_one_newline(capsys: pytest.CaptureFixture[str]) -> None:
    emit("two lines\n\n")
    assert capsys.readouterr().out == "two lines\n"


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json(Line("a\u202eb\x1b\n", Box(0, 0, 1 / 3, 1)))
    out = capsys.readouterr().out
    assert out.isascii() and out.count("\n") == 1 and "\x1b" not in out
    assert json.loads(out) == {"text": "a\u202eb\x1b\n", "box": [0, 0, 0.333333, 1], "score": 1.0, "words": []}
