"""Which of the places that fit a name stand where the target says: in a corner, in an order, beside something named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omni_agent.perception.lite.labels import matches
from omni_agent.perception.lite.scene import Place, Scene, same
from omni_agent.perception.lite.target import Target
from omni_agent.types import Box

TIE = 0.02  # scores closer than this are equal
LEAD = 0.08  # of what stands nearest to an anchor: more than what a drawn button leads its name by


def settled(target: Target, places: list[Place], scene: Scene) -> list[Place]:
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
    named = matches(target.anchor, scene.lines)
    alone = any(match.whole for match in named)  # "Replace", not "Replace all"
    anchors = [match.box for match in named if match.whole or not alone]
    if not anchors and (drawn := scene.drawn.called(target.anchor)):
        anchors = [drawn[0].box]
    wide, high = scene.picture.width, scene.picture.height
    found: dict[int, tuple[float, Place]] = {}
    for box in anchors:
        for index, place in enumerate(places):
            gap = _gap(target, place.box, box, wide, high)
            if gap is not None and (index not in found or gap < found[index][0]):
                found[index] = gap, place
    line = scene.line_height
    ranked = sorted(found.values(), key=lambda pair: pair[0])
    # Far from the anchor the bonus is nearly flat; the nearest leads all the same where the next is half a line off.
    leads = len(ranked) > 1 and ranked[1][0] - ranked[0][0] > 0.5 * line
    return [
        replace(place, bonus=place.bonus + 0.3 / (1 + gap / line) + LEAD * (leads and not index))
        for index, (gap, place) in enumerate(ranked)
    ]


def _gap(target: Target, box: Box, anchor: Box, wide: int, high: int) -> float | None:
    """Pixels between a place and its anchor in the direction asked, sideways distance counted double; None when it is
    not in that direction."""
    x0, y0, x1, y1 = box.pixels(wide, high)
    a0, b0, a1, b1 = anchor.pixels(wide, high)
    relation = target.relation
    if x0 <= a0 and a1 <= x1 and y0 <= b0 and b1 <= y1 and (relation != "near" or not target.words):
        return None
    aside = max(0.0, max(x0, a0) - min(x1, a1))
    apart = max(0.0, max(y0, b0) - min(y1, b1))
    if max(y1 - y0, b1 - b0) < 2 * min(y1 - y0, b1 - b0):  # two lines of text in one row have their middles level
        apart = max(apart, abs(y0 + y1 - b0 - b1) / 2 - 0.3 * min(y1 - y0, b1 - b0))
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    if relation == "on":  # in the same row, within three heights of its text; what follows the text sooner
        near = not apart and aside <= 3 * (b1 - b0)
        return (aside if middle_x > a1 else 3 * (b1 - b0) + aside) if near else None
    if relation == "row":  # the name may be the first of two lines in its cell
        return aside * 0.5 + 3 * apart if apart <= 1.2 * min(y1 - y0, b1 - b0) else None
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
        if not any(same(place.box, other.box) for other in kept):
            kept.append(place)
    return kept
