"""Text with places into the order a person reads it: columns of rows, each row one `Line` with its words.

Text layers and OCR both hand over runs of words in no order that can be relied on. Here they become visual rows: what
stands side by side in one column of the page is one line, so that a table row stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from omni_agent.types import Box, Line, Word

Row = list[Word]


def arrange(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines as visual rows in reading order, column by column; a skew of a few degrees is allowed for."""
    scored = [(word, line.score) for line in lines for word in words_of(line)]
    words = [word for word, _ in scored]
    scores = {id(word): score for word, score in scored}
    if not words:
        return ()
    slope = _slope(lines)
    rows = [row for column in _columns(words, slope) for row in column]
    return tuple(_as_line(row, min(scores[id(word)] for word in row)) for row in rows)


def words_of(line: Line) -> tuple[Word, ...]:
    """The line's words; for a line without word places, its whole text as one."""
    return line.words or (Word(line.text, line.box),)


def cells(line: Line, gap: float | None = None) -> list[tuple[Word, ...]]:
    """The words of a row, cut where the gap is wider than spaces between words are: the cells of a table row. `gap`, in
    widths of an average letter, is what counts as wide in place of CELL_GAP."""
    words = [word for word in words_of(line) if not LEADER.fullmatch(word.text)]
    if not words:
        return [words_of(line)]
    letter = _letter(words)
    found: list[list[Word]] = [[words[0]]]
    for word in words[1:]:
        last = found[-1][-1]
        figures = _FIGURE.fullmatch(word.text) and _FIGURE.fullmatch(last.text)
        if word.box.x0 - last.box.x1 > (gap or (FIGURE_GAP if figures else CELL_GAP)) * letter:
            found.append([])
        found[-1].append(word)
    return [tuple(cell) for cell in found]


LEADER = re.compile(r"[.·_…]+")  # the dots that lead the eye from a label to its value


_FIGURE = re.compile(r"[($€£<±−-]*\d(?:[\d.,]*\d)?(?:[eE][-+−]?\d+)?[)%]*")
FIGURE_GAP = 0.9  # two numbers side by side are two cells sooner than two words are
CELL_GAP = 2.0  # in widths of an average letter: a space is about 0.5 of one, in justified prose seldom more than 1.5


def _letter(words: Sequence[Word]) -> float:
    """The width of an average letter: the measure of gaps, since fractions of height are no lengths across."""
    return sum(word.box.width for word in words) / max(1, sum(len(word.text) for word in words))


def _as_line(row: Row, score: float) -> Line:
    box = row[0].box
    for word in row[1:]:
        box = box.union(word.box)
    return Line(" ".join(word.text for word in row), box, score, tuple(row))


def _slope(lines: Sequence[Line]) -> float:
    """How far the text falls per unit of width (fraction of height per fraction of width), from the long lines."""
    slopes = []
    for line in lines:
        if len(line.words) >= 4 and line.box.width > 0.2:
            first, last = line.words[0].box.center, line.words[-1].box.center
            if last[0] - first[0] > 0.15:
                slopes.append((last[1] - first[1]) / (last[0] - first[0]))
    return median(slopes) if len(slopes) >= 3 else 0.0


def _columns(words: list[Word], slope: float) -> list[list[Row]]:
    """Columns of rows in reading order: bands of full width alternate with bands of side-by-side columns."""
    rows = _rows(words, slope)
    gutter = _gutter(rows)
    if gutter is None:
        return [rows]
    out: list[list[Row]] = []
    left: list[Word] = []
    right: list[Word] = []

    def flush() -> None:
        for side in (left, right):
            if side:
                out.extend(_columns(list(side), slope))
                side.clear()

    for row in rows:
        over = any(word.box.x0 < gutter - 0.004 and word.box.x1 > gutter + 0.004 for word in row)
        if over or _bridges(row, gutter) or _is_wide_table_row(row, gutter):
            flush()
            out.append([row])
        else:
            left.extend(word for word in row if word.box.center[0] < gutter)
            right.extend(word for word in row if word.box.center[0] >= gutter)
    flush()
    return out


