"""Words into rows and columns, by geometry alone."""

from __future__ import annotations

from omni_agent.media.layout import arrange, cells
from omni_agent.types import Box, Line, Word


def line(x: float, y: float, text: str, letter: float = 0.008, drop: float = 0.0) -> Line:
    """A line of type whose letters are all `letter` wide; `drop` is how far it falls per unit of width."""
    words, at = [], x
    for part in text.split():
        width = len(part) * letter
        words.append(Word(part, Box(at, y + drop * (at - x), at + width, y + drop * (at - x) + 0.012)))
        at += width + 0.5 * letter
    box = words[0].box
    for word in words:
        box = box.union(word.box)
    return Line(text, box, 1.0, tuple(words))


PROSE = "some running words of a column here"


def test_two_columns_are_read_one_after_the_other() -> None:
    left = [line(0.1, 0.1 + 0.02 * n, f"left {n} {PROSE}") for n in range(8)]
    right = [line(0.55, 0.1 + 0.02 * n, f"right {n} {PROSE}") for n in range(8)]
    mixed = [part for pair in zip(left, right, strict=True) for part in pair]
    assert [row.text.split()[0] for row in arrange(mixed)] == ["left"] * 8 + ["right"] * 8


def test_the_rows_of_a_table_stay_whole() -> None:
    parts = []
    for n in range(8):
        parts += [
            line(0.1, 0.1 + 0.02 * n, f"Item {n}"),
            line(0.5, 0.1 + 0.02 * n, "12"),
            line(0.8, 0.1 + 0.02 * n, "9"),
        ]
    rows = arrange(parts)
    assert [row.text for row in rows] == [f"Item {n} 12 9" for n in range(8)]
    assert [" ".join(word.text for word in cell) for cell in cells(rows[3])] == ["Item 3", "12", "9"]


def test_a_skewed_scan_keeps_its_rows() -> None:
    """At one degree the right end of a row lies a line lower than its left end."""
    drop = 0.0175
    parts = []
    for n in range(10):
        y = 0.1 + 0.02 * n
        parts += [line(0.1, y, f"label {n} with several words in it", drop=drop)]
        parts += [line(0.8, y + drop * 0.7, f"value{n}", drop=drop)]
    assert [row.text.split()[-1] for row in arrange(parts)] == [f"value{n}" for n in range(10)]


def test_leading_dots_part_a_label_from_its_value() -> None:
    (row,) = arrange([line(0.1, 0.1, "Robbery. . . . . . . 102.1")])
    assert [cell[-1].text for cell in cells(row)][-1] == "102.1" and len(cells(row)) == 2


def test_a_figure_beside_prose_does_not_weave_the_columns() -> None:
    """The right column holds short labels for some lines and prose for others; the left is read through first."""
    left = [line(0.1, 0.1 + 0.02 * n, f"left {n} {PROSE}") for n in range(14)]
    labels = [line(0.55 + 0.04 * (n % 3), 0.1 + 0.02 * n, f"label {n}") for n in range(6)]
    right = [line(0.55, 0.1 + 0.02 * n, f"right {n} {PROSE}") for n in range(6, 14)]
    order = [row.text.split()[0] for row in arrange([*left, *labels, *right])]
    assert order == ["left"] * 14 + ["label"] * 6 + ["right"] * 8


def test_the_rows_of_a_table_over_both_columns_stay_whole() -> None:
    values = (0.3, 0.4, 0.6, 0.7, 0.8)
    table = [
        part
        for n in range(6)
        for part in (
            line(0.1, 0.1 + 0.02 * n, f"Item {n}"),
            *(line(x, 0.1 + 0.02 * n, f"{n}.{i}") for i, x in enumerate(values)),
        )
    ]
    below = [
        line(x, 0.3 + 0.02 * n, f"{side} {n} {PROSE}") for n in range(8) for side, x in (("left", 0.1), ("right", 0.55))
    ]
    rows = [row.text for row in arrange([*table, *below])]
    assert rows[0] == "Item 0 0.0 0.1 0.2 0.3 0.4" and rows[5].startswith("Item 5 5.0")
    assert [row.split()[0] for row in rows[6:]] == ["left"] * 8 + ["right"] * 8
