"""Words on a screen that match the words of a target: whole labels, labels that wrap, words inside a longer line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from omni_agent.types import Box, Line, Word

# A misread letter costs a little; another word must not pass for a misreading: "Sign in" is not "Sign up".
_EDITS = ((4, 0), (9, 1), (17, 2), (1_000_000, 3))  # letters of the target up to which so many edits are forgiven
EDIT_COST = 0.04  # score lost for each edit
PART_COST = 0.08  # for standing inside a longer line
CASE_COST = 0.025  # for another case than the one asked for: more than a tie
_UNDERLINED = {("f", "e"), ("o", "q"), ("p", "e")}  # letters as menus underline them, and what they are read as
_LOOKALIKES = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "8": "b"})


@dataclass(frozen=True, slots=True)
class Match:
    """Words that match: where, as written, and how well (1: the whole line, to the letter).

    `whole` says that nothing else stands on the line, `opens` that the line begins with the words.
    """

    text: str
    box: Box
    line: Box
    score: float
    whole: bool
    opens: bool


def matches(words: str, lines: Sequence[Line]) -> list[Match]:
    """Every place where the words stand, best first; labels broken in two only where no line has them whole."""
    wanted = _plain(words)
    if not wanted:
        return []
    found = [match for line in lines if (match := _in_line(words, wanted, line))]
    if not any(match.whole for match in found):
        found += [match for line in _joined(lines) if (match := _in_line(words, wanted, line)) and match.whole]
    if any(_plain(match.text) == wanted for match in found):  # then "Approved" is no "Approve" that was misread
        found = [match for match in found if not _plain(match.text).startswith(wanted) or _plain(match.text) == wanted]
    return sorted(found, key=lambda match: -match.score)


def near_misses(words: str, lines: Sequence[Line], limit: int = 3) -> list[Match]:
    """The lines most like the words where none matches, for a person to choose from."""
    from rapidfuzz import fuzz, utils

    scored = [(fuzz.WRatio(words, line.text, processor=utils.default_process) / 100, line) for line in lines]
    good = sorted((pair for pair in scored if pair[0] >= 0.6), key=lambda pair: -pair[0])[:limit]
    return [Match(line.text, line.box, line.box, score, True, True) for score, line in good]


def _in_line(words: str, wanted: str, line: Line) -> Match | None:
    """The best run of this line's words that reads as the words wanted."""
    tokens = line.words or tuple(_even(line))
    plain = [_plain(token.text) for token in tokens]
    if wanted.isalnum():  # a tick, a cross or a dash is no word
        plain = [word if word.isalnum() else "" for word in plain]
    best: tuple[int, int, int] | None = None  # edits, first token, past the last
    for first in range(len(tokens)):
        for end in range(first + 1, len(tokens) + 1):
            if not plain[first] or not plain[end - 1]:
                continue
            joined = "".join(plain[first:end])
            if len(joined) > len(wanted) + 3:
                break
            edits = _edits(wanted, joined)
            if edits is not None and (best is None or edits < best[0]):
                best = edits, first, end
    if best is None:
        return None
    edits, first, end = best
    run = tokens[first:end]
    box = run[0].box
    for token in run[1:]:
        box = box.union(token.box)
    rest = "".join(plain[:first] + plain[end:])
    text = " ".join(token.text for token in run)
    score = 1.0 - EDIT_COST * edits - (0.0 if not rest else PART_COST) - (0.0 if words.strip() in text else CASE_COST)
    return Match(text, box, line.box, score * min(1.0, line.score + 0.05), not rest, first == 0)


def _edits(wanted: str, found: str) -> int | None:
    """How many letters were misread, or None when it is another word. Numbers are never forgiven a digit."""
    from rapidfuzz.distance import Levenshtein

    if wanted == found:
        return 0
    if wanted.translate(_LOOKALIKES) == found.translate(_LOOKALIKES):
        return 1
    if (wanted[:1], found[:1]) in _UNDERLINED and wanted[1:] == found[1:]:
        return 1
    if "rn" in wanted and wanted.replace("rn", "m") == found.replace("rn", "m"):
        return 1
    allowed = next(edits for length, edits in _EDITS if len(wanted) <= length)
    if not allowed or re.findall(r"\d+", wanted) != re.findall(r"\d+", found):
        return None
    edits = int(Levenshtein.distance(wanted, found, score_cutoff=allowed))
    return edits if edits <= allowed else None


def _plain(text: str) -> str:
    """Letters and digits alone, without case and accents; signs stay when there is nothing else ("+", "»")."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(c for c in folded if c.isalnum())
    return letters or "".join(c for c in folded if not c.isspace() and not unicodedata.combining(c))


def _even(line: Line) -> Iterator[Word]:
    """The words of a line whose reader gave no places: each as long as its share of the letters."""
    length = max(1, len(line.text))
    for found in re.finditer(r"\S+", line.text):
        x0 = line.box.x0 + line.box.width * found.start() / length
        x1 = line.box.x0 + line.box.width * found.end() / length
        yield Word(found[0], Box(x0, line.box.y0, x1, line.box.y1))


def _joined(lines: Sequence[Line]) -> Iterator[Line]:
    """Two lines that may be one label: side by side with a word's gap, or one right under the other."""
    for first in lines:
        for second in lines:
            if first is not second and (_beside(first.box, second.box) or _under(first.box, second.box)):
                words = (*(first.words or _even(first)), *(second.words or _even(second)))
                text, score = f"{first.text} {second.text}", min(first.score, second.score)
                yield Line(text, first.box.union(second.box), score, tuple(words))


def _beside(left: Box, right: Box) -> bool:
    # Fractions of width and height differ in size; a screen is about 1.6 times as wide as high.
    level = abs(left.center[1] - right.center[1]) < 0.4 * min(left.height, right.height)
    return level and -0.2 * left.height < right.x0 - left.x1 < 0.9 * left.height


def _under(upper: Box, lower: Box) -> bool:
    gap = lower.y0 - upper.y1
    overlap = min(upper.x1, lower.x1) - max(upper.x0, lower.x0)
    alike = 0.75 < upper.height / max(lower.height, 1e-9) < 1.33
    return alike and -0.3 * upper.height < gap < 0.6 * upper.height and overlap > 0.6 * min(upper.width, lower.width)
