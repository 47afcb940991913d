"""Boxes that a screen draws around things: buttons, fields, checkboxes, switches. Found by their flat insides.

A control is an area of one colour with an outline or a fill that ends at straight sides. So: mark where colours change,
take the connected areas in between, and keep those whose outermost rows and columns belong to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omni_agent.types import Picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EDGE = 6  # grey levels between neighbours; the faintest outlines of common style sheets (#eee on white) have 17, and
# half of that where a rounded corner is smoothed over two pixels
MIN_SIDE = 7  # pixels; the inside of a 12-pixel checkbox
MAX_SHARE = 0.9  # of the picture: larger is the page itself
SIDE = 0.72  # how much of each side's middle half must belong to the area


@dataclass(frozen=True, slots=True)
class Widget:
    """A box in pixels, x1 and y1 exclusive. `fill` is how much of it is its own flat colour (1: empty), `ring`
    whether its corners are round enough for a circle or a pill."""

    x0: int
    y0: int
    x1: int
    y1: int
    fill: float
    ring: bool
    color: tuple[int, int, int]

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def area(self) -> int:
        return self.width * self.height

    def holds(self, x: float, y: float) -> bool:
        return self.x0 <= x < self.x1 and self.y0 <= y < self.y1


def widgets(picture: Picture) -> tuple[Widget, ...]:
    """Every box-like area of the picture, smallest first."""
    import cv2
    import numpy as np

    if min(picture.width, picture.height) < 2 * MIN_SIDE:
        return ()
    pixels = np.ascontiguousarray(picture.pixels)
    flat = (change(pixels) < EDGE).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    width, height = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    large = (width >= MIN_SIDE) & (height >= MIN_SIDE)
    large &= (width < picture.width * MAX_SHARE) | (height < picture.height * MAX_SHARE)
    large[0] = False
    found = []
    for index in np.flatnonzero(large):
        x, y, w, h, area = (int(value) for value in stats[index])
        inside = labels[y : y + h, x : x + w] == index
        if _framed(inside):
            rows, columns = np.nonzero(inside[: h // 2 + 1])
            color = pixels[y + int(rows[len(rows) // 2]), x + int(columns[len(columns) // 2])]
            # One pixel is added back on each side: the outline itself counted as change.
            box = max(0, x - 1), max(0, y - 1), min(picture.width, x + w + 1), min(picture.height, y + h + 1)
            shade = (int(color[0]), int(color[1]), int(color[2]))
            found.append(Widget(*box, area / (w * h), _round(inside), shade))
    return tuple(sorted(found, key=lambda widget: widget.area))


def change(pixels: npt.NDArray[np.uint8]) -> Any:
    """How much each pixel differs from its neighbours to the right and below, in the channel that differs most."""
    import numpy as np

    change = np.zeros(pixels.shape[:2], np.uint8)
    wide = pixels.astype(np.int16)
    for axis in (0, 1):
        step = np.abs(np.diff(wide, axis=axis)).max(axis=2).astype(np.uint8)
        ahead = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        change[ahead] = np.maximum(change[ahead], step)
    return change


def _framed(inside: npt.NDArray[np.bool_]) -> bool:
    """Whether the middle half of each side belongs to the area, within the two outermost rows or columns; the ends of
    a pill are round, and may lie a tenth of its height further in."""
    height, width = inside.shape
    end = max(2, round(0.1 * height)) if width > height else 2
    middle_x = slice(width // 4, max(width // 4 + 1, width - width // 4))
    middle_y = slice(height // 4, max(height // 4 + 1, height - height // 4))
    sides = (
        inside[:2, middle_x].any(axis=0),
        inside[-2:, middle_x].any(axis=0),
        inside[middle_y, :end].any(axis=1),
        inside[middle_y, -end:].any(axis=1),
    )
    return all(float(side.mean()) >= SIDE for side in sides)


def _round(inside: npt.NDArray[np.bool_]) -> bool:
    """Whether the corners are cut as by a circle of the height's radius: none of the area lies in them, and at the top
    a circle is narrow where a small box with round corners is nearly as wide as in its middle."""
    height, width = inside.shape
    reach = max(1, int(min(height, width) * 0.13))  # a circle of diameter d is 0.146 d away from its box's corner
    corners = (
        inside[:reach, :reach],
        inside[:reach, width - reach :],
        inside[height - reach :, :reach],
        inside[height - reach :, width - reach :],
    )
    top = int(inside[:1].any(axis=0).sum()) - max(0, width - height)
    return top <= 0.65 * height and not any(bool(corner.any()) for corner in corners)
