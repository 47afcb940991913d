"""Fits the weights by which `omni ask` decides: `python -m benchmarks.fit_ask --write`.

For each question of the tune split: the candidates that omni finds, their figures, and which of them are right (an
accepted value on an accepted page). The weights maximise the likelihood of a right candidate, or of "not there" where
none is right, under a conditional logit with an outside option and a Gaussian prior. Then the same with one document
left out at a time (a scan together with what it was made from), each judged by weights that never saw it: the
table shows, for limits above which the best candidate is given as the answer, what they trade; --above keeps one.
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
from omni_agent.perception.choose import perceive
from omni_agent.perception.lite import answer
from omni_agent.perception.lite.candidates import FIGURES, candidates, figures
from omni_agent.perception.lite.embed import Embedder
from omni_agent.perception.lite.questions import understand
from omni_agent.perception.lite.rerank import Reranker
from omni_agent.perception.lite.retrieval import find
from omni_agent.perception.lite.units import Unit, units
from omni_agent.tools.document import open_document
from omni_agent.types import no_progress

TARGET = Path("omni_agent/perception/lite/data/decision.json")
PRIOR = 0.5  # of each weight: a Gaussian of variance 1 / PRIOR
STEPS = 600
LIMITS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0)

Vector = npt.NDArray[np.float64]


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
    for question in questions("tune"):
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
        rows = np.array([figures(asked, bearing, candidate) for candidate in every]).reshape(-1, len(FIGURES))
        made.append(Case(question, rows, np.array(right, dtype=bool), np.array(page, dtype=bool)))
    return made


def fitted(given: Sequence[Case]) -> Vector:
    """The weights, and last the worth of "not there": Adam on the whole, which converges as the loss is convex but for
    questions with several right candidates."""
    weights = np.zeros(len(FIGURES) + 1)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        gradient = PRIOR * np.append(weights[:-1], 0.0)
        for case in given:
            worths = np.append(case.figures @ weights[:-1], weights[-1])
            likely = np.exp(worths - worths.max())
            likely /= likely.sum()
            goal = likely * np.append(case.right, not case.right.any())
            wrong = likely - goal / goal.sum()
            gradient += np.append(wrong[:-1] @ case.figures, wrong[-1])
        gradient /= len(given)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        weights -= 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return weights


def left_out(given: Sequence[Case]) -> list[tuple[Case, int, float]]:
    """Each question's best candidate and its worth over "not there", by weights fitted without its document."""
    judged = []
    for document in sorted({_source(case) for case in given}):
        weights = fitted([case for case in given if _source(case) != document])
        for case in given:
            if _source(case) == document:
                worths = case.figures @ weights[:-1]
                judged.append((case, int(worths.argmax()), float(worths.max() - weights[-1])))
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
    options.add_argument("--above", type=float, default=-1.5, help="the limit that is kept")
    options.add_argument("--write", action="store_true", help=f"keep the weights in {TARGET}")
    chosen = options.parse_args()
    given = cases()
    judged = left_out(given)
    for limit in LIMITS:
        print(f"{limit:5.1f}  " + "  ".join(f"{name} {share:5.1f} %" for name, share in traded(judged, limit).items()))
    weights = fitted(given)
    kept = {
        "weights": {name: round(float(weight), 3) for name, weight in zip(FIGURES, weights, strict=False)},
        "not there": round(float(weights[-1]), 3),
        "answers above": chosen.above,
        "fitted on": f"{len(given)} questions about {len({_source(case) for case in given})} documents",
        "one document left out": {name: round(share, 1) for name, share in traded(judged, chosen.above).items()},
    }
    print(json.dumps(kept, indent=1))
    if chosen.write:
        TARGET.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
