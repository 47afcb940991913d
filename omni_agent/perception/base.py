"""The seam between tools and whatever perceives: seven verbs over omni's own values.

A tool holds a `Perception` and never asks which one. What a perception cannot do at all raises `Unavailable`; what it
looked for and did not find is a value with `found=False`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from omni_agent.types import (
    Clip,
    Exchange,
    Heard,
    Line,
    Memory,
    Minutes,
    Page,
    Picture,
    Progress,
    Reply,
    Segment,
    Sighting,
    Sound,
    Viewing,
    no_progress,
)


class Perception(Protocol):
    """Eyes and ears. Every verb may take seconds; each loads what it needs on first use and keeps it."""

    @property
    def name(self) -> str:
        """What answered, as results name it: "lite", "local", "server", "fake"."""
        ...

    @property
    def at_once(self) -> int:
        """How many calls are worth making at the same time, from a thread each; 1: they would only wait."""
        ...

    def read(self, picture: Picture) -> tuple[Line, ...]:
        """The text in a picture, line by line in reading order; boxes in fractions of the picture."""
        ...

    def answer(
        self,
        question: str,
        pages: Sequence[Page],
        *,
        earlier: Sequence[Exchange] = (),
        progress: Progress = no_progress,
    ) -> Reply:
        """Answer from these pages alone. The quotes are claims: the caller checks them against the pages.

        `earlier` are the turns before about the same pages, which the question may refer to; a perception that takes
        each question by itself leaves them out."""
        ...

    def locate(self, target: str, picture: Picture) -> Sighting:
        """Find what a person would point at when told `target`; candidates best first."""
        ...

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        """What is said in a stretch of sound of at most some minutes. Times are those of the whole recording
        (`sound.start` added). `prompt` holds names and terms to expect."""
        ...

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        """Who speaks in each segment of a whole recording: one label a segment, the same label for the same voice."""
        ...

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        """Answer about a video from what it shows and from what is said in it (`segments`, empty without speech).

        `memory` holds what earlier calls found out about this same clip; notes are added as stretches are done, so
        that the next question is quick and an interrupted look goes on."""
        ...

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        """The minutes of a meeting, every line with the times it rests on."""
        ...
