"""Tables by geometry alone: rows of cells, each cell with its column's head. One way for text layers and for OCR."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from omni_agent.media import layout
from omni_agent.types import Box, Line, Word


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a row: its text, the head of its column (empty where none is known), its place."""

    text: str
    head: str
    box: Box


@dataclass(frozen=True, slots=True)
class Row:
    """A table row. `cells[0]` is its label; `section` the label of the part of the table that it stands in."""

    text: str
    boxes: tuple[Box, ...]
    cells: tuple[Cell, ...]
    section: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table below its head, the caption above it where there is one, and what its numbers are counted in
    ("thousands") where the lines around it say so."""

    caption: str
    rows: tuple[Row, ...]
    scale: str = ""


def split(lines: Sequence[Line]) -> Iterator[Table | Line | None]:
    """The page's lines with each table put together; None where a table of contents was taken out."""
    at = 0
    while at < len(lines):
        end = _run(lines, at)
        if end == at:
            yield lines[at]
            at += 1
            continue
        block = lines[at:end]
        if _is_contents(block):
            yield None
        else:
            before = lines[max(0, at - 6) : at]
            scale = next(
                (found[1].lower() for line in (*before, *block[:3]) if (found := _SCALE.search(line.text))), ""
            )
            yield Table(_caption(before, lines[end : end + 2]), _rows(block), scale)
        at = end


def is_value(text: str) -> bool:
    """Whether a cell holds a number, a sum, a share or the sign for none of these, rather than words."""
    if _NOTHING.fullmatch(text):
        return True
    digits = sum(c.isdigit() for c in text)
    return digits > 0 and digits >= 0.4 * sum(c.isalnum() for c in text)


_SCALE = re.compile(r"\bin (thousand|million|billion)s?\b", re.IGNORECASE)
_NOTHING = re.compile(r"[-–—.…*]+|\(?[A-Z]\)|n/?a|nil|none", re.IGNORECASE)
_YEAR = re.compile(r"(19|20)\d\d([/–-]\d{2,4})?")


# --- where tables are -------------------------------------------------------------------------------------------------


def _run(lines: Sequence[Line], start: int) -> int:
    """Where the table that begins at `start` ends; `start` itself where none begins."""
    if len(layout.cells(lines[start])) < 2:
        below = _run(lines, start + 1) if start + 1 < len(lines) and _is_head(*lines[start : start + 2]) else 0
        return below if below > start + 1 else start
    end, rows, at = start + 1, 1, start + 1
    while at < len(lines):
        gap = lines[at].box.y0 - lines[at - 1].box.y1
        if lines[at].box.y0 < lines[at - 1].box.y0 or gap > 2.5 * lines[at].box.height:
            break
        if len(layout.cells(lines[at])) >= 2:
            rows += 1
            end = at + 1
        elif at - end >= 2 or len(lines[at].text.split()) > 12:
            break
        at += 1
    block = lines[start:end]
    tabular = sum(len(layout.cells(line)) >= 2 for line in block)
    return end if rows >= 2 and tabular >= 0.5 * len(block) and _aligned(block) else start


def _is_head(line: Line, row: Line) -> bool:
    """Whether each word of a line stands over a cell of the row below it: heads that are a mere space apart."""
    words, cells = layout.words_of(line), layout.cells(row)
    if len(cells) < 3 or not 0 <= len(cells) - len(words) <= 1 or line.box.y1 > row.box.y0 + row.box.height:
        return False
    over = cells[len(cells) - len(words) :]
    pairs = zip(words, over, strict=True)
    return all(word.box.x0 < cell[-1].box.x1 and word.box.x1 > cell[0].box.x0 for word, cell in pairs)


def _aligned(lines: Sequence[Line]) -> bool:
    """Whether cells begin, end or are centred under one another: side-by-side text that is no table does not."""
    rows = [layout.cells(line) for line in lines]
    rows = [row for row in rows if len(row) >= 2]
    edges: list[Counter[int]] = [Counter(), Counter(), Counter()]
    for row in rows:
        for cell in row[1:]:
            x0, x1 = cell[0].box.x0, cell[-1].box.x1
            for counter, x in zip(edges, (x0, x1, (x0 + x1) / 2), strict=True):
                counter.update({round(x * 50), round(x * 50 + 0.5)})
    return any(counter and counter.most_common(1)[0][1] >= max(2, 0.5 * len(rows)) for counter in edges)


