"""Answers about a video from what can be read in it and what is said: quotes with their times, or an honest no.

Passages (lines, rows, paragraphs and labels with their values on the screen, sentences in the sound) are found by
meaning and by the question's own words and read together with it; weights learned from questions with known answers
choose the best one, or none. Pictures are not understood: a question about a colour, a person or a thing is answered
only where a text or a voice says it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.decision import confidence
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage, shown, spoken
from omni_agent.perception.lite.screens import screens
from omni_agent.perception.lite.sightings import DECISION, figures, read
from omni_agent.perception.lite.title_slide import told
from omni_agent.perception.lite.video_question import Asked, understand
from omni_agent.perception.lite.video_search import Hit, Passages, new_value, spelled
from omni_agent.perception.lite.wording import Wording, short
from omni_agent.types import Clip, Memory, Moment, Progress, Segment, Viewing

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder
    from omni_agent.perception.lite.ocr import Reader
    from omni_agent.perception.lite.rerank import Reranker

MOMENTS = 3
TOLD = 0.7  # sure of what a title slide tells about its talk: nothing there says so in words
CLOSE = 0.7  # worths this near the best are as good
LOGITS = 6.0  # what a whole point of a hit's score is worth
ENOUGH = 0.5  # share of the question's words, by rarity, that a title's screen or an anchor must hold
ALL_BUT = 0.75  # a share with which a passage may be the one that is asked for by "first" or "last"
FIRST_SCENE = 1.0  # seconds until which a page may be drawn: what is there by then has not appeared later
SURE = 0.62  # a cosine above which other words will do
BLIND = (
    "the embedded engine reads text and hears speech; it does not understand pictures, and no text or voice says this"
)


def look(
    clip: Clip,
    question: str,
    segments: Sequence[Segment],
    reader: Reader,
    embedder: Embedder,
    reranker: Reranker,
    memory: Memory,
    progress: Progress,
) -> Viewing:
    """Answer from the clip's text and from `segments`, what is said in it."""
    seen = shown(screens(clip, reader, memory, progress), clip.duration)
    said = spoken(segments)
    if not seen and not said:
        return Viewing(False, "", reason="no text can be read in this video and nobody speaks in it")
    index = Passages([*seen, *said], clip.duration, embedder, memory)
    return _Search(understand(question, silent=not said), index, reranker).answer()


@dataclass(frozen=True, slots=True)
class _Judged:
    """A hit with its worth in logits, and whether it is an answer."""

    hit: Hit
    worth: float
    answers: bool


