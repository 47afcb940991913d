"""Icons on a screen: the small drawings that are not text, and which of them looks like what a person named.

Screens draw icons light on dark, dark on light, coloured, in buttons, in fields and bare. So the ink of a drawing is
its distance from the colour around it, whatever that is, and drawings are looked for against four grounds: what lies
around (at two distances), the fill of the control they stand in, and any flat area that they leave a hole in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from omni_agent.perception.lite import glyphs
from omni_agent.perception.lite.badges import RIM, badges, without
from omni_agent.perception.lite.icon_names import names_of
from omni_agent.perception.lite.widgets import EDGE, Widget, change
from omni_agent.types import Box, Line, Picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

LINE = 18.0  # pixels: the usual height of a read line; a sharper picture (HiDPI) is searched at this size of text
LINES = 6  # lines from which their height says how sharp a picture is: a few may all be headings
GROUNDS = (21, 51)  # pixels of the medians that stand for what lies around an icon
INK = 28  # grey levels between ink and ground
FLAT = 150  # pixels from which an area of one colour is a ground and no part of an icon
SMALLEST, LARGEST = 7, 80  # pixels of an icon's longer side
MOST = 12  # drawings given back
LIKE = 0.7  # likeness below which a drawing is something else
SAME = 0.92  # likeness from which it is surely the same
RIVAL = 2.0  # times a rival's lead that is taken off
IN_WORD = 0.1  # taken off for standing inside a word that was read: letters look like icons

Area = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A drawing that looks like what was asked for, under that name; score 0–1."""

    box: Box
    name: str
    score: float


