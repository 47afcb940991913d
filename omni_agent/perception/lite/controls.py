"""The controls of a screen: the field, dropdown, checkbox, radio button or switch of a label, and all of a kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from omni_agent.perception.lite import marks
from omni_agent.perception.lite.fields import before_buttons, beside_button, with_arrow
from omni_agent.perception.lite.labels import Match
from omni_agent.perception.lite.outlines import open_field
from omni_agent.perception.lite.scene import Place, Scene, same
from omni_agent.perception.lite.target import Role, Target
from omni_agent.perception.lite.widgets import Widget
from omni_agent.types import Box

CONTROLS = ("field", "dropdown", "checkbox", "radio", "toggle")
NAMING = 0.03  # for a colon after a label: more than a tie
CLOSE = 1.5  # heights of its line that a field's label ends before it
ALIGNED = 2.0  # pixels by which checkboxes of one form differ in size and place
ASIDE = 6  # heights of a label's line that it may stand right of where the field below it begins
LIKE = 0.6  # of the picture in a field to the one that was named
_PAGE = re.compile(r"(?:current )?page(?: number)?", re.IGNORECASE)
_OF_PAGES = re.compile(r"(?:of|/) ?\d+", re.IGNORECASE)


def controls(role: Role | None, match: Match, scene: Scene) -> list[Place]:
    """The control that a label names: the box around, beside or under it. Without one, the label itself, less sure."""
    x0, y0, x1, y1 = scene.pixels(match.box)
    line = y1 - y0
    scored: list[tuple[float, Box]] = []
    if role == "dropdown" and (shown := with_arrow(match.box, scene)):
        scored.append((0.0, shown))
    if role == "field" and (typed := beside_button(match.box, scene)):
        return [Place(typed, match.text, match.score)]
    for widget in scene.widgets:
        if role in ("checkbox", "radio", "toggle"):
            distance = marks.distance(widget, role, x0, y0, x1, y1)
        else:
            distance = None if _bar(widget, match.box, scene) else _of_field(widget, role, x0, y0, x1, y1)
            if distance and (_vivid(widget.color) or _passes(widget, match.box, scene)):
                distance = None
        if distance is not None:
            value = _value_of(widget, match.box, scene) if role in ("field", "dropdown") else None
            scored.append((distance / line, scene.box(value or widget)))
    if role in ("field", "dropdown") and not any(_settles(distance, box, match.box) for distance, box in scored):
        opened = open_field(match.box, scene)
        scored += [(0.5, opened)] if opened else []
    if role in ("checkbox", "radio", "toggle"):
        known = [place.box for place in of_kind(Target("", role), scene)] if role != "toggle" else []
        scored += marks.beside(role, match.box, known, scene)
    if scored:
        distance, box = min(scored, key=lambda pair: pair[0])
        bonus = 0.05 - 0.005 * min(distance, 10) + 0.03 * match.whole
        bonus += 0.03 * (not box.contains(*match.box.center))  # a box around the words may be a button or a head
        bonus += NAMING * (match.text.endswith(":") and role in ("field", "dropdown"))
        return [Place(box, match.text, match.score, before_buttons(box, scene) if role == "field" else None, bonus)]
    return [Place(match.box, match.text, match.score * 0.75)]


def unlabelled(target: Target, scene: Scene) -> list[Place]:
    """The field whose name is nowhere written: the one that holds the picture of it at one end (a magnifier), or the
    number in front of "of 12" for the page."""
    found: list[Place] = []
    fields = [w for w in scene.widgets if w.width > 3 * w.height and w.fill > 0.8 and not scene.texts_in(w)]
    for drawing in scene.drawn.called(target.words):
        x0, y0, x1, y1 = scene.pixels(drawing.box)
        for widget in fields:
            held = widget.holds(x0, y0) and widget.holds(x1, y1) and widget.height <= 3 * (y1 - y0)
            if held and drawing.score >= LIKE and min(x0 - widget.x0, widget.x1 - x1) < widget.height:
                found.append(Place(scene.box(widget), drawing.name, drawing.score))
    if not _PAGE.fullmatch(target.words):
        return found
    for line in scene.lines:
        x0, y0, x1, y1 = scene.pixels(line.box)
        for widget in scene.widgets if _OF_PAGES.fullmatch(line.text) else ():
            level = widget.y0 <= (y0 + y1) / 2 <= widget.y1 <= widget.y0 + 3 * (y1 - y0)
            number = all(text.isdigit() for text in scene.texts_in(widget))
            if level and number and 0 <= x0 - widget.x1 + 3 <= 2 * (y1 - y0) and widget.width >= y1 - y0:
                found.append(Place(scene.box(widget), line.text, 0.8))
    return found


def _settles(distance: float, box: Box, label: Box) -> bool:
    """Whether a box is so near to a label, around, under or behind it, that no open field need be looked for."""
    return distance < (CLOSE if box.y0 < label.center[1] < box.y1 else 0.5)


def _value_of(cell: Widget, label: Box, scene: Scene) -> Widget | None:
    """The cell of the value where a label stands in a cell of its own, as in a grid of properties: the second and
    wider one of its row, of another colour, and followed by no more than a square button. So a field with a button at
    its end keeps its place, and so does a tab among tabs."""
    x, y = label.center[0] * scene.picture.width, label.center[1] * scene.picture.height
    if not cell.holds(x, y):
        return None
    row = [w for w in scene.widgets if abs(w.y0 - cell.y0) <= ALIGNED and abs(w.y1 - cell.y1) <= ALIGNED]
    value = next((w for w in row if abs(w.x0 - cell.x1) <= ALIGNED), None) or _like_others(cell, scene)
    if value is None or value.width < cell.width or value.color == cell.color:
        return None
    more = [w for w in row if abs(w.x1 - cell.x0) <= ALIGNED]
    more += [w for w in row if abs(w.x0 - value.x1) <= ALIGNED and w.width > 1.5 * w.height]
    return None if more else value


def _like_others(cell: Widget, scene: Scene) -> Widget | None:
    """The place of a value that is no box, as its neighbours' are: those beside the cells above and below."""
    column = [w for w in scene.widgets if abs(w.x0 - cell.x0) <= ALIGNED and abs(w.x1 - cell.x1) <= ALIGNED]
    near = [w for w in column if w is not cell and abs(w.y0 - cell.y0) < 6 * cell.height]
    for other in near:
        for value in scene.widgets:
            level = abs(value.y0 - other.y0) <= ALIGNED and abs(value.y1 - other.y1) <= ALIGNED
            if level and abs(value.x0 - cell.x1) <= ALIGNED:
                return replace(value, y0=cell.y0, y1=cell.y1)
    return None


