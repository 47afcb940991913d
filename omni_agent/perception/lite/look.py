"""Answers about a video from what can be read in it and what is said: quotes with their times, or an honest no.

Passages (lines, rows and paragraphs on the screen, sentences in the sound) are ranked by meaning and by the question's
own words; the best one must hold the asked kind of value and the question's names, else nothing is claimed. Pictures
are not understood: a question about a colour, a person or a thing is answered only where a text or a voice says it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.beside import with_value
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage, shown, spoken
from omni_agent.perception.lite.screens import screens
from omni_agent.perception.lite.video_question import Asked, understand
from omni_agent.perception.lite.video_search import Hit, Passages, new_value, spelled
from omni_agent.perception.lite.wording import Wording, short
from omni_agent.types import Clip, Memory, Moment, Progress, Segment, Viewing

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder
    from omni_agent.perception.lite.ocr import Reader

MOMENTS = 3
CLOSE = 0.12  # scores this near the best are as good
FAR = 0.2  # and one this far below may still answer where the better ones do not
TRIED = 5
ENOUGH = 0.5  # share of the question's words, by rarity, that the evidence must know
SURE = 0.62  # a cosine above which other words will do
MIN_COSINE = 0.22
ALL_BUT, NEARLY_ALL, SOME = 0.75, 0.9, 0.4  # shares of the question's words that outweigh a low cosine
BLIND = (
    "the embedded engine reads text and hears speech; it does not understand pictures, and no text or voice says this"
)


def look(
    clip: Clip,
    question: str,
    segments: Sequence[Segment],
    reader: Reader,
    embedder: Embedder,
    memory: Memory,
    progress: Progress,
) -> Viewing:
    """Answer from the clip's text and from `segments`, what is said in it."""
    seen = shown(screens(clip, reader, memory, progress), clip.duration)
    said = spoken(segments)
    if not seen and not said:
        return Viewing(False, "", reason="no text can be read in this video and nobody speaks in it")
    return _Search(understand(question), Passages([*seen, *said], embedder, memory), clip.duration).answer()