class _Search:
    """One question to one video's passages."""

    def __init__(self, asked: Asked, index: Passages, reranker: Reranker) -> None:
        self.asked, self._index, self._reranker, self.duration = asked, index, reranker, index.duration
        self.passages = tuple(passage for passage in index.all if not passage.label)
        self._words = Wording(asked, self.passages, index.duration)

    def answer(self) -> Viewing:
        asked = self.asked
        within: tuple[float, float] | None = asked.span
        if asked.relation is not None:
            anchor = self._anchor(asked.anchor)
            if anchor is None and asked.relation == "during" and asked.wanted == "text":
                return _Search(understand(asked.question, clauses=False), self._index, self._reranker).answer()
            if anchor is None:
                return self._no(f"nothing in the video matches “{asked.anchor}”")
            if asked.wanted == "screen":
                return self._what_is_there(anchor)
            within = self._window(anchor)
        hits = self._index.bearing(asked, within)
        if not hits:
            return self._no("nothing is shown or said there")
        if asked.wanted == "title":
            return self._title(hits)
        if (line := told(asked, self.passages)) is not None:
            period = self._words.showing(line)
            return Viewing(True, self._words.worded(line, period), (self._words.moment(line, period),), TOLD)
        judged = self._in_order(self._judged(hits))
        return self._found(judged) if judged[0].answers else self._no(self._lack(judged[0].hit))

    # --- ranking ------------------------------------------------------------------------------------------------------

    def _judged(self, hits: Sequence[Hit]) -> list[_Judged]:
        """The hits by their worth, best first. A value is decided by what was learned; a moment is that of the text
        which the question speaks of."""
        if self.asked.wanted != "text":
            fails = self.asked.kind is Kind.ERROR
            errors = [hit for hit in hits if kinds.fit(Kind.ERROR, hit.passage.text)] if fails else hits
            judged = [_Judged(hit, LOGITS * hit.score, _is_meant(hit, self.asked.names)) for hit in errors]
            return judged or [_Judged(hits[0], 0.0, False)]
        judged = []
        for hit, logit in read(self.asked, hits, self._reranker):
            worth = DECISION.worth(figures(self.asked, self._index, hit, logit))
            judged.append(_Judged(hit, worth, DECISION.answers(worth) and self._in_form(hit.passage)))
        return sorted(judged, key=lambda one: -one.worth)

    def _in_form(self, passage: Passage) -> bool:
        """Whether a passage holds what is asked for where that is known by its form."""
        asked = self.asked
        return asked.kind not in (Kind.EMAIL, Kind.PHONE) or new_value(asked.kind, passage, asked.question) > 0

    def _in_order(self, judged: list[_Judged]) -> list[_Judged]:
        """The earliest or the latest of the best, where the question asks for it."""
        new = self._appearing(judged)
        best, asked = new[0], self.asked
        near = [
            one
            for one in new
            if one.worth >= best.worth - CLOSE
            or ((asked.order or asked.heading) and one.hit.own >= max(ALL_BUT, best.hit.own))
        ]
        if asked.heading and (single := [one for one in near if one.hit.passage.spoken or one.hit.passage.lines == 1]):
            near = single
        if asked.opens and (alike := [one for one in near if _within(one.hit.passage, best.hit.passage)]):
            near = alike
        if asked.order == "first" or (asked.wanted == "moment" and not asked.order):
            near.sort(key=lambda one: (self._words.showing(one.hit.passage).start, one.hit.passage.top))
        elif asked.order == "last":
            near.sort(key=lambda one: (-one.hit.passage.end, -one.hit.passage.top))
        return [*near, *(one for one in judged if one not in near)]

    def _appearing(self, judged: list[_Judged]) -> list[_Judged]:
        """Those that may be what appears where the question asks for that. What the first scene shows does not appear:
        it is left out where something comes later that holds as many of the question's words."""
        asked = self.asked
        if asked.wanted != "moment" or asked.order or asked.scope or asked.pressed:
            return judged
        later = [p for p in judged if p.hit.passage.spoken or self._words.showing(p.hit.passage).start >= FIRST_SCENE]
        held = later and later[0].answers and later[0].hit.own >= judged[0].hit.own
        return later if held else judged

    # --- time ---------------------------------------------------------------------------------------------------------

    def _anchor(self, clause: str) -> Passage | None:
        """The passage that a clause like "the error appears" speaks of."""
        names = tuple(kinds.names(f"x {clause}"))  # its first word may be one
        asked = replace(understand(clause), names=names, kind=Kind.ANY)
        said = bool(re.search(r"\b(?:say|says|said|mention|mentions|talks?|speaks?|explains?|tells?)\b", clause))
        hits = self._index.search(asked, lambda passage: passage.spoken == said and not passage.label)
        return hits[0].passage if hits and _is_meant(hits[0], names) else None

    def _window(self, anchor: Passage) -> tuple[float, float]:
        period = anchor.prominent
        if self.asked.relation == "after":
            return (period.end if anchor.spoken else period.start), self.duration + 1
        if self.asked.relation == "before":
            return 0.0, period.start
        return period.start - (1.0 if anchor.spoken else 0.0), period.end + 1.0

    # --- answers ------------------------------------------------------------------------------------------------------

    def _title(self, hits: list[Hit]) -> Viewing:
        """The text in the largest letters on the screen that the question speaks of."""
        asked = self.asked
        relevant = [hit for hit in hits if not hit.passage.spoken]
        if not relevant or (asked.terms and relevant[0].known < ENOUGH and relevant[0].cosine < SURE):
            return self._no(self._lack(hits[0]))
        if not asked.terms:
            edge = max if asked.order == "last" or asked.scope == "end" else min
            number = edge(n for hit in relevant for n in hit.passage.screens)
        else:
            number = min(relevant[0].passage.screens)
        there = [p for p in self.passages if number in p.screens and p.top < 0.6 and not p.parts]
        largest = max((p.size for p in there), default=0.0)
        tall = [p for p in there if p.size > 0.85 * largest]
        if not tall:
            return self._no("nothing is written large there")
        top = min(p.top for p in tall)
        title = min(tall, key=lambda p: (round((p.top - top) / (2 * largest)), -len(p.text)))
        period = self._words.showing(title)
        return Viewing(True, self._words.worded(title, period), (self._words.moment(title, period),), relevant[0].known)

    def _what_is_there(self, anchor: Passage) -> Viewing:
        """What is said, or what else the screen shows, while the anchor is there."""
        period = anchor.prominent
        if self.asked.channel == "said":
            window = self._window(anchor)
            there = [p for p in self.passages if p.spoken and _meets(p, window)]
        else:
            number = self._words.screen_at(period.start) if anchor.spoken else self._fullest(anchor)
            there = [p for p in self.passages if number in p.screens and p is not anchor]
            if anchor.pane is not None:
                there = [p for p in there if p.pane and p.box and anchor.pane.contains(*p.box.center)]
            there = _apart(there, anchor)
        text = " ".join(passage.text for passage in there)[:400]
        if not text:
            return self._no(f"nothing is {'said' if self.asked.channel == 'said' else 'shown'} there besides")
        moment = Moment(period.start, period.end, period.at, _seen(anchor, text), self._words.said_at(period))
        return Viewing(True, text, (moment,), 0.6)

    def _fullest(self, anchor: Passage) -> int:
        """The screen with the most text among those that show the anchor: a slide when all of it is there."""
        return max(anchor.screens, key=lambda n: sum(len(p.text) for p in self.passages if n in p.screens))

    def _lack(self, hit: Hit) -> str:
        """Why the best passage is no answer."""
        asked = self.asked
        missing = [name for name in asked.names if not self._index.near(name, hit.passage)]
        if missing:
            return f"“{missing[0]}” is neither shown nor said where the rest of the question is"
        if asked.kind is not Kind.ANY and not new_value(asked.kind, hit.passage, asked.question):
            kind = asked.kind.value.removeprefix("an ").removeprefix("a ")
            return f"the nearest text, “{short(hit.passage.described)}”, holds no {kind}"
        return f"the nearest text, “{short(hit.passage.described)}”, does not answer it"

    def _found(self, judged: list[_Judged]) -> Viewing:
        best = judged[0]
        passage, period = best.hit.passage, self._words.showing(best.hit.passage)
        moments = [self._words.moment(passage, period)]
        for one in judged[1:]:
            other = one.hit.passage
            apart = all(abs(other.start - moment.start) > 1.0 for moment in moments) and not _same(other, passage)
            close = one.worth >= best.worth - CLOSE and one.answers
            if len(moments) < MOMENTS and close and apart:
                moments.append(self._words.moment(other, self._words.showing(other)))
        sure = round(confidence(best.worth), 3)
        return Viewing(True, self._words.worded(passage, period), tuple(moments), sure)

    def _no(self, reason: str) -> Viewing:
        return Viewing(False, "", reason=BLIND if self.asked.visual else reason)


