"""What may be the answer: sentences and table cells, each read together with the question and described by figures.

The figures decide which is the best and whether it is an answer at all, by the weights in `decision.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.questions import Question, Term, holds
from omni_agent.perception.lite.retrieval import Found, Hit
from omni_agent.perception.lite.rows import Cell
from omni_agent.perception.lite.units import Unit
from omni_agent.perception.lite.words import stems

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder
    from omni_agent.perception.lite.rerank import Reranker

READ = 26  # units that are read together with the question
READ_ROWS = 8  # of which rows at least, where there are so many
AGAIN = 5  # sentences that are read once more with what stands before them
ROWS = 6  # rows whose cells are read one by one


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence, or a row with the cell that answers. `logit` and `in_context` are the reranker's: a sentence's alone
    and with its heading and the sentence before it, a cell's and its row's. `likeness` is the cosine between the
    question and a cell's label and head."""

    hit: Hit
    cell: Cell | None
    logit: float
    in_context: float
    likeness: float = 0.0


def candidates(question: Question, found: Found, embedder: Embedder, reranker: Reranker) -> list[Candidate]:
    """The candidates for an answer, the reranker's favourites first."""
    rows_of = [hit for hit in found.hits if hit.unit.cells]
    hits = list(dict.fromkeys((*found.hits[:READ], *rows_of[:READ_ROWS])))
    logits = reranker.score(question.text, [_statement(hit) for hit in hits]).tolist()
    made = []
    ranked = sorted(zip(logits, hits, strict=True), key=lambda pair: -pair[0])
    sentences = [(logit, hit) for logit, hit in ranked if not hit.unit.cells]
    context = reranker.score(question.text, [_in_context(hit) for _, hit in sentences[:AGAIN]]).tolist()
    for index, (logit, hit) in enumerate(sentences):
        made.append(Candidate(hit, None, logit, context[index] if index < len(context) else logit))
    rows = [(logit, hit) for logit, hit in ranked if hit.unit.cells]
    cells = [(logit, hit, cell) for logit, hit in rows[:ROWS] for cell in hit.unit.cells if cell.text]
    read = reranker.score(question.text, [_cell_statement(hit, cell) for _, hit, cell in cells]).tolist()
    vectors = embedder.embed([question.text, *(f"{hit.unit.cells[0].text} {cell.head}" for _, hit, cell in cells)])
    alike = (vectors[1:] @ vectors[0]).tolist()
    made += [
        Candidate(hit, cell, score, logit, likeness)
        for (logit, hit, cell), score, likeness in zip(cells, read, alike, strict=True)
    ]
    return sorted(made, key=lambda candidate: -candidate.logit)


def _statement(hit: Hit) -> str:
    unit = hit.unit
    if not unit.cells:
        return unit.text
    cells = "; ".join(f"{cell.head} {cell.text}".strip() for cell in unit.cells[1:])
    return f"{unit.context}. {f'{unit.cells[0].text}: '.removeprefix(': ')}{cells}"[:360]


def _in_context(hit: Hit) -> str:
    return f"{hit.unit.context}. {hit.before} {hit.unit.text}"


def _cell_statement(hit: Hit, cell: Cell) -> str:
    label = hit.unit.cells[0]
    if cell is label:
        return f"{hit.unit.context}. {cell.text}"
    above = ", ".join(part for part in (label.text, cell.head) if part)
    return f"{hit.unit.context}. {above}: {cell.text}" if above else f"{hit.unit.context}. {cell.text}"


# --- figures ----------------------------------------------------------------------------------------------------------

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
    "front page fact",
    "heading",
)


RARE = frozenset({Kind.PHONE, Kind.EMAIL, Kind.ADDRESS, Kind.MONEY, Kind.PERCENT, Kind.TIME, Kind.VERSION})


def figures(question: Question, found: Found, candidate: Candidate) -> tuple[float, ...]:
    """What speaks for and against a candidate, in the order of FIGURES, most of them 0 to 1."""
    hit, cell = candidate.hit, candidate.cell
    unit = hit.unit
    text = unit.text if cell is None else cell.text
    missing = [term for term in question.terms if term.literal and not term.among(hit.around)]
    numbers = [term for term in missing if term.word[:1].isdigit()]
    names = [term for term in missing if term not in numbers]
    kind = holds(question, text)
    lacks = float(question.kind is not Kind.ANY and kind == 0)
    new = {stem for stem in stems(text) if len(stem) > 1 or stem.isdigit()} - set(stems(question.text))
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
    )


def _rarest(found: Found, terms: Sequence[Term]) -> float:
    return max((found.rarity[term.stem] for term in terms), default=0.0)


def _cell_figures(question: Question, found: Found, candidate: Candidate) -> tuple[float, ...]:
    cell, unit = candidate.cell, candidate.hit.unit
    if cell is None:
        return (0.0,) * 6
    terms = {term.stem for term in question.terms}
    label = set(stems(unit.cells[0].text))
    head = set(stems(cell.head)) - label
    short = any(abbreviates(word, question) for word in cell.head.split())
    wanted = sum(found.rarity.values()) or 1.0
    explained = terms & (label | head | set(stems(unit.context)))
    return (
        1.0,
        sum(found.rarity[stem] for stem in explained) / wanted,
        len(label & terms) / max(1, len(label)),
        1.0 if short else len(head & terms) / max(1, len(head)),
        float(bool(head) and not short and not head & terms),
        candidate.likeness,
    )


def abbreviates(head: str, question: Question) -> bool:
    """Whether a short column head stands for words of the question: mpg for miles per gallon, disp for displacement,
    hp for horsepower."""
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
