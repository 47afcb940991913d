"""What belongs together on one screen: the lines of a dialog, the cells of a row, the lines of a paragraph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence

from omni_agent.media import layout
from omni_agent.perception.lite import tables
from omni_agent.types import Box, Line, Word

CELL = 30  # characters; shorter text in a table's row is its cell, not a paragraph's line
SIDEWAYS = 1.2  # height by width, each as a share of the picture's

Seen = tuple[int, Line]  # a line with the number of its track


def by_pane(seen: Sequence[Seen], panes: Sequence[Box]) -> dict[Box | None, list[Seen]]:
    """The lines of each dialog, card and window, and those in none: text before and text behind are not one row."""
    parts: dict[Box | None, list[Seen]] = defaultdict(list)
    for item in seen:
        middle = item[1].box.center
        parts[next((pane for pane in panes if pane.contains(*middle)), None)].append(item)
    return parts


def table_rows(seen: Sequence[Seen]) -> dict[Box, tuple[tuple[str, str], ...]]:
    """The rows of the tables in sight by their boxes: each cell with the head of its column."""
    lines = []
    for row in _rows(seen):
        words = [word for _, line in row for word in line.words or (Word(line.text, line.box),)]
        lines.append(
            Line(" ".join(line.text for _, line in row), layout.union([line.box for _, line in row]), 1.0, tuple(words))
        )
    found = {}
    for table in tables.split(lines):
        if isinstance(table, tables.Table):
            heads = _first_row_heads(table.rows)
            for row_ in table.rows:
                cells = tuple((_head(cell.head) or _over(cell.box, heads), cell.text) for cell in row_.cells)
                found.update(dict.fromkeys(row_.boxes, cells))
    return found


def _first_row_heads(rows: Sequence[tables.Row]) -> Sequence[tables.Cell]:
    """The cells of a first row that is the table's head in all but its looks: no numbers in it, but below it; empty
    where the table has heads of its own or no such row."""
    if len(rows) < 3 or any(cell.head for row in rows for cell in row.cells) or len(rows[0].cells) < 2:
        return ()
    digits = [any(character.isdigit() for character in row.text) for row in rows]
    return rows[0].cells if not digits[0] and sum(digits[1:]) >= 0.6 * (len(rows) - 1) else ()


def _over(box: Box, heads: Sequence[tables.Cell]) -> str:
    """The head that stands over a cell; none for the head itself."""
    above = [head for head in heads if head.box != box and min(head.box.x1, box.x1) > max(head.box.x0, box.x0)]
    return above[0].text if len(above) == 1 else ""


def _head(text: str) -> str:
    """A column's head; none where it is long and holds a value, which is a row of the table taken for its head."""
    words = text.split()
    return "" if len(words) > 3 and any(map(tables.is_value, words)) else text


def groups(seen: Sequence[Seen], tabled: Container[Box]) -> Iterator[list[Seen]]:
    """Each line, each row of several, and each paragraph; `tabled` are the rows of tables."""
    level = [item for item in seen if not _sideways(item[1])]
    yield from ([item] for item in seen)
    yield from (row for row in _rows(level) if len(row) > 1)
    yield from _paragraphs(level, tabled)


def _rows(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Lines that stand side by side, left to right; rows from top to bottom."""
    rows: list[list[Seen]] = []
    for item in sorted(seen, key=lambda item: item[1].box.center[1]):
        box = item[1].box
        row = next(
            (
                r
                for r in reversed(rows[-3:])
                if abs(r[-1][1].box.center[1] - box.center[1]) < 0.4 * min(r[-1][1].box.height, box.height)
            ),
            None,
        )
        if row is None:
            rows.append([item])
        else:
            row.append(item)
    return [sorted(row, key=lambda item: item[1].box.x0) for row in rows]


def _paragraphs(seen: Sequence[Seen], tabled: Container[Box]) -> Iterator[list[Seen]]:
    """Lines of one size that stand close under each other, flush left or centred, at most eight."""
    rows = [row for row in _rows(seen) if len(row) > 1 and layout.union([line.box for _, line in row]) in tabled]
    cells = {id(item[1]) for row in rows for item in row if len(item[1].text) < CELL}
    left = [item for item in seen if id(item[1]) not in cells]
    left.sort(key=lambda item: (item[1].box.y0, item[1].box.x0))
    taken: set[int] = set()
    for index, item in enumerate(left):
        if index in taken:
            continue
        group = [item]
        for other, below in enumerate(left[index + 1 :], index + 1):
            if other not in taken and len(group) < 8 and _goes_on(group[-1][1].box, below[1].box):
                group.append(below)
                taken.add(other)
        if len(group) > 1:
            yield group


def _goes_on(above: Box, below: Box) -> bool:
    """Whether a line goes on in the one below: close, aligned and as large; right below it, it may be emphasised."""
    low, high = sorted((above.height, below.height))
    aside = min(abs(above.x0 - below.x0), abs(above.center[0] - below.center[0]))
    if 0 < below.y0 - above.y1 < 0.5 * low and low > 0.5 * high and aside < 0.4 * low:
        return True
    return low > 0.7 * high and 0 < below.center[1] - above.center[1] < 1.9 * high and aside < 1.2 * high


def _sideways(line: Line) -> bool:
    """Whether a text runs up or down: it belongs to no row."""
    return len(line.text) > 3 and line.box.height > SIDEWAYS * line.box.width
