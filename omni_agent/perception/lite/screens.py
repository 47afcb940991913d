"""What can be read in a video over time: only what changed is read again.

Two frames a second are compared in blocks with the picture that was read last. While something moves it is waited for;
then the blocks that changed, widened to whole lines of text, are cut out and read, and everything else keeps its
lines. A picture that was seen a moment ago (a blinking caret, a menu opened and closed) is recognised and not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omni_agent.types import Box, Clip, Frame, Line, Memory, Picture, Progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.perception.lite.ocr import Reader

    Grey = npt.NDArray[np.uint8]
    Rectangle = tuple[int, int, int, int]  # pixels: left, top, right, bottom

EVERY = 0.5  # seconds between the frames that are looked at
MAX_SIDE = 1920  # text of a full-HD recording is read as it is
BLOCK = 16  # pixels; about a line of text high
CONTRAST = 32  # grey levels by which a pixel must differ: compression stays below, faint text is above
PIXELS = 5  # that many of a block's 256 must differ: a caret has 16, a full stop 9
WAIT = 1.0  # seconds that movement is waited for at first; doubled while the readings bring nothing new
LONGEST_WAIT = 4.0
REMEMBERED = 6  # pictures with their lines
STRETCH = 30.0  # seconds of video between two notes in the memory
MOSTLY = 0.5  # share of the picture above which all of it is read


@dataclass(frozen=True, slots=True)
class Screen:
    """What could be read from `start` on, until the next screen; `at` is the time of the frame that was read."""

    start: float
    at: float
    lines: tuple[Line, ...]


def screens(clip: Clip, reader: Reader, memory: Memory, progress: Progress) -> list[Screen]:
    """Every readable state of the video, in order. What `memory` holds is not read again; it is added to as the video
    is read, half a minute at a time, so that an interrupted reading goes on where it was."""
    found: list[Screen] = []
    stretch = 0
    while (kept := memory.get(f"screens {stretch}")) is not None:
        found += _unpacked(kept)
        stretch += 1
    begin = stretch * STRETCH
    if stretch and begin >= clip.duration:
        return found
    watcher = _Watcher(reader)
    if found:
        watcher.lines = found[-1].lines
    fresh: list[Screen] = []
    for frame in clip.frames(every=EVERY, max_side=MAX_SIDE, start=max(0.0, begin - EVERY)):
        if frame.time < begin:
            watcher.resume(frame)
            continue
        while frame.time >= (stretch + 1) * STRETCH:
            fresh += watcher.settle()
            memory[f"screens {stretch}"] = _packed(fresh)
            found, fresh, stretch = found + fresh, [], stretch + 1
        fresh += watcher.see(frame)
        progress("reading the picture", frame.time, clip.duration)
    fresh += watcher.settle()
    memory[f"screens {stretch}"] = _packed(fresh)
    progress("reading the picture", clip.duration, clip.duration)
    return found + fresh


class _Watcher:
    """Compares each frame with the picture that was read last, and reads what changed."""

    def __init__(self, reader: Reader) -> None:
        self.lines: tuple[Line, ...] = ()
        self._reader = reader
        self._read: Grey | None = None  # the picture that `lines` belong to
        self._known: deque[tuple[Grey, tuple[Line, ...]]] = deque(maxlen=REMEMBERED)
        self._waiting: tuple[float, Frame, Grey] | None = None  # since when it changes, and how it looked last
        self._last: Picture | None = None
        self._wait = WAIT

    def resume(self, frame: Frame) -> None:
        """Take this frame as the picture that the present lines were read from."""
        self._read, self._last = _grey(frame.picture), frame.picture

    def see(self, frame: Frame) -> list[Screen]:
        """The screens that this frame completes: none while nothing changes or while it still moves."""
        if frame.picture is self._last and self._waiting is None:
            return []
        grey = _grey(frame.picture)
        self._last = frame.picture
        if self._read is None:
            return self._take(frame.time, frame, grey)
        if not _changed(self._read, grey).any():
            done = self._settle_passing(frame.time)
            self._waiting = None
            return done
        since = self._waiting[0] if self._waiting else frame.time
        still = self._waiting is not None and not _changed(self._waiting[2], grey).any()
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
        before, picture = self.lines, self._read
        passing = self.settle()
        if picture is not None:
            self._read, self.lines = picture, before
        return [*passing, Screen(until, until, before)] if passing else []

    def _take(self, since: float, frame: Frame, grey: Grey, *, moving: bool = False) -> list[Screen]:
        before = self.lines
        lines = self._recall(grey)
        if lines is None:
            lines = self._reading(frame.picture, grey)
            self._known.append((grey, lines))
        self._read, self.lines = grey, lines
        if moving:
            old = {line.text for line in before}
            self._wait = WAIT if any(line.text not in old for line in lines) else min(LONGEST_WAIT, self._wait * 2)
        return [Screen(since, frame.time, lines)] if lines != before or since == 0.0 else []

    def _recall(self, grey: Grey) -> tuple[Line, ...] | None:
        for picture, lines in self._known:
            if not _changed(picture, grey).any():
                return lines
        return None

    def _reading(self, picture: Picture, grey: Grey) -> tuple[Line, ...]:
        """The lines of this picture, reading only what differs from the picture that was read last."""
        width, height = picture.width, picture.height
        blocks = None if self._read is None else _changed(self._read, grey)
        parts = [] if blocks is None else _regions(blocks, self.lines, width, height)
        area = sum((right - left) * (bottom - top) for left, top, right, bottom in parts)
        if blocks is None or area > MOSTLY * width * height:
            return tuple(_plain(line) for line in self._reader.read(picture))
        lines = [line for line in self.lines if not any(_touches(line.box, part, width, height) for part in parts)]
        for left, top, right, bottom in parts:
            cut = Picture(picture.pixels[top:bottom, left:right])
            for line in self._reader.read(cut, part_of=picture):
                x0, y0, x1, y1 = line.box.pixels(cut.width, cut.height)
                box = Box.of_pixels(x0 + left, y0 + top, x1 + left, y1 + top, width, height)
                lines.append(Line(line.text, box, line.score))
        return tuple(sorted(lines, key=lambda line: (line.box.y0, line.box.x0)))


def _plain(line: Line) -> Line:
    return Line(line.text, line.box, line.score)


def _grey(picture: Picture) -> Grey:
    import cv2
    import numpy as np

    return np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _changed(before: Grey, after: Grey) -> npt.NDArray[np.bool_]:
    """Which blocks of a picture differ, bool [rows, columns]; all of them where the size differs."""
    import cv2
    import numpy as np

    rows, columns = -(-after.shape[0] // BLOCK), -(-after.shape[1] // BLOCK)
    if before.shape != after.shape:
        return np.ones((rows, columns), dtype=np.bool_)
    if before is after:
        return np.zeros((rows, columns), dtype=np.bool_)
    differs = (cv2.absdiff(before, after) > CONTRAST).astype(np.uint8)
    padded = np.zeros((rows * BLOCK, columns * BLOCK), dtype=np.uint8)
    padded[: after.shape[0], : after.shape[1]] = differs
    counts = padded.reshape(rows, BLOCK, columns, BLOCK).sum(axis=(1, 3), dtype=np.int32)
    return np.asarray(counts >= PIXELS)


def _regions(blocks: npt.NDArray[np.bool_], lines: tuple[Line, ...], width: int, height: int) -> list[Rectangle]:
    """The changed blocks as rectangles that cut no line in two and do not overlap."""
    import cv2
    import numpy as np

    near = cv2.dilate(blocks.astype(np.uint8), np.ones((3, 5), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    parts = [
        (
            max(0, int(x) * BLOCK),
            max(0, int(y) * BLOCK),
            min(width, int(x + w) * BLOCK),
            min(height, int(y + h) * BLOCK),
        )
        for x, y, w, h, _ in stats[1:]
    ]
    while True:
        grown = list(_joined([_widened(part, lines, width, height) for part in parts]))
        if grown == parts:
            return parts
        parts = grown


def _widened(part: Rectangle, lines: tuple[Line, ...], width: int, height: int) -> Rectangle:
    left, top, right, bottom = part
    for line in lines:
        if _touches(line.box, part, width, height):
            x0, y0, x1, y1 = line.box.pixels(width, height)
            left, top = min(left, max(0, int(x0) - BLOCK // 2)), min(top, max(0, int(y0) - BLOCK // 2))
            right, bottom = max(right, min(width, int(x1) + BLOCK // 2)), max(bottom, min(height, int(y1) + BLOCK // 2))
    return left, top, right, bottom


def _touches(box: Box, part: Rectangle, width: int, height: int) -> bool:
    x0, y0, x1, y1 = box.pixels(width, height)
    return x0 < part[2] and x1 > part[0] and y0 < part[3] and y1 > part[1]


def _joined(parts: list[Rectangle]) -> Iterator[Rectangle]:
    """The rectangles with those that overlap made one."""
    left = sorted(parts)
    while left:
        part = left.pop(0)
        meets = [o for o in left if o[0] <= part[2] and o[2] >= part[0] and o[1] <= part[3] and o[3] >= part[1]]
        if not meets:
            yield part
            continue
        left = [o for o in left if o not in meets]
        meets.append(part)
        left.append(
            (min(o[0] for o in meets), min(o[1] for o in meets), max(o[2] for o in meets), max(o[3] for o in meets))
        )


def _packed(found: list[Screen]) -> Any:
    """Screens as JSON: each line once, and for each screen which lines it shows."""
    table: dict[Line, int] = {}
    states = [[s.start, s.at, [table.setdefault(line, len(table)) for line in s.lines]] for s in found]
    boxes = [[round(v, 4) for v in (line.box.x0, line.box.y0, line.box.x1, line.box.y1)] for line in table]
    return {
        "lines": [[line.text, round(line.score, 3), *box] for line, box in zip(table, boxes, strict=True)],
        "screens": states,
    }


def _unpacked(kept: Any) -> list[Screen]:
    lines = [Line(text, Box(*box), score) for text, score, *box in kept["lines"]]
    return [Screen(start, at, tuple(lines[i] for i in shown)) for start, at, shown in kept["screens"]]
