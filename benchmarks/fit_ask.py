"""Fits the weights by which `omni ask` decides: `python -m benchmarks.fit_ask --write`.

For each question of every split: the candidates that omni finds, their figures, and which of them are right (an
accepted value on an accepted page). The weights maximise the likelihood of a right candidate, or of "not there" where
none is right, under a conditional logit with an outside option and a Gaussian prior (logit.py). A logistic regression
on the best candidate's figures tells the questions that can be answered from those that cannot. Then the same with one
document left out at a time (a scan together with what it was made from), each judged by weights that never saw it: the
table shows, for limits above which an answer is given, what they trade; --above keeps one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.ask import Question, holds, path_of_document, questions
from benchmarks.logit import Vector, fitted
from omni_agent.perception.choose import perceive
from omni_agent.perception.lite import answer
from omni_agent.perception.lite.candidates import candidates
from omni_agent.perception.lite.decision import COMPARED, compared
from omni_agent.perception.lite.embed import Embedder
from omni_agent.perception.lite.figures import FIGURES, figures
from omni_agent.perception.lite.questions import understand
from omni_agent.perception.lite.rerank import Reranker
from omni_agent.perception.lite.retrieval import find
from omni_agent.perception.lite.units import Unit, units
from omni_agent.tools.document import open_document
from omni_agent.types import no_progress

TARGET = Path("omni_agent/perception/lite/data/decision.json")
PRIOR = 10.0  # of each weight that tells whether there is an answer: a Gaussian of variance 1 / PRIOR, figures scaled
RARE = 0.2  # what a figure's spread counts at least: what few questions show is not blown up
STEPS = 30
LIMITS = (-1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A question with its candidates: their figures [n, figures], which are right [n], which stand on a right page."""

    question: Question
    figures: Vector
    right: npt.NDArray[np.bool_]
    page: npt.NDArray[np.bool_]


def cases() -> list[Case]:
    perception, embedder, reranker = perceive("lite"), Embedder(), Reranker()
    found: dict[str, list[Unit]] = {}
    made = []
    for question in sorted((*questions("all"), *questions("unseen")), key=lambda question: question.document):
        if question.document not in found:
            with open_document(path_of_document(question.document), perception) as document:
                found[question.document] = units(document.pages, [page.lines() for page in document.pages])
        asked = understand(question.question)
        bearing = find(asked, found[question.document], embedder, no_progress)
        every = candidates(asked, bearing, embedder, reranker)
        page = [candidate.hit.unit.page in question.pages for candidate in every]
        texts = [answer.said(asked, candidate) for candidate in every]
        right = [
            on and any(holds(text, value) for value in question.answers) for on, text in zip(page, texts, strict=True)
        ]
        best = max((candidate.logit for candidate in every), default=0.0)
        rows = np.array([figures(asked, bearing, candidate, best) for candidate in every]).reshape(-1, len(FIGURES))
        made.append(Case(question, rows, np.array(right, dtype=bool), np.array(page, dtype=bool)))
    return made


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the figures, of "not there", and of what the best candidate shows (COMPARED and its figures), and a limit."""

    figures: Vector
    none: float
    there: Vector
    limit: float

    def judged(self, case: Case) -> tuple[int, float]:
        """The best candidate, and the logit that the question can be answered."""
        best, given = _shown(case, self.figures, self.none)
        return best, float(given @ self.there - self.limit)


def learnt(given: Sequence[Case]) -> Weights:
    """The weights that these questions teach."""
    both = fitted([(case.figures, case.right) for case in given])
    weights, none = both[:-1], float(both[-1])
    shown = np.array([_shown(case, weights, none)[1] for case in given])
    there, limit = _logistic(shown, np.array([bool(case.question.answers) for case in given], dtype=float))
    return Weights(weights, none, there, limit)


def _shown(case: Case, weights: Vector, none: float) -> tuple[int, Vector]:
    worths = case.figures @ weights - none
    best = int(worths.argmax())
    return best, np.array([*compared(worths.tolist()), *case.figures[best]])


def _logistic(given: Vector, right: Vector) -> tuple[Vector, float]:
    """Weights and a limit: given @ weights - limit is the logit of being right. Newton's steps."""
    middle, spread = given.mean(axis=0), np.maximum(given.std(axis=0), RARE)
    scaled = np.c_[(given - middle) / spread, np.ones(len(given))]
    prior = np.append(np.full(given.shape[1], PRIOR), 1e-6)
    weights = np.zeros(len(prior))
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-scaled @ weights))
        gradient = scaled.T @ (likely - right) + prior * weights
        weights -= np.linalg.solve((scaled.T * (likely * (1 - likely))) @ scaled + np.diag(prior), gradient)
    plain = weights[:-1] / spread
    return plain, float(plain @ middle - weights[-1])


def left_out(given: Sequence[Case]) -> list[tuple[Case, int, float]]:
    """Each question's best candidate and its logit of being answerable, by weights fitted without its document."""
    judged = []
    for document in sorted({_source(case) for case in given}):
        weights = learnt([case for case in given if _source(case) != document])
        judged += [(case, *weights.judged(case)) for case in given if _source(case) == document]
    return judged


def _source(case: Case) -> str:
    return case.question.document.removesuffix("-scan")


def traded(judged: Sequence[tuple[Case, int, float]], limit: float) -> dict[str, float]:
    """Shares in per cent when an answer is given for a worth above the limit."""
    there = [(case, best, worth > limit) for case, best, worth in judged if case.question.answers]
    gone = [worth > limit for case, _, worth in judged if not case.question.answers]
    return {
        "answers right": 100 * float(np.mean([says and case.right[best] for case, best, says in there])),
        "pages right": 100 * float(np.mean([says and case.page[best] for case, best, says in there])),
        "false not there": 100 * float(np.mean([not says for *_, says in there])),
        "false answers": 100 * float(np.mean(gone)),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--above", type=float, default=0.0, help="the limit that is kept")
    options.add_argument("--write", action="store_true", help=f"keep the weights in {TARGET}")
    chosen = options.parse_args()
    given = [case for case in cases() if len(case.figures)]
    judged = left_out(given)
    for limit in LIMITS:
        print(f"{limit:5.2f}  " + "  ".join(f"{name} {share:5.1f} %" for name, share in traded(judged, limit).items()))
    weights = learnt(given)
    kept = {
        "weights": _named(FIGURES, weights.figures),
        "not there": round(weights.none, 3),
        "there": {**_named((*COMPARED, *FIGURES), weights.there), "limit": round(weights.limit + chosen.above, 3)},
        "fitted on": f"{len(given)} questions about {len({_source(case) for case in given})} documents",
        "one document left out": {name: round(share, 1) for name, share in traded(judged, chosen.above).items()},
    }
    print(json.dumps(kept, indent=1))
    if chosen.write:
        TARGET.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _named(names: Sequence[str], weights: Vector) -> dict[str, float]:
    return {name: round(float(weight), 3) for name, weight in zip(names, weights, strict=True)}


if __name__ == "__main__":
    main()
