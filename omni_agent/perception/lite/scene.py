"""A picture with everything that was seen in it, and places in it that may be meant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from omni_agent.perception.lite import icons
from omni_agent.perception.lite.parts import parted
from omni_agent.perception.lite.widgets import Widget, widgets
from omni_agent.types import Box, Line, Picture

if TYPE_CHECKING:
    from omni_agent.perception.lite.ocr import Reader


@dataclass(frozen=True, slots=True)
class Place:
    """A candidate with what it was scored for. The box is in fractions of the picture."""

    box: Box
    label: str
    score: float
    point: tuple[float, float] | None = None  # where to press; None: the middle of the box
    bonus: float = 0.0  # for looking like what was asked for: decides between equals, adds no confidence

    @property
    def rank(self) -> float:
        return self.score + self.bonus


@dataclass
class Scene:
    """A picture and what was seen in it, each part looked for when it is first needed."""

    picture: Picture
    reader: Reader

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        return parted(self.reader.read(self.picture), self.picture)

    @cached_property
    def widgets(self) -> tuple[Widget, ...]:
        return widgets(self.picture)

    @cached_property
    def drawn(self) -> icons.Drawn:
        return icons.drawn(self.picture, self.lines, self.widgets)

    def box(self, widget: Widget) -> Box:
        return Box.of_pixels(widget.x0, widget.y0, widget.x1, widget.y1, self.picture.width, self.picture.height)

    def pixels(self, box: Box) -> tuple[float, float, float, float]:
        return box.pixels(self.picture.width, self.picture.height)

    @cached_property
    def line_height(self) -> float:
        """The height of a usual line of text in pixels, 16 where there is none."""
        heights = sorted(line.box.height * self.picture.height for line in self.lines)
        return max(6.0, heights[len(heights) // 2]) if heights else 16.0

    def texts_in(self, widget: Widget) -> list[str]:
        """The lines whose middle lies in the box."""
        wide, high = self.picture.width, self.picture.height
        return [line.text for line in self.lines if widget.holds(line.box.center[0] * wide, line.box.center[1] * high)]

    def written_between(self, x0: float, x1: float, label: Box) -> bool:
        """Whether a line at the height of a label has its middle between these columns, in pixels."""
        wide = self.picture.width
        boxes = (line.box for line in self.lines)
        return any(box.y0 < label.center[1] < box.y1 and x0 < box.center[0] * wide < x1 for box in boxes)

    def coloured(self, box: Box) -> bool:
        """Whether a text has a colour of its own (its darkest or brightest pixels are not grey), as links have."""
        import numpy as np

        x0, y0, x1, y1 = (int(value) for value in self.pixels(box))
        crop = self.picture.pixels[y0 : y1 + 1, x0 : x1 + 1].reshape(-1, 3).astype(int)
        if not len(crop):
            return False
        ground = np.median(crop, axis=0)
        ink = crop[np.abs(crop - ground).sum(axis=1) > 120]
        return bool(len(ink)) and float((ink.max(axis=1) - ink.min(axis=1)).mean()) > 60


def same(one: Box, other: Box) -> bool:
    """Whether two boxes are one thing: each holds the other's middle, or one does and they are of like size."""
    holds, held = one.contains(*other.center), other.contains(*one.center)
    sizes = sorted((one.width * one.height, other.width * other.height))
    return (holds and held) or ((holds or held) and sizes[1] < 6 * sizes[0])
