"""One call of a client's: what it sends, and what it answers while the engine works on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omni_agent.errors import EngineError
from omni_agent.perception.resident.start import reached
from omni_agent.perception.resident.values import Nonsense, Ref
from omni_agent.perception.resident.wire import Gone, Request, Talk
from omni_agent.settings import Settings
from omni_agent.types import Frame, Picture


class Call:
    """A connection and the objects that the engine may ask about while it lasts: pages, clips, notes, listeners."""

    def __init__(self, settings: Settings, engine: str) -> None:
        self._wire = reached(settings, engine)
        self._talk = Talk(self._wire, self._serve)
        self._objects: list[Any] = []

    def ask(self, verb: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the perception there answers. Raises its errors, and EngineError when the process ends."""
        sent = [self._shown(value) for value in arguments]
        try:
            return self._talk.ask(verb, sent, {key: self._shown(value) for key, value in named.items()})
        except Gone as gone:
            raise EngineError(
                "the resident engine ended in the middle of its work",
                hint="run the command again: it starts a new one (`omni engine status` tells where its log is)",
            ) from gone

    def close(self) -> None:
        """Hang up: what still runs for this call is given up."""
        self._wire.close()

    def _shown(self, value: Any) -> Any:
        """The value as it is sent: what can be sent as it is, else a reference to it."""
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        if hasattr(value, "lines") and hasattr(value, "picture"):
            return self._kept("page", value, value.file, value.number, value.key)
        if hasattr(value, "frames"):
            return self._kept("clip", value, value.duration)
        if hasattr(value, "get") and hasattr(value, "__setitem__"):
            return self._kept("memory", value)
        if callable(value):
            return self._kept("listener", value)
        return value

    def _kept(self, kind: str, value: Any, *facts: Any) -> Ref:
        self._objects.append(value)
        return Ref(kind, len(self._objects) - 1, facts)

    def _serve(self, request: Request) -> Any:
        """Answer what the engine asks about one of the objects."""
        number, verb, *values = request
        if not isinstance(number, int) or not 0 <= number < len(self._objects):
            raise Nonsense(f"no object of this call: {str(number)[:20]}")
        kept = self._objects[number]
        match verb, values:
            case "lines", []:
                return kept.lines()
            case "printed", []:
                return kept.printed()
            case "picture", [dpi]:
                return kept.picture(dpi)
            case "frames", [every, max_side, start]:
                frames = kept.frames(every=every, max_side=max_side, start=start)
                return self._kept("frames", _Frames(frames)).number
            case "next", []:
                return kept.next()
            case "close", []:
                self._objects[number] = None
            case "sound", []:
                return kept.sound()
            case "get", [key]:
                return kept.get(key)
            case "set", [key, note]:
                kept[key] = note
            case "call", _:
                kept(*values)
            case _:
                raise Nonsense(f"no question that this call answers: {str(verb)[:20]}")
        return None


class _Frames:
    """Frames on their way: each with its time, and its picture only where that is another one than before."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._last: Picture | None = None

    def next(self) -> tuple[float, Picture | None] | None:
        frame = next(self._frames, None)
        if frame is None:
            return None
        same = frame.picture is self._last
        self._last = frame.picture
        return frame.time, None if same else frame.picture
