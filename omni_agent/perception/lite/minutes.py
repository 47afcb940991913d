"""The minutes of a meeting by extraction: every line is somebody's own words with their times. English.

Topics are stretches between which the meaning of what is said shifts (after Hearst, "TextTiling", 1997, on sentence
vectors instead of word counts), or where a speaker announces one; they are named by words that were said in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from omni_agent.perception.lite import commitments
from omni_agent.perception.lite.stopwords import stopwords
from omni_agent.types import Minutes, MinutesItem, Segment

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

BLOCK = 4  # sentences on each side of a possible shift
SHORTEST = 5  # sentences in a topic
DEEP = 1.0  # standard deviations above the mean that make a dip in likeness a shift
NAMES = 2  # phrases that name a topic

_ANNOUNCED = re.compile(
    r"\b(?:let's (?:talk about|move on to|turn to|discuss|look at|start with|begin with)|moving on to|"
    r"(?:the )?(?:next|first|second|third|last|final|other) (?:item|topic|point|thing|question)"
    r"(?: on the agenda| today)? (?:is|was)|"
    r"(?:next|first|last) up(?: is)?|on to the next (?:item|topic|point):?|now (?:to|about|for)|that brings us to|"
    r"we(?:'re| are) here to (?:talk about|discuss))\s+(?P<topic>[^.?!,;]{3,60})",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]+|\d[\d.,%]*")
# What stands before a verb: the word after it names no thing.
_BEFORE_VERBS = frozenset(("to", "will", "i", "you", "we", "they", "can", "could", "should", "would", "let's", "i'll"))


class Embedder(Protocol):
    """What turns texts into unit vectors [n, d]."""

    def embed(self, texts: Sequence[str]) -> Floats: ...


def minutes(segments: Sequence[Segment], embedder: Embedder) -> Minutes:
    """Topics, decisions and action items, each with its times. Empty where nothing of the kind was said."""
    return Minutes(
        topics=tuple(_topics(segments, embedder)),
        decisions=tuple(commitments.decisions(segments)),
        actions=tuple(commitments.actions(segments)),
    )


def _topics(segments: Sequence[Segment], embedder: Embedder) -> list[MinutesItem]:
    if not segments:
        return []
    vectors = embedder.embed([segment.text for segment in segments])
    borders = [0, *_shifts(segments, vectors), len(segments)]
    parts = [(low, high) for low, high in pairwise(borders) if high > low]
    if len(parts) > 1 and parts[0][1] < SHORTEST:  # the greeting belongs to what it leads to
        parts[:2] = [(0, parts[1][1])]
    topics = []
    for low, high in parts:
        part = segments[low:high]
        name = next(filter(None, map(_announced, part)), None) or _name(
            [s.text for s in part], vectors[low:high], embedder
        )
        if name:
            topics.append(MinutesItem(name, part[0].start, part[-1].end))
    return topics


def _shifts(segments: Sequence[Segment], vectors: Floats) -> list[int]:
    """The sentences with which a new topic begins: announced ones, and the deep dips of likeness between blocks."""
    import numpy as np

    announced = {n for n, segment in enumerate(segments) if n and _announced(segment)}
    gaps = range(SHORTEST, len(segments) - SHORTEST + 1)
    likeness = [float(_mean(vectors[max(0, gap - BLOCK) : gap]) @ _mean(vectors[gap : gap + BLOCK])) for gap in gaps]
    depths = {gap: _depth(likeness, position) for position, gap in enumerate(gaps)}
    chosen = sorted(announced)
    if depths:
        values = np.array(list(depths.values()))
        floor = max(float(values.mean() + DEEP * values.std()), 0.1)
        for gap in sorted(depths, key=lambda gap: -depths[gap]):
            if depths[gap] >= floor and all(abs(gap - other) >= SHORTEST for other in chosen):
                chosen.append(gap)
    return sorted(chosen)


def _depth(likeness: Sequence[float], position: int) -> float:
    """How far likeness dips here below the nearest peaks on both sides (TextTiling's depth score)."""
    here, left, right = likeness[position], likeness[position], likeness[position]
    for value in reversed(likeness[:position]):
        if value < left:
            break
        left = value
    for value in likeness[position + 1 :]:
        if value < right:
            break
        right = value
    return (left - here) + (right - here)


def _mean(vectors: Floats) -> Floats:
    import numpy as np

    mean = vectors.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _announced(segment: Segment) -> str | None:
    """What a speaker says the talk turns to, in their words; None where it names nothing."""
    found = _ANNOUNCED.search(segment.text)
    if found is None or not _content(found["topic"]):
        return None
    topic = re.sub(r"^(?:the|our|a|an|this|that)\s+", "", found["topic"].strip(), flags=re.IGNORECASE)
    return topic[:1].upper() + topic[1:]


def _name(texts: Sequence[str], vectors: Floats, embedder: Embedder) -> str:
    """The phrases said in a topic that are nearest to its meaning, those said often preferred."""
    import numpy as np

    phrases = Counter(phrase for text in texts for phrase in _phrases(text))
    if not phrases:
        return ""
    candidates = [phrase for phrase, _ in phrases.most_common(60)]
    found = embedder.embed(candidates)
    scores = found @ _mean(vectors) + 0.1 * np.log([phrases[phrase] for phrase in candidates])
    scores += 0.05 * np.array([" " in phrase for phrase in candidates])  # two words say more than one
    chosen: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(float(found[index] @ found[other]) < 0.6 for other in chosen):
            chosen.append(int(index))
        if len(chosen) == NAMES:
            break
    name = ", ".join(candidates[index] for index in chosen)
    return name[:1].upper() + name[1:]


def _phrases(text: str) -> list[str]:
    """Runs of one to three content words (RAKE's candidates: what stands between function words and punctuation)."""
    found = []
    for clause in re.split(r"[.,;:?!]", text):
        run: list[str] = []
        before = ""
        for word in [*_WORD.findall(clause), "the"]:
            plain = word.lower().replace("’", "'")
            if plain not in stopwords():
                if before not in _BEFORE_VERBS:
                    run.append(word)
            else:
                if run and len(run) <= 3 and any(part[0].isalpha() for part in run):
                    found.append(" ".join(run))
                run = []
            before = plain
    return [phrase if phrase.isupper() or phrase.istitle() else phrase.lower() for phrase in found]


def _content(text: str) -> bool:
    return any(word.lower() not in stopwords() for word in _WORD.findall(text))
