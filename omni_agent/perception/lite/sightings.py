"""What may answer a question about a video: passages that bear on it, read together with it, described by figures.

The figures decide which is the best and whether it is an answer at all, by the weights in `data/watching.json`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.decision import Decision
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage
from omni_agent.perception.lite.video_question import Asked
from omni_agent.perception.lite.video_search import Hit, Passages, new_value

if TYPE_CHECKING:
    from omni_agent.perception.lite.rerank import Reranker

READ = 32  # hits that are read together with the question
PROSE = 28  # characters that the lines of a paragraph have on average at least
LONGEST = 320  # characters of a passage that are read
_OWN_LABEL = re.compile(r"([^\W\d][^:\d]{0,40}):\s?\S")  # "Version" of "Version: 4.8"

FIGURES = (
    "reranker",
    "terms held",
    "terms near",
    "terms on screen",
    "weak terms held",
    "names missing",
    "row lacks terms",
    "kind held",
    "only one of its kind",
    "kind lacking",
    "says nothing new",
    "label",
    "value beside",
    "value under",
    "value after",
    "cell of a table",
    "question asks for the label",
    "row",
    "row of a table",
    "prose",
    "list",
    "several given as asked",
    "length",
    "spoken",
    "large",
)

DECISION = Decision("watching.json", FIGURES)


def read(asked: Asked, hits: Sequence[Hit], reranker: Reranker) -> list[tuple[Hit, float]]:
    """The first hits with the logits that the reranker gives them, each below its heading."""
    chosen = hits[:READ]
    texts = [f"{hit.passage.heading}. {hit.passage.described}".lstrip(". ")[:LONGEST] for hit in chosen]
    return list(zip(chosen, reranker.score(asked.core, texts).tolist(), strict=True))


def figures(asked: Asked, index: Passages, hit: Hit, logit: float) -> tuple[float, ...]:
    """What speaks for and against a hit, in the order of FIGURES, most of them 0 to 1."""
    return logit / 5, *_words(asked, index, hit), *_value(asked, index, hit), *_shape(asked, hit.passage, index.largest)


def _words(asked: Asked, index: Passages, hit: Hit) -> tuple[float, ...]:
    """How much of the question's words and names the passage and its surroundings hold: all where it has none."""
    missing = sum(not index.near(name, hit.passage) for name in asked.names) / max(1, len(asked.names))
    held = (hit.own, hit.near, hit.known) if asked.terms else (1.0, 1.0, 1.0)
    tabled = bool(hit.passage.cells) or hit.passage.relation == "cell"
    return *held, hit.weak, missing, 1.0 - hit.near if tabled and asked.terms else 0.0


def _value(asked: Asked, index: Passages, hit: Hit) -> tuple[float, ...]:
    """Whether the passage holds a value of the kind that is asked for, and whether its label is what is asked for."""
    passage, text = hit.passage, asked.wanted == "text"
    value = new_value(asked.kind, passage, asked.question) if asked.kind is not Kind.ANY else 0.0
    lacking = asked.kind is not Kind.ANY and value == 0.0 and text
    new = {stem for stem in kinds.words(passage.text) if len(stem) > 1 or stem.isdigit()}
    new -= set(kinds.words(asked.question))
    own = _OWN_LABEL.match(passage.text)
    label = frozenset(kinds.terms(passage.label or (own[1] if own else "")))
    terms = frozenset((*asked.terms, *asked.weak))
    asks = 0.0
    if label and text and new and not lacking:
        asks = min(len(label & terms) / len(label), max(hit.own, hit.weak))
    return (
        value,
        index.only(asked.kind) if value == 1.0 else 0.0,
        float(lacking),
        float(text and not new),
        float(bool(passage.label)),
        float(passage.relation == "beside"),
        float(passage.relation == "under"),
        float(passage.relation == "after"),
        float(passage.relation == "cell"),
        asks,
    )


def _shape(asked: Asked, passage: Passage, largest: float) -> tuple[float, ...]:
    """What the passage is: a row, prose, a list; several things where several are asked for; long, said, large."""
    lines, prose = passage.lines, len(passage.text) >= PROSE * passage.lines
    several = len(passage.parts) > 1 or lines > 1 or passage.text.count(",") > 1
    length = min(len(passage.text), LONGEST)
    return (
        float(bool(passage.parts)),
        float(bool(passage.cells)),
        float(lines > 1 and prose),
        float(lines > 1 and not prose),
        float(asked.several and several),
        log(1 + length / 60),
        float(passage.spoken),
        passage.size / largest,
    )
