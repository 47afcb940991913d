"""What one line of a screen is made of: readers take the entries of a menu bar, two links side by side, or a checkbox
and its name for one line. A gap that is much wider than the space between that line's words parts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from omni_agent.types import Line, Picture, Word

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INK = 20  # grey levels between a line's ground and what stands on it; the palest placeholders have 40
# Gaps are in heights of a line's box, which is about 1.65 times the font's size.
LEAST = 0.3  # half an em; a space with the white around its letters is 0.2 to 0.25
SPACE = 0.36  # no more than this is the space of a proportional font; a typewriter's is 0.42
TYPED = 1.9  # times the usual space of the screen: a typewriter's is no wider
WIDER = 1.5  # times the line's own space
SPACED = 0.08  # from here on a gap between letters is one that was set on purpose, and then spaces are wider too
AFTER_MARK = 0.1  # and twice the gap between letters: what stands between a checkbox and its name at least
TOUCHING = 0.05  # the sides of a box in pale grey and what is in it
MARK_SIZE = 0.4, 1.0  # heights of a line: a checkbox or radio button that stands in front of a name
MARK_SHAPE = 0.75, 1.35  # its width for its height
LETTERS = 3  # of a word: shorter ones read without their space are icons more often than words
_MARKS = frozenset("Oo0Q□☐☑☒✓✔√○◯●◉⊙©®@回口■▣Vv|")  # as what checkboxes and radio buttons are read
_IN_WORD = _MARKS - frozenset("QVv|")  # and what of that is no letter of the name, before a capital


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of columns with ink in pixels, x1 exclusive, and how high the ink is."""

    x0: int
    x1: int
    high: int


def parted(lines: Sequence[Line], picture: Picture) -> tuple[Line, ...]:
    """The lines, each cut where its words stand apart and freed of the checkbox or radio button in front of it."""
    found = [(line, _runs(line, picture)) for line in lines]
    spaces = [gap for line, runs in found for gap in _spaces(runs, line, picture)]
    usual = median([gap for gap in spaces if gap < SPACE] or [SPACE])
    return tuple(part for line, runs in found for part in _cut(line, runs, usual, picture))


def _runs(line: Line, picture: Picture) -> list[_Run]:
    """The ink of a line, left to right; empty for what is hardly longer than high."""
    import numpy as np

    x0, y0, x1, y1 = (round(value) for value in line.box.pixels(picture.width, picture.height))
    rim = (y1 - y0) // 8  # an underline, or the border of a row
    crop = picture.pixels[y0 + rim : y1 - rim, x0:x1].astype(np.int16)
    if not crop.size or x1 - x0 < 1.5 * (y1 - y0):
        return []
    ground = np.median(crop.reshape(-1, 3), axis=0)
    ink: npt.NDArray[np.bool_] = np.abs(crop - ground).max(axis=2) > INK
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ink.any(axis=0), [False]]).astype(np.int8)))
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        rows = np.flatnonzero(ink[:, start:end].any(axis=1))
        found.append(_Run(x0 + int(start), x0 + int(end), int(rows[-1] - rows[0]) + 1))
    return found


def _gaps(runs: Sequence[_Run], line: Line, picture: Picture) -> list[float]:
    high = line.box.height * picture.height
    return [(right.x0 - left.x1) / high for left, right in pairwise(runs)]


def _spaces(runs: Sequence[_Run], line: Line, picture: Picture) -> list[float]:
    """The gaps between a line's words: as many of its widest as it has spaces."""
    widest = sorted(_gaps(runs, line, picture), reverse=True)[: max(0, len(line.words) - 1)]
    return [gap for gap in widest if gap > AFTER_MARK]


