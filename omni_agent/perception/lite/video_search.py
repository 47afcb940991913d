"""Passages of a video ranked for a question: by meaning, by the question's own words, and by the value asked for."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage
from omni_agent.perception.lite.video_question import Asked
from omni_agent.types import Memory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.perception.lite.embed import Embedder

_CALENDAR = re.compile(
    "(?:mon|tues|wednes|thurs|fri|satur|sun)day|januar[yi]|februar[yi]|march|april|june|juli|july|august"
    "|(?:septem|octo|novem|decem)b(?:er)?"
)
_ORDINALS = {
    word: str(number)
    for number, word in enumerate(
        ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"), start=3
    )
}
SAME_NAME = 84  # rapidfuzz partial ratio above which a name of the question stands in a text
NEARBY = 8.0  # seconds around a sentence that belong to what is said there
RERANKED = 64  # hits whose surroundings on the screen are looked at


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage with the reasons for its rank. `own` is the share of the question's words, weighed by how rare they
    are, that the passage holds; `near` the share that it and what stands close to it hold, `known` the share that its
    screens hold; `weak` that of the words about the video as such; `cosine` is for the meaning."""

    passage: Passage
    score: float
    cosine: float
    own: float
    known: float
    near: float = 0.0
    weak: float = 0.0


class Passages:
    """All passages of one video, ready to be searched. Their vectors are kept in `memory` for the next question."""

    def __init__(self, passages: Sequence[Passage], duration: float, embedder: Embedder, memory: Memory) -> None:
        self.all, self.duration = tuple(passages), duration
        self._embedder, self._memory = embedder, memory
        self._counts: dict[Kind, int] = {}

    def bearing(self, asked: Asked, within: tuple[float, float] | None) -> list[Hit]:
        """The passages that may answer a question, best first: seen or said as it asks, in this stretch of time."""
        edge = max(6.0, 0.12 * self.duration)
        if asked.scope:
            ends = (self.duration - edge, self.duration) if asked.scope == "end" else (0.0, edge)
            within = ends if within is None else (max(within[0], ends[0]), min(within[1], ends[1]))
        return self.search(asked, lambda passage: _fits(passage, asked, within))

    def search(self, asked: Asked, chosen: Callable[[Passage], bool]) -> list[Hit]:
        """The chosen passages in the order in which they may answer, best first."""
        weights, weaker = self._weights(asked.terms), self._weights(asked.weak)
        cosines = self._vectors @ self._embedder.embed([asked.core])[0]
        hits = []
        for index, passage in enumerate(self.all):
            if not chosen(passage):
                continue
            cosine = float(cosines[index])
            own, weak = _share(weights, self._stems[index]), _share(weaker, self._stems[index])
            known = _share(weights, self._stems[index] | self._surroundings[index])
            named = sum(spelled(name, passage.text) for name in asked.names) / max(1, len(asked.names))
            # Which passages are worth being read with the question; weights chosen on split `tune` of the benchmark.
            score = cosine + 0.55 * own + 0.2 * known + 0.3 * named + 0.15 * weak
            score -= 0.0006 * max(0, len(passage.text) - 100)
            if asked.kind is not Kind.ANY:
                score += 0.5 * new_value(asked.kind, passage, asked.question) - 0.25
            hits.append(Hit(passage, score, cosine, own, known, 0.0, weak))
        hits.sort(key=lambda hit: -hit.score)
        first = []
        for hit in hits[:RERANKED]:
            passage = hit.passage
            beside = frozenset(kinds.words(f"{passage.heading} {passage.around or passage.text}"))
            near = _share(weights, beside)
            first.append(replace(hit, score=hit.score + 0.25 * near, near=near))
        return [*sorted(first, key=lambda hit: -hit.score), *hits[RERANKED:]]

    def near(self, name: str, passage: Passage) -> bool:
        """Whether a name stands in the passage, on its screens, or in what is said around it."""
        return spelled(name, passage.text) or any(
            spelled(name, other.text)
            for other in self.all
            if (other.screens & passage.screens)
            or (other.start < passage.end + NEARBY and other.end > passage.start - NEARBY)
        )

    def only(self, kind: Kind) -> float:
        """1 where a single text of the video holds a value of this kind, 1/2 for two of them; 0 for none."""
        if kind not in self._counts:
            texts = {p.text for p in self.all if p.lines == 1 and not p.parts and kinds.fit(kind, p.text) == 1.0}
            self._counts[kind] = len(texts)
        return 1 / self._counts[kind] if self._counts[kind] else 0.0

    @cached_property
    def largest(self) -> float:
        """The height of the largest letters, as a share of the picture's; 1 where nothing is shown."""
        return max((passage.size for passage in self.all), default=0.0) or 1.0

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


def _fits(passage: Passage, asked: Asked, within: tuple[float, float] | None) -> bool:
    """Whether a passage is seen or said as the question asks, in this stretch of time; a value with its label is no
    answer to when something is shown."""
    if asked.channel != "either" and passage.spoken != (asked.channel == "said"):
        return False
    if passage.label and asked.wanted != "text":
        return False
    return within is None or any(period.start < within[1] and period.end > within[0] for period in passage.periods)


def spelled(name: str, text: str) -> bool:
    """Whether a name stands in a text, small misreadings allowed; short ones, numbers and codes must be exact. Days and
    months may be cut short."""
    name, text = name.lower(), text.lower()
    if _cut_short(name, kinds.words(text)):
        return True
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


def _cut_short(name: str, words: Collection[str]) -> bool:
    """Whether a day or a month stands among these words by its first letters."""
    return _CALENDAR.fullmatch(name) is not None and any(name[:length] in words for length in (3, 4, 5))


def _among(term: str, stems: frozenset[str]) -> bool:
    if term in stems or f"{term}er" in stems or _cut_short(term, stems):  # who owns it: its owner
        return True
    if _ORDINALS.get(term) in stems:  # the row of the twelfth payment begins with 12
        return True
    return len(term) >= 5 and any(abs(len(other) - len(term)) <= 2 and alike(term, other) for other in stems)


def alike(term: str, other: str) -> bool:
    """Whether two words are nearly the same letters; a capital i is drawn as an l in many typefaces."""
    return term.replace("l", "i") == other.replace("l", "i") or fuzz.ratio(term, other) >= 88
