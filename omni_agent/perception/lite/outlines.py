"""Fields whose outline is not closed, so that no box is traced: the label stands in a gap of the border, or there is no
more than a line to write on, or the box is cut into parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omni_agent.perception.lite.widgets import EDGE, Widget, change
from omni_agent.types import Box

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.perception.lite.scene import Scene

    Edges = npt.NDArray[np.bool_]

# In heights of the label's line.
ASIDE = 1.2  # from where the label begins to where a line under it does
BEHIND = 10.0  # from where the label ends to where a line behind it begins
BELOW = 2.2  # from the label down to the line: a field's value may stand between
HIGH = 5.0  # a box
LONG = 4.0  # the shortest such line
SHARE = 0.6  # of the picture's width: a longer line parts sections of a page


def open_field(label: Box, scene: Scene) -> Box | None:
    """The field of a label that no closed box is drawn for; None where there is none."""
    x0, y0, x1, y1 = (round(value) for value in scene.pixels(label))
    line = y1 - y0
    left = max(0, round(x0 - ASIDE * line))
    edges = change(scene.picture.pixels[y0 : round(y1 + (BELOW + HIGH) * line), left:]) >= EDGE

    def found(rows: range, at: int, aside: float) -> tuple[int, int, int] | None:
        """The first line of a field's length around one of these columns, as its row, start and end in `edges`."""
        for row in rows:
            for column in range(at, min(at + max(1, round(aside)), edges.shape[1]), max(1, line // 2)):
                start, end = _run(edges[row], column)
                if LONG * line <= end - start <= SHARE * scene.picture.width and start > 0:
                    return row, start, end
        return None

    under = found(range(round(0.8 * line), min(len(edges), round((1 + BELOW) * line))), x0 - left + line // 2, 1)
    behind = found(range(line // 2, min(len(edges), round(1.8 * line))), x1 - left + line // 4, BEHIND * line)
    if under and under[2] + left >= x1:
        row, start, end = under
        ceiling = _ceiling(edges, (y0 + y1) // 2 - y0, x1 - left, end, line)
        ceiling = ceiling if ceiling is not None else 0 if row - line < 0.6 * line else line
    elif behind and not scene.written_between(x1, left + behind[1], label):
        row, start, end = behind
        ceiling = 0
    else:
        return None
    if any(_side(widget, left + start, left + end, y0 + row) for widget in scene.widgets):
        return None
    if all(edges[row + 2 : row + line // 2, max(0, x - 2) : x + 2].any(axis=1).all() for x in (start, end)):
        ceiling, row = row, _floor(edges, row, start, end, line)  # the upper side of a box that is cut into parts
    wide, high = scene.picture.width, scene.picture.height
    return Box.of_pixels(left + start, y0 + ceiling, left + end, y0 + row, wide, high) if row else None


def _run(row: Edges, at: int) -> tuple[int, int]:
    """The run of set pixels around a place, the end exclusive; (0, 0) where it is not set."""
    import numpy as np

    if at >= len(row) or not row[at]:
        return 0, 0
    before, after = np.flatnonzero(~row[:at]), np.flatnonzero(~row[at:])
    return int(before[-1]) + 1 if len(before) else 0, at + int(after[0]) if len(after) else len(row)


def _side(widget: Widget, start: int, end: int, row: int) -> bool:
    """Whether a line is the upper or lower side of a box, and no field's own."""
    near = min(abs(widget.y0 - row), abs(widget.y1 - row)) <= 3
    return near and min(widget.x1, end) - max(widget.x0, start) > 0.8 * (end - start)


def _ceiling(edges: Edges, row: int, label_end: int, end: int, line: int) -> int | None:
    """The row of a border that goes on behind the label, at the height of its middle, to the end of the line below."""
    about = edges[max(0, row - line // 4) : row + line // 4 + 1, label_end + line // 2 : end - line // 2]
    return row if about.size and float(about.mean(axis=1).max()) > 0.9 else None


def _floor(edges: Edges, row: int, start: int, end: int, line: int) -> int:
    """The row of the lower side of a box whose upper side is known; 0 where it has none."""
    sides = edges[row + line // 2 : row + round(HIGH * line), start:end].mean(axis=1) > 0.9
    return row + line // 2 + int(sides.argmax()) if sides.any() else 0
