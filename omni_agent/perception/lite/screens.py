"""What can be read in a video over time: only what changed is read again.

Two frames a second are compared in blocks with the picture that was read last. While something moves it is waited for;
then the blocks that changed, widened to whole lines of text, are cut out and read, and everything else keeps its
lines. A picture that was seen a moment ago (a blinking caret, a menu opened and closed) is recognised and not read.
The windows and dialogs of a screen are found beside its text: what they hold does not belong to what lies behind them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omni_agent.media import layout
from omni_agent.perception.lite.changes import changed, grey_of, placed, regions, touches
from omni_agent.perception.lite.widgets import widgets
from omni_agent.types import Box, Clip, Frame, Line, Memory, Picture, Progress, Word

if TYPE_CHECKING:
    from omni_agent.perception.lite.changes import Grey
    from omni_agent.perception.lite.ocr import Reader

EVERY = 0.5  # seconds between the frames that are looked at
MAX_SIDE = 1920  # text of a full-HD recording is read as it is
WAIT = 1.0  # seconds that movement is waited for at first; doubled while the readings bring nothing new
LONGEST_WAIT = 4.0
REMEMBERED = 6  # pictures with their lines
STRETCH = 30.0  # seconds of video between two notes in the memory
MOSTLY = 0.5  # share of the picture above which all of it is read
PANE = 0.03  # share of the picture that a dialog or card covers at least; table cells and buttons are smaller


@dataclass(frozen=True, slots=True)
class Screen:
    """What could be read from `start` on, until the next screen; `at` is the time of the frame that was read.

    `panes` are the dialogs, cards and windows drawn in it, smallest first. A line has words only where wide gaps part
    it, as those of a table's row do."""

    start: float
    at: float
    lines: tuple[Line, ...]
    panes: tuple[Box, ...] = ()


def screens(clip: Clip, reader: Reader, memory: Memory, progress: Progress) -> list[Screen]:
    """Every readable state of the video, in order. What `memory` holds is not read again; it is added to as the video
    is read, half a minute at a time, so that an interrupted reading goes on where it was."""
    found: list[Screen] = []
    stretch = 0
    while (kept := memory.get(f"screen texts {stretch}")) is not None:
        found += unpacked(kept)
        stretch += 1
    begin = stretch * STRETCH
    if stretch and begin >= clip.duration:
        return found
    watcher = _Watcher(reader)
    if found:
        watcher.lines, watcher.panes = found[-1].lines, found[-1].panes
    fresh: list[Screen] = []
    for frame in clip.frames(every=EVERY, max_side=MAX_SIDE, start=max(0.0, begin - EVERY)):
        if frame.time < begin:
            watcher.resume(frame)
            continue
        while frame.time >= (stretch + 1) * STRETCH:
            fresh += watcher.settle()
            memory[f"screen texts {stretch}"] = _packed(fresh)
            found, fresh, stretch = found + fresh, [], stretch + 1
        fresh += watcher.see(frame)
        progress("reading the picture", frame.time, clip.duration)
    fresh += watcher.settle()
    memory[f"screen texts {stretch}"] = _packed(fresh)
    progress("reading the picture", clip.duration, clip.duration)
    return found + fresh


