"""Answers that are quoted: the sentence or the table cell that holds what was asked for, or an honest "not there"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni_agent.perception.lite import decision
from omni_agent.perception.lite.candidates import Candidate, candidates
from omni_agent.perception.lite.figures import figures
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.questions import Question, holds, understand
from omni_agent.perception.lite.retrieval import find
from omni_agent.perception.lite.units import Unit, units
from omni_agent.perception.lite.words import stems
from omni_agent.types import Page, Progress, Quote, Reply

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder
    from omni_agent.perception.lite.rerank import Reranker

LONG = 320  # characters; a longer sentence is cut around what it shares with the question
QUOTES = 3
TOGETHER = 45  # words of two sentences that are one answer
NEARLY = 0.7  # logits below the best at which another unit is quoted beside it

Ranked = tuple[float, Candidate, tuple[float, ...]]


def answer(question: str, pages: Sequence[Page], embedder: Embedder, reranker: Reranker, progress: Progress) -> Reply:
    """The best evidence for a question, quoted with its boxes; `found` False where nothing on the pages answers it."""
    lines = []
    for number, page in enumerate(pages):
        progress("reading", number, len(pages))
        lines.append(page.lines())
    progress("reading", len(pages), len(pages))
    if not any(lines):
        return Reply(False, "", reason="there is no text on these pages")
    asked = understand(question)
    ranked = rank(asked, units(pages, lines), embedder, reranker, progress)
    if not ranked:
        return Reply(False, "", reason="there is no sentence or table row on these pages")
    worth, best, figured = ranked[0]
    there = decision.DOCUMENTS.there([other for other, *_ in ranked], figured)
    if there <= 0:
        return Reply(False, "", reason=_reason(asked, best))
    told = [best] if (beside := _beside(ranked)) is None else sorted((best, beside), key=lambda c: c.hit.index)
    near = [candidate for other, candidate, _ in ranked if other > worth - NEARLY]
    cited = list(dict.fromkeys(candidate.hit.unit for candidate in (best, *told, *near)))[:QUOTES]
    quotes = tuple(Quote(unit.file, unit.page, unit.text, unit.boxes) for unit in cited)
    text = " ".join(said(asked, candidate) for candidate in told)
    return Reply(True, text, quotes, confidence=round(decision.confidence(there), 2))


def rank(
    asked: Question, found: Sequence[Unit], embedder: Embedder, reranker: Reranker, progress: Progress
) -> list[Ranked]:
    """The candidates with their worth over "not there" and their figures, best first."""
    if not found:
        return []
    bearing = find(asked, found, embedder, progress)
    every = candidates(asked, bearing, embedder, reranker)
    highest = max(candidate.logit for candidate in every)
    figured = [figures(asked, bearing, candidate, highest) for candidate in every]
    worths = map(decision.DOCUMENTS.worth, figured)
    return sorted(zip(worths, every, figured, strict=True), key=lambda ranked: -ranked[0])


def _beside(ranked: Sequence[Ranked]) -> Candidate | None:
    """The second best where it is nearly as good and the sentence right before or after the best: they are one answer,
    unless they are long."""
    if len(ranked) < 2:
        return None
    (worth, best, _), (other, second, _) = ranked[:2]
    follow = abs(best.hit.index - second.hit.index) == 1 and best.hit.unit.page == second.hit.unit.page
    sentences = best.cell is None and second.cell is None and not second.hit.unit.heading
    short = len(best.hit.unit.text.split()) + len(second.hit.unit.text.split()) <= TOGETHER
    return second if follow and sentences and short and other > worth - NEARLY else None


def _reason(question: Question, best: Candidate) -> str:
    """What the best that was found lacks."""
    missing = [term.word for term in question.terms if term.literal and not term.among(best.hit.around)]
    if missing:
        return f"no passage about this names {', '.join(f'“{word}”' for word in missing)}"
    text = best.hit.unit.text if best.cell is None else best.cell.text
    if question.kind is not Kind.ANY and not holds(question, text):
        return f"nothing that was found holds {question.kind.value}"
    return "no passage is close enough to the question"


# --- what is said -----------------------------------------------------------------------------------------------------


def said(question: Question, candidate: Candidate) -> str:
    """The answer in the document's words: a sentence, or a cell with its row's label and its column's head."""
    unit, cell = candidate.hit.unit, candidate.cell
    if cell is None:
        return unit.text if len(unit.text) <= LONG else _cut(unit.text, question)
    label = unit.cells[0]
    if cell is label:
        return " — ".join(other.text for other in unit.cells[:3])
    counted = unit.scale and re.search(r"\d", cell.text) and not re.search(r"%|percent|rate|ratio", cell.head, re.I)
    head = f" ({cell.head})" if cell.head else ""
    of = f"{label.text.rstrip(':')}: " if label.text else ""
    return f"{of}{cell.text}{' ' + unit.scale if counted else ''}{head}"


def _cut(text: str, question: Question) -> str:
    """The stretch of a long sentence, at most LONG characters, that shares most with the question."""
    terms = {term.stem for term in question.terms}
    words = text.split()
    worth = [len(terms.intersection(stems(word))) + 0.5 * holds(question, word) for word in words]
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
