"""Whether a quote stands on its page, and where.

A quote is compared with the page's words as letters and digits alone: how a line was broken, hyphenated, spaced or set
in ligatures does not count; every letter and digit does. `verified` says that the page holds what is quoted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from omni_agent.media import layout
from omni_agent.types import Box, Line, Page, Quote, Word

FAITHFUL = 0.97  # share of letters that must agree on a page with a text layer
FAITHFUL_READ = 0.9  # on a page that was read from its picture: OCR's own slips are forgiven, other words are not
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
    words = [word for line in page.lines() for word in layout.words_of(line)]
    found = align(quote.text, words)
    if found is None:
        return Citation(quote.file, quote.page, None, quote.text, False)
    matched, share = found
    score = min((line.score for line in page.lines()), default=1.0)
    true = share >= (FAITHFUL if score == 1.0 else FAITHFUL_READ) and _same_numbers(quote.text, matched)
    boxes = quote.boxes if true and quote.boxes and _inside(quote.boxes, matched) else _by_line(matched, page.lines())
    return Citation(quote.file, quote.page, layout.union(boxes), quote.text, true, tuple(boxes))


def align(quote: str, words: Sequence[Word]) -> tuple[list[Word], float] | None:
    """The run of words most like the quote and how alike they are (0–1), or None where nothing is near."""
    from rapidfuzz import fuzz
    from rapidfuzz.distance import Indel

    wanted = letters(quote)
    if not wanted:
        return None
    text, owner = "", []
    for index, word in enumerate(words):
        plain = letters(word.text)
        text += plain
        owner.extend([index] * len(plain))
    start = text.find(wanted)
    end = start + len(wanted)
    if start < 0:
        near = fuzz.partial_ratio_alignment(wanted, text, score_cutoff=100 * NEAR) if text else None
        if near is None:
            return None
        start, end = near.dest_start, near.dest_end
    if start >= end:
        return None
    first, last = owner[start], owner[end - 1]
    share = Indel.normalized_similarity(wanted, text[start:end])
    return list(words[first : last + 1]), share


def letters(text: str) -> str:
    """Letters and digits alone, without case, ligatures, accents' composition and width variants."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum() or character in _MEANING)


_MEANING = frozenset("%$€£¥<>=+")  # signs that change what is said; minus and hyphen cannot be told apart


def _same_numbers(quote: str, matched: Sequence[Word]) -> bool:
    """Whether every number of the quote is on the page digit for digit: 42 is no slip of 24."""
    text = letters(" ".join(word.text for word in matched))
    there = _digits(text)
    return all(number in there for number in _digits(letters(quote)).split())


def _digits(text: str) -> str:
    return " ".join("".join(c if c.isdigit() else " " for c in text).split())


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