def _passes(widget: Widget, label: Box, scene: Scene) -> bool:
    """Whether another text stands between a label and the box under it, which then is that one's."""
    x0, _, x1, y1 = scene.pixels(label)
    for line in scene.lines:
        a0, b0, a1, b1 = scene.pixels(line.box)
        middle = (b0 + b1) / 2
        if y1 < middle < widget.y0 and min(a1, x1, widget.x1) > max(a0, x0, widget.x0):
            return True
    return False


def _bar(widget: Widget, label: Box, scene: Scene) -> bool:
    """Whether a box is a bar of several entries, of which the label is one: two others stand in it at its height."""
    wide, high = scene.picture.width, scene.picture.height
    if not widget.holds(label.center[0] * wide, label.center[1] * high):
        return False
    level = [line.box.center for line in scene.lines if line.box.y0 < label.center[1] < line.box.y1]
    return sum(widget.holds(x * wide, y * high) for x, y in level) > 2


def _of_field(widget: Widget, role: str | None, x0: float, y0: float, x1: float, y1: float) -> float | None:
    """How far a box is from the label that may name it as its field, in pixels; None when it cannot be its field."""
    line = y1 - y0
    if widget.width < 2.2 * line or not 0.65 * line <= widget.height:
        return None
    margin = 1 + 0.15 * line  # a read line is a little larger than its letters
    inside = widget.x0 - margin <= x0 and x1 <= widget.x1 + margin and widget.y0 - 1 <= (y0 + y1) / 2 <= widget.y1
    if inside and x0 - widget.x0 > 0.5 * widget.width > 3 * (x1 - x0):
        return None  # a bar: what is written in a field begins at its left
    if inside:  # its placeholder or its value; a much higher box is a panel that holds the label
        near_top = y0 - widget.y0 < 1.5 * line
        if widget.height <= 3.6 * line:
            left, right = x0 - widget.x0, widget.x1 - x1
            centred = abs(left - right) < 0.4 * line and min(left, right) > 0.6 * line  # a button, sooner than a field
            return 6 * line * (centred and role == "field")
        return 0.0 if near_top and widget.fill > 0.9 and widget.height < 12 * line else None
    if widget.height > 14 * line or widget.fill < 0.5:
        return None
    middle = (y0 + y1) / 2
    level = widget.y0 <= middle <= min(widget.y1, widget.y0 + 3 * line)
    if level and -3 <= widget.x0 - x1 <= 14 * line and widget.height <= 3.6 * line:
        return widget.x0 - x1 + 0.25 * line
    below = widget.y0 - y1
    meets = min(x1, widget.x1) - max(x0, widget.x0) > 0 and x0 - widget.x0 <= ASIDE * line
    if -0.7 * line <= below <= 2.6 * line and meets:
        return max(0.0, below) + 0.3 * abs(widget.x0 - x0)
    return None


