"""Answers that are quoted: the sentence or the table cell that holds what was asked for, or an honest "not there"."""

from __future__ import annotations

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
LONG = 320  # characters; a longer sentence is cut around what it shares with the question
KIND_WEIGHT = 0.12  # for holding the kind of value that was asked for


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
    hits.sort(key=lambda hit: -(hit.score + KIND_WEIGHT * _fits(asked, hit)))
    if not hits:
        return Reply(False, "", reason="there is no sentence or table row on these pages")
    best = hits[0]
    doubt = absent(asked, best, embedder)
    if doubt:
        return Reply(False, "", confidence=0.0, reason=doubt)
    text = _said(asked, best, embedder)
    second = [hit for hit in hits[1:3] if hit.score > best.score - 0.08 and _fits(asked, hit)]
    quotes = tuple(Quote(hit.unit.file, hit.unit.page, hit.unit.text, hit.unit.boxes) for hit in (best, *second))
    return Reply(True, text, quotes, confidence=round(min(0.99, max(0.05, best.score / 1.3)), 2))


def _fits(question: Question, hit: Hit) -> bool:
    return holds(question, f"{hit.unit.text} {hit.unit.heads}" if question.kind == "money" else hit.unit.text)


def absent(question: Question, best: Hit, embedder: Embedder) -> str:
    """Why the best evidence does not answer the question, or an empty string where it does."""
    if not _fits(question, best):
        return f"nothing that was found holds {_WANTED[question.kind]}"
    missing = [term.word for term in question.terms if term.literal and term.stem not in best.around]
    if missing:
        return f"no passage about this names {_listed(missing)}"
    if best.score < 0.62:
        return "no passage is close enough to the question"
    return ""


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
