"""Answers that are quoted: the sentence or the table cell that holds what was asked for, or an honest "not there"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni_agent.perception.lite import tables
from omni_agent.perception.lite.questions import Question, holds, stems, understand
from omni_agent.perception.lite.retrieval import Hit, find
from omni_agent.perception.lite.tables import Cell
from omni_agent.perception.lite.units import units
from omni_agent.types import Page, Progress, Quote, Reply

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder

CANDIDATES = 12
TRIES = 4  # units that are looked at when the best does not hold what was asked for
NEAR_MISS = 0.2  # and how much worse than the best they may be
CLOSE, FEW_TERMS, ALIKE = 0.62, 0.4, 0.7
LONG = 320  # characters; a longer sentence is cut around what it shares with the question
KIND_WEIGHT = 0.15  # for holding the kind of value that was asked for
HEADING_WEIGHT = 0.12  # against headings and crumbs: they name what is asked for and do not say it
CODE_WEIGHT = 0.12  # against lines of code and formulas
AUTHOR_WEIGHT = 0.5  # for a line of names at the head of the first page, where somebody asks who wrote it


def answer(question: str, pages: Sequence[Page], embedder: Embedder, progress: Progress) -> Reply:
    """The best evidence for a question, quoted with its boxes; `found` False where nothing on the pages answers it."""
    lines = []
    for number, page in enumerate(pages):
        progress("reading", number, len(pages))
        lines.append(page.lines())
    progress("reading", len(pages), len(pages))
    if not any(lines):
        return Reply(False, "", reason="there is no text on these pages")
    asked = understand(question)
    hits = find(asked, units(pages, lines), embedder, progress)[:CANDIDATES]
    hits.sort(key=lambda hit: -_worth(asked, hit))
    if not hits:
        return Reply(False, "", reason="there is no sentence or table row on these pages")
    doubts = [absent(asked, hit) for hit in hits[:TRIES]]
    chosen = next((hit for hit, doubt in zip(hits, doubts, strict=False) if not doubt), None)
    if chosen is None or _worth(asked, chosen) < _worth(asked, hits[0]) - NEAR_MISS:
        return Reply(False, "", reason=doubts[0])
    best = chosen
    text = _said(asked, best, embedder)
    after = hits[hits.index(best) + 1 :][:2]
    second = [hit for hit in after if hit.score > best.score - 0.08 and not absent(asked, hit)]
    quotes = tuple(Quote(hit.unit.file, hit.unit.page, hit.unit.text, hit.unit.boxes) for hit in (best, *second))
    return Reply(True, text, quotes, confidence=round(min(0.99, max(0.05, best.score / 1.3)), 2))


def _worth(question: Question, hit: Hit) -> float:
    """How well a unit answers: how it was found, and what speaks for and against its form."""
    unit = hit.unit
    signs = sum(c in "=<>{}[]();$&\\|_" for c in unit.text) / max(1, len(unit.text))
    crumb = unit.heading or (not unit.cells and len(unit.text.split()) < 4)
    worth = hit.score + KIND_WEIGHT * _fits(question, hit)
    worth -= HEADING_WEIGHT * crumb + CODE_WEIGHT * (signs > 0.06 and not unit.cells)
    return worth + AUTHOR_WEIGHT * _is_byline(question, hit)


def _is_byline(question: Question, hit: Hit) -> bool:
    asks = re.search(r"^who (wrote|(is|are|was|were) the authors?)|\bauthors?\b.*\?$", question.text, re.IGNORECASE)
    unit = hit.unit
    return (
        asks is not None
        and unit.page == 1
        and unit.boxes[0].y0 < 0.5
        and re.fullmatch(r"([A-Z][\w’'.-]*(,| and| &)?\s*){2,12}", unit.text) is not None
        and not unit.heading
    )


def _fits(question: Question, hit: Hit) -> bool:
    return holds(question, f"{hit.unit.text} {hit.unit.heads}" if question.kind == "money" else hit.unit.text)


def absent(question: Question, best: Hit) -> str:
    """Why a unit does not answer the question, or an empty string where it does.

    A score alone cannot tell: the kind of value has to be there, and what the question names. The limits were set on
    the tuning part of the questions in benchmarks/questions/ask.jsonl.
    """
    if not _fits(question, best):
        return f"nothing that was found holds {_WANTED[question.kind]}"
    missing = [term.word for term in question.terms if term.literal and term.stem not in best.around]
    if missing:
        return f"no passage about this names {_listed(missing)}"
    if best.unit.cells and not _speaks_of(question, best):
        return "no table row is about what is asked"
    if best.score < CLOSE or (best.near < FEW_TERMS and best.cosine < ALIKE):
        return "no passage is close enough to the question"
    return ""


def _speaks_of(question: Question, hit: Hit) -> bool:
    """Whether the question shares a word with what a row is about: its label or its cells of words."""
    terms = {term.stem for term in question.terms}
    return any(
        terms & set(stems(cell.text))
        for index, cell in enumerate(hit.unit.cells)
        if index == 0 or not tables.is_value(cell.text)
    )


_WANTED = {
    "number": "a number",
    "money": "a sum of money",
    "date": "a date",
    "person": "a name",
    "place": "a place",
    "yesno": "an answer",
    "any": "an answer",
}


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


# --- what is said -----------------------------------------------------------------------------------------------------


def _said(question: Question, hit: Hit, embedder: Embedder) -> str:
    """The answer in the document's words: a sentence, or a cell with its row's label and its column's head."""
    if not hit.unit.cells:
        return hit.unit.text if len(hit.unit.text) <= LONG else _cut(hit.unit.text, question)
    label, *values = hit.unit.cells
    if not values:
        return label.text
    chosen = _cell(question, hit, embedder)
    if chosen is label:
        return " — ".join(cell.text for cell in hit.unit.cells[:3])
    head = f" ({chosen.head})" if chosen.head else ""
    return f"{label.text}: {chosen.text}{head}"


