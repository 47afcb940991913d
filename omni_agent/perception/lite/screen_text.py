"""The text of a video over time: the same line followed from screen to screen, rows and paragraphs put together.

A `Passage` is a piece of text with the periods in which it can be seen, or the one in which it is said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from omni_agent.media import layout
from omni_agent.perception.lite.blocks import (
    Relation,
    Seen,
    around,
    by_pane,
    groups,
    has_heads,
    heading_of,
    statements,
    table_rows,
)
from omni_agent.perception.lite.grid import is_value
from omni_agent.perception.lite.screens import Screen
from omni_agent.perception.lite.tracks import Tracks
from omni_agent.types import Box, Line, Segment

BREAK = 1.5  # seconds out of sight after which a line counts as shown again
LARGER = 1.6  # how much larger or smaller a text becomes that is another showing of it
MENU = 3.0  # seconds for which an open menu is looked at
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
    show it; `parts` are what stands side by side in a row, `cells` a table row's cells with their columns' heads,
    `pane` is the dialog, card or window around. `label` is what may name the text as its value, such as the words to
    its left or a command before what it prints, `relation` where the text stands, seen from there, `heading` the larger
    line above; all may be empty. `lines` is how many lines it has, `around` the text with its label and what stands in
    the same row and right above and under it."""

    text: str
    periods: tuple[Period, ...]
    spoken: bool = False
    box: Box | None = None
    size: float = 0.0
    screens: frozenset[int] = frozenset()
    parts: tuple[str, ...] = ()
    cells: tuple[tuple[str, str], ...] = ()
    pane: Box | None = None
    label: str = ""
    relation: Relation = ""
    heading: str = ""
    lines: int = 1
    around: str = ""

    @property
    def start(self) -> float:
        return self.periods[0].start

    @property
    def end(self) -> float:
        return self.periods[-1].end

    @property
    def quote(self) -> str:
        """The text with its label."""
        return f"{self.label.rstrip(': ')}: {self.text}" if self.label else self.text

    @property
    def described(self) -> str:
        """The text with its label; that of a table row with its columns' heads."""
        if self.label or not any(head for head, _ in self.cells):
            return self.quote
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
    def opened(self) -> Period:
        """The first period that takes over at once from a brief one, as a window does from the menu entry that bears
        its name; the prominent one where none does."""
        pairs = pairwise(self.periods)
        follows = (new for old, new in pairs if new.start == old.end and old.end - old.start <= MENU)
        return next(follows, self.prominent)

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
    tracks = Tracks()
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], _Shown] = defaultdict(_Shown)
    for number, screen in enumerate(screens):
        seen = tracks.follow(screen, ends[number] - screen.start)
        for pane, inside in by_pane(seen, screen.panes).items():
            heads = table_rows(inside)
            plain: list[tuple[Relation, list[Seen], list[Seen]]] = [("", [], group) for group in groups(inside, heads)]
            for relation, label, group in (*plain, *statements(inside, heads)):
                key = tuple(track for track, _ in label), tuple(track for track, _ in group)
                one = found[key]
                if one.add(number, [line for _, line in group], heads, pane):
                    one.relation, one.heading = relation, heading_of(label or group, inside)
                    one.around = around([*label, *group], inside)
    passages = [passage for key, one in found.items() if (passage := one.passage(*key, tracks, screens, ends))]
    passages += [cell for passage in passages for cell in _cells(passage)]
    return sorted(passages, key=lambda passage: passage.start)


def _cells(row: Passage) -> Iterator[Passage]:
    """The cells of a table's row, each named by its row's first words and its column's head."""
    named = [(head, cell) for head, cell in row.cells if head and cell]
    if not named or not has_heads(row.cells):
        return
    key = next((cell for _, cell in named if not is_value(cell)), named[0][1])
    for head, cell in named:
        if cell != key:
            yield replace(row, text=cell, label=f"{key}, {head}", relation="cell", parts=(), cells=(), around=row.text)


@dataclass
class _Shown:
    """Where a group of lines was seen: its size on each screen, and where it is largest its box and pane, the heading
    and what is around it, as tracks. `cells` are those
    with the shortest heads: what stands above a table for a while is no head of it."""

    sizes: dict[int, float] = field(default_factory=dict)
    size: float = 0.0
    box: Box | None = None
    cells: tuple[tuple[str, str], ...] = ()
    pane: Box | None = None
    row: bool = False
    heading: int | None = None
    relation: Relation = ""
    around: list[int] = field(default_factory=list)

    def passage(
        self,
        label: Sequence[int],
        value: Sequence[int],
        tracks: Tracks,
        screens: Sequence[Screen],
        ends: Sequence[float],
    ) -> Passage | None:
        """The lines of these tracks as a passage; None where there is nothing to read in them."""
        texts = tuple(tracks.text(track).strip() for track in value)
        text = " ".join(texts)
        if len(re.sub(r"\W", "", text)) < (1 if label else 2):
            return None
        return Passage(
            text,
            tuple(_periods(self.sizes, screens, ends)),
            False,
            self.box,
            self.size,
            frozenset(self.sizes),
            texts if self.row and not label else (),
            () if label else self.cells,
            self.pane,
            " ".join(tracks.text(track).strip() for track in label),
            self.relation,
            "" if self.heading is None else tracks.text(self.heading),
            1 if self.row else len(texts),
            " ".join(tracks.text(track).strip() for track in self.around),
        )

    def add(
        self, number: int, lines: Sequence[Line], rows: dict[Box, tuple[tuple[str, str], ...]], pane: Box | None
    ) -> bool:
        """Note another showing; True where it is the largest so far."""
        size, box = max(line.box.height for line in lines), layout.union([line.box for line in lines])
        self.sizes[number] = max(size, self.sizes.get(number, 0.0))
        shown = (cells for cells in (rows.get(box, ()), self.cells) if any(cell for _, cell in cells))
        self.cells = min(shown, key=_heads_length, default=())
        if size <= 1.1 * self.size:
            return False
        self.size, self.box, self.pane = size, box, pane
        self.row = len(lines) > 1 and lines[0].box.y1 > lines[-1].box.center[1]
        return True


def _heads_length(cells: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """How many of a row's cells have no head, and how much stands in the heads."""
    return sum(not head for head, _ in cells), sum(len(head) for head, _ in cells)


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