@dataclass(eq=False)
class Drawn:
    """Every small drawing in a picture. `areas` in pixels of `pixels`, `doubt` what each loses for lying in a word.

    The areas from index `whole` on are drawings once more, without the badge on them: areas of `bare`, the picture
    with its `badges` painted over.
    """

    pixels: Pixels
    areas: tuple[Area, ...]
    doubt: tuple[float, ...]
    bare: Pixels
    whole: int
    badges: Sequence[Area] = ()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The drawings that lie in no word, as fractions of the picture."""
        height, width = self.pixels.shape[:2]
        return tuple(
            Box.of_pixels(*area, width, height)
            for area, doubt in zip(self.areas[: self.whole], self.doubt, strict=False)
            if not doubt and min(area[2] - area[0], area[3] - area[1]) >= SMALLEST
        )

    @cached_property
    def described(self) -> Floats:
        import numpy as np

        if not self.areas:
            return np.zeros((0, 1), np.float32)
        inks = [_ink(self.pixels, area) for area in self.areas[: self.whole]]
        inks += [_mirrored(_ink(self.bare, area), area, self.badges) for area in self.areas[self.whole :]]
        return glyphs.describe(np.stack([glyphs.fitted(ink) for ink in inks]))

    @cached_property
    def _rivals(self) -> npt.NDArray[np.float32]:
        return self.described @ glyphs.common().vectors.T

    def called(self, words: str) -> list[Found]:
        """The drawings that look like what `words` name, best first. None when no font has such an icon.

        The score is the likeness to the best glyph of that name, less what another name's glyph is more alike.
        """
        import numpy as np

        wanted = glyphs.called(words)
        if not len(wanted.names) or not self.areas:
            return []
        likeness = self.described @ wanted.vectors.T
        names = names_of(words)
        known = glyphs.common().names
        apart = {name: name not in names and not glyphs.shared([name], names) for name in set(known)}
        other = np.array([apart[name] for name in known])
        rival = np.where(other, self._rivals, 0).max(axis=1)
        best = likeness.max(axis=1)
        score = best - RIVAL * np.maximum(0, rival - best) - np.array(self.doubt)
        order = [int(index) for index in np.argsort(-score)[:MOST] if score[index] >= LIKE]
        return [Found(self._box(i), words, _confidence(float(score[i]))) for i in order]

    def _box(self, index: int) -> Box:
        height, width = self.pixels.shape[:2]
        x0, y0, x1, y1 = self.areas[index]
        return Box.of_pixels(x0, y0, x1, y1, width, height)


def _confidence(likeness: float) -> float:
    """Likeness on the scale of the other scores, chosen and not measured: 0.6 at LIKE, 0.95 from SAME on."""
    return 0.6 + 0.35 * min(1.0, max(0.0, (likeness - LIKE) / (SAME - LIKE)))


def drawn(picture: Picture, lines: Sequence[Line], widgets: Sequence[Widget]) -> Drawn:
    """The small drawings in a picture whose text and controls are known."""
    import cv2
    import numpy as np

    heights = sorted(line.box.height * picture.height for line in lines if line.box.width > line.box.height)
    usual = heights[len(heights) // 2] if len(heights) >= LINES else LINE
    shrink = LINE / usual if usual > 1.5 * LINE else 1.0
    pixels = np.ascontiguousarray(picture.pixels)
    if shrink < 1:
        size = max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST:
        return Drawn(pixels, (), (), pixels, 0)
    scale = width / picture.width
    areas = _distinct([*_bare(pixels), *_inside(pixels, widgets, scale), *_holes(pixels)])
    words = [w.box.pixels(width, height) for line in lines for w in line.words if _is_word(w.text)]
    found = [badge for badge in badges(pixels) if not _in_word(badge, words)]
    cleaned = without(pixels, found) if found else pixels
    under = [
        area
        for area in (_distinct([*_bare(cleaned), *_inside(cleaned, widgets, scale)]) if found else ())
        if any(_carries(area, badge) for badge in found)
    ]
    doubt = tuple(IN_WORD if _in_word(area, words) else 0.0 for area in (*areas, *under))
    return Drawn(pixels, (*areas, *under), doubt, cleaned, len(areas), found)


def _bare(pixels: Pixels) -> Iterator[Area]:
    """Drawings against what lies around them, their parts joined over a gap of 2 pixels and of 6."""
    import cv2
    import numpy as np

    for reach in GROUNDS:
        ground = cv2.medianBlur(pixels, reach)
        ink = (np.asarray(cv2.absdiff(pixels, ground)).max(axis=2) > INK).astype(np.uint8)
        for gap in (3, 7):
            yield from _pieces(ink, gap)


def _holes(pixels: Pixels) -> Iterator[Area]:
    """What flat areas leave free: icons in round buttons and narrow bars, where medians see another ground."""
    import cv2
    import numpy as np

    flat = (change(pixels) < EDGE).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    ground = stats[:, cv2.CC_STAT_AREA] >= FLAT
    ground[0] = False
    free = (~ground[labels]).astype(np.uint8)
    for gap in (1, 3):
        for x0, y0, x1, y1 in _pieces(free, gap):
            yield x0 + 1, y0 + 1, x1, y1  # a change counts for the pixel before it


def _inside(pixels: Pixels, widgets: Sequence[Widget], scale: float) -> Iterator[Area]:
    """Drawings inside controls, against the control's own fill."""
    import numpy as np

    for widget in widgets:
        x0, y0, x1, y1 = (int(v * scale) for v in (widget.x0, widget.y0, widget.x1, widget.y1))
        if not (12 <= y1 - y0 <= 110 and 12 <= x1 - x0 <= 700):
            continue
        inset = 2
        crop = pixels[y0 + inset : y1 - inset, x0 + inset : x1 - inset].astype(np.int16)
        if min(crop.shape[:2]) < SMALLEST:
            continue
        ink = (np.abs(crop - np.array(widget.color)).max(axis=2) > INK).astype(np.uint8)
        for gap in (3, 7):
            for a0, b0, a1, b1 in _pieces(ink, gap):
                yield a0 + x0 + inset, b0 + y0 + inset, a1 + x0 + inset, b1 + y0 + inset


