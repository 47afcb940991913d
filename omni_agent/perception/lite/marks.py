"""The checkbox, radio button or switch of a name: what stands before it, behind it or at the end of its row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni_agent.perception.lite.widgets import Widget
from omni_agent.types import Box

if TYPE_CHECKING:
    from omni_agent.perception.lite.scene import Scene
    from omni_agent.perception.lite.target import Role

OVERLAP = 0.3  # of a name's height by which its box, read a little too wide, may reach into its mark
FAR = 40  # heights of a name's line up to which its mark may stand at the right end of its row
BEHIND = 3  # lines that a mark behind a name counts as further away than one before it
SQUARE, PILL = (0.75, 1.35), (1.4, 2.6)  # width for height


def beside(role: Role, name: Box, known: Sequence[Box], scene: Scene) -> list[tuple[float, Box]]:
    """The marks of a name with how far each is, in heights of its line: those `known` as such, and drawings of their
    size and shape, since a mark that is ticked, has a dot or is greyed is no empty box."""
    if role != "toggle":
        ticked = _at_name([box for box in scene.drawn.boxes if _sized(box, SQUARE, name, scene)], name, scene)
        return _at_name(known, name, scene) + [(1 + distance, box) for distance, box in ticked]
    pills = [box for box in scene.drawn.boxes if _sized(box, PILL, name, scene)]
    knobs = [box for box in _discs(scene) if _sized(box, SQUARE, name, scene)]
    return _at_name(pills, name, scene) or [(1 + distance, box) for distance, box in _at_name(knobs, name, scene)]


def distance(widget: Widget, role: str, x0: float, y0: float, x1: float, y1: float) -> float | None:
    """How far a checkbox, radio button or switch is from its text; None when this box is no such thing."""
    line = y1 - y0
    shape = widget.width / widget.height
    small = 0.45 * line <= widget.height <= 2.2 * line
    if not small or not (1.3 <= shape <= 2.6 if role == "toggle" else 0.8 <= shape <= 1.25):
        return None
    if abs((widget.y0 + widget.y1) / 2 - (y0 + y1) / 2) > 0.8 * line:
        return None
    if -OVERLAP * line <= x0 - widget.x1 <= 3 * line:
        return max(0.0, x0 - widget.x1)
    reach = FAR if role == "toggle" else 4  # settings pages put the switch at the far right of its row
    if -2 <= widget.x0 - x1 <= reach * line:
        return widget.x0 - x1 + 3 * line
    return None


def _at_name(marks: Sequence[Box], name: Box, scene: Scene) -> list[tuple[float, Box]]:
    x0, y0, x1, y1 = scene.pixels(name)
    line = y1 - y0
    found = []
    for mark in marks:
        a0, b0, a1, b1 = scene.pixels(mark)
        gap = max(x0 - a1, a0 - x1)
        level = abs((b0 + b1) / 2 - (y0 + y1) / 2) <= 0.8 * line
        far = a0 > x1 and gap <= FAR * line and not scene.written_between(x1, a0, name)
        if level and gap >= -OVERLAP * line and (gap <= 3 * line or far):
            found.append((gap / line + BEHIND * (a0 > x1), mark))
    return found


def _sized(box: Box, shape: tuple[float, float], name: Box, scene: Scene) -> bool:
    """Whether something is about as high as the line of its name, and of that shape."""
    wide, high = box.width * scene.picture.width, box.height * scene.picture.height
    line = name.height * scene.picture.height
    return 0.4 * line <= high <= 1.6 * line and shape[0] <= wide / high <= shape[1]


def _discs(scene: Scene) -> list[Box]:
    """Every disc: the knob is what can be told of a switch whose ground is pale or cut in two by it."""
    return [scene.box(widget) for widget in scene.widgets if widget.ring]
