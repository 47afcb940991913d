"""Where on a screen is what a person named? Text is read, boxes are traced, icons are matched; the words of the
target decide which of it is meant.

The rule for ties: places that match equally well are told apart by what was said about them (kind, position, order,
neighbour), then by how a label differs from a mention (standing alone beats standing in a sentence, drawn as a control
beats plain text, the same case beats another). Where that leaves two or more, nothing was found: pressing the wrong one
of two equal buttons is worse than asking which. They come back as candidates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from omni_agent.perception.lite.controls import CONTROLS, controls, of_kind, unlabelled
from omni_agent.perception.lite.glyphs import pictured
from omni_agent.perception.lite.icon_names import names_of, simpler
from omni_agent.perception.lite.labels import Match, matches, near_misses
from omni_agent.perception.lite.placing import TIE, settled
from omni_agent.perception.lite.scene import Place, Scene
from omni_agent.perception.lite.target import Target, readings
from omni_agent.perception.lite.widgets import Widget
from omni_agent.types import Box, Candidate, Picture, Sighting

if TYPE_CHECKING:
    from omni_agent.perception.lite.ocr import Reader

SURE = 0.6  # a candidate below this is a near miss
SURE_UNASKED = 0.7  # the same for an icon that stands where text was expected
BESIDE = 6  # heights of their line that tabs stand apart at most
SMALLER = 0.2  # what an icon loses that is much smaller than another of its name
CROSS = 0.9  # of a cross that was read: one sign in a line, which the line's own score says little about
KIND = 0.8  # of what is only said to be of a kind and to stand next to something
MOST = 5  # candidates given back


def locate(target: str, picture: Picture, reader: Reader) -> Sighting:
    """The place that `target` names in the picture, best first; or `found=False`, the reason and the near misses."""
    return seek(target, Scene(picture, reader))


def seek(target: str, scene: Scene) -> Sighting:
    """The same in a scene that may have been looked at before: many targets in one picture cost one reading."""
    best: list[Place] = []
    for reading in readings(target):
        places = settled(reading, _places(reading, scene), scene)
        if places and (not best or places[0].rank > best[0].rank + TIE):
            best = places
        if best and best[0].score >= 0.9:
            break
    return _sighting(target, best, scene)


def _places(target: Target, scene: Scene) -> list[Place]:
    """Everything in the picture that the words and the kind of thing fit, wherever it stands."""
    if not target.words:
        alike = of_kind(target, scene)
        return alike + _named_by_anchor(target, alike, scene)
    found = matches(target.words, scene.lines)
    if target.role in CONTROLS:
        named = [place for match in found for place in controls(target.role, match, scene)]
        return named or (unlabelled(target, scene) if target.role == "field" and not target.quoted else [])
    places = [_label(target, match, scene) for match in found] + _crosses(target, scene)
    if target.role in (None, "icon", "button", "item", "tab", "link") and not (target.quoted or _of_a_button(target)):
        seen = max((place.score for place in places), default=0.0)
        if target.role == "icon" or seen < 0.85:
            drawn = _drawings(target, scene)
            # Asked for an icon: text of that name is what stands beside it, and only the last resort.
            places = (
                drawn + _crosses(target, scene) + [replace(place, score=place.score * 0.7) for place in places]
                if target.role == "icon"
                else places + drawn
            )
    return places


def _of_a_button(target: Target) -> bool:
    """Whether a phrase ends in "button", read as part of the label: its picture is that of the reading as a button,
    which looks for the text first."""
    return target.role is None and target.words.casefold().endswith((" button", " btn"))


def _named_by_anchor(target: Target, alike: list[Place], scene: Scene) -> list[Place]:
    """ "Checkbox next to Wrap": the one whose name that is, where it looks like no other of its kind."""
    if target.relation != "near" or target.role not in CONTROLS:
        return []
    found = []
    for match in matches(target.anchor, scene.lines):
        if target.role in ("field", "dropdown") or not any(_level(place.box, match.box) for place in alike):
            named = controls(target.role, match, scene)
            found += [replace(place, score=min(KIND, place.score)) for place in named if place.box != match.box]
    return found


def _level(one: Box, other: Box) -> bool:
    return one.y0 < other.center[1] < one.y1 or other.y0 < one.center[1] < other.y1


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
    if around and len(scene.texts_in(around)) > 1:
        around = None  # a bar of several entries, not a button
    bonus = 0.03 if around else 0.0
    if target.role == "heading":
        tallest = max(line.box.height for line in scene.lines)
        bonus = 0.08 * match.box.height / tallest - (0.05 if around else 0.0)
    if target.role == "link":
        bonus = 0.03 if scene.coloured(match.box) else 0.0
    if target.role == "tab" and _in_row(match.box, scene):
        bonus += 0.03
    if target.role == "text":
        bonus = -bonus
    if target.role == "button":
        bonus *= 2
    box = scene.box(around) if around and target.role in (None, "button", "tab", "item") else match.box
    # Standing on its own in a line is what a label does; a longer line is a mention, less so when it opens the line.
    alone = 0.03 if match.whole else 0.01 if match.opens else 0.0
    return Place(box, match.text, match.score, match.box.center, bonus + alone)


def _in_row(label: Box, scene: Scene) -> bool:
    """Whether another text of like height stands close beside this one, as tabs do."""
    wide, high = scene.picture.width, scene.picture.height
    near = BESIDE * label.height * high / wide
    for line in scene.lines:
        gap = max(line.box.x0 - label.x1, label.x0 - line.box.x1)
        level = abs(line.box.center[1] - label.center[1]) < 0.3 * label.height
        if level and 0 < gap <= near and 0.6 < line.box.height / label.height < 1.6:
            return True
    return False


def _wraps(widget: Widget, x0: float, y0: float, x1: float, y1: float) -> bool:
    """Whether a box is drawn closely around a text, as a button is."""
    high = y1 - y0
    inside = widget.x0 - 2 <= x0 and x1 <= widget.x1 + 2 and widget.y0 - 3 <= y0 and y1 <= widget.y1 + 3
    return inside and high * 0.8 <= widget.height <= high * 4.5


def _drawings(target: Target, scene: Scene) -> list[Place]:
    """Icons that look like what the words name; very much so where nobody said that it is an icon."""
    least = SURE if target.role == "icon" else SURE_UNASKED
    words = target.words
    if target.role in ("icon", "button") and not pictured(words):
        words = simpler(words, deeds=target.role == "icon")
    found = [f for f in scene.drawn.called(words) if f.score >= least]
    full = min(max((f.box.height for f in found), default=0.0), 1.5 * scene.line_height / scene.picture.height)
    # Of two that look alike the larger one is a button, the smaller one a sign in a menu, in a field or on a tab.
    return [Place(f.box, f.name, f.score, bonus=SMALLER * (min(1.0, f.box.height / full) - 1)) for f in found]


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