def _rows(words: Sequence[Word], slope: float) -> list[Row]:
    """Words grouped by their height on the page, each group from left to right."""

    def level(word: Word) -> float:
        x, y = word.box.center
        return y - slope * x

    rows: list[Row] = []
    levels: list[float] = []
    for word in sorted(words, key=level):
        height = word.box.height
        if rows and abs(level(word) - levels[-1]) < 0.5 * min(height, median(w.box.height for w in rows[-1])):
            rows[-1].append(word)
            levels[-1] += (level(word) - levels[-1]) / len(rows[-1])
        else:
            rows.append([word])
            levels.append(level(word))
    return [sorted(row, key=lambda word: word.box.x0) for row in rows]


def _bridges(row: Row, gutter: float) -> bool:
    """Whether the words run on over the gutter with no more than a space between them."""
    before = [word for word in row if word.box.center[0] < gutter]
    after = [word for word in row if word.box.center[0] >= gutter]
    if not before or not after:
        return False
    return after[0].box.x0 - before[-1].box.x1 < 1.0 * _letter(row)


def _is_wide_table_row(row: Row, gutter: float) -> bool:
    """Whether both sides of the gutter are cells with wide gaps between them: a row of a table over both columns."""
    letter = _letter(row)
    sides = [[word for word in row if (word.box.center[0] >= gutter) == side] for side in (False, True)]
    return all(any(b.box.x0 - a.box.x1 > CELL_GAP * letter for a, b in pairwise(side)) for side in sides)


def _gutter(rows: Sequence[Row]) -> float | None:
    """The x of a white strip with running prose on both sides, or None. A table has short cells and is no prose."""
    if len(rows) < 6:
        return None
    left = min(word.box.x0 for row in rows for word in row)
    right = max(word.box.x1 for row in rows for word in row)
    best, best_rows = None, 0
    for step in range(30, 71, 2):
        x = left + (right - left) * step / 100
        split = [row for row in rows if _splits(row, x)]
        if len(split) > best_rows and len(split) >= max(5, 0.2 * len(rows)) and _prose_beside(split, x):
            best, best_rows = x, len(split)
    return best


def _splits(row: Row, x: float) -> bool:
    """Whether a row has words on both sides of x with a gap at it wider than a space."""
    before = [word for word in row if word.box.x1 <= x]
    after = [word for word in row if word.box.x0 >= x]
    if not before or not after or len(before) + len(after) != len(row):
        return False
    return after[0].box.x0 - before[-1].box.x1 > 1.5 * _letter(row)


def _prose_beside(rows: Sequence[Row], x: float) -> bool:
    """Whether both sides hold running prose: enough lines that fill their column with words and no wide gaps. A figure
    or a list may stand in either column beside them."""
    for side in (0, 1):
        parts = [[word for word in row if (word.box.center[0] >= x) == bool(side)] for row in rows]
        left = min(part[0].box.x0 for part in parts)
        width = max(part[-1].box.x1 for part in parts) - left
        letter = _letter([word for part in parts for word in part])
        prose = [part for part in parts if _is_prose(part, 0.7 * width, 3 * letter)]
        if len(prose) < max(4, 0.3 * len(rows)):
            return False
    return True


def _is_prose(words: Row, width: float, gap: float) -> bool:
    """Whether these words run on over at least this width with no gap as wide as this."""
    wide = any(b.box.x0 - a.box.x1 > gap for a, b in pairwise(words))
    letters = sum(word.text[:1].isalpha() for word in words)
    return len(words) >= 4 and not wide and letters >= 0.6 * len(words) and words[-1].box.x1 - words[0].box.x0 >= width


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of these (at least one)."""
    whole = boxes[0]
    for box in boxes[1:]:
        whole = whole.union(box)
    return whole