def _is_meant(hit: Hit, names: Sequence[str]) -> bool:
    """Whether a passage is surely the one that is spoken of: by its words, its meaning or a name."""
    return hit.own >= ENOUGH or hit.cosine >= SURE or any(spelled(name, hit.passage.text) for name in names)


def _meets(passage: Passage, within: tuple[float, float] | None) -> bool:
    return within is None or any(period.start < within[1] and period.end > within[0] for period in passage.periods)


def _same(one: Passage, other: Passage) -> bool:
    """Whether two passages are the same text on the same screens, or one is part of the other."""
    return bool(one.screens & other.screens) and _within(one, other)


def _within(one: Passage, other: Passage) -> bool:
    return one.text in other.text or other.text in one.text


def _apart(passages: Sequence[Passage], anchor: Passage) -> list[Passage]:
    """The screen's single lines below the anchor, from top to bottom, each word once."""
    kept: list[Passage] = []
    for passage in sorted(passages, key=lambda p: -len(p.text)):
        if not any(passage.text in other.text for other in [*kept, anchor]) and anchor.text not in passage.text:
            kept.append(passage)
    top = anchor.box.y0 if anchor.box else 0.0
    below = [p for p in kept if p.box and p.box.y0 >= top - 0.02]
    return sorted(below or kept, key=lambda p: (p.box.y0, p.box.x0) if p.box else (0.0, 0.0))


def _seen(anchor: Passage, text: str) -> str:
    return text if anchor.spoken else f"{anchor.text} {text}"
