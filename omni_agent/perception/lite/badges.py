"""Badges: the small coloured dots and numbers that sit on a corner of an icon and change its outline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

COLOURED = 90  # of 255: by how much a pixel's strongest channel leads its weakest in a badge
SIDES = 4, 26  # pixels of a badge: from a dot to a pill with two digits
SOLID = 0.72  # how much of its box a badge fills; a circle fills 0.785, its smoothed rim taken off
GROUND = 51  # pixels of the median that stands for what lies around a badge and its icon
RIM = 2  # pixels around a badge that are its smoothed edge or the ring that sets it off

Area = tuple[int, int, int, int]


def badges(pixels: Pixels) -> list[Area]:
    """The boxes in pixels, x1 and y1 exclusive, of whatever has the size, the colour and the solid shape of a badge."""
    import cv2
    import numpy as np

    coloured = ((pixels.max(axis=2) - pixels.min(axis=2)) > COLOURED).astype(np.uint8)
    outlines, _ = cv2.findContours(coloured, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in outlines:
        x, y, w, h = cv2.boundingRect(outline)
        if not (SIDES[0] <= h <= SIDES[1] and 0.7 * h <= w <= min(2.2 * h, SIDES[1])):
            continue
        filled = np.zeros((h, w), np.uint8)
        cv2.drawContours(filled, [outline], -1, 1, thickness=cv2.FILLED, offset=(-x, -y))
        if float(filled.mean()) >= SOLID:
            found.append((x, y, x + w, y + h))
    return found


def without(pixels: Pixels, found: Sequence[Area]) -> Pixels:
    """The picture with those badges painted over in the colour of what lies around them."""
    import cv2

    cleaned = pixels.copy()
    height, width = pixels.shape[:2]
    for x0, y0, x1, y1 in found:
        a0, b0, a1, b1 = max(0, x0 - GROUND), max(0, y0 - GROUND), min(width, x1 + GROUND), min(height, y1 + GROUND)
        ground = cv2.medianBlur(pixels[b0:b1, a0:a1].copy(), GROUND)
        rows, columns = slice(max(0, y0 - RIM), y1 + RIM), slice(max(0, x0 - RIM), x1 + RIM)
        middle = (y0 + y1) // 2 - b0, (x0 + x1) // 2 - a0
        cleaned[rows, columns] = ground[middle]
    return cleaned
