"""An engine that says what it was told to: for tests, demonstrations and users who test their own code on omni."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from omni_agent.engines.base import Done, Event, Message, Options, Text, Thought, ToolCall
from omni_agent.errors import EngineError
from omni_agent.runtime.tool_calls import ToolCalls
from omni_agent.types import Usage

Script = Callable[[Sequence[Message]], str]


class FakeEngine:
    """Answers from a list, in order, or from a function of the messages. `calls` keeps what it was asked.

    A reply may open with `<think>…</think>`; that part comes out as thoughts. Where tools are offered, calls of them in
    the model's own form come out as calls. Text is streamed word by word, so that whoever depends on whole replies is
    found out; an answer of more words than `max_tokens` is cut there. Raises EngineError when the list is used up.
    With `at_once` above 1 it is asked from several threads at a time where there is so much to ask.
    """

    name = "fake"

    def __init__(self, replies: Sequence[str] | Script, *, at_once: int = 1) -> None:
        self.at_once = at_once
        self._script = replies if callable(replies) else None
        self._queue = [] if callable(replies) else list(replies)
        self.calls: list[tuple[Sequence[Message], Options]] = []

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        self.calls.append((messages, options))
        reply = self._reply(messages)
        thought, separator, answer = reply.partition("</think>")
        if not separator:
            thought, answer = "", reply
        for piece in thought.removeprefix("<think>").split():
            yield Thought(piece + " ")
        words = re.findall(r"\s*\S+", answer.strip())
        cut = options.max_tokens is not None and len(words) > options.max_tokens
        answer = "".join(words[: options.max_tokens])
        called = False
        for event in _events(answer, options):
            called = called or isinstance(event, ToolCall)
            yield event
        prompt_words = sum(len(part.split()) for message in messages for part in message.parts if isinstance(part, str))
        usage = Usage(prompt_words, len(thought.split()), len(answer.split()))
        yield Done("length" if cut else "calls" if called else "stop", usage)

    def _reply(self, messages: Sequence[Message]) -> str:
        if self._script is not None:
            return self._script(messages)
        if not self._queue:
            raise EngineError("the fake engine has no reply left")
        return self._queue.pop(0)


def _events(answer: str, options: Options) -> Iterator[Text | ToolCall]:
    """The answer in pieces of seven characters, anew on every line, and the calls in it."""
    calls = ToolCalls(options.tools)
    pieces = (line[i : i + 7] for line in answer.splitlines(keepends=True) for i in range(0, len(line), 7))
    fed = (said for piece in pieces for said in calls.feed(piece))
    for said in itertools.chain(fed, calls.close()):
        yield Text(said) if isinstance(said, str) else ToolCall(said.name, said.arguments)
