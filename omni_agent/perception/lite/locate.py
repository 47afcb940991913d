"""Where on a screen is what a person named? Text is read, boxes are traced, icons are matched; the words of the
target decide which of it is meant.

The rule for ties: places that match equally well are told apart by what was said about them (kind, position, order,
neighbour), then by how a label differs from a mention (standing alone beats standing in a sentence, drawn as a control
beats plain text, the same case beats another). Where that leaves two or more, nothing was found: pressing the wrong one
of two equal buttons is worse than asking which. They come back as candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from omni_agent.perception.lite import icons
from omni_agent.perception.lite.icon_names import names_of
from omni_agent.perception.lite.labels import Match, matches, near_misses
from omni_agent.perception.lite.target import Role, Target, readings
from omni_agent.perception.lite.widgets import Widget, widgets
from omni_agent.types import Box, Candidate, Line, Picture, Sighting

if TYPE_CHECKING:
    from omni_agent.perception.lite.ocr import Reader

SURE = 0.6  # a candidate below this is a near miss
SURE_UNASKED = 0.85  # the same for an icon that stands where text was expected
ALIGNED = 2.0  # pixels by which checkboxes of one form differ in size and place
CROSS = 0.9  # of a cross that was read: one sign in a line, which the line's own score says little about
TIE = 0.02  # scores closer than this are equal
MOST = 5  # candidates given back
CONTROLS = ("field", "dropdown", "checkbox", "radio", "toggle")


@dataclass(frozen=True, slots=True)
class Place:
    """A candidate with what it was scored for. The box is in fractions, `anchor` where its label stands."""

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
    _icons: dict[str, list[Place]] = field(default_factory=dict)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        return self.reader.read(self.picture)

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


def locate(target: str, picture: Picture, reader: Reader) -> Sighting:
    """The place that `target` names in the picture, best first; or `found=False`, the reason and the near misses."""
    return seek(target, Scene(picture, reader))


def seek(target: str, scene: Scene) -> Sighting:
    """The same in a scene that may have been looked at before: many targets in one picture cost one reading."""
    best: list[Place] = []
    for reading in readings(target):
        places = _settled(reading, _places(reading, scene), scene)
        if places and (not best or places[0].rank > best[0].rank + TIE):
            best = places
        if best and best[0].score >= 0.9:
            break
    return _sighting(target, best, scene)


def _places(target: Target, scene: Scene) -> list[Place]:
    """Everything in the picture that the words and the kind of thing fit, wherever it stands."""
    if not target.words:
        return _of_kind(target, scene)
    found = matches(target.words, scene.lines)
    if target.role in CONTROLS:
        return [place for match in found for place in _controls(target.role, match, scene)]
    places = [_label(target, match, scene) for match in found] + _crosses(target, scene)
    if target.role in (None, "icon", "button", "item", "tab", "link") and not target.quoted:
        seen = max((place.score for place in places), default=0.0)
        if target.role == "icon" or seen < 0.85:
            drawn = _drawn(target, scene)
            # Asked for an icon: text of that name is what stands beside it, and only the last resort.
            places = (
                drawn + _crosses(target, scene) + [replace(place, score=place.score * 0.7) for place in places]
                if target.role == "icon"
                else places + drawn
            )
    return places


def _crosses(target: Target, scene: Scene) -> list[Place]:
    """The crosses that close things, which are read as text; a letter x only where it stands to something named."""
    if not (target.words in ("x", "×") or target.role == "icon") or "x" not in names_of(target.words):
        return []
    signs = ("×", "✕", "x") if target.anchor else ("×", "✕")
    return [Place(match.box, match.text, CROSS) for sign in signs for match in matches(sign, scene.lines)]


def _label(target: Target, match: Match, scene: Scene) -> Place:
    """A place where the words stand. A button's box is the whole button, a link's just its words."""
    x0, y0, x1, y1 = scene.pixels(match.box)
    around = next((w for w in scene.widgets if _wraps(w, x0, y0, x1, y1)), None) if match.whole else None
    if around and len(_texts_in(around, scene)) > 1:
        around = None  # a bar of several entries, not a button
    bonus = 0.03 if around else 0.0
    if target.role == "heading":
        tallest = max(line.box.height for line in scene.lines)
        bonus = 0.08 * match.box.height / tallest - (0.05 if around else 0.0)
    if target.role == "link":
        bonus = 0.03 if _coloured(match.box, scene.picture) else 0.0
    if target.role == "text":
        bonus = -bonus
    if target.role == "button":
        bonus *= 2
    box = scene.box(around) if around and target.role in (None, "button", "tab", "item") else match.box
    # Standing on its own in a line is what a label does; a longer line is a mention, less so when it opens the line.
    alone = 0.03 if match.whole else 0.01 if match.opens else 0.0
    return Place(box, match.text, match.score, match.box.center, bonus + alone)


def _wraps(widget: Widget, x0: float, y0: float, x1: float, y1: float) -> bool:
    """Whether a box is drawn closely around a text, as a button is."""
    high = y1 - y0
    inside = widget.x0 - 2 <= x0 and x1 <= widget.x1 + 2 and widget.y0 - 3 <= y0 and y1 <= widget.y1 + 3
    return inside and high * 1.05 <= widget.height <= high * 4.5


def _coloured(box: Box, picture: Picture) -> bool:
    """Whether a text has a colour of its own (its darkest or brightest pixels are not grey), as links have."""
    import numpy as np

    x0, y0, x1, y1 = (int(value) for value in box.pixels(picture.width, picture.height))
    crop = picture.pixels[y0 : y1 + 1, x0 : x1 + 1].reshape(-1, 3).astype(int)
    if not len(crop):
        return False
    ground = np.median(crop, axis=0)
    ink = crop[np.abs(crop - ground).sum(axis=1) > 120]
    return bool(len(ink)) and float((ink.max(axis=1) - ink.min(axis=1)).mean()) > 60


def _controls(role: Role | None, match: Match, scene: Scene) -> list[Place]:
    """The control that a label names: the box around, beside or under it. Without one, the label itself, less sure."""
    x0, y0, x1, y1 = scene.pixels(match.box)
    line = y1 - y0
    scored: list[tuple[float, Box]] = []
    for widget in scene.widgets:
        if role in ("checkbox", "radio", "toggle"):
            distance = _beside_mark(widget, role, x0, y0, x1, y1)
        else:
            distance = _of_field(widget, x0, y0, x1, y1)
        if distance is not None:
            scored.append((distance / line, scene.box(widget)))
    if role in ("checkbox", "radio"):
        for mark in _of_kind(Target("", role), scene):  # a ticked one is a drawing and no widget
            a0, b0, a1, b1 = scene.pixels(mark.box)
            gap = max(x0 - a1, a0 - x1)
            if -2 <= gap <= 3 * line and abs((b0 + b1) / 2 - (y0 + y1) / 2) <= 0.8 * line:
                scored.append((gap / line + 3 * (a0 > x1), mark.box))
    if scored:
        distance, box = min(scored, key=lambda pair: pair[0])
        bonus = 0.05 - 0.005 * min(distance, 10) + 0.03 * match.whole
        return [Place(box, match.text, match.score, None, bonus)]
    return [Place(match.box, match.text, match.score * 0.75)]


def _of_field(widget: Widget, x0: float, y0: float, x1: float, y1: float) -> float | None:
    """How far a box is from the label that may name it as its field, in pixels; None when it cannot be its field."""
    line = y1 - y0
    if widget.width < 2.2 * line or not 0.9 * line <= widget.height:
        return None
    inside = widget.x0 - 1 <= x0 and x1 <= widget.x1 + 1 and widget.y0 - 1 <= (y0 + y1) / 2 <= widget.y1
    if inside:  # its placeholder or its value; a much higher box is a panel that holds the label
        near_top = y0 - widget.y0 < 1.5 * line
        return (
            0.0
            if widget.height <= 3.6 * line or (near_top and widget.fill > 0.9 and widget.height < 12 * line)
            else None
        )
    if widget.height > 14 * line or widget.fill < 0.5:
        return None
    middle = (y0 + y1) / 2
    level = widget.y0 <= middle <= min(widget.y1, widget.y0 + 3 * line)
    if level and -3 <= widget.x0 - x1 <= 14 * line and widget.height <= 3.6 * line:
        return widget.x0 - x1 + 0.5 * line
    below = widget.y0 - y1
    if -0.7 * line <= below <= 2.6 * line and min(x1, widget.x1) - max(x0, widget.x0) > 0:
        return max(0.0, below) + 0.3 * abs(widget.x0 - x0)
    return None


def _beside_mark(widget: Widget, role: str, x0: float, y0: float, x1: float, y1: float) -> float | None:
    """How far a checkbox, radio button or switch is from its text; None when this box is no such thing."""
    line = y1 - y0
    shape = widget.width / widget.height
    small = 0.45 * line <= widget.height <= 2.2 * line
    if not small or not (1.3 <= shape <= 2.6 if role == "toggle" else 0.8 <= shape <= 1.25):
        return None
    if abs((widget.y0 + widget.y1) / 2 - (y0 + y1) / 2) > 0.8 * line:
        return None
    if -2 <= x0 - widget.x1 <= 3 * line:
        return x0 - widget.x1
    reach = 40 if role == "toggle" else 4  # settings pages put the switch at the far right of its row
    if -2 <= widget.x0 - x1 <= reach * line:
        return widget.x0 - x1 + 3 * line
    return None


def _of_kind(target: Target, scene: Scene) -> list[Place]:
    """Everything of a kind, for targets without words: "the second checkbox", "the field below Email"."""
    line = _line_height(scene)
    if target.role == "icon":
        return [Place(box, "", 0.8) for box in scene.drawn.boxes]
    if target.role in ("link", "item", "tab", "text", "heading"):
        kept = [entry for entry in scene.lines if target.role != "link" or _coloured(entry.box, scene.picture)]
        return [Place(entry.box, entry.text, 0.8) for entry in kept]
    found = []
    for widget in scene.widgets:
        shape = widget.width / widget.height
        text = _text_in(widget, scene)
        if target.role in ("checkbox", "radio"):
            fits = 0.8 <= shape <= 1.25 and 0.6 * line <= widget.height <= 2.2 * line and _is_mark(text)
            fits = fits and widget.fill > 0.8 and widget.ring == (target.role == "radio")
        elif target.role == "toggle":
            fits = 1.4 <= shape <= 2.6 and line <= widget.height <= 2.5 * line and widget.ring
        else:
            fits = shape > 1.5 and 1.1 * line <= widget.height <= 4 * line
            fits = fits and (bool(text) if target.role == "button" else shape > 3)
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

    others = [box for box in scene.drawn.boxes if not any(_same(box, place.box) for place in empty)]
    return [Place(box, "", 0.8) for box in others if any(alike(box, place.box) for place in empty)]


def _is_mark(text: str) -> bool:
    """Whether what was read in a small box is no label: nothing, the box itself, or a tick."""
    return len(text) <= 1 and (not text.isalnum() or text in "vVxXoO")


def _text_in(widget: Widget, scene: Scene) -> str:
    return " ".join(_texts_in(widget, scene))


def _texts_in(widget: Widget, scene: Scene) -> list[str]:
    """The lines whose middle lies in the box."""
    wide, high = scene.picture.width, scene.picture.height
    return [line.text for line in scene.lines if widget.holds(line.box.center[0] * wide, line.box.center[1] * high)]


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


def _drawn(target: Target, scene: Scene) -> list[Place]:
    """Icons that look like what the words name; very much so where nobody said that it is an icon."""
    least = SURE if target.role == "icon" else SURE_UNASKED
    return [Place(f.box, f.name, f.score) for f in scene.drawn.called(target.words) if f.score >= least]


def _settled(target: Target, places: list[Place], scene: Scene) -> list[Place]:
    """The places that also stand where the target says, best first. A place that was asked for in order or by corner
    leads the others by more than a tie."""
    if target.anchor:
        places = _related(target, places, scene)
    places = _distinct(sorted(places, key=lambda place: -place.rank))
    if not places:
        return []
    if target.nth is None and target.corner is None:
        return places
    elsewhere = places
    if target.corner:
        places = _cornered(target, places)
        if not places:
            return _missed(elsewhere)
    level = max(place.score for place in places) - 2 * TIE
    equal = [place for place in places if place.score >= level]
    others = [place for place in places if place.score < level]
    if target.nth is not None:
        equal = _in_reading_order(equal)
        if target.nth > len(equal):
            return _missed(elsewhere)
        chosen = equal[target.nth - 1 if target.nth > 0 else target.nth]
        equal = [chosen, *(place for place in equal if place is not chosen)]
    return [replace(equal[0], bonus=equal[0].bonus + 0.1), *(replace(p, bonus=0.0) for p in equal[1:]), *others]


def _missed(places: Sequence[Place]) -> list[Place]:
    """Places that are what was named but do not stand where it was said to be: near misses, never an answer."""
    return [replace(place, score=min(0.5, place.score), bonus=0.0) for place in places]


def _cornered(target: Target, places: list[Place]) -> list[Place]:
    """Nearest to the side or corner first; only those on that half of the picture, for the middle in its inner half."""
    assert target.corner is not None
    across = {"left": 0.0, "center": 0.5, "right": 1.0, "": None}[target.corner[0]]
    down = {"top": 0.0, "middle": 0.5, "bottom": 1.0, "": None}[target.corner[1]]

    def distance(place: Place) -> float:
        x, y = place.box.center
        return ((x - across) ** 2 if across is not None else 0.0) + ((y - down) ** 2 if down is not None else 0.0)

    inside = [
        place
        for place in places
        if (across is None or abs(place.box.center[0] - across) <= (0.25 if across == 0.5 else 0.5))
        and (down is None or abs(place.box.center[1] - down) <= (0.25 if down == 0.5 else 0.5))
    ]
    return sorted(inside, key=distance)


def _related(target: Target, places: list[Place], scene: Scene) -> list[Place]:
    """The places that stand to the anchor as asked, nearest first by a bonus."""
    anchors = [match.box for match in matches(target.anchor, scene.lines)]
    if not anchors and (named := scene.drawn.called(target.anchor)):
        anchors = [named[0].box]
    wide, high = scene.picture.width, scene.picture.height
    found: dict[int, tuple[float, Place]] = {}
    for box in anchors:
        for index, place in enumerate(places):
            gap = _gap(target.relation, place.box, box, wide, high)
            if gap is not None and (index not in found or gap < found[index][0]):
                found[index] = gap, place
    line = _line_height(scene)
    ranked = sorted(found.values(), key=lambda pair: pair[0])
    return [replace(place, bonus=place.bonus + 0.3 / (1 + gap / line)) for gap, place in ranked]


def _gap(relation: str | None, box: Box, anchor: Box, wide: int, high: int) -> float | None:
    """Pixels between a place and its anchor in the direction asked, sideways distance counted double; None when it is
    not in that direction."""
    x0, y0, x1, y1 = box.pixels(wide, high)
    a0, b0, a1, b1 = anchor.pixels(wide, high)
    if x0 <= a0 and a1 <= x1 and y0 <= b0 and b1 <= y1 and relation != "near":
        return None
    aside = max(0.0, max(x0, a0) - min(x1, a1))
    apart = max(0.0, max(y0, b0) - min(y1, b1))
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    if relation == "on":  # in the same row, within three heights of its text; what follows the text sooner
        near = not apart and aside <= 3 * (b1 - b0)
        return (aside if middle_x > a1 else 3 * (b1 - b0) + aside) if near else None
    if relation == "below":
        return apart + 2 * aside + 0.1 * abs(x0 - a0) if middle_y > b1 else None
    if relation == "above":
        return apart + 2 * aside + 0.1 * abs(x0 - a0) if middle_y < b0 else None
    if relation == "left":
        return aside + 4 * apart if middle_x < a0 else None
    if relation == "right":
        return aside + 4 * apart if middle_x > a1 else None
    if abs(x0 - a0) < 1 and abs(x1 - a1) < 1 and abs(y0 - b0) < 1:
        return None  # the anchor itself is not what stands next to it
    return aside * 0.5 + 3 * apart  # "next to" and "for" mean the same row sooner than the row above


def _line_height(scene: Scene) -> float:
    """The height of a usual line of text in pixels, 16 where there is none."""
    heights = sorted(line.box.height * scene.picture.height for line in scene.lines)
    return max(6.0, heights[len(heights) // 2]) if heights else 16.0


def _in_reading_order(places: Sequence[Place]) -> list[Place]:
    """Rows from top to bottom, each from left to right; what overlaps by half in height is one row."""
    rows: list[list[Place]] = []
    for place in sorted(places, key=lambda place: place.box.center[1]):
        if rows and place.box.center[1] < rows[-1][0].box.y1 - 0.1 * rows[-1][0].box.height:
            rows[-1].append(place)
        else:
            rows.append([place])
    return [place for row in rows for place in sorted(row, key=lambda place: place.box.x0)]


def _distinct(places: list[Place]) -> list[Place]:
    """The best of those whose middles lie in one another."""
    kept: list[Place] = []
    for place in places:
        if not any(_same(place.box, other.box) for other in kept):
            kept.append(place)
    return kept


def _same(one: Box, other: Box) -> bool:
    """Whether two boxes are one thing: each holds the other's middle, or one does and they are of like size."""
    holds, held = one.contains(*other.center), other.contains(*one.center)
    sizes = sorted((one.width * one.height, other.width * other.height))
    return (holds and held) or ((holds or held) and sizes[1] < 6 * sizes[0])


def _sighting(target: str, places: list[Place], scene: Scene) -> Sighting:
    good = [place for place in places if place.score >= SURE]
    if not good:
        missed = places or [Place(m.box, m.text, 0.5 * m.score) for m in near_misses(target, scene.lines)]
        return Sighting(
            False, tuple(_candidate(place, 0.5) for place in missed[:MOST]), f"nothing here matches {target!r}"
        )
    equal = [place for place in good if place.rank > good[0].rank - TIE]
    if len(equal) > 1:
        reason = f"{len(equal)} places match {target!r} equally; say which: first, top right, next to …"
        return Sighting(False, tuple(_candidate(place, 1 / len(equal)) for place in good[:MOST]), reason)
    rival = good[1].rank if len(good) > 1 else 0.0
    clear = min(1.0, 0.8 + 2 * (good[0].rank - rival))
    rest = (_candidate(place, 0.5) for place in good[1:MOST])
    return Sighting(True, (_candidate(good[0], clear), *rest))


def _candidate(place: Place, clear: float) -> Candidate:
    return Candidate(
        place.box, place.label, point=place.point, confidence=round(max(0.0, min(1.0, place.score * clear)), 3)
    )
