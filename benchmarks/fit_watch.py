"""Fits the weights by which `omni watch` decides: `python -m benchmarks.fit_watch --write`.

The questions are those of `data/screens.json`, about screens of real programs and pages whose text was read once (each
is a screen of some seconds in a video of its kind), and all of `data/watch.json`: the failures on its splits were read
before, so that none of them is held out any more. For each question: the passages that omni finds, their figures, and
which of them are right. The table shows what the weights do for one video that is left out at a time, by limits above
which the best passage is given as the answer; --above keeps one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.logit import Choice, Vector, fitted
from benchmarks.videos import FOLDER, video
from benchmarks.watch import right
from omni_agent.media.video import load
from omni_agent.perception.lite import sightings
from omni_agent.perception.lite.embed import Embedder
from omni_agent.perception.lite.ocr import Reader
from omni_agent.perception.lite.rerank import Reranker
from omni_agent.perception.lite.screen_text import shown, spoken
from omni_agent.perception.lite.screens import screens, unpacked
from omni_agent.perception.lite.video_question import understand
from omni_agent.perception.lite.video_search import Passages
from omni_agent.perception.lite.wording import Wording
from omni_agent.tools.transcribe import transcribe
from omni_agent.types import no_progress

HERE = Path(__file__).parent
TARGET = Path("omni_agent/perception/lite/data/watching.json")
VARIANCE = 0.5  # of the weights: small, as few questions have each of the figures
LIMITS = (-1.5, -1.0, -0.85, -0.5, 0.0, 0.5)
POSITIVE = (
    "reranker", "terms held", "terms near", "terms on screen", "weak terms held", "kind held",
    "question asks for the label", "several given as asked", "large", "only one of its kind",
)  # fmt: skip
NEGATIVE = ("names missing", "row lacks terms", "kind lacking", "says nothing new")
SIGNS = {**dict.fromkeys(POSITIVE, 1), **dict.fromkeys(NEGATIVE, -1)}  # what a figure says is known beforehand


@dataclass(frozen=True, slots=True)
class Case:
    """A question about a video with the figures of its passages and which of them are right."""

    video: str
    answerable: bool
    choice: Choice


def cases() -> Iterator[Case]:
    embedder, reranker, reader = Embedder(), Reranker(), Reader()
    for name, part in json.loads((HERE / "data" / "screens.json").read_text()).items():
        index = Passages(shown(unpacked(part["read"]), part["seconds"]), part["seconds"], embedder, {})
        yield from _asked(name, part["questions"], index, reranker)
    questions = json.loads((HERE / "data" / "watch.json").read_text())
    for name, asked in groupby(questions, lambda question: question["video"]):
        clip = load(video(name), name)
        said = spoken(transcribe(video(name), engine="lite").segments) if clip.has_sound else []
        kept = FOLDER / "read" / f"{name}.json"  # what was read is the same each time
        notes = json.loads(kept.read_text()) if kept.is_file() else {}
        seen = shown(screens(clip, reader, notes, no_progress), clip.duration)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(notes))
        yield from _asked(name, list(asked), Passages([*seen, *said], clip.duration, embedder, {}), reranker)


def _asked(name: str, questions: Sequence[dict[str, Any]], index: Passages, reranker: Reranker) -> Iterator[Case]:
    for question in questions:
        asked = understand(question["question"], silent=not any(passage.spoken for passage in index.all))
        hits = index.bearing(asked, asked.span)
        if asked.relation is not None or asked.wanted != "text" or not hits:
            continue  # these are not decided by weights
        words = Wording(asked, index.all, index.duration)
        read = sightings.read(asked, hits, reranker)
        figures = np.array([sightings.figures(asked, index, hit, logit) for hit, logit in read])
        good = []
        for passage in (hit.passage for hit, _ in read):
            period = words.showing(passage)
            text = f"{words.worded(passage, period)} {passage.quote}"
            good.append(question["kind"] != "none" and right(question, True, text, period.start))
        yield Case(name, question["kind"] != "none", (figures, np.array(good, dtype=bool)))


def weighed(given: Sequence[Case]) -> Vector:
    """The weights that fit these cases; one whose answer was not found teaches nothing about the choice."""
    signs = [SIGNS.get(name, 0) for name in sightings.FIGURES]
    return fitted([case.choice for case in given if not case.answerable or case.choice[1].any()], signs, VARIANCE)


def left_out(given: Sequence[Case]) -> list[tuple[Case, bool, float]]:
    """Whether each question's best passage is right and its worth over "not there", by weights fitted without its
    video."""
    judged = []
    for name in sorted({case.video for case in given}):
        weights = weighed([case for case in given if case.video != name])
        for case in (case for case in given if case.video == name):
            worths = case.choice[0] @ weights[:-1]
            judged.append((case, bool(case.choice[1][worths.argmax()]), float(worths.max() - weights[-1])))
    return judged


def traded(judged: Sequence[tuple[Case, bool, float]], limit: float) -> dict[str, float]:
    """Shares in per cent when an answer is given for a worth above the limit."""
    there = [good and worth > limit for case, good, worth in judged if case.answerable]
    gone = [worth <= limit for case, _, worth in judged if not case.answerable]
    return {"answers right": 100 * float(np.mean(there)), "refused rightly": 100 * float(np.mean(gone))}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--above", type=float, default=-0.85, help="the limit that is kept")
    options.add_argument("--write", action="store_true", help=f"keep the weights in {TARGET}")
    chosen = options.parse_args()
    given = list(cases())
    judged = left_out(given)
    for limit in LIMITS:
        print(f"{limit:5.1f}  " + "  ".join(f"{name} {share:5.1f} %" for name, share in traded(judged, limit).items()))
    weights = weighed(given)
    kept = {
        "weights": {name: round(float(weight), 3) for name, weight in zip(sightings.FIGURES, weights, strict=False)},
        "not there": round(float(weights[-1]), 3),
        "answers above": chosen.above,
        "fitted on": f"{len(given)} questions about {len({case.video for case in given})} videos",
        "without an answer": sum(not case.answerable for case in given),
        "one video left out": {name: round(share, 1) for name, share in traded(judged, chosen.above).items()},
    }
    print(json.dumps(kept, indent=1))
    if chosen.write:
        TARGET.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