def _cut(line: Line, runs: Sequence[_Run], usual: float, picture: Picture) -> list[Line]:
    """The line as one part for each run of words without a wide gap; parts without words are drawings."""
    gaps, spaces = _gaps(runs, line, picture), _spaces(runs, line, picture)
    if not gaps or not line.words:
        return [line]
    letters = sorted(gaps)[len(gaps) // 3]  # letters may touch, and words are few: of three gaps one is theirs
    own = min(min(spaces), TYPED * usual) if len(spaces) > 1 else usual
    least = max(LEAST, WIDER * min(own, SPACE)) + 3 * max(0.0, letters - SPACED)
    pieces = [[runs[0]]]
    for run, gap in zip(runs[1:], gaps, strict=True):
        if gap < least:
            pieces[-1].append(run)
        else:
            pieces.append([run])
    found = []
    for inked, written in zip(pieces, _shared(line.words, pieces, picture), strict=True):
        piece, words = _unmarked(inked, written, 2 * letters, line.box.height * picture.height)
        if (piece[:1], piece[-1:]) == ([runs[0]], [runs[-1]]):
            return [line]
        if words:
            found.append(_part(line, words, piece, picture))
    return found or [line]


def _shared(words: Sequence[Word], pieces: Sequence[Sequence[_Run]], picture: Picture) -> list[list[Word]]:
    """The words of each piece: those whose middles are nearest to it. A word that spans the gap between two was read
    without the space, and is cut."""
    inside: list[list[Word]] = [[] for _ in pieces]
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        x0, x1 = word.box.x0 * picture.width, word.box.x1 * picture.width
        for left, right in pairwise(pieces):
            if not (x0 < left[-1].x1 - 2 and right[0].x0 + 2 < x1):
                continue
            middle = (left[-1].x1 + right[0].x0) / 2
            high = word.box.height * picture.height
            before, after = _inked(pieces, x0, middle, high), _inked(pieces, middle, x1, high)
            if at := _seam(word.text, before / max(1.0, before + after)):
                rest = replace(word, text=word.text[at:], box=replace(word.box, x0=middle / picture.width))
                word = replace(word, text=word.text[:at], box=replace(word.box, x1=middle / picture.width))
                waiting.insert(0, rest)
                break
        middle = word.box.center[0] * picture.width
        nearest = min(range(len(pieces)), key=lambda n: max(pieces[n][0].x0 - middle, middle - pieces[n][-1].x1, 0.0))
        inside[nearest].append(word)
    return inside


def _inked(pieces: Sequence[Sequence[_Run]], x0: float, x1: float, high: float) -> float:
    """How much of a stretch the words take, what is no longer than a mark between them left out."""
    spans = [(piece[0].x0, piece[-1].x1) for piece in pieces if piece[-1].x1 - piece[0].x0 > MARK_SIZE[1] * high]
    return sum(max(0.0, min(b, x1) - max(a, x0)) for a, b in spans)


def _seam(text: str, share: float) -> int:
    """Before which character two words meet that were read as one, near that share of it; 0 where none begins."""

    def meets(at: int) -> bool:
        left, right = text[at - 1], text[at]
        if at > 1 and min(at, len(text) - at) < LETTERS:
            return False
        begun = right.isupper() and (not left.isupper() or text[at + 1 : at + 2].islower())
        sign = left in ":)," or (at == 1 and left in _IN_WORD and not left.isalnum())
        return begun or sign or (left.isalpha() and right.isdigit()) or (left.isdigit() and right.isalpha())

    near = share * len(text)
    found = [at for at in range(1, len(text)) if meets(at) and abs(at - near) <= 2]
    return min(found, key=lambda at: abs(at - near), default=0)


def _unmarked(
    piece: Sequence[_Run], words: Sequence[Word], apart: float, high: float
) -> tuple[Sequence[_Run], Sequence[Word]]:
    """A piece without the checkbox or radio button at its beginning and what that was read as; as it is without one.
    A mark stands at least `apart` heights of the line before what it marks; its sides may be runs of their own."""
    if not words:
        return piece, words
    count = 1
    while count < min(4, len(piece)) and piece[count].x0 - piece[count - 1].x1 <= TOUCHING * high:
        count += 1
    wide, tall = piece[count - 1].x1 - piece[0].x0, max(run.high for run in piece[:count])
    fits = MARK_SIZE[0] * high <= tall <= MARK_SIZE[1] * high and MARK_SHAPE[0] <= wide / tall <= MARK_SHAPE[1]
    rest = piece[count:]
    if not fits or (
        rest and rest[0].x0 - piece[count - 1].x1 < max(AFTER_MARK, apart if len(rest) > 1 else 0.0) * high
    ):
        return piece, words
    first = words[0].text
    if not rest:
        return piece, [] if first in _MARKS and len(words) == 1 else words
    if len(first) == 1 and len(words) > 1:
        return (rest, words[1:]) if first in _MARKS or not first.isalnum() else (piece, words)
    if first[0] in _IN_WORD and len(first) > 1 and (first[1].isupper() or not first[0].isalnum()):
        return rest, [replace(words[0], text=first[1:]), *words[1:]]
    return rest, words


def _part(line: Line, words: Sequence[Word], piece: Sequence[_Run], picture: Picture) -> Line:
    x0 = max(line.box.x0, (piece[0].x0 - 2) / picture.width)
    x1 = min(line.box.x1, (piece[-1].x1 + 2) / picture.width)
    kept = []
    for word in words:
        left, right = max(x0, word.box.x0), min(x1, word.box.x1)
        kept.append(replace(word, box=replace(word.box, x0=left, x1=right)) if left < right else word)
    return Line(" ".join(word.text for word in words), replace(line.box, x0=x0, x1=x1), line.score, tuple(kept))
