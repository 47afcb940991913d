"""What icons look like: drawings of many icon families by name, and how alike two drawings are.

A drawing is described by the directions of its edges on an 8×8 grid (a histogram of oriented gradients, Dalal and
Triggs 2005), its filled outline and its blurred self. Of these numbers 128 weighted sums are kept, those that tell the
names of icons apart (linear discriminant analysis), as a unit vector; the dot product of two is their likeness.

`data/icon-shapes.npz`, written by `python -m benchmarks.fit_icons`, has the sums and the vectors of the names that
people use; rarer names are drawn from the icon fonts in the qtawesome wheel, which are read as data files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.perception.lite.icon_names import names_of
from omni_agent.perception.lite.weights import as_installed, carried

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

FONTS = (  # file, character map; the licence of each stands in qtawesome's README
    ("fontawesome6-solid-webfont-6.7.2.ttf", "fontawesome6-solid-webfont-charmap-6.7.2.json"),
    ("fontawesome6-regular-webfont-6.7.2.ttf", "fontawesome6-regular-webfont-charmap-6.7.2.json"),
    ("fontawesome6-brands-webfont-6.7.2.ttf", "fontawesome6-brands-webfont-charmap-6.7.2.json"),
    ("materialdesignicons6-webfont-6.9.96.ttf", "materialdesignicons6-webfont-charmap-6.9.96.json"),
    ("phosphor-1.3.0.ttf", "phosphor-charmap-1.3.0.json"),
    ("remixicon-2.5.0.ttf", "remixicon-charmap-2.5.0.json"),
    ("codicon-0.0.36.ttf", "codicon-charmap-0.0.36.json"),
    ("elusiveicons-webfont-2.0.ttf", "elusiveicons-webfont-charmap-2.0.json"),
)
FALSE_FRIENDS = ("hamburger", "burger", "remove")  # food, food, and in each font another picture
SIZE = 48  # pixels of a described picture
MARGIN = 4
_STYLE = re.compile(
    r"[- ](?:outlined?|fill|filled|line|linear|bold|thin|light|duotone|twotone|two-tone|alt|variant|solid|regular|o"
    r"|rounded|round|sharp|simple|broken|stroke|glyph|small|large|big|s|color|r|\d+)$"
)
_OPENING_STYLE = re.compile(r"^(?:baseline|outlined?|round|sharp|twotone)-")
_BLOB = re.compile(r"^(?:alpha [a-z]|numeric \d)$")  # avatars, badges, stray letters
_FRAME = re.compile(r"[- ](?:circle|circled|square|box|boxed|rect)$")


def weights() -> str:
    """Where the fonts are, each as it was installed. Raises MissingExtra or Unavailable without one."""
    paths = [path for font, _ in FONTS for path in as_installed("qtawesome", font)]
    return f"{len(paths)} icon fonts in {paths[0].parent}, as they were installed"


@dataclass(frozen=True, slots=True, eq=False)
class Glyphs:
    """Glyphs with their names (without style) and descriptions [n, 128]."""

    names: tuple[str, ...]
    vectors: Floats


@lru_cache(maxsize=64)
def called(words: str) -> Glyphs:
    """The glyphs of what these words name; none when no family has such an icon."""
    import numpy as np

    wanted = names_of(words) - set(FALSE_FRIENDS)
    known = common()
    chosen = [index for index, name in enumerate(known.names) if name in wanted]
    if chosen:
        return Glyphs(tuple(known.names[index] for index in chosen), known.vectors[np.array(chosen)])
    return _drawn_from_fonts([entry for entry in _catalogue() if entry[0] in wanted])


def pictured(words: str) -> bool:
    """Whether any family has an icon of that name."""
    return bool(called(words).names)


@cache
def common() -> Glyphs:
    """The glyphs of every name that people use: what an icon may be instead; and letters, which avatars show."""
    import numpy as np

    stored = _stored()
    names = tuple(str(stored["names"][index]) for index in stored["which"])
    letters = _drawn_from_fonts([entry for entry in _catalogue() if _BLOB.match(entry[0])])
    vectors = np.concatenate([unit(stored["vectors"].astype(np.float32)), letters.vectors])
    return Glyphs((*names, *letters.names), vectors)


@cache
def _stored() -> dict[str, Any]:
    import numpy as np

    with (files("omni_agent.perception.lite") / "data" / "icon-shapes.npz").open("rb") as file:
        return dict(np.load(file))


@cache
def _catalogue() -> tuple[tuple[str, Path, int], ...]:
    """Every glyph as (name without style, font, code point)."""
    found = []
    for font, characters in FONTS:
        path = carried("qtawesome", font, sha256=None)
        listed = json.loads(carried("qtawesome", characters, sha256=None).read_text(encoding="utf-8"))
        for name, code in listed.items():
            if font.startswith("phosphor") and name.endswith(("-thin", "-light", "-duotone")):
                continue
            found.append((unframed(base(name)), path, int(code, 16)))
    return tuple(found)


def base(name: str) -> str:
    """A glyph's name without its style: "delete-bin-6-line" is "delete bin"."""
    name = _OPENING_STYLE.sub("", name.replace("_", "-"))
    while len(shorter := _STYLE.sub("", name)) > 1 and shorter != name:
        name = shorter
    return name.replace("-", " ")


