"""Tables by geometry alone: rows of cells, each cell with its column's head. One way for text layers and for OCR."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, pairwise, takewhile

from omni_agent.media import layout
from omni_agent.perception.lite import forms, grid
from omni_agent.perception.lite.grid import YEAR, Cells, Column, is_value
from omni_agent.perception.lite.heads import GOOD, PARTED, heads
from omni_agent.perception.lite.rows import Row, of_values, of_words
from omni_agent.types import Line


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table below its head, the caption above it where there is one, and what its numbers are counted in
    ("thousands") where the lines around it say so."""

    caption: str
    rows: tuple[Row, ...]
    scale: str = ""


def split(lines: Sequence[Line]) -> Iterator[Table | Line | None]:
    """The page's lines with each table put together; None where a table of contents was taken out."""
    at, form = 0, forms.is_form(lines)
    while at < len(lines):
        if form and (row := forms.filled(lines, at)) is not None:
            yield Table("", (row,))
            at += 2
            continue
        end = _run(lines, at)
        if end == at:
            yield lines[at]
            at += 1
            continue
        if _is_contents(lines[at:end]):
            yield None
        elif _is_list(lines[at:end]):
            yield from lines[at:end]
        else:
            yield from _parts(lines, at, end)
        at = end


_SCALE = re.compile(r"\bin (thousand|million|billion)s?\b", re.IGNORECASE)
_NAMED = re.compile(r"(Table|Tab\.|Exhibit|Schedule|Figure|Fig\.|TABLE|FIGURE)\s")


# --- where tables are -------------------------------------------------------------------------------------------------


def _run(lines: Sequence[Line], start: int) -> int:
    """Where the table that begins at `start` ends; `start` itself where none begins."""
    if len(layout.cells(lines[start])) < 2:
        return _below_head(lines, start)
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


def _below_head(lines: Sequence[Line], start: int) -> int:
    """Where the table ends that a line heads whose words are a mere space apart; `start` where it heads none."""
    for below in range(start + 1, min(start + 3, len(lines))):
        if lines[below].box.y0 - lines[below - 1].box.y1 > 1.5 * lines[below].box.height:
            return start
        if len(layout.cells(lines[below])) >= 2:
            end = _run(lines, below)
            rows = dropwhile(lambda row: not grid.is_valued(row), map(grid.pieces, grid.upright(lines[below:end])))
            values = list(takewhile(grid.is_valued, rows))  # of the first table, where several follow
            if end == below or not values:
                return start
            among = grid.columns(values, grid.letter(lines[below:end]))
            return end if _heads(lines[start], among, grid.letter(lines[below:end])) else start
    return start


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


_MARK = re.compile(r"[^\w\s]|[•●▪◦‣o]|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]")


def _is_list(lines: Sequence[Line]) -> bool:
    """Whether the rows are items behind their marks or numbers, running on over several lines."""
    marked = [len(cells) == 2 and _MARK.fullmatch(grid.text_of(cells[0])) for cells in map(layout.cells, lines)]
    long = sum(len(line.text.split()) > 6 for line in lines)
    return (
        sum(map(bool, marked)) >= 0.3 * len(lines)
        and long > 0.5 * len(lines)
        and not any(len(layout.cells(line)) > 2 for line in lines)
    )


# --- one table, or several under each other ---------------------------------------------------------------------------

ENOUGH = 12  # rows that tell where the columns lie


def _parts(lines: Sequence[Line], at: int, end: int) -> Iterator[Table | Line]:
    """The tables among these lines: a line that runs on over the columns, or heads of their own, begin another."""
    straight = grid.upright(lines[at:end])
    rows = [grid.pieces(line) for line in straight]
    valued = [grid.is_valued(row) for row in rows]
    if not any(valued):
        before = lines[max(0, at - 6) : at]
        scale = _scale((*before, *lines[at : at + 3]))
        yield Table(_caption(before, lines[end : end + 2]), of_words(lines[at:end]), scale)
        return
    wide = grid.letter(straight)
    begin = 0
    while begin < len(rows):
        first = next((i for i in range(begin, len(rows)) if valued[i]), len(rows))
        if first == len(rows):
            yield from lines[at + begin : end]
            return
        if _are_years(rows[first]):
            below = next((i for i in range(first + 1, min(first + 3, len(rows))) if valued[i]), first)
            first += below > first and not _are_years(rows[below])
        last = _last(straight, rows, valued, first, wide)
        while last > first + 1 and not valued[last - 1] and len(rows[last - 1]) == 1:
            last -= 1  # a label under which no row stands
        among = grid.columns([row for row, has in zip(rows[first:last], valued[first:last], strict=True) if has], wide)
        while first > begin and len(rows[first - 1]) == 1 and is_value(grid.text_of(rows[first - 1][0])):
            first -= 1  # a row of one value, without a label
        first = _below_heads(straight, rows, begin, first, among, wide)
        top, over = first, list[tuple[str, ...]]()
        while top > begin and (
            texts := _heads(straight[top - 1], among, wide, above=_joined_heads(over, len(among)) if over else ())
        ):
            top -= 1
            over.insert(0, texts)
        yield from lines[at + begin : at + top]
        if len(among) < 2 or (not over and last == first + 1):  # numbers in running words
            yield from lines[at + top : at + last]
            begin = last
            continue
        before = lines[max(0, at + top - 6) : at + top]
        made = of_values(straight[first:last], rows[first:last], among, _joined_heads(over, len(among)), wide)
        places = {moved.box: line.box for moved, line in zip(straight, lines[at:end], strict=True)}
        made = tuple(replace(row, boxes=tuple(places[box] for box in row.boxes)) for row in made)
        yield Table(
            _caption(before, lines[at + last : at + last + 2]),
            made,
            _scale(lines[max(0, at + top - 6) : at + first + 3]),
        )
        begin = last


