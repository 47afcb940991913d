"""Where one picture differs from another, as blocks and as rectangles that cut no line of text in two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omni_agent.types import Box, Line, Picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Grey = npt.NDArray[np.uint8]
    Rectangle = tuple[int, int, int, int]  # pixels: left, top, right, bottom

BLOCK = 16  # pixels; about a line of text high
CONTRAST = 32  # grey levels by which a pixel must differ: compression stays below, faint text is above
PIXELS = 5  # that many of a block's 256 must differ: a caret has 16, a full stop 9


def grey_of(picture: Picture) -> Grey:
    import cv2
    import numpy as np

    return np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def changed(before: Grey, after: Grey) -> npt.NDArray[np.bool_]:
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


def regions(blocks: npt.NDArray[np.bool_], lines: tuple[Line, ...], width: int, height: int) -> list[Rectangle]:
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
        if touches(line.box, part, width, height):
            x0, y0, x1, y1 = line.box.pixels(width, height)
            left, top = min(left, max(0, int(x0) - BLOCK // 2)), min(top, max(0, int(y0) - BLOCK // 2))
            right, bottom = max(right, min(width, int(x1) + BLOCK // 2)), max(bottom, min(height, int(y1) + BLOCK // 2))
    return left, top, right, bottom


def touches(box: Box, part: Rectangle, width: int, height: int) -> bool:
    x0, y0, x1, y1 = box.pixels(width, height)
    return x0 < part[2] and x1 > part[0] and y0 < part[3] and y1 > part[1]


def placed(box: Box, part: Rectangle, width: int, height: int) -> Box:
    """A box in fractions of a part of a picture as fractions of the whole."""
    left, top, right, bottom = part
    x0, y0, x1, y1 = box.pixels(right - left, bottom - top)
    return Box.of_pixels(x0 + left, y0 + top, x1 + left, y1 + top, width, height)


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
