"""Finding the units that bear on a question: passages by meaning and by terms, then their sentences and rows.

Ranks are not fused with equal weight: on paraphrased questions term matching alone finds 3 of 16 where meaning finds
all 16, and fusing the two finds 5. The score is the cosine, plus what the terms add; units that hold most of the
question's terms are looked at whatever their passage means.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_agent.perception.lite.questions import Question
from omni_agent.perception.lite.units import Unit
from omni_agent.perception.lite.words import stem, stems
from omni_agent.types import Progress

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder

PASSAGE_WORDS = 90
EMBEDDED = 1500  # passages whose meaning is compared: about 300 pages; of longer documents those with most of the terms
PASSAGES = 12  # that are looked at sentence by sentence
BY_TERMS = 12  # units looked at for their terms alone
TERM_WEIGHT = 0.45
CONTEXT_SHARE = 0.6  # of a term's weight when only the heading, the caption or a neighbour holds it


@dataclass(frozen=True, slots=True)
class Hit:
    """A unit, its place in reading order, and why it was found: the cosine with the question, the share of the
    question's terms that it holds (by rarity, those of its context and its neighbours counted in part), and the
    sentence before it."""

    index: int
    unit: Unit
    cosine: float
    near: float
    around: frozenset[str]  # stems of the unit, its context and its neighbours
    before: str

    @property
    def score(self) -> float:
        return self.cosine + TERM_WEIGHT * self.near


@dataclass(frozen=True, slots=True)
class Found:
    """The best units for a question, best first, and how rare each of its terms is in the document: 0 in every passage,
    1 in none."""

    hits: tuple[Hit, ...]
    rarity: dict[str, float]


def find(question: Question, found: Sequence[Unit], embedder: Embedder, progress: Progress) -> Found:
    """The units that bear on a question."""
    short = _initials(question)
    words = [_held(unit.text, short) for unit in found]
    context = [_held(f"{unit.context} {unit.heads}", short) for unit in found]
    groups = _passages(found)
    held = [frozenset().union(*(words[i] | context[i] for i in group)) for group in groups]
    rarity = _rarity(question, held)
    asked = embedder.embed([question.text])[0]
    shares = [_share(rarity, stems) for stems in held]
    read = sorted(sorted(range(len(groups)), key=lambda g: -shares[g])[:EMBEDDED])
    scores: dict[int, float] = {}
    for start in range(0, len(read), 64):
        progress("searching", start, len(read))
        part = read[start : start + 64]
        cosines = (embedder.embed([_joined([found[i] for i in groups[g]]) for g in part]) @ asked).tolist()
        scores |= {g: cosine + TERM_WEIGHT * shares[g] for g, cosine in zip(part, cosines, strict=True)}
    best = sorted(scores, key=lambda g: -scores[g])[:PASSAGES]
    by_terms = sorted(range(len(found)), key=lambda i: -_near(rarity, words[i], context[i]))[:BY_TERMS]
    indices = sorted({i for g in best for i in groups[g]} | set(by_terms))
    vectors = embedder.embed([_with_context(found[i]) for i in indices])
    hits = []
    for i, cosine in zip(indices, (vectors @ asked).tolist(), strict=True):
        beside = [j for j in (i - 1, i + 1) if 0 <= j < len(found) and _alike(found, i, j)]
        around = context[i].union(*(words[j] for j in beside))
        before = found[i - 1].text if i - 1 in beside and not found[i - 1].heading else ""
        hits.append(Hit(i, found[i], cosine, _near(rarity, words[i], around), words[i] | around, before))
    progress("searching", len(read), len(read))
    return Found(tuple(sorted(hits, key=lambda hit: -hit.score)), rarity)


def _initials(question: Question) -> dict[str, frozenset[str]]:
    """What initials in capitals may stand for: three to five words of the question in a row."""
    words = re.findall(r"[A-Za-z]+", question.text)
    runs = (words[i : i + size] for size in (3, 4, 5) for i in range(len(words) - size + 1))
    return {"".join(word[0] for word in run).upper(): frozenset(map(stem, run)) for run in runs}


def _held(text: str, short: dict[str, frozenset[str]]) -> frozenset[str]:
    """The stems of a text, with those that its initials stand for."""
    initials = short.keys() & set(re.findall(r"\b[A-Z]{3,5}\b", text))
    return frozenset(stems(text)).union(*(short[letters] for letters in initials))


def _near(rarity: dict[str, float], words: frozenset[str], around: frozenset[str]) -> float:
    own = _share(rarity, words)
    return own + CONTEXT_SHARE * (_share(rarity, words | around) - own)


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


def _rarity(question: Question, passages: Sequence[frozenset[str]]) -> dict[str, float]:
    """How rare each term of the question is in the document: BM25's idf over that of a term that no passage holds."""
    counts = Counter(stem for passage in passages for stem in passage)
    n = len(passages)

    def idf(count: int) -> float:
        return math.log(1 + (n - count + 0.5) / (count + 0.5))

    return {term.stem: idf(counts[term.stem]) / idf(0) for term in question.terms}


def _share(weights: dict[str, float], words: frozenset[str]) -> float:
    total = sum(weights.values())
    return sum(weight for stem, weight in weights.items() if stem in words) / total if total else 0.0
