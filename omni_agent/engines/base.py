"""The seam between the full model's prompts and whatever runs the model: one method.

for event in engine.stream([Message("user", (picture, "What is this?"))], Options()):
    match event: case Text(piece): ... ; case Thought(piece): ... ; case Done(usage): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from omni_agent.types import Clip, Picture, Sound, Usage

Part = str | Picture | Sound | Clip
"""What a message holds, in order. Media go before the text that speaks of them: the order the model was trained on."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """How to continue. `temperature` and `top_p` None: the model's own defaults for thinking on or off.
    `schema`: a JSON schema that the answer (never the thinking) must fit."""

    think: bool = False
    think_budget: int | None = None
    max_tokens: int = 1024
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of reasoning; never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of every stream."""

    finish: Literal["stop", "length"] = "stop"
    usage: Usage = field(default_factory=Usage)


Event = Thought | Text | Done


class Engine(Protocol):
    """Continues conversations. Closing the iterator early cancels the generation."""

    @property
    def name(self) -> str: ...

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        """Yield the reply as it is made, ending with exactly one Done. Raises EngineError or Unavailable."""
        ...
