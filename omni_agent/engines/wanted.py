"""Ends a generation when whoever asked for it has gone: what the resident engine wraps around the full model's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from contextvars import ContextVar

from omni_agent.engines.base import Engine, Event, Message, Options

still_wanted: ContextVar[Callable[[], None]] = ContextVar("still_wanted", default=lambda: None)
"""Raises when the answer that this thread works on is no longer wanted."""


class Wanted:
    """An engine whose streams ask `still_wanted` at every event, and are closed where it raises."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.at_once, self._engine = engine.name, engine.at_once, engine

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        still = still_wanted.get()
        with closing(self._engine.stream(messages, options)) as events:  # type: ignore[type-var]
            for event in events:
                still()
                yield event
