"""Whether a quote stands on its page, and where.

A quote is compared with the page's words as letters and digits alone: how a line was broken, hyphenated, spaced or set
in ligatures does not count; every letter and digit does. On a page that was read from its picture, single letters may
differ as OCR errs, never a digit and never a word put in. `verified` says that the page holds what is quoted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_agent.media import layout
from omni_agent.types import Box, Line, Page, Quote, Word

if TYPE_CHECKING:
    from rapidfuzz.distance import Opcodes

FAITHFUL_READ = 0.9  # share of letters that must agree on a page that was read from its picture
NEAR = 0.6  # below this a quote has no place on the page


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote and its place: `bbox` around all of it, `boxes` line by line. `verified` False: the page does not hold
    these words; bbox is then the nearest passage, or None where nothing is near."""

    file: str
    page: int
    bbox: Box | None
    quote: str
    verified: bool
    boxes: tuple[Box, ...] = ()


def check(quote: Quote, pages: Sequence[Page]) -> Citation:
    """The quote, looked for on the page that it names; the perception's own boxes are kept where the words are true."""
    page = next((page for page in pages if page.number == quote.page and page.file == quote.file), None)
    if page is None:
        return Citation(quote.file, quote.page, None, quote.text, False)
    lines = page.lines()
    found = align(quote.text, [word for line in lines for word in layout.words_of(line)])
    if found is None:
        return Citation(quote.file, quote.page, None, quote.text, False)
    matched, text = found
    read = any(line.score < 1.0 for line in lines)
    true = letters(quote.text) == text or (read and _only_slips(letters(quote.text), text))
    boxes = quote.boxes if true and quote.boxes and _inside(quote.boxes, matched) else _by_line(matched, lines)
    return Citation(quote.file, quote.page, layout.union(boxes), quote.text, true, tuple(boxes))


def align(quote: str, words: Sequence[Word]) -> tuple[list[Word], str] | None:
    """The run of words most like the quote, and their letters that it stands for; None where nothing is near."""
    from rapidfuzz import fuzz

    wanted = letters(quote)
    if not wanted:
        return None
    text, owner = "", []
    for index, word in enumerate(words):
        plain = letters(word.text)
        text += plain
        owner.extend([index] * len(plain))
    start = _whole(wanted, text, owner)
    end = start + len(wanted)
    if start < 0:
        near = fuzz.partial_ratio_alignment(wanted, text, score_cutoff=100 * NEAR) if text else None
        if near is None:
            return None
        start, end = near.dest_start, near.dest_end
    if start >= end:
        return None
    first, last = owner[start], owner[end - 1]
    return list(words[first : last + 1]), "".join(letters(word.text) for word in words[first : last + 1])


def _whole(wanted: str, text: str, owner: Sequence[int]) -> int:
    """Where these letters stand as whole words; -1 where they do not: 42 is not in 1420, nor "rob" in "robbery"."""
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if (start == 0 or owner[start - 1] != owner[start]) and (end == len(text) or owner[end - 1] != owner[end]):
            return start
        start = text.find(wanted, start + 1)
    return -1


def letters(text: str) -> str:
    """Letters and digits alone, without case, ligatures, accents' composition and width variants."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum() or character in _MEANING)


_MEANING = frozenset("%$€£¥<>=+")  # signs that change what is said; minus and hyphen cannot be told apart


def _only_slips(quote: str, page: str) -> bool:
    """Whether two texts differ as a reading differs from its original: letters taken for others ("rn" for "m"), here
    and there one lost or added, no digit among them."""
    from rapidfuzz.distance import Indel, Levenshtein

    for start, end, other_start, other_end in _changes(Levenshtein.opcodes(quote, page)):
        before, after = quote[start:end], page[other_start:other_end]
        if any(c.isdigit() for c in before + after) or max(len(before), len(after)) > 2:
            return False
        if not (before and after) and len(before + after) > 1:
            return False
    return Indel.normalized_similarity(quote, page) >= FAITHFUL_READ


def _changes(codes: Opcodes) -> list[tuple[int, int, int, int]]:
    """The stretches that differ (from, to, in the other from, to), neighbours joined."""
    joined: list[tuple[int, int, int, int]] = []
    for code in codes:
        if code.tag == "equal":
            continue
        if joined and (joined[-1][1], joined[-1][3]) == (code.src_start, code.dest_start):
            joined[-1] = (joined[-1][0], code.src_end, joined[-1][2], code.dest_end)
        else:
            joined.append((code.src_start, code.src_end, code.dest_start, code.dest_end))
    return joined


def _inside(boxes: Sequence[Box], matched: Sequence[Word]) -> bool:
    """Whether the boxes that came with a quote lie where its words were found."""
    area = layout.union([word.box for word in matched])
    return all(
        area.x0 - 0.02 <= b.center[0] <= area.x1 + 0.02 and area.y0 - 0.02 <= b.center[1] <= area.y1 + 0.02
        for b in boxes
    )


def _by_line(matched: Sequence[Word], lines: Sequence[Line]) -> list[Box]:
    """One box for each line that the matched words stand on."""
    wanted = {id(word) for word in matched}
    boxes = []
    for line in lines:
        here = [word.box for word in layout.words_of(line) if id(word) in wanted]
        if here:
            boxes.append(layout.union(here))
    return boxes or [layout.union([word.box for word in matched])]
