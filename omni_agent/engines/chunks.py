"""The chunks of a streamed chat completion as events. What a server sends is read field by field, any may lack."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from omni_agent.engines.base import Done, Event, Text, Thought, ToolCall
from omni_agent.engines.thoughts import Splitter
from omni_agent.errors import EngineError
from omni_agent.types import Usage


class Reply:
    """One streamed reply on its way to events. `thinks`: the model was told to; `place` names the server in errors;
    `seconds` and `sent` are what was spent before, and when the request went out."""

    def __init__(self, thinks: bool, place: str, seconds: dict[str, float], sent: float) -> None:
        self._splitter, self._place = Splitter(thinks), place
        self._apart = False  # whether reasoning comes in a field of its own
        self._calls: dict[int, list[str]] = {}  # name and arguments, as far as they came
        self._usage: Any = None
        self._finish: str | None = None
        self._seconds, self._part, self._since = seconds, "prefill", sent

    def events(self, answer: Iterator[Any]) -> Iterator[Event]:
        """Raises EngineError for a stream that is no stream of this protocol, or that breaks off."""
        for chunk in self._chunks(answer):
            self._usage = getattr(chunk, "usage", None) or self._usage
            choices = getattr(chunk, "choices", None)
            choice = choices[0] if isinstance(choices, list) and choices else None
            yield from (self._timed(event) for event in self._read(getattr(choice, "delta", None)))
            self._finish = getattr(choice, "finish_reason", None) or self._finish
        if self._finish is None:
            raise EngineError(f"the answer of {self._place} broke off", hint="its own log may say why")
        if self._finish == "content_filter":
            raise EngineError(f"{self._place} withheld its answer (content_filter)")
        cut = self._finish == "length"
        if not self._apart:
            yield from self._splitter.close(cut=cut)
        calls = [self._call(*call) for _, call in sorted(self._calls.items())] if not cut else []
        yield from calls
        self._tick("answer")
        yield Done("length" if cut else "calls" if calls else "stop", _usage(self._usage, self._seconds))

    def _chunks(self, answer: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from answer
        except ValueError as error:  # JSON or UTF-8 that is none
            raise EngineError(f"{self._place} sent what is no stream of chat completions") from error

    def _read(self, delta: Any) -> Iterator[Thought | Text]:
        thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        if isinstance(thought, str) and thought:
            self._apart = True
            yield Thought(thought)
        content = getattr(delta, "content", None)
        if isinstance(content, str) and content:
            yield from [Text(content)] if self._apart else self._splitter.feed(content)
        calls = getattr(delta, "tool_calls", None)
        for call in calls if isinstance(calls, list) else ():
            index, function = getattr(call, "index", None), getattr(call, "function", None)
            held = self._calls.setdefault(index if isinstance(index, int) else len(self._calls), ["", ""])
            for place, name in enumerate(("name", "arguments")):
                piece = getattr(function, name, None)
                held[place] += piece if isinstance(piece, str) else ""

    def _call(self, name: str, arguments: str) -> ToolCall:
        try:
            given = json.loads(arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise EngineError(f"the call of {name!r} has arguments that are no JSON: {arguments[:80]!r}") from error
        if not isinstance(given, dict):
            raise EngineError(f"the call of {name!r} has arguments that are no object: {arguments[:80]!r}")
        return ToolCall(name, given)

    def _timed(self, event: Thought | Text) -> Thought | Text:
        part = "think" if isinstance(event, Thought) else "answer"
        if part != self._part:
            self._tick(part)
        return event

    def _tick(self, part: str) -> None:
        """End the part that runs, and begin another."""
        now = time.perf_counter()
        self._seconds[self._part] = self._seconds.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now


def _usage(told: Any, seconds: dict[str, float]) -> Usage:
    """What the server says that it cost; zeros where it does not."""

    def count(holder: Any, name: str) -> int:
        value = getattr(holder, name, None)
        return value if isinstance(value, int) and value >= 0 else 0

    reasoning = count(getattr(told, "completion_tokens_details", None), "reasoning_tokens")
    return Usage(
        prompt_tokens=count(told, "prompt_tokens"),
        reasoning_tokens=reasoning,
        answer_tokens=max(0, count(told, "completion_tokens") - reasoning),
        cached_tokens=count(getattr(told, "prompt_tokens_details", None), "cached_tokens"),
        seconds=seconds,
    )
