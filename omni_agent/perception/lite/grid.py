"""The columns of a table by geometry alone: what lies between white strips, and which words are one cell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from omni_agent.media import layout
from omni_agent.types import Box, Line, Word

Cells = list[tuple[Word, ...]]

UNIT_GAP = 1.1  # widths of a letter between a number and its unit at most
STRIP = 0.15  # and of the narrowest white strip between two columns: between values one space can be all there is
CROSSED = 0.15  # share of the rows that may cross a strip: labels that are longer than their column
_NOTHING = re.compile(r"[-–—.…*]+|\(?[A-Z]\)|n/?a|nil|none", re.IGNORECASE)
_BETWEEN = re.compile(r"[±×–—+/-]|to|and|x")  # what stands between the two numbers of one cell
_BEFORE = re.compile(r"[$€£¥<>≤≥~±(−-]+|US\$")  # what stands apart before its number
_SIGN = re.compile(r"[*<>~†‡§¶]+")  # stands beside the numbers of a column, which are set without regard to it
_AFTER = re.compile(r"[%)*†‡§¶°]+")
NUMBERED = re.compile(r"(Table|Tab\.|Exhibit|Schedule|Figure|Fig\.)\s*[A-Z]?[-.]?[\dIVX]", re.IGNORECASE)
YEAR = re.compile(r"(19|20)\d\d([/–-]\d{2,4})?")


def is_value(text: str) -> bool:
    """Whether a cell holds a number, a sum, a share or the sign for none of these, rather than words."""
    if _NOTHING.fullmatch(text):
        return True
    if re.fullmatch(r"\[\d+,?\]\W*", text):
        return False  # a reference, or the number of a row
    if text[:1].isalpha() and not re.match(r"[A-Z]{1,3}[$€£¥]", text):
        return False  # a name with a number in it
    digits = sum(c.isdigit() for c in text)
    return digits > 0 and digits >= 0.4 * sum(c.isalnum() for c in text)


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column lies, in fractions of the page's width: all of it, and where most of its cells begin and end. The
    first of a table is usually that of its labels."""

    x0: float
    x1: float
    left: float
    right: float


def letter(lines: Sequence[Line]) -> float:
    """The width of an average letter of these lines."""
    words = [word for line in lines for word in layout.words_of(line)]
    return sum(word.box.width for word in words) / max(1, sum(len(word.text) for word in words))


def pieces(line: Line) -> Cells:
    """The words of a row in runs that surely belong together: words a space apart, a number with its sign and unit. A
    number after words begins a run of its own, since one space may be all that parts a label from its value."""
    words = [word for word in layout.words_of(line) if not layout.LEADER.fullmatch(word.text)]
    if not words:
        return [layout.words_of(line)]
    wide = letter([line])
    found: list[list[Word]] = [[words[0]]]
    for index, word in enumerate(words[1:], start=1):
        last = words[index - 1]
        after = words[index + 1] if index + 1 < len(words) else None
        if _joined(found[-1], last, word, after, wide):
            found[-1].append(word)
        else:
            found.append([word])
    return [tuple(run) for run in found]


def _joined(run: Sequence[Word], last: Word, word: Word, after: Word | None, wide: float) -> bool:
    gap = (word.box.x0 - last.box.x1) / wide
    if _BEFORE.fullmatch(last.text) and is_value(word.text):
        return gap < 8 if last.text.endswith(("$", "€", "£", "¥")) else gap < UNIT_GAP
    if _AFTER.fullmatch(word.text):
        return gap < UNIT_GAP
    values = is_value(last.text), is_value(word.text)
    if values == (False, False):
        return gap <= layout.CELL_GAP
    if values == (True, True):
        if re.search(r"\d\. \d|\d, \d{3}\b", f"{last.text} {word.text}"):
            return gap < 0.9  # a number that its typesetting cut in two
        thousands = re.fullmatch(r"[-−]?\d{1,3}", run[0].text) and re.fullmatch(r"\d{3}([.,]\d+)?", word.text)
        middle = _BETWEEN.fullmatch(word.text) and after is not None and is_value(after.text)
        ends = _BETWEEN.fullmatch(last.text) and len(run) > 1
        return gap < 0.7 if thousands else gap < 0.9 and bool(middle or ends)
    if values == (True, False):
        return gap < UNIT_GAP
    return bool(_BETWEEN.fullmatch(last.text)) and len(run) > 1 and gap < 0.9


