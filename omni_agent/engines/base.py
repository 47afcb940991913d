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
class ToolCall:
    """A function that the model wants called. Arguments are plain data, never evaluated."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. An assistant's turn may keep its reasoning (`thought`) and its `calls`; a turn of the
    role "tool" holds what a call returned."""

    role: Literal["system", "user", "assistant", "tool"]
    parts: tuple[Part, ...]
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """How to continue. What is None is left to the model's own defaults, which differ with thinking on or off.

    `think_budget`: tokens of reasoning after which it ends at the next line; an answer always follows. `keep_thoughts`:
    earlier turns keep their reasoning. `schema`: a JSON schema that the answer (never the thinking) must fit. `tools`:
    functions in OpenAI's form that the model may call; with both, the answer fits the schema or is calls of them. Of a
    clip, `fps` frames a second are shown, `max_frames` at most, and of their tokens the share `evs` (0 to 0.95), those
    that changed least, is left out where the engine can.
    `keep` False: nothing of this conversation is kept for a later one, nor taken from an earlier one. `goes_on`: a turn
    will follow this answer; the local engine reads the answer once it is given and keeps the state after it: the next
    turn then costs its own tokens alone.
    """

    think: bool = False
    think_budget: int | None = None
    keep_thoughts: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    schema: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    fps: float = 2.0
    max_frames: int = 256
    evs: float = 0.5
    keep: bool = True
    goes_on: bool = False


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
    """The last event of every stream. "calls": the turn ended with tool calls and waits for what they return."""

    finish: Literal["stop", "length", "calls"] = "stop"
    usage: Usage = field(default_factory=Usage)


Event = Thought | Text | ToolCall | Done


class Engine(Protocol):
    """Continues conversations. Closing the iterator early cancels the generation."""

    @property
    def name(self) -> str: ...

    @property
    def at_once(self) -> int:
        """How many streams are worth having at the same time, from a thread each; more than that wait their turn."""
        ...

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        """Yield the reply as it is made, ending with exactly one Done. Parts are read in the order given.

        Raises EngineError or Unavailable."""
        ...
