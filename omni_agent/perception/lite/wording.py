"""What is answered from a passage of a video: its quote, the cell or time that the question asks for, its moment."""

from __future__ import annotations

from collections.abc import Sequence

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage, Period
from omni_agent.perception.lite.video_question import Asked
from omni_agent.types import Moment, timestamp

SEEN = 300  # characters of what is quoted around an answer; where there is more, the answer's own text alone


class Wording:
    """Words answers to one question from the passages of one video, `duration` seconds long."""

    def __init__(self, asked: Asked, passages: Sequence[Passage], duration: float) -> None:
        self.asked, self.passages, self.duration = asked, passages, duration

    def showing(self, passage: Passage) -> Period:
        """The period that an answer speaks of: the first in which the text can well be read, the largest for headings,
        that of a window for what opens, the last where the end is asked for."""
        if self.asked.order == "last" or self.asked.scope == "end":
            return passage.periods[-1]
        if self.asked.opens:
            return passage.opened
        return passage.largest if self.asked.heading else passage.prominent

    def worded(self, passage: Passage, period: Period) -> str:
        cell = self._cell(passage)
        quote = short(cell or passage.quote, 300)
        if self.asked.wanted == "duration":
            span = f"{period.end - period.start:.1f} seconds, from {timestamp(period.start)} to {timestamp(period.end)}"
            return f"{span}: “{quote}”"
        if self.asked.wanted == "end" or (
            self.asked.wanted == "moment" and self.asked.pressed and period.end < self.duration - 1
        ):
            return f"{timestamp(period.end)}, when “{quote}” is gone"
        if self.asked.wanted == "moment" and not cell:
            return f"{timestamp(period.start)}: “{quote}”"
        return quote

    def _cell(self, passage: Passage) -> str:
        """The cell of a table's row that the question asks for, by its column's head or as the only one of its kind;
        empty where no one cell is asked for."""
        kind = Kind.DATE if self.asked.wanted == "moment" else self.asked.kind
        if self.asked.wanted not in ("text", "moment") or len(passage.cells) < 2:
            return ""
        asked = frozenset(kinds.words(self.asked.question))
        fresh = [(head, cell) for head, cell in passage.cells if not asked.issuperset(kinds.words(cell))]
        shares = [_share_of(kinds.words(head), asked) for head, _ in fresh]
        best = max(shares, default=0.0)
        chosen = [pair for pair, share in zip(fresh, shares, strict=True) if share == best] if best else fresh
        if not best and kind is not Kind.ANY:
            chosen = [pair for pair in fresh if kinds.fit(kind, pair[1]) == 1.0]
        if len(chosen) != 1 or (kind is Kind.DATE and not kinds.fit(kind, chosen[0][1])):
            return ""
        label = max((cell for _, cell in passage.cells), key=lambda cell: len(asked.intersection(kinds.words(cell))))
        return f"{label}: {chosen[0][1]}" + (f" ({chosen[0][0]})" if chosen[0][0] else "")

    def moment(self, passage: Passage, period: Period) -> Moment:
        if passage.spoken:
            number = self.screen_at(period.start)
            there = [p for p in self.passages if number in p.screens]
            largest = max((p.size for p in there), default=0.0)
            tall = [p for p in there if p.size > 0.85 * largest]
            heading = min(tall, key=lambda p: p.top, default=None)
            return Moment(period.start, period.end, period.at, short(heading.text) if heading else "", passage.text)
        pressed = self.asked.pressed and self.asked.wanted == "moment" and period.end < self.duration - 1
        start = max(period.start, period.end - 1.0) if pressed or self.asked.wanted == "end" else period.start
        return Moment(
            start,
            period.end,
            max(start, period.at),
            passage.around if 0 < len(passage.around) <= SEEN else passage.quote,
            self.said_at(Period(start, period.end, start)),
        )

    def said_at(self, period: Period) -> str:
        """What is said while something is shown, at most some sentences from its beginning on."""
        there = [p.text for p in self.passages if p.spoken and p.start < period.end and p.end > period.start - 0.5]
        return short(" ".join(there), 300)

    def screen_at(self, time: float) -> int:
        shown_then = [p for p in self.passages if not p.spoken and any(q.start <= time < q.end for q in p.periods)]
        return max((max(p.screens) for p in shown_then), default=-1)


def _share_of(words: Sequence[str], asked: frozenset[str]) -> float:
    """The share of some words that a question holds; 0 for none."""
    return sum(word in asked for word in words) / len(words) if words else 0.0


def short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + "…"
