"""What speaks for and against a candidate, in numbers: how it reads as an answer, what it lacks of the question."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

from omni_agent.perception.lite.candidates import Candidate
from omni_agent.perception.lite.grid import is_value
from omni_agent.perception.lite.kinds import NUMBER_WORDS, Kind
from omni_agent.perception.lite.questions import Question, Term, holds
from omni_agent.perception.lite.retrieval import Found
from omni_agent.perception.lite.units import Unit
from omni_agent.perception.lite.words import stem, stems

FIGURES = (
    "reranker",
    "reranker in context",
    "reranker, row",
    "terms near",
    "number missing",
    "name missing",
    "number not held",
    "rare kind held",
    "other kind not held",
    "says nothing new",
    "cell",
    "cell: question explained",
    "cell: label asked for",
    "cell: head asked for",
    "cell: head not asked for",
    "cell: likeness of its head",
    "cell: another head says more",
    "front page fact",
    "heading",
    "meaning",
    "reranker, best of all",
    "reranker below the best",
    "terms held",
    "meant term not held",
    "terms in no passage",
    "name in no passage",
    "hardly anything new",
    "length",
    "code",
    "thing not counted",
    "cell: value",
    "cell: value, of no kind asked for",
)


RARE = frozenset({Kind.PHONE, Kind.EMAIL, Kind.ADDRESS, Kind.MONEY, Kind.PERCENT, Kind.TIME, Kind.VERSION})


def figures(question: Question, found: Found, candidate: Candidate, best: float) -> tuple[float, ...]:
    """What speaks for and against a candidate, in the order of FIGURES, most of them 0 to 1. `best` is the highest of
    all candidates' logits."""
    hit, cell = candidate.hit, candidate.cell
    unit = hit.unit
    text = unit.text if cell is None else cell.text
    missing = [term for term in question.terms if term.literal and not term.among(hit.around)]
    numbers = [term for term in missing if term.word[:1].isdigit()]
    names = [term for term in missing if term not in numbers]
    kind = holds(question, text)
    lacks = float(question.kind is not Kind.ANY and kind == 0)
    new = {word for word in stems(text) if len(word) > 1 or word.isdigit()} - set(stems(question.text))
    return (
        candidate.logit / 5,
        candidate.in_context / 5 if cell is None else 0.0,
        candidate.in_context / 5 if cell is not None else 0.0,
        hit.near,
        2 * _rarest(found, numbers),
        2 * _rarest(found, names),
        lacks * (question.kind is Kind.NUMBER),
        kind * (question.kind in RARE),
        lacks * (question.kind is not Kind.NUMBER),
        2 * float(not new),
        *_cell_figures(question, found, candidate),
        2 * _front(question, unit, kind),
        float(unit.heading or (not unit.cells and len(unit.text.split()) < 4)),
        2 * hit.cosine,
        best / 5,
        (candidate.logit - best) / 5,
        *_term_figures(question, found, text, sentence=cell is None),
        float(len(new) < 3 and cell is None),
        math.log(1 + len(text.split())) / 3,
        float(cell is None and _CODE.search(text) is not None),
        float(_leaves_uncounted(question, candidate)),
        float(cell is not None and is_value(text)),
        float(cell is not None and is_value(text) and question.kind is Kind.ANY),
    )


_CODE = re.compile(r"^\s*(R?>|\+|\$|#)\s|<-|\w\(.*=.*\)|[{};]\s*$")


def _term_figures(question: Question, found: Found, text: str, *, sentence: bool) -> tuple[float, ...]:
    """The share of the question's terms that a text holds itself; how rare the rarest that is meant and a sentence
    lacks; the share that no passage of the document holds; whether a name or a number is among these."""
    total = sum(found.rarity.values()) or 1.0
    own = set(stems(text))
    lacked = [term for term in question.terms if not term.literal and not term.among(own)]
    nowhere = [term for term in question.terms if found.rarity[term.stem] > 0.999]
    return (
        sum(found.rarity[term.stem] for term in question.terms if term.among(own)) / total,
        _rarest(found, lacked) if sentence else 0.0,
        sum(found.rarity[term.stem] for term in nowhere) / total,
        _rarest(found, [term for term in nowhere if term.literal]),
    )


_HOW_MANY = re.compile(r"\bhow many (?:of the |different |more )?(?:\w+ )?(\w+)", re.IGNORECASE)
_COUNTED = re.compile(
    rf"\b(?:\d[\d.,]*|{NUMBER_WORDS}|both|no|single|several)\b((?:[ -]+[\w’-]+){{1,4}})", re.IGNORECASE
)


def _leaves_uncounted(question: Question, candidate: Candidate) -> bool:
    """Whether a question asks how many of a thing there are and this counts none: no number stands before the thing,
    and neither the cell's label nor its head names it."""
    asked = _HOW_MANY.search(question.text)
    if asked is None:
        return False
    thing, unit, cell = set(stems(asked[1])), candidate.hit.unit, candidate.cell
    if cell is not None:
        return not thing & set(stems(f"{unit.cells[0].text} {cell.head} {unit.context}"))
    return not any(thing & set(stems(match[1])) for match in _COUNTED.finditer(unit.text))


def _rarest(found: Found, terms: Sequence[Term]) -> float:
    return max((found.rarity[term.stem] for term in terms), default=0.0)


