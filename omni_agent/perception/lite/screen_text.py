"""The text of a video over time: the same line followed from screen to screen, rows and paragraphs put together.

A `Passage` is a piece of text with the periods in which it can be seen, or the one in which it is said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from omni_agent.perception.lite.screens import Screen
from omni_agent.types import Box, Line, Segment

ALIKE = 86  # rapidfuzz ratio above which two readings in a row are the same line, numbers being equal
BREAK = 1.5  # seconds out of sight after which a line counts as shown again
CELL = 30  # characters; shorter text with neighbours in its row is a table's cell, not a paragraph's line
RECENT = 3  # screens back in which an unlike reading of the same line is looked for


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when a text is there, and a time at which it was read."""

    start: float
    end: float
    at: float


@dataclass(frozen=True, slots=True)
class Passage:
    """Text that is seen or said. `size` is its letters' height as a share of the picture's, `screens` the numbers of
    the screens that show it; both are empty for speech."""

    text: str
    periods: tuple[Period, ...]
    spoken: bool = False
    box: Box | None = None
    size: float = 0.0
    screens: frozenset[int] = frozenset()

    @property
    def start(self) -> float:
        return self.periods[0].start

    @property
    def end(self) -> float:
        return self.periods[-1].end

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
    where: dict[tuple[int, ...], list[int]] = defaultdict(list)
    boxes: dict[tuple[int, ...], tuple[Box, float]] = {}
    for number, screen in enumerate(screens):
        seen = tracks.follow(screen, ends[number] - screen.start)
        for group in _groups(seen):
            key = tuple(track for track, _ in group)
            where[key].append(number)
            box = group[0][1].box
            for _, line in group[1:]:
                box = box.union(line.box)
            boxes.setdefault(key, (box, max(line.box.height for _, line in group)))
    passages = []
    for key, numbers in where.items():
        text = _text([tracks.text(track) for track in key])
        if len(re.sub(r"\W", "", text)) < 2:
            continue
        box, size = boxes[key]
        periods = tuple(_periods(numbers, screens, ends))
        passages.append(Passage(text, periods, False, box, size, frozenset(numbers)))
    return sorted(passages, key=lambda passage: passage.start)


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
    rows = _rows(seen)
    for row in rows:
        yield from ([item] for item in row)
        if len(row) > 1:
            yield row
    yield from _paragraphs(seen)


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
    height = max(above.height, below.height)
    return (
        min(above.height, below.height) > 0.7 * height
        and 0 < below.center[1] - above.center[1] < 1.9 * height
        and min(abs(above.x0 - below.x0), abs(above.center[0] - below.center[0])) < 1.2 * height
    )


def _text(parts: Sequence[str]) -> str:
    return " ".join(part.strip() for part in parts)


def _periods(numbers: Sequence[int], screens: Sequence[Screen], ends: Sequence[float]) -> Iterator[Period]:
    """The screens' times, joined where they follow each other."""
    start = at = end = -1.0
    for number in sorted(set(numbers)):
        if end >= 0 and screens[number].start - end <= BREAK:
            end = ends[number]
            continue
        if end >= 0:
            yield Period(start, end, at)
        start, at, end = screens[number].start, screens[number].at, ends[number]
    if end >= 0:
        yield Period(start, end, at)
