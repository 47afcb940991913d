"""The rows of a table: cells under their heads, each row with its label and the labels that it stands under."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from omni_agent.media import layout
from omni_agent.perception.lite import grid
from omni_agent.perception.lite.grid import Cells, Column, is_value
from omni_agent.perception.lite.groups import groups
from omni_agent.types import Box, Line, Word


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a row: its text, the head of its column (empty where none is known), its place."""

    text: str
    head: str
    box: Box


@dataclass(frozen=True, slots=True)
class Row:
    """A table row. `cells[0]` is its label, empty where it has none; `section` the label of the part of the table that
    it stands in."""

    text: str
    boxes: tuple[Box, ...]
    cells: tuple[Cell, ...]
    section: str = ""


# --- rows of values ---------------------------------------------------------------------------------------------------


class _Labels:
    """The labels that the next row stands under: lines without values, and rows that those below are indented under."""

    def __init__(self, wide: float) -> None:
        self._slack = 0.6 * wide
        self._open: list[tuple[float, str]] = []
        self._section, self._at, self._indents = "", 0.0, False

    def section(self, text: str, x0: float) -> None:
        """A line that is a label alone."""
        self._close(x0)
        self._section, self._at, self._indents = text[:100], x0, False

    def under(self, text: str, x0: float) -> str:
        """What a row with this label stands under."""
        self._close(x0)
        if x0 > self._at + self._slack:
            self._indents = True
        elif self._indents or x0 < self._at - self._slack:  # back at the level of the section's own label
            self._section = ""
        above = [label for _, label in self._open]
        self._open.append((x0, text))
        return " — ".join(dict.fromkeys(label for label in (self._section, *above[-2:]) if label))[:160]

    def _close(self, x0: float) -> None:
        while self._open and self._open[-1][0] >= x0 - self._slack:
            self._open.pop()


def of_values(
    lines: Sequence[Line], rows: Sequence[Cells], among: Sequence[Column], heads: Sequence[str], wide: float
) -> tuple[Row, ...]:
    """The rows of values below a head: `rows` are the lines' pieces, `among` their columns with one head each, `wide`
    the width of a letter."""
    labels, found, label = _Labels(wide), list[Row](), ""
    pending: Line | None = None
    split_rows = [grid.cells(pieces, among) for pieces in rows]
    keyed = _keyed([row[0] for row in split_rows if grid.column_of(grid.box_of(row[0]), among) == 0])
    shared = groups(lines, rows, among)
    for number, (line, pieces, cells) in enumerate(zip(lines, rows, split_rows, strict=True)):
        if number in shared.alone:
            continue
        first = grid.column_of(grid.box_of(cells[0]), among)
        valued = (grid.is_valued(pieces) and len(cells) > 1) or all(is_value(grid.text_of(cell)) for cell in cells)
        goes_on = _is_rest(line, cells, label) if first == 0 else bool(found) and _fits(found[-1], cells, among)
        if not valued and found and goes_on:
            found[-1] = _continued(found[-1], cells, among, line)
            continue
        if not valued and len(cells) == 1:
            if pending is not None:
                found.append(_alone(pending))
            labels.section(_plain(line), line.box.x0)
            pending = line
            continue
        made = [
            Cell(grid.text_of(cell), heads[grid.column_of(grid.box_of(cell), among)], grid.box_of(cell))
            for cell in cells
        ]
        text, section = _plain(line), found[-1].section if found else ""
        boxes: tuple[Box, ...] = (line.box,)
        if number in shared.labels:
            of_label = sum(grid.column_of(cell.box, among) < shared.columns for cell in made)
            label, section = shared.labels[number], labels.under("", among[0].x0)
            made[:of_label] = [Cell(label, heads[shared.columns - 1], made[of_label - 1].box)]
        elif first > 0 or not keyed:
            made.insert(0, Cell(label, "", Box(among[0].x0, line.box.y0, among[0].x0, line.box.y1)))
        else:
            made = _labelled(made)
            if pending is not None and made[0].text[:1].islower():  # a label that was broken over two lines
                text, boxes = f"{_plain(pending)} {text}", (pending.box, line.box)
                made[0] = Cell(f"{_plain(pending)} {made[0].text}", made[0].head, made[0].box)
                labels.section("", line.box.x0)
            label = made[0].text
            section = labels.under(label, line.box.x0)
        pending = None
        found.append(Row(text, boxes, tuple(made), section))
    return tuple(found) if pending is None else (*found, _alone(pending))


def _alone(line: Line) -> Row:
    """A line under which no row stands, so that it is no label of others."""
    return Row(_plain(line), (line.box,), (Cell(_plain(line), "", line.box),))


def _keyed(first: Sequence[tuple[Word, ...]]) -> bool:
    """Whether the first column labels its rows: words, or years and numbers that name one row each."""
    texts = [grid.text_of(cell) for cell in first]
    values = [text for text in texts if is_value(text)]
    if len(values) < 0.5 * len(texts):
        return True
    return len(texts) > 2 and len(set(values)) == len(values) and not any(re.search(r"\d[.]\d", t) for t in values)


