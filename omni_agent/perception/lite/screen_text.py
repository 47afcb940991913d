"""The text of a video over time: the same line followed from screen to screen, rows and paragraphs put together.

A `Passage` is a piece of text with the periods in which it can be seen, or the one in which it is said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from omni_agent.media import layout
from omni_agent.perception.lite import tables
from omni_agent.perception.lite.screens import Screen
from omni_agent.types import Box, Line, Segment, Word

ALIKE = 86  # rapidfuzz ratio above which two readings in a row are the same line, numbers being equal
SIDEWAYS = 1.2  # height by width, each as a share of the picture's
BREAK = 1.5  # seconds out of sight after which a line counts as shown again
CELL = 30  # characters; shorter text with neighbours in its row is a table's cell, not a paragraph's line
RECENT = 3  # screens back in which an unlike reading of the same line is looked for
LARGER = 1.6  # how much larger or smaller a text becomes that is another showing of it
ANEW = 1.2  # and how much that begins another period


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when a text is there, and a time at which it was read; `size` is its letters' height as a share of
    the picture's, `screens` the numbers of the screens that show it. Both are empty for speech."""

    start: float
    end: float
    at: float
    size: float = 0.0
    screens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """Text that is seen or said. `box` and `size` are those of its largest showing, `screens` the numbers of all that
    show it; `cells` holds a table row's cells with their columns' heads, `pane` is what it stands in."""

    text: str
    periods: tuple[Period, ...]
    spoken: bool = False
    box: Box | None = None
    size: float = 0.0
    screens: frozenset[int] = frozenset()
    cells: tuple[tuple[str, str], ...] = ()
    pane: Box | None = None

    @property
    def start(self) -> float:
        return self.periods[0].start

    @property
    def end(self) -> float:
        return self.periods[-1].end

    @property
    def described(self) -> str:
        """The text; that of a table row with its columns' heads."""
        if not any(head for head, _ in self.cells):
            return self.text
        return ", ".join(f"{head} {cell}" if head else cell for head, cell in self.cells)

    @property
    def prominent(self) -> Period:
        """The first period in which the text is about as large as it ever is."""
        largest = max(period.size for period in self.periods)
        return next(period for period in self.periods if period.size * LARGER >= largest)

    @property
    def largest(self) -> Period:
        """The first period in which the text is as large as it ever is: a heading, and not its mention."""
        return max(self.periods, key=lambda period: round(period.size / max(self.size, 1e-6), 1))

    @property
    def top(self) -> float:
        """The upper edge as a share of the picture's height; 0 for speech."""
        return self.box.y0 if self.box else 0.0


def spoken(segments: Sequence[Segment]) -> list[Passage]:
    """Speech as passages: each segment."""
    return [
        Passage(s.text.strip(), (Period(s.start, s.end, s.start),), spoken=True) for s in segments if s.text.strip()
    ]


def shown(screens: Sequence[Screen], duration: float) -> list[Passage]:
    """Every line, row and paragraph that the screens show, each once, with all its periods; in order of appearance."""
    ends = [*(screen.start for screen in screens[1:]), max(duration, screens[-1].start)] if screens else []
    tracks = _Tracks()
    found: dict[tuple[int, ...], _Shown] = defaultdict(_Shown)
    for number, screen in enumerate(screens):
        seen = tracks.follow(screen, ends[number] - screen.start)
        for pane, inside in _by_pane(seen, screen.panes).items():
            heads = _heads(inside)
            for group in _groups(inside):
                found[tuple(track for track, _ in group)].add(number, [line for _, line in group], heads, pane)
    passages = []
    for key, one in found.items():
        text = _text([tracks.text(track) for track in key])
        if len(re.sub(r"\W", "", text)) >= 2:
            periods = tuple(_periods(one.sizes, screens, ends))
            passages.append(Passage(text, periods, False, one.box, one.size, frozenset(one.sizes), one.cells, one.pane))
    return sorted(passages, key=lambda passage: passage.start)


@dataclass
class _Shown:
    """Where a group of lines was seen: its size on each screen, and box and pane where it is largest. `cells` are those
    with the shortest heads: what stands above a table for a while is no head of it."""

    sizes: dict[int, float] = field(default_factory=dict)
    size: float = 0.0
    box: Box | None = None
    cells: tuple[tuple[str, str], ...] = ()
    pane: Box | None = None

    def add(
        self, number: int, lines: Sequence[Line], rows: dict[Box, tuple[tuple[str, str], ...]], pane: Box | None
    ) -> None:
        size, box = max(line.box.height for line in lines), layout.union([line.box for line in lines])
        self.sizes[number] = max(size, self.sizes.get(number, 0.0))
        self.cells = min((cells for cells in (rows.get(box, ()), self.cells) if cells), key=_heads_length, default=())
        if size > 1.1 * self.size:
            self.size, self.box, self.pane = size, box, pane