def _is_contents(lines: Sequence[Line]) -> bool:
    """Whether the rows end in page numbers that never fall."""
    last = [layout.cells(line)[-1][-1].text for line in lines]
    numbers = [int(text) for text in last if re.fullmatch(r"\d{1,4}", text)]
    widths = [len(layout.cells(line)) for line in lines]
    rising = sum(a <= b for a, b in pairwise(numbers))
    return (
        len(numbers) >= 4
        and len(numbers) >= 0.7 * len(lines)
        and max(widths) <= 4
        and rising >= 0.9 * (len(numbers) - 1)
        and any("...." in line.text or ". . ." in line.text for line in lines)
    )


# --- what they say ----------------------------------------------------------------------------------------------------


def _caption(before: Sequence[Line], after: Sequence[Line]) -> str:
    """The line that names a table: one that says so, above or below it, else a short line right above it."""
    for line in (*reversed(before), *after):
        if re.match(r"(Table|Tab\.|Exhibit|Schedule|Figure|Fig\.)\s", line.text):
            return line.text[:160]
    short = before and len(layout.cells(before[-1])) == 1 and len(before[-1].text.split()) <= 10
    return before[-1].text if short else ""


HEAD_GAP = 1.1  # widths of a letter between two heads: they stand closer together than the values below them


def _rows(lines: Sequence[Line]) -> tuple[Row, ...]:
    rows = [_parted(layout.cells(line)) for line in lines]
    head_count = _head_count(rows)
    columns = _columns(rows[head_count:] or rows)
    heads = _heads([layout.cells(line, HEAD_GAP) for line in lines[:head_count]], columns)
    found: list[Row] = []
    section, pending = "", None
    for line, loose in zip(lines[head_count:], rows[head_count:], strict=True):
        cells = _cut(loose, columns)
        if found and len(columns) > 1 and _goes_on(cells, columns):
            found[-1] = _continued(found[-1], cells, columns, line)
            continue
        if len(cells) == 1 and len(columns) > 1:
            section, pending = " ".join(word.text for word in cells[0])[:100], line
            continue
        made = tuple(
            Cell(_text(cell), heads[_column(cell, columns)], layout.union([word.box for word in cell]))
            for cell in cells
        )
        text = _plain(line)
        boxes: tuple[Box, ...] = (line.box,)
        if pending is not None and made[0].text[:1].islower():  # a label that was broken over two lines
            text, boxes = f"{_plain(pending)} {text}", (pending.box, line.box)
            made = (Cell(f"{_plain(pending)} {made[0].text}", made[0].head, made[0].box), *made[1:])
            section = ""
        pending = None
        found.append(Row(text, boxes, made, section))
    return tuple(found)


def _parted(cells: Sequence[tuple[Word, ...]]) -> list[tuple[Word, ...]]:
    """The cells, cut once more between a number and a word that stand further apart than a number and its unit."""
    letter = sum(word.box.width for cell in cells for word in cell) / sum(len(w.text) for cell in cells for w in cell)
    found: list[tuple[Word, ...]] = []
    for cell in cells:
        start = 0
        for index in range(1, len(cell)):
            last, word = cell[index - 1], cell[index]
            apart = word.box.x0 - last.box.x1 > HEAD_GAP * letter
            if apart and is_value(last.text) and not is_value(word.text):
                found.append(cell[start:index])
                start = index
        found.append(cell[start:])
    return found


def _cut(cells: Sequence[tuple[Word, ...]], columns: Sequence[tuple[float, float]]) -> list[tuple[Word, ...]]:
    """The cells, cut once more where a value stands in a later column than the words before it."""
    found: list[tuple[Word, ...]] = []
    for cell in cells:
        start = 0
        for index in range(1, len(cell)):
            word, last = cell[index], cell[index - 1]
            x0, x1 = columns[_column((word,), columns)]
            inside = x0 - 0.01 <= word.box.x0 and word.box.x1 <= x1 + 0.01
            if (
                inside
                and is_value(word.text)
                and last.box.x1 < x0
                and _column((last,), columns) != _column((word,), columns)
            ):
                found.append(cell[start:index])
                start = index
        found.append(cell[start:])
    return found


def _plain(line: Line) -> str:
    """The line's text without the dots that lead to its values."""
    return re.sub(r"\s+", " ", re.sub(r"(\s*[._·…]){3,}", " ", line.text)).strip()


def _text(cell: Sequence[Word]) -> str:
    text = re.sub(r"(\s*[._·…]){2,}\s*$", "", " ".join(word.text for word in cell)).rstrip(" .") or cell[0].text
    return re.sub(r"(?<=\d[.,])\s+(?=\d)", "", text)  # a number that its typesetting cut in two


