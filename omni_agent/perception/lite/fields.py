"""What a field or a dropdown is drawn with: the buttons at its end, the button behind it, the arrow of its list."""

from __future__ import annotations

from omni_agent.perception.lite.scene import Scene
from omni_agent.perception.lite.widgets import Widget
from omni_agent.types import Box

INK = 120  # of 765, by which a drawn pixel differs from its ground
EDGE = 4  # pixels between the outline of a field and those of its parts


def before_buttons(box: Box, scene: Scene) -> tuple[float, float] | None:
    """Where to press a field that ends in buttons, as one with a minus and a plus does: in the part before them. None
    where it does not."""
    x0, y0, x1, y1 = scene.pixels(box)
    parts = [w for w in scene.widgets if w.y0 < (y0 + y1) / 2 < w.y1 and x0 - EDGE <= w.x0 and w.x1 <= x1 + EDGE]
    if len(parts) < 2:
        return None
    first, *buttons = sorted(parts, key=lambda part: part.x0)
    square = all(button.width <= 1.3 * button.height for button in buttons)
    return scene.box(first).center if square and first.x0 <= x0 + EDGE and first.x1 <= buttons[0].x0 + EDGE else None


def with_arrow(label: Box, scene: Scene) -> Box | None:
    """A dropdown without an outline that shows its value: the text and the small arrow right behind it, which is wider
    than high and stands at half the height."""
    import numpy as np

    _, y0, x1, y1 = (round(value) for value in scene.pixels(label))
    line = y1 - y0
    behind = scene.picture.pixels[y0:y1, x1 : x1 + round(1.2 * line)].astype(int)
    if not behind.size:
        return None
    ink = np.abs(behind - np.median(behind.reshape(-1, 3), axis=0)).sum(axis=2) > INK
    columns = np.flatnonzero(ink.any(axis=0))
    if not len(columns):
        return None
    first = np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1)[0]
    rows = np.flatnonzero(ink[:, first[0] : first[-1] + 1].any(axis=1))
    wide, high, middle = len(first), rows[-1] - rows[0] + 1, (rows[0] + rows[-1]) / 2
    if not (0.2 * line <= wide <= 0.8 * line and high < 0.75 * wide and abs(middle - line / 2) < 0.25 * line):
        return None
    return Box(label.x0, label.y0, (x1 + int(first[-1])) / scene.picture.width, label.y1)


def beside_button(label: Box, scene: Scene) -> Box | None:
    """The empty field, wider and of another colour, that ends right before the button on which a label stands: what
    "Search" searches for is typed left of it."""
    button = _button(label, scene)
    if button is None:
        return None
    for field in scene.widgets:
        level = max(abs(field.y0 - button.y0), abs(field.y1 - button.y1)) <= 0.2 * button.height
        close = -2 <= button.x0 - field.x1 <= button.height and field.width > max(button.width, 3 * field.height)
        if level and close and field.color != button.color and not scene.texts_in(field):
            return scene.box(field)
    return None


def _button(label: Box, scene: Scene) -> Widget | None:
    """The box drawn closely around a text."""
    x0, y0, x1, y1 = scene.pixels(label)
    line = y1 - y0
    held = [w for w in scene.widgets if w.holds((x0 + x1) / 2, (y0 + y1) / 2) and w.height <= 3.6 * line]
    return min(held, key=lambda w: w.width, default=None)