def unframed(name: str) -> str:
    """A glyph's name without the frame around it: "check circle" is "check"."""
    return _FRAME.sub("", name)


def _drawn_from_fonts(entries: Sequence[tuple[str, Path, int]]) -> Glyphs:
    import numpy as np

    drawings = [(name, mask) for name, path, code in entries if (mask := _drawn(path, code)) is not None]
    inks = np.stack([fitted(mask) for _, mask in drawings]) if drawings else np.zeros((0, SIZE, SIZE), np.float32)
    return Glyphs(tuple(name for name, _ in drawings), describe(inks))


@cache
def _font(path: Path) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(path), 40)


def _drawn(path: Path, code: int) -> Floats | None:
    """A glyph as ink 0–1, cropped to it; None for a code point without ink."""
    import numpy as np
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (96, 96))
    ImageDraw.Draw(canvas).text((48, 48), chr(code), font=_font(path), fill=255, anchor="mm")
    box = canvas.getbbox()
    return None if box is None else np.asarray(canvas.crop(box), dtype=np.float32) / np.float32(255)


def fitted(ink: Floats) -> Floats:
    """Ink of any size, cropped to it, as SIZE×SIZE with its proportions kept and a margin around."""
    import cv2
    import numpy as np

    height, width = ink.shape
    room = SIZE - 2 * MARGIN
    scale = room / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    drawn = np.asarray(cv2.resize(ink, size, interpolation=way), dtype=np.float32)
    canvas = np.zeros((SIZE, SIZE), np.float32)
    left, top = (SIZE - size[0]) // 2, (SIZE - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = drawn
    return canvas


def describe(ink: Floats) -> Floats:
    """Unit vectors [n, 128] of pictures [n, SIZE, SIZE] of ink 0–1."""
    import numpy as np

    stored = _stored()
    mean, axes = stored["mean"].astype(np.float32), stored["axes"].astype(np.float32)
    if not len(ink):
        return np.zeros((0, axes.shape[1]), np.float32)
    return unit((features(ink) - mean) @ axes)


def features(ink: Floats) -> Floats:
    """Edges, outline and blurred picture [n, 2276] of pictures [n, SIZE, SIZE] of ink 0–1, as unit vectors."""
    import cv2
    import numpy as np

    soft = np.stack([np.asarray(cv2.GaussianBlur(one, (0, 0), 1.0), dtype=np.float32) for one in ink])
    parts = ((_edges(soft), 0.8), (_filled(ink), 0.5), (_shrunk(soft, 16), 0.4))
    return unit(np.concatenate([unit(part) * weight for part, weight in parts], axis=1))


def _edges(ink: Floats) -> Floats:
    """A histogram of edge directions (9, unsigned) in each of 8×8 cells, normalised over 2×2 blocks."""
    import numpy as np

    dy, dx = np.gradient(ink, axis=(1, 2))
    strength = np.hypot(dx, dy)
    direction = (np.arctan2(dy, dx) % np.pi) * (9 / np.pi)
    low = np.floor(direction).astype(int) % 9
    share = (direction - np.floor(direction)).astype(np.float32)
    cells = np.zeros((len(ink), 8, 8, 9), np.float32)
    for bin_ in range(9):
        weight = np.where(low == bin_, 1 - share, 0) + np.where((low + 1) % 9 == bin_, share, 0)
        cells[..., bin_] = (strength * weight).reshape(len(ink), 8, SIZE // 8, 8, SIZE // 8).sum(axis=(2, 4))
    blocks = np.concatenate([cells[:, :-1, :-1], cells[:, :-1, 1:], cells[:, 1:, :-1], cells[:, 1:, 1:]], axis=3)
    norms = np.sqrt((blocks**2).sum(axis=3, keepdims=True) + 0.3)
    return np.asarray(np.minimum(blocks / norms, 0.25).reshape(len(ink), -1), dtype=np.float32)


def _filled(ink: Floats) -> Floats:
    """The outline with its holes filled, as 16×16: an outlined and a solid drawing of one thing look the same."""
    import cv2
    import numpy as np

    shapes = []
    for one in ink:
        solid = (one > 0.3).astype(np.uint8)
        outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        canvas = np.zeros((SIZE, SIZE), np.uint8)
        cv2.drawContours(canvas, outlines, -1, 1, thickness=cv2.FILLED)
        shapes.append(canvas.astype(np.float32))
    return _shrunk(np.stack(shapes), 16)


def _shrunk(pictures: Floats, side: int) -> Floats:
    import numpy as np

    step = SIZE // side
    small = pictures.reshape(len(pictures), side, step, side, step).mean(axis=(2, 4)).reshape(len(pictures), -1)
    return np.asarray(small, dtype=np.float32)


def unit(vectors: Floats) -> Floats:
    """Each row at length 1."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)


def shared(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether two sets of names have a word in common: "calendar check" is no rival of "calendar"."""
    return bool({w for n in first for w in n.split()} & {w for n in second for w in n.split()})
