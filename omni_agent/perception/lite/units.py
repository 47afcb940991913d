"""A page as the units that can answer: sentences, and table rows with their column heads and row labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from omni_agent.media import layout
from omni_agent.perception.lite import tables
from omni_agent.perception.lite.grid import is_value
from omni_agent.perception.lite.rows import Cell
from omni_agent.types import Box, Line, Page, Word


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that can be quoted. `text` are its words as they stand on the page; `context` is what it is read
    under: section heading, caption, the label of its part of a table. A table row has `cells`, a sentence none; `scale`
    is what the table counts in ("thousand"), empty where nothing is said."""

    file: str
    page: int
    text: str
    boxes: tuple[Box, ...]
    context: str = ""
    cells: tuple[Cell, ...] = ()
    heading: bool = False
    scale: str = ""

    @property
    def searchable(self) -> str:
        """What it is found by: for a row, its label with the column heads rather than a string of numbers."""
        if not self.cells:
            return self.text
        texts = [cell.text for cell in self.cells if not is_value(cell.text)]
        return ". ".join(part for part in (" ".join(texts), self.heads) if part)[:400]

    @property
    def heads(self) -> str:
        """The heads of a row's columns, each once."""
        return ", ".join(dict.fromkeys(cell.head for cell in self.cells if cell.head))


def units(pages: Sequence[Page], lines: Sequence[Sequence[Line]]) -> list[Unit]:
    """Every unit of these pages, in reading order; a heading holds until the next, over page ends."""
    found: list[Unit] = []
    heading = ""
    running = _running(lines)
    for page, rows in zip(pages, lines, strict=True):
        body = [row for row in rows if not _is_running(row, running)]
        for block in _blocks(body):
            if isinstance(block, tables.Table):
                for row in block.rows:
                    under = _joined(heading, block.caption, row.section)
                    found.append(Unit(page.file, page.number, row.text, row.boxes, under, row.cells, scale=block.scale))
                continue
            heads = _is_heading(block, body)
            if heads:
                heading = " ".join(line.text for line in block)[:160]
            for text, boxes in _sentences(block):
                context = "" if heads else heading
                found.append(Unit(page.file, page.number, text, boxes, context, heading=heads))
    return found


def _joined(*parts: str) -> str:
    """The parts that say something that the ones before do not."""
    kept: list[str] = []
    for part in parts:
        if part and not any(part in other for other in kept):
            kept = [other for other in kept if other not in part] + [part]
    return " — ".join(kept)


# --- blocks -----------------------------------------------------------------------------------------------------------


def _running(lines: Sequence[Sequence[Line]]) -> set[str]:
    """Heads and feet that return on many pages, with their numbers taken out."""
    seen: dict[str, int] = {}
    for rows in lines:
        for key in {_shape(row) for row in (*rows[:2], *rows[-2:])}:
            seen[key] = seen.get(key, 0) + 1
    return {key for key, times in seen.items() if times >= 4 and times > 0.25 * len(lines)}


def _shape(row: Line) -> str:
    return re.sub(r"[\divxlc]+", "#", row.text.casefold())


def _is_running(row: Line, running: set[str]) -> bool:
    return (row.box.y1 < 0.12 or row.box.y0 > 0.88) and _shape(row) in running


def _blocks(rows: Sequence[Line]) -> Iterator[list[Line] | tables.Table]:
    """Tables and paragraphs, in order. A table of contents is neither: it answers nothing and looks like everything."""
    prose: list[Line] = []
    for part in tables.split(rows):
        if isinstance(part, tables.Table):
            yield from _paragraphs(prose)
            prose = []
            yield part
        elif part is not None:
            prose.append(part)
        else:
            yield from _paragraphs(prose)
            prose = []
    yield from _paragraphs(prose)


_BULLET = re.compile(r"([•●▪◦‣–*·-]|\(?\d{1,2}[.)]|\(?[a-z]\)|\[\d+\])\s")


_CAPTION = re.compile(r"(Table|Tab\.|Figure|Fig\.|Exhibit|Schedule)\s+[\dIVX]")


def _paragraphs(lines: Sequence[Line]) -> Iterator[list[Line]]:
    if not lines:
        return
    widest = max(line.box.x1 for line in lines)
    paragraph = [lines[0]]
    for line in lines[1:]:
        last = paragraph[-1]
        height = _height(last)
        short = last.box.x1 < widest - 0.25 * (widest - last.box.x0)
        apart = (
            line.box.y0 < last.box.y0  # another column
            or line.box.y0 - last.box.y1 > 0.75 * height
            or abs(_height(line) - height) > 0.25 * height
            or _BULLET.match(line.text) is not None
            or (short and _CAPTION.match(last.text) is not None)
            or (
                short
                and (last.text.rstrip()[-1:] in ".!?:" or (line.text[:1].isupper() and len(last.text.split()) < 9))
            )
        )
        if apart:
            yield paragraph
            paragraph = []
        paragraph.append(line)
    yield paragraph


def _height(line: Line) -> float:
    return median(word.box.height for word in layout.words_of(line))


def _is_heading(block: Sequence[Line], rows: Sequence[Line]) -> bool:
    text = " ".join(line.text for line in block)
    if (
        len(block) > 2
        or len(text.split()) > 16
        or text[-1:] in ".;,:"
        or not re.search(r"^[^={}<>;]*[^\W\d_][^={}<>;]*$", text)
    ):
        return False
    taller = _height(block[0]) > 1.12 * median(_height(row) for row in rows)
    numbered = re.match(r"(\d+(\.\d+)*\.?|[A-Z]\.|Chapter|Section|Appendix|Table|Figure)\s+\S", text) is not None
    return taller or numbered or text.isupper()


# --- sentences --------------------------------------------------------------------------------------------------------

_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|cf|vs|etc|al|Fig|Figs|Tab|Eq|Sec|Ch|No|Nos|Vol|pp|p|Dr|Mr|Mrs|Ms|Prof|St|Inc|Ltd|Co|approx|ca"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|[A-Z])\.$"
)
MIN_LETTERS = 9  # shorter units are crumbs


def _sentences(lines: Sequence[Line]) -> Iterator[tuple[str, tuple[Box, ...]]]:
    """The sentences of a paragraph with one box for each line they stand on; hyphens at line ends are undone."""
    text, owner = "", list[tuple[int, Word]]()
    for number, line in enumerate(lines):
        for word in layout.words_of(line):
            if text.endswith("-") and owner[-1][0] != number and word.text[:1].islower() and text[-2:-1].isalpha():
                text = text[:-1]
                owner.pop()
            elif text:
                text += " "
                owner.append(owner[-1])
            text += word.text
            owner.extend([(number, word)] * len(word.text))
    for start, end in _spans(text):
        sentence = text[start:end].strip()
        if sum(c.isalnum() for c in sentence) < MIN_LETTERS:
            continue
        boxes: dict[int, Box] = {}
        for number, word in owner[start:end]:
            boxes[number] = boxes[number].union(word.box) if number in boxes else word.box
        yield sentence, tuple(boxes.values())


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _END.finditer(text):
        if _ABBREVIATION.search(text[start : match.start()]):
            continue
        yield start, match.start()
        start = match.end()
    yield start, len(text)
