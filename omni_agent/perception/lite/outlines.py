"""Fields whose outline is not closed, so that no box is traced: those whose label stands in a gap of their border, and
those that are no more than a line to write on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omni_agent.perception.lite.widgets import EDGE, Widget, change
from omni_agent.types import Box

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.perception.lite.scene import Scene

# In heights of the label's line.
ASIDE = 1.2  # from where the label begins to where the line does
BELOW = 2.2  # from the label down to the line: a field's value may stand between
LONG = 4.0  # the shortest such line
SHARE = 0.6  # of the picture's width: a longer line parts sections of a page


def open_field(label: Box, scene: Scene) -> Box | None:
    """The field of a label in a gap of its border, or over a line that belongs to no box; None where there is none."""
    x0, y0, x1, y1 = (round(value) for value in scene.pixels(label))
    line = y1 - y0
    left, top = max(0, round(x0 - ASIDE * line)), y0
    edges = change(scene.picture.pixels[top : round(y1 + BELOW * line), left:]) >= EDGE
    for row in range(round(0.8 * line), edges.shape[0]):
        start, end = _run(edges[row], min(x0 - left + line // 2, edges.shape[1] - 1))
        if not (start and LONG * line <= end - start <= SHARE * scene.picture.width and left + end >= x1):
            continue
        begun, ended, bottom = left + start, left + end, top + row
        if any(_side(widget, begun, ended, bottom) for widget in scene.widgets):
            return None
        if _notched(edges, (y0 + y1) // 2 - top, x1 - left, end, line):
            ceiling = (y0 + y1) // 2
        else:  # the line alone: what is over it is the field, the label too where it stands on the line
            ceiling = y0 if bottom - y1 < 0.6 * line else y1
        return Box.of_pixels(begun, ceiling, ended, bottom, scene.picture.width, scene.picture.height)
    return None


def _run(row: npt.NDArray[np.bool_], at: int) -> tuple[int, int]:
    """The run of set pixels around a place, the end exclusive; (0, 0) where it is not set."""
    import numpy as np

    if not row[at]:
        return 0, 0
    before, after = np.flatnonzero(~row[:at]), np.flatnonzero(~row[at:])
    return int(before[-1]) + 1 if len(before) else 0, at + int(after[0]) if len(after) else len(row)


def _side(widget: Widget, start: int, end: int, row: int) -> bool:
    """Whether a line is the upper or lower side of a box, and no field's own."""
    near = min(abs(widget.y0 - row), abs(widget.y1 - row)) <= 3
    return near and min(widget.x1, end) - max(widget.x0, start) > 0.8 * (end - start)


def _notched(edges: npt.NDArray[np.bool_], row: int, label_end: int, end: int, line: int) -> bool:
    """Whether a border goes on behind the label, at the height of its middle, to the end of the line below."""
    about = edges[max(0, row - line // 4) : row + line // 4 + 1, label_end + line // 2 : end - line // 2]
    return bool(about.size) and float(about.mean(axis=1).max()) > 0.9