def _heads_length(cells: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """How much stands in the heads of a row's cells; a row without any comes last."""
    length = sum(len(head) for head, _ in cells)
    return not length, length


def _by_pane(seen: Sequence[tuple[int, Line]], panes: Sequence[Box]) -> dict[Box | None, list[tuple[int, Line]]]:
    """The lines of each dialog, card and window, and those in none: text before and text behind are not one row."""
    parts: dict[Box | None, list[tuple[int, Line]]] = defaultdict(list)
    for item in seen:
        middle = item[1].box.center
        parts[next((pane for pane in panes if pane.contains(*middle)), None)].append(item)
    return parts


def _heads(seen: Sequence[tuple[int, Line]]) -> dict[Box, tuple[tuple[str, str], ...]]:
    """The rows of the tables in sight by their boxes: each cell with the head of its column."""
    lines = []
    for row in _rows(seen):
        words = [word for _, line in row for word in line.words or (Word(line.text, line.box),)]
        lines.append(
            Line(_text([line.text for _, line in row]), layout.union([line.box for _, line in row]), 1.0, tuple(words))
        )
    found = {}
    for table in tables.split(lines):
        if isinstance(table, tables.Table):
            for row_ in table.rows:
                found.update(dict.fromkeys(row_.boxes, tuple((cell.head, cell.text) for cell in row_.cells)))
    return found


class _Tracks:
    """Lines followed over time. A track's text is the reading that was there longest."""

    def __init__(self) -> None:
        self._exact: dict[str, int] = {}
        self._readings: list[dict[str, float]] = []
        self._recent: list[list[tuple[int, Line]]] = []

    def follow(self, screen: Screen, seconds: float) -> list[tuple[int, Line]]:
        """The track of each line of a screen; new ones where nothing like it was there before."""
        seen = []
        for line in screen.lines:
            track = self._exact.get(line.text)
            if track is None:
                track = self._like(line)
            if track is None:
                track = len(self._readings)
                self._readings.append({})
            self._exact[line.text] = track
            readings = self._readings[track]
            readings[line.text] = readings.get(line.text, 0.0) + line.score * max(0.1, seconds)
            seen.append((track, line))
        self._recent = [*self._recent[1 - RECENT :], seen]
        return seen

    def text(self, track: int) -> str:
        readings = self._readings[track]
        return max(readings, key=lambda text: readings[text])

    def _like(self, line: Line) -> int | None:
        """A recent line that this is another reading of: alike letter by letter, or begun before and now longer."""
        for seen in reversed(self._recent):
            for track, old in seen:
                here = abs(old.box.x0 - line.box.x0) < 0.01 and abs(old.box.center[1] - line.box.center[1]) < 0.01
                if here and len(old.text) >= 3 and line.text.startswith(old.text):
                    self._readings[track] = {line.text: 0.0}  # typed on: the longer text is the line
                    return track
                long = min(len(old.text), len(line.text)) >= 5 and _digits(old.text) == _digits(line.text)
                if long and fuzz.ratio(old.text, line.text, score_cutoff=ALIKE):
                    return track
        return None


def _digits(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _groups(seen: Sequence[tuple[int, Line]]) -> Iterator[list[tuple[int, Line]]]:
    """Each line, each row of several, and each paragraph."""
    level = [item for item in seen if not _sideways(item[1])]
    yield from ([item] for item in seen)
    yield from (row for row in _rows(level) if len(row) > 1)
    yield from _paragraphs(level)


def _rows(seen: Sequence[tuple[int, Line]]) -> list[list[tuple[int, Line]]]:
    """Lines that stand side by side, left to right; rows from top to bottom."""
    rows: list[list[tuple[int, Line]]] = []
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


def _paragraphs(seen: Sequence[tuple[int, Line]]) -> Iterator[list[tuple[int, Line]]]:
    """Lines of one size that stand close under each other, flush left or centred, at most eight."""
    cells = {id(item[1]) for row in _rows(seen) if len(row) > 1 for item in row if len(item[1].text) < CELL}
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


def _text(parts: Sequence[str]) -> str:
    return " ".join(part.strip() for part in parts)


def _periods(sizes: dict[int, float], screens: Sequence[Screen], ends: Sequence[float]) -> Iterator[Period]:
    """The screens' times, joined where they follow each other and the text stays about as large."""
    numbers: list[int] = []
    for number in sorted(sizes):
        if numbers:
            apart = screens[number].start - ends[numbers[-1]] > BREAK
            ratio = sizes[number] / max(sizes[numbers[-1]], 1e-6)
            if apart or not 1 / ANEW <= ratio <= ANEW:
                yield _period(numbers, sizes, screens, ends)
                numbers = []
        numbers.append(number)
    if numbers:
        yield _period(numbers, sizes, screens, ends)


def _period(
    numbers: Sequence[int], sizes: dict[int, float], screens: Sequence[Screen], ends: Sequence[float]
) -> Period:
    first, last = screens[numbers[0]], numbers[-1]
    return Period(first.start, ends[last], first.at, max(sizes[number] for number in numbers), tuple(numbers))