class _Watcher:
    """Compares each frame with the picture that was read last, and reads what changed."""

    def __init__(self, reader: Reader) -> None:
        self.lines: tuple[Line, ...] = ()
        self.panes: tuple[Box, ...] = ()
        self._reader = reader
        self._read: Grey | None = None  # the picture that `lines` belong to
        self._known: deque[tuple[Grey, tuple[Line, ...], tuple[Box, ...]]] = deque(maxlen=REMEMBERED)
        self._waiting: tuple[float, Frame, Grey] | None = None  # since when it changes, and how it looked last
        self._last: Picture | None = None
        self._wait = WAIT

    def resume(self, frame: Frame) -> None:
        """Take this frame as the picture that the present lines were read from."""
        self._read, self._last = grey_of(frame.picture), frame.picture

    def see(self, frame: Frame) -> list[Screen]:
        """The screens that this frame completes: none while nothing changes or while it still moves."""
        if frame.picture is self._last and self._waiting is None:
            return []
        grey = grey_of(frame.picture)
        self._last = frame.picture
        if self._read is None:
            return self._take(frame.time, frame, grey)
        if not changed(self._read, grey).any():
            done = self._settle_passing(frame.time)
            self._waiting = None
            return done
        since = self._waiting[0] if self._waiting else frame.time
        still = self._waiting is not None and not changed(self._waiting[2], grey).any()
        if still or frame.time - since >= self._wait or self._recall(grey) is not None:
            self._waiting = None
            return self._take(since, frame, grey, moving=not still)
        self._waiting = (since, frame, grey)
        return []

    def settle(self) -> list[Screen]:
        """Read what is still waited for."""
        if self._waiting is None:
            return []
        since, frame, grey = self._waiting
        self._waiting = None
        return self._take(since, frame, grey)

    def _settle_passing(self, until: float) -> list[Screen]:
        """What was there for one look only and is gone again, as two screens: with it and without it."""
        if self._waiting is None:
            return []
        before, panes, picture = self.lines, self.panes, self._read
        passing = self.settle()
        if picture is not None:
            self._read, self.lines, self.panes = picture, before, panes
        return [*passing, Screen(until, until, before, panes)] if passing else []

    def _take(self, since: float, frame: Frame, grey: Grey, *, moving: bool = False) -> list[Screen]:
        before = self.lines
        known = self._recall(grey)
        if known is None:
            lines = self._reading(frame.picture, grey)
            known = lines, _panes(frame.picture, lines)
            self._known.append((grey, *known))
        self._read, (self.lines, self.panes) = grey, known
        if moving:
            old = {line.text for line in before}
            new = any(line.text not in old for line in self.lines)
            self._wait = WAIT if new else min(LONGEST_WAIT, self._wait * 2)
        return [Screen(since, frame.time, *known)] if self.lines != before or since == 0.0 else []

    def _recall(self, grey: Grey) -> tuple[tuple[Line, ...], tuple[Box, ...]] | None:
        for picture, lines, panes in self._known:
            if not changed(picture, grey).any():
                return lines, panes
        return None

    def _reading(self, picture: Picture, grey: Grey) -> tuple[Line, ...]:
        """The lines of this picture, reading only what differs from the picture that was read last."""
        width, height = picture.width, picture.height
        blocks = None if self._read is None else changed(self._read, grey)
        parts = [] if blocks is None else regions(blocks, self.lines, width, height)
        area = sum((right - left) * (bottom - top) for left, top, right, bottom in parts)
        if blocks is None or area > MOSTLY * width * height:
            return tuple(_plain(line) for line in self._reader.read(picture))
        lines = [line for line in self.lines if not any(touches(line.box, part, width, height) for part in parts)]
        for part in parts:
            left, top, right, bottom = part
            cut = Picture(picture.pixels[top:bottom, left:right])
            for line in map(_plain, self._reader.read(cut, part_of=picture)):
                words = tuple(Word(word.text, placed(word.box, part, width, height)) for word in line.words)
                lines.append(Line(line.text, placed(line.box, part, width, height), line.score, words))
        return tuple(sorted(lines, key=lambda line: (line.box.y0, line.box.x0)))


def _plain(line: Line) -> Line:
    """The line with the cells that wide gaps cut it into as its words, without any where there is but one."""
    cells = layout.cells(line)
    words = tuple(Word(" ".join(w.text for w in cell), layout.union([w.box for w in cell])) for cell in cells)
    return Line(line.text, line.box, line.score, words if len(words) > 1 else ())


def _panes(picture: Picture, lines: tuple[Line, ...]) -> tuple[Box, ...]:
    """The boxes drawn in a picture that hold at least two lines of text under each other, but not all of it."""
    width, height = picture.width, picture.height
    found = []
    for widget in widgets(picture):
        inside = [line for line in lines if widget.holds(line.box.center[0] * width, line.box.center[1] * height)]
        stacked = inside and max(line.box.y0 for line in inside) > min(line.box.y1 for line in inside)
        if widget.area >= PANE * width * height and stacked and len(inside) < len(lines):
            found.append(Box.of_pixels(widget.x0, widget.y0, widget.x1, widget.y1, width, height))
    return tuple(found)


def _packed(found: list[Screen]) -> Any:
    """Screens as JSON: each line once, and for each screen which lines it shows."""
    table: dict[Line, int] = {}
    states = [
        [s.start, s.at, [table.setdefault(line, len(table)) for line in s.lines], [_corners(pane) for pane in s.panes]]
        for s in found
    ]
    lines = [
        [line.text, round(line.score, 3), _corners(line.box), [[word.text, _corners(word.box)] for word in line.words]]
        for line in table
    ]
    return {"lines": lines, "screens": states}


def _corners(box: Box) -> list[float]:
    return [round(value, 4) for value in (box.x0, box.y0, box.x1, box.y1)]


def unpacked(kept: Any) -> list[Screen]:
    """Screens from a note about a stretch of video."""
    lines = [
        Line(text, Box(*box), score, tuple(Word(word, Box(*place)) for word, place in words))
        for text, score, box, words in kept["lines"]
    ]
    return [
        Screen(start, at, tuple(lines[i] for i in shown), tuple(Box(*pane) for pane in panes))
        for start, at, shown, panes in kept["screens"]
    ]
