"""What may be the answer: sentences and table cells, each read together with the question and described by figures.

The figures (`figures.py`) decide which is the best and whether it is an answer at all, by the weights in `decision.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_agent.perception.lite.questions import Question
from omni_agent.perception.lite.retrieval import Found, Hit
from omni_agent.perception.lite.rows import Cell
from omni_agent.perception.lite.words import stems

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder
    from omni_agent.perception.lite.rerank import Reranker

READ = 26  # units that are read together with the question
READ_ROWS = 12  # of which rows at least, where there are so many
AGAIN = 5  # sentences that are read once more with what stands before them
CONTEXT = 200  # characters of what a row stands under that are read before it
ROWS = 8  # rows whose cells are read one by one
LOGITS_LABELLED = 2.0  # the same, in the reranker's logits
LABELLED = 0.3  # what a row gains, among rows, whose label the question says


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
    rows_of.sort(key=lambda hit: -hit.score - LABELLED * _labelled(question, hit))
    hits = list(dict.fromkeys((*found.hits[:READ], *rows_of[:READ_ROWS])))
    logits = reranker.score(question.text, [_statement(hit) for hit in hits]).tolist()
    made = []
    ranked = sorted(zip(logits, hits, strict=True), key=lambda pair: -pair[0])
    sentences = [(logit, hit) for logit, hit in ranked if not hit.unit.cells]
    context = reranker.score(question.text, [_in_context(hit) for _, hit in sentences[:AGAIN]]).tolist()
    for index, (logit, hit) in enumerate(sentences):
        made.append(Candidate(hit, None, logit, context[index] if index < len(context) else logit))
    rows = [(logit, hit) for logit, hit in ranked if hit.unit.cells]
    rows.sort(key=lambda pair: -pair[0] - LOGITS_LABELLED * _labelled(question, pair[1]))
    cells = [(logit, hit, cell) for logit, hit in rows[:ROWS] for cell in hit.unit.cells if cell.text]
    read = reranker.score(question.text, [_cell_statement(hit, cell) for _, hit, cell in cells]).tolist()
    vectors = embedder.embed([question.text, *(f"{hit.unit.cells[0].text} {cell.head}" for _, hit, cell in cells)])
    alike = (vectors[1:] @ vectors[0]).tolist()
    made += [
        Candidate(hit, cell, score, logit, likeness)
        for (logit, hit, cell), score, likeness in zip(cells, read, alike, strict=True)
    ]
    return sorted(made, key=lambda candidate: -candidate.logit)


def _labelled(question: Question, hit: Hit) -> float:
    """The share of a row's label that the question says."""
    label = set(stems(hit.unit.cells[0].text))
    return len(label.intersection(term.stem for term in question.terms)) / max(1, len(label))


def _statement(hit: Hit) -> str:
    unit = hit.unit
    if not unit.cells:
        return unit.text
    cells = "; ".join(f"{cell.head} {cell.text}".strip() for cell in unit.cells[1:])
    return f"{unit.context[-CONTEXT:]}. {f'{unit.cells[0].text}: '.removeprefix(': ')}{cells}"[:360]


def _in_context(hit: Hit) -> str:
    return f"{hit.unit.context}. {hit.before} {hit.unit.text}"


def _cell_statement(hit: Hit, cell: Cell) -> str:
    label = hit.unit.cells[0]
    if cell is label:
        return f"{hit.unit.context}. {cell.text}"
    above = ", ".join(part for part in (label.text, cell.head) if part)
    return f"{hit.unit.context}. {above}: {cell.text}" if above else f"{hit.unit.context}. {cell.text}"
