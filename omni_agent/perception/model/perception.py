"""The seven verbs over an engine that continues conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omni_agent.engines.base import Engine, Options
from omni_agent.errors import MissingExtra
from omni_agent.perception.audience import audience
from omni_agent.perception.model.answer import answer
from omni_agent.perception.model.asker import Asker
from omni_agent.perception.model.hear import hear
from omni_agent.perception.model.locate import locate
from omni_agent.perception.model.look import look
from omni_agent.perception.model.minutes import minutes
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
    Usage,
    Viewing,
    no_progress,
)

Reader = Callable[[Picture], tuple[Line, ...]]
Voices = Callable[[Sound, Sequence[Segment]], tuple[str, ...]]


class ModelPerception:
    """Prompts and parsers over an engine.

    `options` is the user's wish about thinking, sampling and video; each verb adds its own schema. `context` is how
    many tokens the engine has room for, the answer included. `reader` reads text in pictures (an OCR), so that
    evidence on scanned pages is checked by someone other than the model that claims it; `voices` tells speakers apart.
    `listener` hears the reasoning piece by piece, `note` is told what is about to be sent and how large it is, `spent`
    what each call of the engine cost; unless named, they are the audience of whoever asks.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        options: Options = Options(),
        context: int = 131_072,
        reader: Reader | None = None,
        voices: Voices | None = None,
        listener: Callable[[str], None] = lambda text: audience.get().thought(text),
        note: Callable[[str], None] = lambda text: audience.get().note(text),
        spent: Callable[[Usage], None] = lambda usage: audience.get().spent(usage),
    ) -> None:
        self.name, self.at_once = engine.name, engine.at_once
        self._asker = Asker(engine, options, context, listener, note, spent)
        self._reader = reader
        self._voices = voices

    def read(self, picture: Picture) -> tuple[Line, ...]:
        if self._reader is None:
            raise MissingExtra("lite", "reading the text of scanned pages")
        return self._reader(picture)

    def answer(
        self,
        question: str,
        pages: Sequence[Page],
        *,
        earlier: Sequence[Exchange] = (),
        progress: Progress = no_progress,
    ) -> Reply:
        return answer(question, pages, earlier, self._asker, progress)

    def locate(self, target: str, picture: Picture) -> Sighting:
        return locate(target, picture, self._asker, self._reader)

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        return hear(sound, self._asker, language=language, names=prompt)

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        if self._voices is None:
            raise MissingExtra("lite", "telling speakers apart")
        return self._voices(sound, segments)

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        return look(clip, question, segments, self._asker, {} if memory is None else memory, progress)

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        return minutes(segments, self._asker)
