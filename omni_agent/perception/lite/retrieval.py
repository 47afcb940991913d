"""Finding the units that bear on a question: meaning first, exact terms and numbers second.

Ranks are not fused with equal weight: on paraphrased questions term matching alone finds 3 of 16 where meaning finds
all 16, and fusing the two finds 5. The score is the cosine, plus what the terms add.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_agent.perception.lite.questions import Question, stems
from omni_agent.perception.lite.units import Unit
from omni_agent.types import Progress

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder

PASSAGE_WORDS = 90
MANY_PASSAGES = 300  # beyond it (about 50 dense pages) terms choose which passages are embedded
PASSAGES = 12  # that are looked at sentence by sentence
TERM_WEIGHT = 0.45
BREVITY_WEIGHT = 0.12  # for saying little else: long sentences hold many words by chance
CONTEXT_SHARE = 0.6  # of a term's weight when only the heading, the caption or a neighbour holds it


@dataclass(frozen=True, slots=True)
class Hit:
    """A unit with why it was found: cosine with the question, the share of the question's terms it holds (by weight),
    and that share with its context and its neighbours counted in part."""

    unit: Unit
    cosine: float
    coverage: float
    near: float
    around: frozenset[str]  # stems of the unit, its context and its neighbours
    brevity: float  # the share of the unit's words that the question has too

    @property
    def score(self) -> float:
        return self.cosine + TERM_WEIGHT * self.near + BREVITY_WEIGHT * self.brevity


def find(question: Question, found: Sequence[Unit], embedder: Embedder, progress: Progress) -> list[Hit]:
    """The best units for a question, best first."""
    import numpy as np

    if not found:
        return []
    words = [frozenset(stems(unit.text)) for unit in found]
    context = [frozenset(stems(f"{unit.context} {unit.heads}")) for unit in found]
    groups = _passages(found)
    weights = _weights(question, [frozenset().union(*(words[i] | context[i] for i in group)) for group in groups])
    asked = embedder.embed([question.text])[0]
    by_terms = [_share(weights, frozenset().union(*(words[i] | context[i] for i in group))) for group in groups]
    chosen = sorted(range(len(groups)), key=lambda g: -by_terms[g])[:MANY_PASSAGES]
    cosines: dict[int, float] = {}
    for start in range(0, len(chosen), 64):
        progress("searching", start, len(chosen))
        part = chosen[start : start + 64]
        texts = [_joined([found[i] for i in groups[g]]) for g in part]
        cosines.update(zip(part, (embedder.embed(texts) @ asked).tolist(), strict=True))
    best = sorted(chosen, key=lambda g: -(cosines[g] + TERM_WEIGHT * by_terms[g]))[:PASSAGES]
    indices = [i for g in sorted(best) for i in groups[g]]
    vectors = embedder.embed([_with_context(found[i]) for i in indices])
    asked_stems = frozenset(stems(question.text))
    hits = []
    for i, cosine in zip(indices, (np.asarray(vectors) @ asked).tolist(), strict=True):
        beside = frozenset().union(*(words[j] for j in (i - 1, i + 1) if 0 <= j < len(found) and _alike(found, i, j)))
        around = context[i] | beside
        coverage = _share(weights, words[i])
        near = coverage + CONTEXT_SHARE * (_share(weights, words[i] | around) - coverage)
        brevity = len(asked_stems & words[i]) / max(4, len(words[i]))
        hits.append(Hit(found[i], cosine, coverage, near, words[i] | around, brevity))
    progress("searching", len(chosen), len(chosen))
    return sorted(hits, key=lambda hit: -hit.score)


def _alike(found: Sequence[Unit], i: int, j: int) -> bool:
    """Whether two neighbours are sentences of one page: a table row says nothing about the row beside it."""
    return found[i].page == found[j].page and not found[i].cells and not found[j].cells


def _with_context(unit: Unit) -> str:
    return f"{unit.context}. {unit.searchable}" if unit.cells and unit.context else unit.searchable


def _joined(passage: Sequence[Unit]) -> str:
    context = passage[0].context
    return f"{context}. " * bool(context) + " ".join(unit.searchable for unit in passage)


def _passages(found: Sequence[Unit]) -> list[list[int]]:
    """Units in groups of about PASSAGE_WORDS, none over a page end or from prose into a table."""
    groups: list[list[int]] = []
    size = 0
    for index, unit in enumerate(found):
        last = found[index - 1] if index else None
        length = len(unit.searchable.split())
        if (
            last is None
            or (last.file, last.page, last.context) != (unit.file, unit.page, unit.context)
            or size + length > PASSAGE_WORDS
        ):
            groups.append([])
            size = 0
        groups[-1].append(index)
        size += length
    return groups


def _weights(question: Question, passages: Sequence[frozenset[str]]) -> dict[str, float]:
    """How much each term of the question tells, by how few passages hold it (BM25's idf); absent ones tell most."""
    counts = Counter(stem for passage in passages for stem in passage)
    n = len(passages)
    return {
        term.stem: math.log(1 + (n - counts[term.stem] + 0.5) / (counts[term.stem] + 0.5))
        * (1.5 if term.literal else 1)
        for term in question.terms
    }


def _share(weights: dict[str, float], words: frozenset[str]) -> float:
    total = sum(weights.values())
    return sum(weight for stem, weight in weights.items() if stem in words) / total if total else 0.0
