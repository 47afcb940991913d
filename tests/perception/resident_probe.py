"""A resident process around a perception whose every answer is known: `python resident_probe.py SOCKET MARK KIND`.

KIND is `shares` or `keeps` (the turn, while a client is asked for something), `four`: as `keeps`, four requests at a
time, or `model`: one that streams for half a minute.

`answer` does what its question says, word by word:

    sleep=S      take that long             tell=N       tell the progress N times, 10 ms apart
    lines        read every page            printed      read what is printed on them
    picture      look at every page
    thinks=TEXT  tell the audience
    raise=NAME   raise that error           die          kill -9 itself
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from omni_agent import errors
from omni_agent.engines.base import Event, Message, Options
from omni_agent.engines.fake import FakeEngine
from omni_agent.engines.wanted import Wanted
from omni_agent.perception.audience import audience
from omni_agent.perception.base import Perception
from omni_agent.perception.model import ModelPerception
from omni_agent.perception.resident.server import Server, serve
from omni_agent.types import (
    Box,
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
    Usage,
    Viewing,
    no_progress,
)

FAULTS: dict[str, Exception] = {
    "MediaError": errors.MediaError("torn", hint="glue it"),
    "PasswordError": errors.PasswordError("locked"),
    "Unavailable": errors.Unavailable("no card", hint="buy one"),
    "MissingExtra": errors.MissingExtra("gpu", "the full model"),
    "UsageError": errors.UsageError("not so"),
    "ZeroDivisionError": ZeroDivisionError("a bug"),
}


class Probe:
    """Says what it was asked for; `log` is the file in which it notes the order of its work."""

    name, at_once = "fake", 1

    def __init__(self, log: Path, settings: dict[str, Any]) -> None:
        self._log, self._settings = log, settings

    def note(self, text: str) -> None:
        with self._log.open("a") as file:
            file.write(text + "\n")

    def read(self, picture: Picture) -> tuple[Line, ...]:
        self.note(f"read {picture.width}x{picture.height}")
        return (Line(f"{picture.width} wide", Box(0, 0, 1, 1), float(picture.pixels.mean())),)

    def answer(
        self,
        question: str,
        pages: Sequence[Page],
        *,
        earlier: Sequence[Exchange] = (),
        progress: Progress = no_progress,
    ) -> Reply:
        self.note(f"begin {question}")
        said = []
        try:
            for word in question.split():
                said.append(str(self._do(*word.partition("=")[::2], pages, progress)))
            said += [f"after {turn.question}: {turn.written}" for turn in earlier]
        finally:
            self.note(f"end {question}")
        return Reply(True, " ".join(said))

    def _do(self, what: str, how: str, pages: Sequence[Page], progress: Progress) -> object:
        if what == "sleep":
            time.sleep(float(how))
        elif what == "tell":
            for step in range(int(how)):
                progress("working", step, int(how))
                time.sleep(0.01)
        elif what == "lines":
            return "|".join(f"{page.file}:{page.number}:{line.text}" for page in pages for line in page.lines())
        elif what == "printed":
            return "|".join(line.text for page in pages for line in page.printed())
        elif what == "picture":
            return "|".join(str(page.picture(72).pixels.sum()) for page in pages)
        elif what == "thinks":
            told = audience.get()
            told.thought(how)
            told.note(f"about to say {how}")
            told.spent(Usage(3, 2, 1, seconds={"answer": 0.5}))
        elif what == "raise":
            raise FAULTS[how]
        elif what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "settings":
            return sorted(self._settings.items())
        return what

    def locate(self, target: str, picture: Picture) -> Sighting:
        return Sighting(False, reason=f"{target}: {picture.pixels.dtype} {picture.pixels.shape} {picture.pixels.sum()}")

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        return Heard((Segment(0, sound.start, sound.end, f"{sound.samples.sum():.6f} {prompt}"),), language or "")

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        return tuple(segment.text for segment in segments)

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        seen = list(clip.frames(every=1.0, max_side=64, start=0.5))
        runs = 1 + sum(one.picture is not other.picture for one, other in pairwise(seen))
        sound = clip.sound()
        before = None if memory is None else memory.get("looked")
        if memory is not None:
            memory["looked"] = {"times": [frame.time for frame in seen], "deep": [1, [2.5, None, "x"]]}
        return Viewing(True, f"{len(seen)} frames, {runs} pictures, {clip.duration} s, {sound}, before: {before}")

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        return Minutes()


class Slow(FakeEngine):
    """Says a word every 10 ms, and notes when it is closed."""

    def __init__(self, probe: Probe) -> None:
        super().__init__(lambda messages: "word " * 3000)
        self._probe = probe

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        self._probe.note("begin streaming")
        try:
            for event in super().stream(messages, options):
                time.sleep(0.01)
                yield event
        finally:
            self._probe.note("end streaming")


def main() -> None:
    path, mark, kind = sys.argv[1:4]

    def perceive(settings: dict[str, Any]) -> Perception:
        probe = Probe(Path(path).with_suffix(".log"), settings)
        return ModelPerception(Wanted(Slow(probe))) if kind == "model" else probe

    at_once = 4 if kind == "four" else 1
    serve(Server(Path(path), mark, "fake", perceive, idle_s=60.0, shares=kind == "shares", at_once=at_once))


if __name__ == "__main__":
    main()