def _pieces(ink: npt.NDArray[np.uint8], gap: int) -> Iterator[Area]:
    """The boxes of connected ink of an icon's size."""
    import cv2
    import numpy as np

    joined = cv2.dilate(ink, np.ones((gap, gap), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
    rim = gap // 2
    for x, y, w, h, _ in stats[1:]:
        x0, y0 = int(x) + rim * (x > 0), int(y) + rim * (y > 0)
        x1, y1 = min(int(x + w), ink.shape[1]) - rim, min(int(y + h), ink.shape[0]) - rim
        long, short = max(x1 - x0, y1 - y0), min(x1 - x0, y1 - y0)
        if SMALLEST <= long <= LARGEST and short >= 3 and long <= 5 * short:
            yield x0, y0, x1, y1


def _distinct(areas: Sequence[Area]) -> tuple[Area, ...]:
    """Without those that are the same within a pixel on each side."""
    seen: set[Area] = set()
    kept = []
    for area in areas:
        near = {
            (area[0] + a, area[1] + b, area[2] + c, area[3] + d)
            for a in (-1, 0, 1)
            for b in (-1, 0, 1)
            for c in (-1, 0, 1)
            for d in (-1, 0, 1)
        }
        if not near & seen:
            seen.add(area)
            kept.append(area)
    return tuple(kept)


def _ink(pixels: Pixels, area: Area) -> Floats:
    """A drawing as ink 0–1: how far each pixel is from the colour of the rim around it."""
    import numpy as np

    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = area
    a0, b0, a1, b1 = max(0, x0 - 2), max(0, y0 - 2), min(width, x1 + 2), min(height, y1 + 2)
    wide = pixels[b0:b1, a0:a1].astype(np.float32)
    rim = np.concatenate([wide[0], wide[-1], wide[:, 0], wide[:, -1]])
    ground = np.median(rim, axis=0)
    distance = np.abs(wide - ground).max(axis=2)
    distance = distance[y0 - b0 : y1 - b0, x0 - a0 : x1 - a0]
    top = float(np.percentile(distance, 97)) if distance.size else 0.0
    ink = np.clip(distance / max(top, float(INK)), 0, 1)
    ink[ink < 0.15] = 0
    return np.asarray(ink, dtype=np.float32)


def _carries(area: Area, badge: Area) -> bool:
    """Whether a badge sits on a corner of a drawing: it overlaps the drawing and its middle lies in an outer third."""
    x0, y0, x1, y1 = area
    x, y = (badge[0] + badge[2]) / 2, (badge[1] + badge[3]) / 2
    meets = badge[0] <= x1 + 2 and x0 - 2 <= badge[2] and badge[1] <= y1 + 2 and y0 - 2 <= badge[3]
    third_x, third_y = (x1 - x0) / 3, (y1 - y0) / 3
    return meets and not x0 + third_x < x < x1 - third_x and not y0 + third_y < y < y1 - third_y


def _mirrored(ink: Floats, area: Area, found: Sequence[Area]) -> Floats:
    """The drawing with what badges hid taken from its other side: the icons that carry badges (bell, envelope, person,
    speech bubble) are symmetric."""
    whole, other = ink.copy(), ink[:, ::-1]
    for x0, y0, x1, y1 in found:
        left, right = max(0, x0 - RIM - area[0]), max(0, x1 + RIM - area[0])
        top, bottom = max(0, y0 - RIM - area[1]), max(0, y1 + RIM - area[1])
        whole[top:bottom, left:right] = other[top:bottom, left:right]
    return whole


def _is_word(text: str) -> bool:
    return sum(character.isalnum() for character in text) >= 3


def _in_word(area: Area, words: Sequence[tuple[float, float, float, float]]) -> bool:
    """Whether a drawing's middle lies in a word that was read and it is no taller than letters are."""
    x, y = (area[0] + area[2]) / 2, (area[1] + area[3]) / 2
    return any(
        x0 + 1 <= x <= x1 - 1 and y0 <= y <= y1 and area[3] - area[1] <= 1.05 * (y1 - y0) for x0, y0, x1, y1 in words
    )