def _cell_figures(question: Question, found: Found, candidate: Candidate) -> tuple[float, ...]:
    cell, unit = candidate.cell, candidate.hit.unit
    if cell is None:
        return (0.0,) * 7
    terms = {term.stem for term in question.terms}
    meant = terms | extremes(question)
    label = set(stems(unit.cells[0].text))
    wanted = sum(found.rarity.values()) or 1.0
    explained = terms & (label | set(stems(cell.head)) | set(stems(unit.context)))
    said = {head: _said(found, meant, question, head, label) for head in {other.head for other in unit.cells}}
    share, weight = said[cell.head]
    return (
        1.0,
        sum(found.rarity[term] for term in explained) / wanted,
        sum(_matches(word, meant) for word in label) / max(1, len(label)),
        share,
        float(bool(set(stems(cell.head)) - label) and not share),
        candidate.likeness,
        (max(other for _, other in said.values()) - weight) / wanted,
    )


def _said(
    found: Found, meant: Collection[str], question: Question, head: str, label: Collection[str]
) -> tuple[float, float]:
    """The share of a head's words, those of the row's label left out, that the question says or that are short for its
    words; and how rare these are, taken together."""
    shares, weight = list[float](), 0.0
    for word in head.split():
        parts = [part for part in stems(word) if part not in label]
        matched = [part for part in parts if _matches(part, meant)]
        short = bool(parts) and not matched and abbreviates(word, question)
        if parts:
            shares.append(1.0 if short else len(matched) / len(parts))
        weight += short + sum(found.rarity.get(part, 1.0) for part in matched)
    return sum(shares) / max(1, len(shares)), weight


def _matches(word: str, meant: Collection[str]) -> bool:
    """Whether a stem is meant, or begins like one: accuracy for accurate."""
    if word in meant:
        return True
    return len(word) > 4 and any(
        len(other) > 4 and (word.startswith(other) or other.startswith(word)) for other in meant
    )


_MOST = "tallest highest largest biggest longest heaviest oldest greatest fastest strongest most maximum"
_LEAST = "shortest lowest smallest lightest youngest slowest fewest least weakest minimum"
_MEASURED = {"tall": "height", "short": "height", "high": "height", "heavy": "weight", "light": "weight"}
_MEASURED |= {"old": "age", "young": "age", "fast": "speed", "slow": "speed", "long": "length"}


def extremes(question: Question) -> frozenset[str]:
    """What the heads and labels of a table say for words of a question: maximum and height for the tallest, age for
    how old."""
    words = set(re.findall(r"[a-z]+", question.text.lower()))
    said = {"maximum", "max"} if words & set(_MOST.split()) else set()
    said |= {"minimum", "min"} if words & set(_LEAST.split()) else set()
    bare = {re.sub(r"(?:i?est)$", "", word) for word in words}
    said |= {name for word, name in _MEASURED.items() if word in bare or word.rstrip("y") in bare}
    return frozenset(stem(word) for word in said)


_SEXES = {"M": "man", "F": "woman"}


def abbreviates(head: str, question: Question) -> bool:
    """Whether a short column head stands for words of the question: mpg for miles per gallon, disp for displacement,
    hp for horsepower."""
    if head in _SEXES:
        return any(term.stem == stem(_SEXES[head]) for term in question.terms)
    if not 2 <= len(head) <= 5 or not head.isalpha():
        return False
    initials = "".join(word[0] for word in re.findall(r"[a-z]+", question.text.lower()))
    if (len(head) > 2 or head.isupper()) and head.lower() in initials:
        return True
    words = [term.word.lower() for term in question.terms]
    return any(len(word) > len(head) + 1 and _shortens(head.lower(), word) for word in words)


def _shortens(head: str, word: str) -> bool:
    """Whether the letters of `head` stand in the word in order: its beginning, or its consonants."""
    if len(head) > 2 and word.startswith(head):
        return True
    if head[0] != word[0] or any(letter in "aeiou" for letter in head[1:]):
        return False
    letters = iter(word[1:])
    return all(letter in letters for letter in head[1:])


_FRONT = re.compile(
    r"\b(author|wrote|written|publish|journal|volume|issue|conference|symposium|affiliat|universit|institut|title|venue|"
    r"article|paper|report|manual|document|book|edition|appear|prepared|editor|keyword|dated?)",
    re.IGNORECASE,
)
_WRITTEN_BY = re.compile(r"\b(authors?|wrote|written by)\b", re.IGNORECASE)
_BYLINE = re.compile(r"([A-ZÀ-Þ][\w’'.-]*(,| and| &)?\s*){2,12}")


def _front(question: Question, unit: Unit, kind: float) -> float:
    """Whether a question asks what a title page tells and this is a line of one; more for the names of the authors."""
    if unit.page > 1 or unit.boxes[0].y0 > 0.6 or not _FRONT.search(question.text):
        return 0.0
    if any(term.literal for term in question.terms):
        return 0.0
    if _WRITTEN_BY.search(question.text) and question.kind is Kind.PERSON:
        return 2.0 if _BYLINE.fullmatch(unit.text) and unit.boxes[0].y0 < 0.5 and not unit.heading else 0.0
    return kind if question.kind is not Kind.ANY else 0.5
