"""The embedded engine as one perception: each verb goes to its specialist, loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from omni_agent.errors import MissingExtra
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

if TYPE_CHECKING:
    from omni_agent.perception.lite.embed import Embedder
    from omni_agent.perception.lite.ocr import Reader
    from omni_agent.perception.lite.rerank import Reranker
    from omni_agent.perception.lite.speech import Listener


def check() -> None:
    """Raise MissingExtra when the embedded engine's parts are not installed."""
    parts = ("rapidocr", "onnxruntime", "faster_whisper", "ctranslate2", "tokenizers", "snowballstemmer")
    if any(find_spec(name) is None for name in parts):
        raise MissingExtra("lite", "the embedded engine")


class LitePerception:
    """Specialists behind the seven verbs of `Perception`. It quotes, reads and hears; it never invents prose.

    It takes each question by itself, whatever was asked before."""

    name = "lite"
    at_once = 1  # one call keeps the processor busy

    def __init__(self, settings: Settings) -> None:
        check()
        self._settings = settings

    @cached_property
    def _reader(self) -> Reader:
        from omni_agent.perception.lite.ocr import Reader

        return Reader()

    @cached_property
    def _embedder(self) -> Embedder:
        from omni_agent.perception.lite.embed import Embedder

        return Embedder()

    @cached_property
    def _reranker(self) -> Reranker:
        from omni_agent.perception.lite.rerank import Reranker

        return Reranker()

    @cached_property
    def _listener(self) -> Listener:
        from omni_agent.perception.lite.speech import Listener

        settings = self._settings
        return Listener(model=settings.whisper_model, offline=settings.offline, cache=settings.cache_dir)

    def read(self, picture: Picture) -> tuple[Line, ...]:
        return self._reader.read(picture)

    def answer(
        self,
        question: str,
        pages: Sequence[Page],
        *,
        earlier: Sequence[Exchange] = (),
        progress: Progress = no_progress,
    ) -> Reply:
        from omni_agent.perception.lite.answer import answer

        return answer(question, pages, self._embedder, self._reranker, progress)

    def locate(self, target: str, picture: Picture) -> Sighting:
        from omni_agent.perception.lite.locate import locate

        return locate(target, picture, self._reader)

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        return self._listener.hear(sound, language=language, prompt=prompt)

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        from omni_agent.perception.lite.voices import tell_apart

        return tell_apart(sound, segments)

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        from omni_agent.perception.lite.look import look

        notes = {} if memory is None else memory
        return look(clip, question, segments, self._reader, self._embedder, self._reranker, notes, progress)

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        from omni_agent.perception.lite.minutes import minutes

        return minutes(segments, self._embedder)