def _goes_on(cells: Sequence[tuple[Word, ...]], columns: Sequence[tuple[float, float]]) -> bool:
    """Whether a line has no label of its own but words below the cells of the row above it."""
    return _column(cells[0], columns) > 0 and (len(cells) == 1 or not any(is_value(_text(cell)) for cell in cells))


def _continued(row: Row, cells: Sequence[tuple[Word, ...]], columns: Sequence[tuple[float, float]], line: Line) -> Row:
    """The row with each of these cells added to the one that it stands under."""
    grown = list(row.cells)
    for cell in cells:
        box = layout.union([word.box for word in cell])
        index = min(range(len(grown)), key=lambda i: abs(_column(cell, columns) - _column_of(grown[i].box, columns)))
        old = grown[index]
        grown[index] = Cell(f"{old.text} {_text(cell)}", old.head, old.box.union(box))
    return Row(f"{row.text} {_plain(line)}", (*row.boxes, line.box), tuple(grown), row.section)


def _head_count(rows: Sequence[list[tuple[Word, ...]]]) -> int:
    """How many rows at the top are heads: those before the first row of values; years over numbers are heads too."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if sum(row[0].endswith(":") for row in texts) >= 0.5 * len(rows):  # pairs of a name and a value
        return 0
    valued = [len(row) > 1 and sum(map(is_value, row[1:])) >= 0.5 * len(row[1:]) for row in texts]
    years = [len(row) > 1 and all(map(_YEAR.fullmatch, row[1:])) for row in texts]
    if not any(valued):  # a table of words: its first row, where that is short; lists of pairs seldom have one
        return 1 if len(rows) > 2 and len(rows[0]) > 2 and all(len(text.split()) <= 4 for text in texts[0]) else 0
    count = 0
    while count < min(5, len(rows) - 1) and (not valued[count] or (years[count] and valued[count + 1])):
        count += 1
    return 0 if valued and not valued[count] else count


def _columns(rows: Sequence[list[tuple[Word, ...]]]) -> list[tuple[float, float]]:
    """Where the columns lie, from the rows that have the usual number of cells."""
    counts = Counter(len(row) for row in rows if len(row) > 1)
    if not counts:
        return [(0.0, 1.0)]
    usual = max(count for count, times in counts.items() if times >= 0.5 * max(counts.values()))
    full = [row for row in rows if len(row) == usual]
    return [(median(row[i][0].box.x0 for row in full), median(row[i][-1].box.x1 for row in full)) for i in range(usual)]


def _column(cell: Sequence[Word], columns: Sequence[tuple[float, float]]) -> int:
    """The column that a cell shares most with; where it touches none, the nearest."""
    return _column_of(layout.union([cell[0].box, cell[-1].box]), columns)


def _column_of(box: Box, columns: Sequence[tuple[float, float]]) -> int:
    x0, x1 = box.x0, box.x1

    def distance(column: tuple[float, float]) -> float:
        overlap = min(x1, column[1]) - max(x0, column[0])
        return -overlap if overlap > 0 else abs((x0 + x1) / 2 - (column[0] + column[1]) / 2)

    return min(range(len(columns)), key=lambda index: distance(columns[index]))


def _heads(rows: Sequence[list[tuple[Word, ...]]], columns: Sequence[tuple[float, float]]) -> list[str]:
    """Each column's head, top row first. A head over several columns counts for each of them."""
    heads: list[list[str]] = [[] for _ in columns]
    for row in rows:
        over = [cell for cell in row if len(columns) == 1 or cell[0].box.x0 > columns[0][1]]
        heads[0] += [_text(cell) for cell in row if cell not in over][:1]
        wide = any(len(_below(cell, columns)) > 1 for cell in over)
        if over and not wide and len(over) < 0.6 * (len(columns) - 1):  # each spans its neighbours
            for index in range(1, len(columns)):
                middle = sum(columns[index]) / 2
                nearest = min(over, key=lambda c: abs((c[0].box.x0 + c[-1].box.x1) / 2 - middle))
                heads[index].append(_text(nearest))
            continue
        for cell in over:
            below = _below(cell, columns)
            if 1 < len(below) == len(cell):  # heads that stand a space apart
                for index, word in zip(below, cell, strict=True):
                    heads[index].append(word.text)
                continue
            for index in below or [_column(cell, columns)]:
                heads[index].append(_text(cell))
    return [" ".join(head)[:80] for head in heads]


def _below(cell: Sequence[Word], columns: Sequence[tuple[float, float]]) -> list[int]:
    """The columns, the first left out, whose middles lie under a cell."""
    x0, x1 = cell[0].box.x0, cell[-1].box.x1
    return [i for i, column in enumerate(columns) if i > 0 and x0 - 0.005 <= sum(column) / 2 <= x1 + 0.005]