def columns(rows: Sequence[Cells], wide: float) -> list[Column]:
    """The columns that these rows of values share: what lies between white strips that (nearly) no row crosses."""
    counts = Counter(len(row) for row in rows)
    usual = max((count for count, times in counts.items() if times >= 0.5 * max(counts.values())), default=0)
    rows = [row for row in rows if abs(len(row) - usual) < 2]
    kept = [[word for word in run if not _SIGN.fullmatch(word.text)] or run for row in rows for run in row]
    edges = sorted([(run[0].box.x0, 1) for run in kept] + [(run[-1].box.x1, -1) for run in kept])
    allowed = int(CROSSED * len(rows))
    spans: list[tuple[float, float]] = []
    covered, begun = 0, None
    for x, step in edges:
        covered += step
        if covered > allowed and begun is None:
            begun = spans.pop()[0] if spans and x - spans[-1][1] < STRIP * wide else x
        elif covered <= allowed and begun is not None:
            spans.append((begun, x))
            begun = None
    found: list[Column] = []
    for x0, x1 in spans:
        inside = [run for run in kept if x0 <= (run[0].box.x0 + run[-1].box.x1) / 2 <= x1]
        if found and len(inside) == 1 < len(rows) - 1 and x0 - found[-1].x1 < layout.CELL_GAP * wide:
            found[-1] = replace(found[-1], x1=x1)  # the number in one label
            continue
        ends = [run[0].box.x0 for run in inside] or [x0], [run[-1].box.x1 for run in inside] or [x1]
        found.append(Column(x0, x1, median(ends[0]), median(ends[1])))
    return found


def upright(lines: Sequence[Line]) -> list[Line]:
    """The lines of a table that was read from a picture, as they would stand if it were not tilted: moved sideways by
    as much a step down as makes the columns most and the white between them widest. Other lines are as they are."""
    if not any(line.score < 1.0 for line in lines):
        return list(lines)
    wide = letter(lines)

    def clear(moved: Sequence[Line]) -> tuple[int, float]:
        rows = [row for row in map(pieces, moved) if is_valued(row)]
        found = columns(rows, wide) if rows else []
        return len(found), sum(right.x0 - left.x1 for left, right in pairwise(found))

    ways = sorted(range(-8, 9), key=abs)  # the straightest first, which is kept where others are no better
    return max(([_moved(line, 0.004 * way, lines[0].box.y0) for line in lines] for way in ways), key=clear)


def _moved(line: Line, slope: float, top: float) -> Line:
    aside = slope * (line.box.y0 - top)

    def move(box: Box) -> Box:
        return Box(box.x0 + aside, box.y0, box.x1 + aside, box.y1)

    words = tuple(Word(word.text, move(word.box)) for word in line.words)
    return Line(line.text, move(line.box), line.score, words)


def crossed(row: Cells, among: Sequence[Column]) -> int:
    """How many of the strips between columns the runs of a row lie over, the one beside the labels left out."""
    strips = [(left.x1 + right.x0) / 2 for left, right in pairwise(among)][1:]
    return sum(any(run[0].box.x0 < strip < run[-1].box.x1 for run in row) for strip in strips)


def column_of(box: Box, among: Sequence[Column]) -> int:
    """The column that a cell shares most with; where it touches none, the nearest."""

    def distance(column: Column) -> float:
        overlap = min(box.x1, column.x1) - max(box.x0, column.x0)
        return -overlap if overlap > 0 else max(box.x0 - column.x1, column.x0 - box.x1)

    return min(range(len(among)), key=lambda index: distance(among[index]))


def cells(row: Cells, among: Sequence[Column]) -> Cells:
    """A row's runs put together column by column, left to right; a run with a value is cut at the columns."""
    found: dict[int, list[Word]] = {}
    for run in row:
        whole = column_of(layout.union([word.box for word in run]), among)
        mixed = len(run) > 1 and any(is_value(word.text) for word in run)
        for word in run:
            index = column_of(word.box, among) if mixed and _inside(word.box, among) else whole
            found.setdefault(max(index, *found) if found else index, []).append(word)
    return [tuple(found[index]) for index in sorted(found)]


def _inside(box: Box, among: Sequence[Column]) -> bool:
    """Whether a word lies in one column."""
    return any(column.x0 - 0.003 <= box.x0 and box.x1 <= column.x1 + 0.003 for column in among)


def is_valued(row: Cells) -> bool:
    """Whether a line is a row of values: at least half of what follows its label."""
    texts = [text_of(run) for run in row]
    if NUMBERED.match(" ".join(texts[:2])):
        return False
    words = [word for run in row for word in run]
    near = layout.CELL_GAP * sum(word.box.width for word in words) / sum(len(word.text) for word in words)
    values = 0
    for index in range(1, len(row)):
        close = row[index][0].box.x0 - row[index - 1][-1].box.x1 < near
        ends_words = index > 1 and close and not is_value(texts[index - 1])  # "North American 1927" is no value
        values += is_value(texts[index]) and not ends_words
    return len(row) > 1 and values >= 0.5 * (len(row) - 1) and values > 0


def text_of(cell: Sequence[Word]) -> str:
    """What a cell says, without the dots that lead to its value."""
    text = re.sub(r"(\s*[._·…]){2,}\s*$", "", " ".join(word.text for word in cell)).rstrip(" .") or cell[0].text
    return re.sub(r"(?<=\d\.)\s+(?=\d)|(?<=\d,)\s+(?=\d{3}\b)", "", text)  # a number that its typesetting cut in two


def box_of(cell: Sequence[Word]) -> Box:
    """Where a cell lies."""
    return layout.union([word.box for word in cell])