def _below_heads(
    lines: Sequence[Line], rows: Sequence[Cells], begin: int, first: int, among: Sequence[Column], wide: float
) -> int:
    """Where the rows begin that go with the first row of values: labels alone stand between it and the heads."""
    top = first
    while top - 1 > begin and len(among) > 1 and lines[top - 1].box.x1 < among[1].x0 and len(rows[top - 1]) == 1:
        top -= 1
    return top if top > begin and _heads(lines[top - 1], among, wide) else first


def _scale(lines: Sequence[Line]) -> str:
    return next((found[1].lower() for line in lines if (found := _SCALE.search(line.text))), "")


def _are_years(row: Cells) -> bool:
    years = sum(bool(YEAR.fullmatch(grid.text_of(run))) for run in row)
    return years > 1 and years >= len(row) - 1


def _last(lines: Sequence[Line], rows: Sequence[Cells], valued: Sequence[bool], first: int, wide: float) -> int:
    """Where the table ends whose first row of values this is (exclusive)."""
    for at in range(first + 1, len(rows)):
        if valued[at]:
            if _are_years(rows[at]) and not _are_years(rows[at - 1]) and at + 1 < len(rows) and valued[at + 1]:
                return at
            if grid.crossed(rows[at], _among(rows, valued, first, at, wide)) > 1:
                return at  # numbers in running words
            continue
        if grid.NUMBERED.match(lines[at].text):
            return at
        among = _among(rows, valued, first, at, wide)
        box = lines[at].box
        running = len(rows[at]) == 1 and len(rows[at][0]) > 3
        if running and len(among) > 1 and box.x0 < among[0].x1 and box.x1 > among[1].x0 + wide:
            return at  # words that run on over the columns
        if _heads_anew(lines, rows, valued, first, at, wide):
            return at
    return len(rows)


def _among(rows: Sequence[Cells], valued: Sequence[bool], first: int, at: int, wide: float) -> list[Column]:
    """The columns of the first rows of values from `first` on, before `at`."""
    return grid.columns([rows[i] for i in range(first, at) if valued[i]][:ENOUGH], wide)


def _heads_anew(
    lines: Sequence[Line], rows: Sequence[Cells], valued: Sequence[bool], first: int, at: int, wide: float
) -> bool:
    """Whether a line among a table's rows heads those that follow: each of their columns, where the rows before hold
    values alone, or what the line above the first row says once more."""
    if first and lines[at].text == lines[first - 1].text:
        return True
    below = next((i for i in range(at + 1, min(at + 3, len(rows))) if valued[i]), None)
    alone = sum(valued[first:at]) == 1
    if below is None or not (
        alone or len(rows[at]) == 1 or all(valued[i] or len(rows[i]) == 1 for i in range(first, at))
    ):
        return False
    stop = next((i for i in range(below, len(rows)) if not valued[i]), len(rows))
    among = grid.columns(rows[below : min(stop, below + 3)], wide)
    texts = _heads(lines[at], among, wide)
    if len(among) == 2 and len(layout.words_of(lines[at])) < 3 and lines[at].box.x0 > among[0].x1:
        return bool(texts)  # the last column of a print that was too wide
    return len(among) > 2 and sum(bool(text) for text in texts[1:]) >= 0.8 * (len(among) - 1)


def _heads(line: Line, among: Sequence[Column], wide: float, *, above: Sequence[str] = ()) -> tuple[str, ...]:
    """What a line says over each column; empty where it is no head of these columns. `above` are the heads right below
    it: where they are whole, a line is one more only as cells of its own or as a few words over some columns."""
    words = layout.words_of(line)
    if len(among) < 2 or grid.NUMBERED.match(line.text) or line.text.endswith((":", ".")):
        return ()
    found = heads(line, among, wide)
    over = [text for text in found.texts[1:] if text]
    values = sum(is_value(word.text) and not YEAR.fullmatch(word.text) for word in words)
    if (
        not over
        or found.cost > (GOOD if len(layout.cells(line)) < found.groups else PARTED)
        or values > 0.5 * len(words)
    ):
        return ()
    if len(layout.cells(line)) < 2:
        few = not found.texts[0] and len(words) <= 5
        if not few and (all(above[1:]) if above else len(over) < 0.8 * (len(among) - 1)):
            return ()
    return found.texts


def _joined_heads(heads: Sequence[Sequence[str]], count: int) -> list[str]:
    """Each column's head, top line first."""
    return [" ".join(dict.fromkeys(row[i] for row in heads if row[i]))[:80] for i in range(count)]


def _caption(before: Sequence[Line], after: Sequence[Line]) -> str:
    """The line that names a table: one that says so, above or below it, else a short line right above it."""
    for line in (*reversed(before), *after):
        if _NAMED.match(line.text):
            return line.text[:160]
    short = before and len(layout.cells(before[-1])) == 1 and len(before[-1].text.split()) <= 10
    return before[-1].text if short else ""