def of_kind(target: Target, scene: Scene) -> list[Place]:
    """Everything of a kind, for targets without words: "the second checkbox", "the field below Email"."""
    line = scene.line_height
    if target.role == "icon":
        return [Place(box, "", 0.8) for box in scene.drawn.boxes]
    if target.role in ("link", "item", "tab", "text", "heading"):
        kept = [entry for entry in scene.lines if target.role != "link" or scene.coloured(entry.box)]
        return [Place(entry.box, entry.text, 0.8) for entry in kept]
    found = []
    for widget in scene.widgets:
        shape = widget.width / widget.height
        text = " ".join(scene.texts_in(widget))
        if target.role in ("checkbox", "radio"):
            fits = 0.8 <= shape <= 1.25 and 0.5 * line <= widget.height <= 2.2 * line and _is_mark(text)
            filled = target.role == "checkbox" and widget.fill > 0.4 and _vivid(widget.color)  # a ticked one
            fits = fits and (widget.fill > 0.8 or filled) and widget.ring == (target.role == "radio")
        elif target.role == "toggle":
            fits = 1.4 <= shape <= 2.6 and line <= widget.height <= 2.5 * line and widget.ring
        else:
            fits = shape > 1.5 and (0.9 if text else 1.1) * line <= widget.height <= 4 * line
            labels = [label for label in scene.texts_in(widget) if len(label) > 1]
            fits = fits and (len(labels) == 1 if target.role == "button" else shape > 3)
        if fits:
            found.append(Place(scene.box(widget), text, 0.8))
    if target.role in ("checkbox", "radio"):
        found += _ticked(found, scene)
    return _outermost(found)


def _ticked(empty: Sequence[Place], scene: Scene) -> list[Place]:
    """Drawings as large as an empty checkbox and in one row or column with it: those that are ticked."""
    wide, high = scene.picture.width, scene.picture.height

    def alike(box: Box, other: Box) -> bool:
        near_x, near_y = ALIGNED / wide, ALIGNED / high
        same_size = abs(box.width - other.width) <= near_x and abs(box.height - other.height) <= near_y
        return same_size and (
            abs(box.center[0] - other.center[0]) <= near_x or abs(box.center[1] - other.center[1]) <= near_y
        )

    others = [box for box in scene.drawn.boxes if not any(same(box, place.box) for place in empty)]
    return [Place(box, "", 0.8) for box in others if any(alike(box, place.box) for place in empty)]


def _vivid(color: tuple[int, int, int]) -> bool:
    return max(color) - min(color) > 60


def _is_mark(text: str) -> bool:
    """Whether what was read in a small box is no label: nothing, the box itself, or a tick."""
    return len(text) <= 1 and (not text.isalnum() or text in "vVxXoO")


def _outermost(places: list[Place]) -> list[Place]:
    """Without boxes that lie inside another one of the same kind."""
    return [
        place
        for place in places
        if not any(
            other is not place
            and other.box.contains(*place.box.center)
            and other.box.width * other.box.height > place.box.width * place.box.height
            for other in places
        )
    ]