def _labelled(made: Sequence[Cell]) -> list[Cell]:
    """The cells with their row's label in one: a running number and a second label go with the first."""
    joined = [made[0]]
    for cell in made[1:-1]:
        if is_value(cell.text) or (cell.head and not is_value(joined[0].text)):
            break
        joined.append(cell)
    if not all(is_value(cell.text) for cell in made[len(joined) :]):
        joined = joined[:1]  # cells of words, not labels
    text, box = " ".join(cell.text for cell in joined), layout.union([cell.box for cell in joined])
    return [Cell(text, joined[-1].head, box), *made[len(joined) :]]


def _is_rest(line: Line, cells: Cells, label: str) -> bool:
    """Whether a line of words goes on with the label of the row above it."""
    return len(cells) == 1 and (line.text[:1].islower() or line.text[:1] == "(" or label.endswith((",", " and", "-")))


def _fits(row: Row, cells: Cells, among: Sequence[Column]) -> bool:
    """Whether words go on with the words of a row above them: none stands below a value."""
    values = {grid.column_of(cell.box, among) for cell in row.cells if is_value(cell.text)}
    return not any(grid.column_of(grid.box_of(cell), among) in values for cell in cells)


def _continued(row: Row, cells: Cells, among: Sequence[Column], line: Line) -> Row:
    """The row with each of these cells added to the one that it stands under."""
    grown = list(row.cells)
    for cell in cells:
        here = grid.column_of(grid.box_of(cell), among)
        index = min(range(len(grown)), key=lambda i: abs(here - grid.column_of(grown[i].box, among)))
        old = grown[index]
        grown[index] = Cell(f"{old.text} {grid.text_of(cell)}".strip(), old.head, old.box.union(grid.box_of(cell)))
    return Row(f"{row.text} {_plain(line)}", (*row.boxes, line.box), tuple(grown), row.section)


def _plain(line: Line) -> str:
    """The line's text without the dots that lead to its values."""
    return re.sub(r"\s+", " ", re.sub(r"(\s*[._·…]){3,}", " ", line.text)).strip()


# --- tables of words --------------------------------------------------------------------------------------------------


_PART = r"(?:[A-ZÀ-Þ][\w’'.-]*|de|van|von|der|del|la|da)"
_NAME = re.compile(rf"{_PART}(?: {_PART}){{1,3}}")


def of_words(lines: Sequence[Line]) -> tuple[Row, ...]:
    """The rows of a table without values: its cells are told apart by the gaps between them, row by row."""
    rows = [layout.cells(line) for line in lines]
    texts = [[grid.text_of(cell) for cell in row] for row in rows]
    pairs = sum(row[0].endswith(":") for row in texts) >= 0.5 * len(rows)
    named = len(rows[0]) > 1 and all(_NAME.fullmatch(text) for text in texts[0])  # authors over where they work
    headed = named or (
        not pairs and len(rows) > 2 and len(rows[0]) > 2 and all(len(text.split()) <= 4 for text in texts[0])
    )
    among = _usual_columns(rows[1:] if headed else rows)
    heads = [""] * len(among)
    for cell in rows[0] if headed else ():
        index = grid.column_of(grid.box_of(cell), among)
        heads[index] = f"{heads[index]} {grid.text_of(cell)}".strip()[:80]
    found: list[Row] = []
    section, pending = "", None
    for line, cells in zip(lines[headed:], rows[headed:], strict=True):
        first = grid.column_of(grid.box_of(cells[0]), among)
        if found and first > 0:
            found[-1] = _continued(found[-1], cells, among, line)
            continue
        if len(cells) == 1 and len(among) > 1:
            if pending is not None:
                found.append(_alone(pending))
            section, pending = _plain(line)[:100], line
            continue
        made = [
            Cell(grid.text_of(cell), heads[grid.column_of(grid.box_of(cell), among)], grid.box_of(cell))
            for cell in cells
        ]
        text = _plain(line)
        boxes: tuple[Box, ...] = (line.box,)
        if pending is not None and made[0].text[:1].islower():
            text, boxes = f"{_plain(pending)} {text}", (pending.box, line.box)
            made[0] = Cell(f"{_plain(pending)} {made[0].text}", made[0].head, made[0].box)
            section = ""
        pending = None
        if named:
            made.insert(0, Cell("", "", Box(line.box.x0, line.box.y0, line.box.x0, line.box.y1)))
        found.append(Row(text, boxes, tuple(made), section))
    return tuple(found) if pending is None else (*found, _alone(pending))


def _usual_columns(rows: Sequence[Cells]) -> list[Column]:
    """Where the columns lie, from the rows that have the usual number of cells."""
    counts = Counter(len(row) for row in rows if len(row) > 1)
    if not counts:
        return [Column(0.0, 1.0, 0.0, 1.0)]
    usual = max(count for count, times in counts.items() if times >= 0.5 * max(counts.values()))
    full = [row for row in rows if len(row) == usual]
    edges = [
        (median(row[i][0].box.x0 for row in full), median(row[i][-1].box.x1 for row in full)) for i in range(usual)
    ]
    return [Column(x0, x1, x0, x1) for x0, x1 in edges]
