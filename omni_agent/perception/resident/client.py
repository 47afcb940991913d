"""The client's side: a perception like any other, whose work is done in the resident process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from omni_agent.perception.audience import NOBODY, audience
from omni_agent.perception.resident.call import Call
from omni_agent.settings import Settings
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


class ResidentPerception:
    """The seven verbs of `Perception`, asked of the process that keeps `engine` warm, which is started when needed.

    Each call is a connection of its own, so that a call that is given up is given up there too, and a process that has
    ended costs at most one call. A call made by a page or a clip while the engine waits for it goes over the same
    connection. Raises what the perception there raises, and EngineError when the process ends in the middle.
    """

    def __init__(self, settings: Settings, engine: str, at_once: int = 1) -> None:
        self.name, self.at_once = engine, at_once
        self._settings = settings
        self._thread = threading.local()

    def read(self, picture: Picture) -> tuple[Line, ...]:
        lines: tuple[Line, ...] = self._call("read", picture)
        return lines

    def answer(
        self,
        question: str,
        pages: Sequence[Page],
        *,
        earlier: Sequence[Exchange] = (),
        progress: Progress = no_progress,
    ) -> Reply:
        reply: Reply = self._call("answer", question, list(pages), earlier=tuple(earlier), progress=progress)
        return reply

    def locate(self, target: str, picture: Picture) -> Sighting:
        sighting: Sighting = self._call("locate", target, picture)
        return sighting

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        heard: Heard = self._call("hear", sound, language=language, prompt=prompt)
        return heard

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        labels: tuple[str, ...] = self._call("tell_apart", sound, tuple(segments))
        return labels

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        viewing: Viewing = self._call("look", clip, question, tuple(segments), memory=memory, progress=progress)
        return viewing

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        minutes: Minutes = self._call("minutes", tuple(segments))
        return minutes

    def _call(self, verb: str, *arguments: Any, **named: Any) -> Any:
        if (told := audience.get()) is not NOBODY:
            named["audience"] = [told.thought, told.note, told.spent]
        outer: Call | None = getattr(self._thread, "call", None)
        if outer is not None:
            return outer.ask(verb, arguments, named)
        call = self._thread.call = Call(self._settings, self.name)
        try:
            return call.ask(verb, arguments, named)
        finally:
            self._thread.call = None
            call.close()
