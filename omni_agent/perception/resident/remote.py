"""What the resident engine sees of a client's pages, clips, notes and listeners: stand-ins that ask the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from omni_agent.perception.resident.lines import Lines
from omni_agent.perception.resident.values import Nonsense, Ref
from omni_agent.perception.resident.wire import Gone
from omni_agent.types import Clip, Frame, Line, Memory, Page, Picture, Sound

Ask = Callable[..., Any]
"""`ask(number, verb, *arguments)`: the client's answer."""


class RemotePage:
    """A page that the client reads, unless another client has read it before."""

    def __init__(self, number: int, facts: tuple[Any, ...], ask: Ask, kept: Lines) -> None:
        self._object, self._ask, self._kept = number, ask, kept
        self.file, self.number = str(facts[0]), int(facts[1])
        self.key = None if facts[2] is None else str(facts[2])
        self._lines: tuple[Line, ...] | None = None

    def lines(self) -> tuple[Line, ...]:
        if self._lines is None:
            self._lines = self._kept.of(self.key, lambda: self._ask(self._object, "lines"))
        return self._lines

    def printed(self) -> tuple[Line, ...]:
        printed: tuple[Line, ...] = self._ask(self._object, "printed")
        return printed

    def picture(self, dpi: int = 150) -> Picture:
        picture: Picture = self._ask(self._object, "picture", dpi)
        return picture


class RemoteClip:
    """A video that the client decodes."""

    def __init__(self, number: int, facts: tuple[Any, ...], ask: Ask, tell: Ask) -> None:
        self._object, self._ask, self._tell = number, ask, tell
        self.duration = float(facts[0])

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        """The client's frames, one by one. A picture that stays comes once and is the same object again here too."""
        stream = self._ask(self._object, "frames", every, max_side, start)
        picture: Picture | None = None
        try:
            while (shown := self._ask(stream, "next")) is not None:
                time, new = shown
                picture = new or picture
                if picture is None:
                    raise Nonsense("a first frame without a picture")
                yield Frame(time, picture)
        finally:
            with suppress(Gone):  # closed by the collector, perhaps long after the client went
                self._tell(stream, "close")

    def sound(self) -> Sound | None:
        sound: Sound | None = self._ask(self._object, "sound")
        return sound


class RemoteMemory:
    """Notes that the client keeps."""

    def __init__(self, number: int, ask: Ask) -> None:
        self._object, self._ask = number, ask

    def get(self, key: str, /) -> Any:
        return self._ask(self._object, "get", key)

    def __setitem__(self, key: str, value: Any, /) -> None:
        self._ask(self._object, "set", key, value)


class RemoteListener:
    """A function of the client's that is told something and answers nothing, such as a progress."""

    def __init__(self, number: int, tell: Ask) -> None:
        self._object, self._tell = number, tell

    def __call__(self, *values: Any) -> None:
        self._tell(self._object, "call", *values)


def _stand_in(ref: Ref, ask: Ask, tell: Ask, kept: Lines) -> Page | Clip | Memory | Callable[..., None]:
    """What a reference stands for; that it has all that the seam promises is the type checker's work."""
    match ref.kind:
        case "page":
            return RemotePage(ref.number, ref.facts, ask, kept)
        case "clip":
            return RemoteClip(ref.number, ref.facts, ask, tell)
        case "memory":
            return RemoteMemory(ref.number, ask)
        case "listener":
            return RemoteListener(ref.number, tell)
    raise Nonsense(f"no kind of object: {ref.kind[:20]!r}")


def stand_ins(value: Any, ask: Ask, tell: Ask, kept: Lines) -> Any:
    """The value with every `Ref` in it, or in lists and tuples in it, replaced by its stand-in."""
    if isinstance(value, Ref):
        return _stand_in(value, ask, tell, kept)
    if isinstance(value, list | tuple):
        return type(value)(stand_ins(item, ask, tell, kept) for item in value)
    return value
