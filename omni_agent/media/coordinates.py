"""The three spaces of a point on a screen, and the only arithmetic between them.

    image    whole pixels of the picture, [0, width) × [0, height), origin top left
    norm     fractions of the picture, [0, 1) × [0, 1)
    screen   whole units of the virtual desktop that mouse events use; negative left of or above the primary monitor

A picture of a monitor may hold more pixels than the monitor has units (Retina: 2 a unit) or fewer. One `View` belongs
to one picture; two monitors of different scale are two views. A point outside is rejected, never moved to the edge: a
click on the wrong thing is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass

from omni_agent.errors import UsageError

Pixel = tuple[int, int]
Norm = tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """A picture of `image_width`×`image_height` pixels; it shows width×height units of the desktop from (left, top)."""

    image_width: int
    image_height: int
    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.image_width, self.image_height, self.width, self.height) < 1:
            raise UsageError(f"a screen without any area: {self}")

    @property
    def scale(self) -> float:
        """Picture pixels a unit of the desktop: 2.0 on a Retina screen."""
        return self.image_width / self.width

    def pixel(self, norm: Norm) -> Pixel:
        """The pixel that a fraction falls into."""
        return pixel(norm, self.image_width, self.image_height)

    def norm(self, at: Pixel) -> Norm:
        """The middle of a pixel as fractions."""
        return norm(at, self.image_width, self.image_height)

    def screen(self, at: Norm) -> Pixel:
        """The unit of the desktop that a fraction of the picture shows."""
        x, y = pixel(at, self.width, self.height)
        return self.left + x, self.top + y

    def norm_of_screen(self, at: Pixel) -> Norm:
        """The middle of a unit of the desktop as fractions of the picture."""
        return norm((at[0] - self.left, at[1] - self.top), self.width, self.height)

    def shows(self, at: Pixel) -> bool:
        """Whether a point of the desktop is in the picture."""
        return self.left <= at[0] < self.left + self.width and self.top <= at[1] < self.top + self.height


def pixel(at: Norm, width: int, height: int) -> Pixel:
    """The cell of a width×height grid that a fraction falls into. Raises UsageError outside [0, 1)."""
    x, y = at
    if not (0 <= x < 1 and 0 <= y < 1):  # also true of NaN
        raise UsageError(f"the point {x:g} {y:g} is outside the picture (fractions from 0 up to 1)")
    # The product of a fraction just under 1 rounds up to the size itself; it still lies in the last cell.
    return min(int(x * width), width - 1), min(int(y * height), height - 1)


def norm(at: Pixel, width: int, height: int) -> Norm:
    """The middle of a cell of a width×height grid as fractions. Raises UsageError outside the grid."""
    x, y = at
    if not (0 <= x < width and 0 <= y < height):
        raise UsageError(f"the point {x} {y} is outside the picture of {width}x{height}")
    return (x + 0.5) / width, (y + 0.5) / height
