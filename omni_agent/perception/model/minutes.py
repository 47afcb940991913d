"""`minutes`: topics, decisions and action items of a transcript.

The model names the segments that each line rests on, and the times are those of the segments: it cannot invent one. A
line without a segment is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from omni_agent.engines.base import Message
from omni_agent.perception.model import room
from omni_agent.perception.model.asker import Asker
from omni_agent.perception.model.material import material
from omni_agent.perception.model.reply import TEXT, json_object, listing, objects, schema, string, strings
from omni_agent.prompts import prompt
from omni_agent.types import Minutes, MinutesItem, Segment

PART = 16_000  # tokens of transcript at once, about an hour and a half of talk
LINE = schema(text=TEXT, segments=listing(TEXT))
ACTION = schema(text=TEXT, owner=TEXT, due=TEXT, segments=listing(TEXT))
REPLY = schema(topics=listing(LINE), decisions=listing(LINE), actions=listing(ACTION))


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment as the model is shown it."""

    label: str
    segment: Segment

    @property
    def line(self) -> str:
        speaker = f"{self.segment.speaker}: " if self.segment.speaker else ""
        return f"[{self.label}] {speaker}{self.segment.text}"


def minutes(segments: Sequence[Segment], asker: Asker) -> Minutes:
    """The minutes, part by part for a long transcript. Empty where nothing of the kind was said."""
    entries = [Entry(f"s{number}", segment) for number, segment in enumerate(segments, 1)]
    found = [_noted(part, asker) for part in _parts(entries, min(PART, asker.room - 600))]
    return Minutes(
        topics=_merged(item for part in found for item in part.topics),
        decisions=_merged(item for part in found for item in part.decisions),
        actions=_merged(item for part in found for item in part.actions),
    )


def _noted(entries: Sequence[Entry], asker: Asker) -> Minutes:
    transcript = material("\n".join(entry.line for entry in entries))
    message = Message("user", (prompt("minutes", transcript=transcript),))
    known = {entry.label: entry.segment for entry in entries}
    return asker.ask([message], partial(_parsed, known=known), schema=REPLY)[0]


def _parts(entries: Sequence[Entry], tokens: int) -> Iterator[list[Entry]]:
    held: list[Entry] = []
    size = 0
    for entry in entries:
        more = room.of_text(entry.line) + 1
        if held and size + more > tokens:
            yield held
            held, size = [], 0
        held.append(entry)
        size += more
    if held:
        yield held


def _parsed(text: str, known: dict[str, Segment]) -> Minutes:
    fields = json_object(text)
    topics, decisions, actions = (
        tuple(item for found in objects(fields, name) if (item := _item(found, known)))
        for name in ("topics", "decisions", "actions")
    )
    return Minutes(topics, decisions, actions)


def _item(found: dict[str, Any], known: dict[str, Segment]) -> MinutesItem | None:
    """A line with the times of the segments that it names; None where it says nothing or names none."""
    text = " ".join(string(found.get("text")).split())
    named = [known[label] for name in strings(found.get("segments")) if (label := _label(name)) in known]
    if not text or not named:
        return None
    speakers = {segment.speaker for segment in named}
    return MinutesItem(
        text=text,
        start=min(segment.start for segment in named),
        end=max(segment.end for segment in named),
        speaker=speakers.pop() if len(speakers) == 1 else None,
        owner=string(found.get("owner")) or None,
        due=string(found.get("due")) or None,
    )


def _label(name: str) -> str:
    plain = name.strip("[] ").casefold()
    return f"s{plain}" if plain.isdigit() else plain


def _merged(items: Iterator[MinutesItem]) -> tuple[MinutesItem, ...]:
    """The lines in their order, each text once: parts of a long meeting may tell the same."""
    first: dict[str, MinutesItem] = {}
    for item in items:
        first.setdefault(item.text.casefold(), item)
    return tuple(first.values())