def _cell(question: Question, hit: Hit, embedder: Embedder) -> Cell:
    """The cell that answers: its head is what is asked for, its kind fits, and it does not repeat the question."""
    terms = {term.stem for term in question.terms}
    cells = list(hit.unit.cells)
    label = " ".join([hit.unit.context, cells[0].text])
    vectors = embedder.embed([question.text, *(f"{label} {cell.head}" for cell in cells)])
    likeness = (vectors[1:] @ vectors[0]).tolist()

    def score(index: int) -> float:
        cell = cells[index]
        head, own = set(stems(cell.head)), set(stems(cell.text))
        matched = len(head & terms) / max(1, len(terms)) - 0.15 * len(head - terms) / max(1, len(head))
        known = len(own & terms) / max(1, len(own))
        fits = holds(question, cell.text) and (
            question.kind not in ("number", "money") or tables.is_value(cell.text) or index > 0
        )
        return likeness[index] + 1.5 * matched - known + 0.4 * fits - 0.2 * (index == 0)

    return cells[max(range(len(cells)), key=score)]


def _cut(text: str, question: Question) -> str:
    """The stretch of a long sentence, at most LONG characters, that shares most with the question."""
    terms = {term.stem for term in question.terms}
    words = text.split()
    worth = [len(terms.intersection(stems(word))) + 0.5 * (holds(question, word)) for word in words]
    best, chosen = -1.0, (0, len(words))
    for start in range(len(words)):
        end, length = start, 0
        while end < len(words) and length + len(words[end]) + 1 <= LONG:
            length += len(words[end]) + 1
            end += 1
        if sum(worth[start:end]) > best:
            best, chosen = sum(worth[start:end]), (start, end)
    start, end = chosen
    return "… " * (start > 0) + " ".join(words[start:end]) + " …" * (end < len(words))
