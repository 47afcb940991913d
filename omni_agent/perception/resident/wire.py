"""Frames over a Unix socket, and requests from both sides.

A frame is a head (bytes of JSON, bytes of arrays), the JSON, then the arrays back to back.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

from omni_agent.errors import EngineError, OmniError
from omni_agent.perception.resident.values import MAX_DEPTH, Nonsense, error_of, error_packed, packed, unpacked

HEAD = struct.Struct("!IQ")
MAX_JSON = 256 * 2**20  # a thousand dense pages of text are a tenth of it
MAX_ARRAYS = 8 * 2**30  # 37 hours of sound
SEND_S = 60.0  # that somebody may take to read what is sent before he counts as gone
PIECE = 2**20  # bytes that are made room for before they have arrived

Request = list[Any]  # of the engine: [verb, arguments, named arguments]; of the client: [object, verb, *arguments]


class Gone(EngineError):
    """The other side hung up, is silent for too long, or cannot be written to."""


class Wire:
    """Messages over a connected socket. A message is a list that begins with its kind.

    `patience_s` is how long the other side may be silent where something is expected of it, None for ever."""

    def __init__(self, connection: socket.socket, patience_s: float | None = None) -> None:
        self._socket, self.patience_s = connection, patience_s

    def send(self, kind: str, *values: Any) -> None:
        """Raises Gone when nobody reads any more, TypeError for a value that has no form."""
        arrays: list[memoryview] = []
        text = json.dumps(packed([kind, *values], arrays), separators=(",", ":")).encode()
        size = sum(map(len, arrays))
        if len(text) > MAX_JSON or size > MAX_ARRAYS:
            raise EngineError(f"{(len(text) + size) / 2**20:,.0f} MB are more than the resident engine takes at once")
        try:
            self._socket.settimeout(SEND_S)
            self._socket.sendall(HEAD.pack(len(text), size) + text)
            for part in arrays:
                self._socket.sendall(part)
        except OSError as error:
            raise Gone(f"the connection is gone ({error})") from error

    def receive(self) -> tuple[str, list[Any]]:
        """The next message's kind and values. Raises Gone at the end of the connection or after its timeout, Nonsense
        for what is no message: nothing more can be read then."""
        length, size = HEAD.unpack(self._exactly(HEAD.size))
        if length > MAX_JSON or size > MAX_ARRAYS:
            raise Nonsense(f"a frame of {length} and {size} bytes is larger than any that belongs here")
        text = self._exactly(length)
        arrays = memoryview(self._exactly(size))
        try:
            form = json.loads(bytes(text))
        except (ValueError, RecursionError) as error:
            raise Nonsense(f"no JSON ({error})") from error
        message = unpacked(form, arrays)
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise Nonsense("a message without a kind")
        return message[0], message[1:]

    def _exactly(self, size: int) -> bytearray:
        """So many bytes; room is made as they arrive, so that a claimed size alone costs nothing."""
        data = bytearray()
        try:
            self._socket.settimeout(self.patience_s)
            while len(data) < size:
                start, piece = len(data), min(size - len(data), max(PIECE, len(data)))
                data.extend(bytes(piece))
                with memoryview(data)[start:] as room:
                    got = _filled(self._socket, room)
                if got < piece:
                    raise Gone("the connection ended" + (" in the middle of a frame" if start + got else ""))
        except OSError as error:
            raise Gone(f"the connection is gone ({error})") from error
        return data

    def still_there(self) -> None:
        """Raises Gone when the other side has hung up."""
        try:
            self._socket.settimeout(0)
            if self._socket.recv(1, socket.MSG_PEEK):
                return
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone(f"the connection is gone ({error})") from error
        raise Gone("the connection ended")

    def close(self) -> None:
        self._socket.close()


def _filled(connection: socket.socket, room: memoryview) -> int:
    """How many bytes of `room` were filled before the connection ended."""
    got = 0
    while got < len(room):
        count = connection.recv_into(room[got:])
        if not count:
            break
        got += count
    return got


class Talk:
    """Requests over a wire, from both sides and one inside the other: whoever waits for its answer serves meanwhile.

    `serve` answers a request of the other side. An OmniError of it is sent as the answer; anything else ends the talk.
    """

    def __init__(self, wire: Wire, serve: Callable[[Request], Any]) -> None:
        self._wire, self._serve = wire, serve
        self._depth = 0

    def ask(self, *request: Any) -> Any:
        """The other side's answer. Raises its error, or Gone, or Nonsense."""
        self._wire.send("ask", *request)
        while True:
            kind, values = self._wire.receive()
            if kind == "value" and len(values) == 1:
                return values[0]
            if kind == "error" and len(values) == 1:
                raise error_of(values[0])
            self.handle(kind, values)

    def tell(self, *request: Any) -> None:
        """Say something that needs no answer."""
        self._wire.send("tell", *request)

    def handle(self, kind: str, values: list[Any]) -> None:
        """Serve one message of the other side's."""
        if kind not in ("ask", "tell") or self._depth >= MAX_DEPTH:
            raise Nonsense(f"{kind[:20]!r} does not belong here")
        self._depth += 1
        try:
            value = self._serve(values)
        except (Gone, Nonsense):
            raise
        except OmniError as error:
            if kind == "tell":  # nobody waits to hear of it there
                raise
            self._wire.send("error", error_packed(error))
        else:
            if kind == "ask":
                self._wire.send("value", value)
        finally:
            self._depth -= 1