class _Search:
    """One question to one video's passages."""

    def __init__(self, asked: Asked, index: Passages, duration: float) -> None:
        self.asked, self._index, self.passages, self.duration = asked, index, index.all, duration
        self._words = Wording(asked, index.all, duration)

    def answer(self) -> Viewing:
        asked = self.asked
        within: tuple[float, float] | None = asked.span
        if asked.relation is not None:
            anchor = self._anchor(asked.anchor)
            if anchor is None:
                return self._no(f"nothing in the video matches “{asked.anchor}”")
            if asked.wanted == "screen":
                return self._what_is_there(anchor)
            within = self._window(anchor)
        hits = self._ranked(within)
        if asked.wanted == "title":
            hits = self._titles(hits, within)
        if not hits:
            return self._no("nothing is shown or said there")
        hits = self._in_order(hits)
        for number, hit in enumerate(hits[:TRIED]):
            whole = replace(hit, passage=with_value(hit, asked, self.passages))
            if hit.score >= hits[0].score - FAR and not self._doubt(whole):
                return self._found([whole, *hits[number + 1 :]])
        return self._no(self._doubt(hits[0]))

    # --- ranking ------------------------------------------------------------------------------------------------------

    def _ranked(self, within: tuple[float, float] | None) -> list[Hit]:
        asked = self.asked
        chosen = [
            index
            for index, passage in enumerate(self.passages)
            if (asked.channel == "either" or passage.spoken == (asked.channel == "said")) and _meets(passage, within)
        ]
        hits = self._index.search(asked.core, asked.terms, asked.names, asked.kind, chosen, asked.weak)
        edge = max(6.0, 0.12 * self.duration)
        if asked.scope == "end":
            hits = [hit for hit in hits if hit.passage.end >= self.duration - edge]
        elif asked.scope == "beginning":
            hits = [hit for hit in hits if hit.passage.start <= edge]
        return hits

    def _in_order(self, hits: list[Hit]) -> list[Hit]:
        """The earliest or the latest of the best, where the question asks for it."""
        near = [
            hit
            for hit in hits
            if hit.score >= hits[0].score - CLOSE
            or ((self.asked.order or self.asked.heading) and hit.own >= max(ALL_BUT, hits[0].own))
        ]
        if (
            self.asked.heading
            and self.asked.wanted != "title"
            and (single := [hit for hit in near if hit.passage.spoken or _one_line(hit.passage)])
        ):
            near = single
        if self.asked.order == "first" or (self.asked.wanted == "moment" and not self.asked.order):
            near.sort(key=lambda hit: (self._words.showing(hit.passage).start, hit.passage.top))
        elif self.asked.order == "last":
            near.sort(key=lambda hit: (-hit.passage.end, -hit.passage.top))
        return [*near, *(hit for hit in hits if hit not in near)]

    # --- time ---------------------------------------------------------------------------------------------------------

    def _anchor(self, clause: str) -> Passage | None:
        """The passage that a clause like "the error appears" speaks of."""
        asked = understand(clause)
        terms, spellings = asked.terms, tuple(kinds.names(f"x {clause}"))
        said = bool(re.search(r"\b(?:say|says|said|mention|mentions|talks?|speaks?|explains?|tells?)\b", clause))
        chosen = [index for index, passage in enumerate(self.passages) if passage.spoken == said]
        hits = self._index.search(clause, terms, spellings, Kind.ANY, chosen)
        if not hits or (
            hits[0].own < ENOUGH
            and hits[0].cosine < SURE
            and not any(spelled(n, hits[0].passage.text) for n in spellings)
        ):
            return None
        return hits[0].passage

    def _window(self, anchor: Passage) -> tuple[float, float]:
        period = anchor.prominent
        if self.asked.relation == "after":
            return (period.end if anchor.spoken else period.start), self.duration + 1
        if self.asked.relation == "before":
            return 0.0, period.start
        return period.start - (1.0 if anchor.spoken else 0.0), period.end + 1.0

    # --- answers ------------------------------------------------------------------------------------------------------

    def _titles(self, hits: list[Hit], within: tuple[float, float] | None) -> list[Hit]:
        """Passages in the largest letters: those of the screens that the question speaks of."""
        asked = self.asked
        relevant = [hit for hit in hits if not hit.passage.spoken]
        if asked.terms == () and relevant:
            edge = max if asked.order == "last" or asked.scope == "end" else min
            number = edge(n for hit in relevant for n in hit.passage.screens)
        elif relevant:
            best = relevant[0].passage
            number = min(best.screens)
        else:
            return []
        there = [hit for hit in relevant if number in hit.passage.screens and hit.passage.top < 0.6]
        largest = max((hit.passage.size for hit in there), default=0.0)
        tall = [hit for hit in there if hit.passage.size > 0.85 * largest and not hit.passage.parts]
        top = min((hit.passage.top for hit in tall), default=0.0)
        tall.sort(key=lambda hit: (round((hit.passage.top - top) / (2 * largest)), -len(hit.passage.text)))
        return tall

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

    def _doubt(self, hit: Hit) -> str:
        """Why the best passage is no answer; empty when it is one."""
        asked, text = self.asked, hit.passage.text
        blind = BLIND if asked.visual else ""
        missing = [name for name in asked.names if not self._index.near(name, hit.passage)]
        if missing:
            return blind or f"“{missing[0]}” is neither shown nor said where the rest of the question is"
        if asked.kind is not Kind.ANY and not new_value(asked.kind, hit.passage, asked.question):
            kind = asked.kind.value.removeprefix("an ").removeprefix("a ")
            return blind or f"the nearest text, “{short(text)}”, holds no {kind}"
        if asked.wanted in ("title",) and not asked.terms:
            return ""
        if hit.cosine >= SURE or hit.own >= ALL_BUT or not asked.terms:
            return ""
        if hit.known >= ENOUGH and hit.cosine >= MIN_COSINE:
            return ""
        named = asked.names and all(spelled(name, text) for name in asked.names)
        if (hit.known >= NEARLY_ALL or named) and hit.own >= SOME and asked.kind is not Kind.ANY:
            return ""
        return blind or f"the nearest text, “{short(text)}”, does not answer it"

    def _found(self, hits: list[Hit]) -> Viewing:
        best = hits[0]
        period = self._words.showing(best.passage)
        others = [
            hit
            for hit in hits[1:12]
            if hit.score >= best.score - CLOSE
            and all(not _same(hit.passage, kept.passage) for kept in (best,))
            and not self._doubt(hit)
        ]
        moments = [self._words.moment(best.passage, period)]
        for hit in others:
            if len(moments) < MOMENTS and all(abs(hit.passage.start - moment.start) > 1.0 for moment in moments):
                moments.append(self._words.moment(hit.passage, self._words.showing(hit.passage)))
        confidence = max(0.05, min(0.99, 0.45 * best.cosine + 0.35 * best.own + 0.25 * best.known))
        return Viewing(True, self._words.worded(best.passage, period), tuple(moments), round(confidence, 3))

    def _no(self, reason: str) -> Viewing:
        return Viewing(False, "", reason=BLIND if self.asked.visual and BLIND not in reason else reason)


def _one_line(passage: Passage) -> bool:
    return passage.box is not None and not passage.parts and passage.box.height < 1.5 * passage.size


def _meets(passage: Passage, within: tuple[float, float] | None) -> bool:
    return within is None or any(period.start < within[1] and period.end > within[0] for period in passage.periods)


def _same(one: Passage, other: Passage) -> bool:
    """Whether two passages are the same text on the same screens, or one is part of the other."""
    return bool(one.screens & other.screens) and (one.text in other.text or other.text in one.text)


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
