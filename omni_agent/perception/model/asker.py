"""One question to the engine: the reply streamed, parsed, and asked for once more where it has another form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from omni_agent.engines.base import Done, Engine, Message, Options, Text, Thought
from omni_agent.errors import EngineError
from omni_agent.perception.model.reply import Malformed
from omni_agent.prompts import prompt
from omni_agent.types import Usage

T = TypeVar("T")

ANSWER_TOKENS = 2048  # of an answer without thinking; the card's 1024 cuts an answer with a dozen quotes
THINKING_TOKENS = 20_480  # of reasoning and answer together, as the model card sets them
MARGIN = 0.95  # of the room: estimates err, and the template has words of its own
BEGINNING = 80  # characters of a reply that an error shows


class Cut(EngineError):
    """The reply ended at its length before it could be read."""


class Misunderstood(EngineError):
    """The engine answered twice in a form that cannot be read."""


@dataclass(frozen=True, slots=True)
class Asker:
    """An engine with what its user wishes. `context` counts tokens of question and answer together."""

    engine: Engine
    options: Options
    context: int
    listener: Callable[[str], None]
    note: Callable[[str], None]
    spent: Callable[[Usage], None]

    @property
    def room(self) -> int:
        """Tokens left for what is asked when those of the answer are set aside."""
        answer = self.options.max_tokens or (THINKING_TOKENS if self.options.think else ANSWER_TOKENS)
        return int(MARGIN * (self.context - min(answer, self.context // 2)))

    def ask(
        self, messages: Sequence[Message], parse: Callable[[str], T], *, whole: bool = False, **changes: Any
    ) -> tuple[T, Usage]:
        """What `parse` makes of the reply, and what it cost. `changes` are those of this verb to the user's options.

        A reply that `parse` calls Malformed is asked for once more with what was wrong; then it is Misunderstood.
        Raises Cut for one that ended at its length before it could be read, and where it must be `whole`, for any.
        """
        limit = self.options.max_tokens or (None if self.options.think else ANSWER_TOKENS)
        options = replace(self.options, **{"max_tokens": limit, **changes})
        asked, spent = list(messages), Usage()
        for last in (False, True):
            text, done = self._complete(asked, options)
            spent = spent + done.usage
            try:
                if whole and done.finish == "length":
                    raise self._cut(options)
                return parse(text), spent
            except Malformed as error:
                if done.finish == "length":
                    raise self._cut(options) from error
                if last:
                    raise Misunderstood(
                        f"the {self.engine.name} engine's reply cannot be read, {error}: {text[:BEGINNING]!r}"
                    ) from error
                wrong = Message("user", (prompt("again", wrong=str(error)),))
                asked = [*asked, Message("assistant", (text,)), wrong]
        raise AssertionError("the second reply is returned or raised")

    def _complete(self, messages: Sequence[Message], options: Options) -> tuple[str, Done]:
        """The whole answer, thinking left out, and how it ended."""
        pieces: list[str] = []
        done = Done()
        for event in self.engine.stream(messages, options):
            if isinstance(event, Text):
                pieces.append(event.text)
            elif isinstance(event, Thought):
                self.listener(event.text)
            elif isinstance(event, Done):
                done = event
                self.spent(event.usage)
        return "".join(pieces), done

    def _cut(self, options: Options) -> Cut:
        limit = f" of {options.max_tokens} tokens" if options.max_tokens else ""
        return Cut(
            f"the {self.engine.name} engine's reply was cut at its limit{limit}", hint="allow more with --max-tokens"
        )
