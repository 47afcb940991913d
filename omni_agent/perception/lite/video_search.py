"""Passages of a video ranked for a question: by meaning, by the question's own words, and by the value asked for."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage
from omni_agent.types import Memory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.perception.lite.embed import Embedder

SAME_NAME = 84  # rapidfuzz partial ratio above which a name of the question stands in a text
NEARBY = 8.0  # seconds around a sentence that belong to what is said there
BESIDE = 5.0  # heights of its letters above and below a text that belong to it on a screen
RERANKED = 40  # hits whose surroundings on the screen are looked at


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage with the reasons for its rank. `own` is the share of the question's words, weighed by how rare they
    are, that the passage holds; `known` the share that it and its surroundings hold; `cosine` is for the meaning."""

    passage: Passage
    score: float
    cosine: float
    own: float
    known: float


class Passages:
    """All passages of one video, ready to be searched. Their vectors are kept in `memory` for the next question."""

    def __init__(self, passages: Sequence[Passage], embedder: Embedder, memory: Memory) -> None:
        self.all = tuple(passages)
        self._embedder, self._memory = embedder, memory

    def search(
        self,
        text: str,
        terms: Sequence[str],
        names: Sequence[str],
        kind: Kind,
        chosen: Sequence[int],
        weak: Sequence[str] = (),
    ) -> list[Hit]:
        """The chosen passages (by index) in the order in which they may answer `text`, best first."""
        weights, weaker = self._weights(terms), self._weights(weak)
        cosines = self._vectors @ self._embedder.embed([text])[0]
        hits = []
        for index in chosen:
            passage, cosine = self.all[index], float(cosines[index])
            own = _share(weights, self._stems[index])
            known = _share(weights, self._stems[index] | self._surroundings[index])
            named = sum(spelled(name, passage.text) for name in names) / len(names) if names else 0.0
            # Weights chosen on the questions of split `tune` of benchmarks/data/watch.json.
            score = cosine + 0.55 * own + 0.2 * known + 0.3 * named - 0.0006 * max(0, len(passage.text) - 100)
            score += 0.15 * _share(weaker, self._stems[index])
            if kind is not Kind.ANY:
                score += 0.5 * new_value(kind, passage, text) - 0.25
            hits.append(Hit(passage, score, cosine, own, known))
        hits.sort(key=lambda hit: -hit.score)
        first = [
            replace(hit, score=hit.score + 0.25 * _share(weights, self._beside(hit.passage))) for hit in hits[:RERANKED]
        ]
        return [*sorted(first, key=lambda hit: -hit.score), *hits[RERANKED:]]

    def _beside(self, passage: Passage) -> frozenset[str]:
        """The words of a passage on a screen and of what stands close above and below it."""
        if passage.box is None:
            return frozenset(kinds.words(passage.text))
        box, reach, number = passage.box, BESIDE * passage.size, passage.prominent.screens[0]
        close = [
            stems
            for other, stems in zip(self.all, self._stems, strict=True)
            if number in other.screens
            and other.box is not None
            and (other.pane is None) == (passage.pane is None)
            and max(other.box.y0 - box.y1, box.y0 - other.box.y1) < reach
            and other.box.height < 2 * reach
            and max(other.box.x0 - box.x1, box.x0 - other.box.x1) < 0
        ]
        return frozenset().union(*close)

    def near(self, name: str, passage: Passage) -> bool:
        """Whether a name stands in the passage, on its screens, or in what is said around it."""
        return spelled(name, passage.text) or any(
            spelled(name, other.text)
            for other in self.all
            if (other.screens & passage.screens)
            or (other.start < passage.end + NEARBY and other.end > passage.start - NEARBY)
        )

    @cached_property
    def _stems(self) -> list[frozenset[str]]:
        return [frozenset(kinds.words(passage.described)) for passage in self.all]

    @cached_property
    def _vectors(self) -> npt.NDArray[np.float32]:
        import numpy as np

        texts = [passage.described for passage in self.all]
        key = "vectors " + hashlib.sha256("\n".join(texts).encode()).hexdigest()[:24]
        if (kept := self._memory.get(key)) is not None:
            return np.frombuffer(base64.b64decode(kept), np.float16).reshape(len(texts), -1).astype(np.float32)
        vectors = self._embedder.embed(texts).astype(np.float16)
        self._memory[key] = base64.b64encode(vectors.tobytes()).decode()
        return vectors.astype(np.float32)

    @cached_property
    def _surroundings(self) -> list[frozenset[str]]:
        """For each passage the words on the screens that show it, or said shortly before and after."""
        by_screen: dict[int, set[str]] = {}
        for passage, stems in zip(self.all, self._stems, strict=True):
            for number in passage.screens:
                by_screen.setdefault(number, set()).update(stems)
        said = [(p, stems) for p, stems in zip(self.all, self._stems, strict=True) if p.spoken]
        around = []
        for passage in self.all:
            parts: list[frozenset[str] | set[str]] = [by_screen[number] for number in passage.screens]
            if passage.spoken:
                begin, end = passage.start - NEARBY, passage.end + NEARBY
                parts = [stems for other, stems in said if other.start < end and other.end > begin]
            around.append(frozenset().union(*parts))
        return around

    def _weights(self, terms: Sequence[str]) -> dict[str, float]:
        """How much each word tells: rare ones most (inverse document frequency over passages)."""
        count = len(self.all)
        return {term: log(1 + count / (1 + sum(term in stems for stems in self._stems))) for term in terms}


def spelled(name: str, text: str) -> bool:
    """Whether a name stands in a text, small misreadings allowed; short ones, numbers and codes must be exact."""
    name, text = name.lower(), text.lower()
    if any(character.isdigit() for character in name) or len(name) < 4:
        return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
    return len(text) >= len(name) - 1 and fuzz.partial_ratio(name, text) >= SAME_NAME


def new_value(kind: Kind, passage: Passage, question: str) -> float:
    """How well the passage, or what stands side by side in it, holds a value of this kind that the question itself does
    not already name (kinds.fit)."""
    named = "|".join(re.escape(name) for name in kinds.names(question))
    parts = [cell for _, cell in passage.cells] or passage.parts or (passage.text,)
    if named:
        parts = [re.sub(rf"(?<![\w@])(?:{named})(?![\w@])", " ", part, flags=re.I) for part in parts]
    return max(kinds.fit(kind, part) for part in parts)


def _share(weights: dict[str, float], stems: frozenset[str]) -> float:
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if _among(term, stems)) / total if total else 0.0


def _among(term: str, stems: frozenset[str]) -> bool:
    if term in stems:
        return True
    return len(term) >= 5 and any(abs(len(other) - len(term)) <= 2 and fuzz.ratio(term, other) >= 88 for other in stems)
