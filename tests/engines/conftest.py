"""A small server that speaks the chat protocol, over a real socket: what it answers is a script of the test's own."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Request = dict[str, Any]


@dataclass
class Answer:
    """Status, headers, and the body piece by piece. Without `ends` the connection is cut after the last piece."""

    pieces: Iterable[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    ends: bool = True


def event(*, usage: Request | None = None, finish: str | None = None, **delta: Any) -> bytes:
    """One chunk of a streamed completion."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if delta or finish else []
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def said(text: str, *, finish: str = "stop", size: int = 5) -> Answer:
    """A reply in small pieces, with what it cost."""
    pieces = [event(content=text[i : i + size]) for i in range(0, len(text), size)]
    usage = {"prompt_tokens": 11, "completion_tokens": len(text.split()), "total_tokens": 11}
    return Answer([event(role="assistant", content=""), *pieces, event(finish=finish), event(usage=usage), DONE])


def failed(status: int, body: object, **headers: str) -> Answer:
    """An error that the client is told not to try again."""
    shown = {"Content-Type": "application/json", "x-should-retry": "false"}
    return Answer([json.dumps(body).encode()], status, shown | {k.replace("_", "-"): v for k, v in headers.items()})


class _Quiet(ThreadingHTTPServer):
    """A client that hangs up is part of these tests and no traceback."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class ChatServer:
    """`url` is its base URL; `requests` and `headers` what it was asked; `cancelled` is set when a client hangs up."""

    def __init__(self, script: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        self.cancelled = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                server.headers.append({k.lower(): v for k, v in self.headers.items()} | {"path": self.path})
                self._send(script(server.requests[-1]))

            def _send(self, answer: Answer) -> None:
                try:
                    self.send_response(answer.status)
                    for name, value in {**answer.headers, "Transfer-Encoding": "chunked"}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for piece in answer.pieces:
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                        self.wfile.flush()
                    if answer.ends:
                        self.wfile.write(b"0\r\n\r\n")
                    else:
                        self.close_connection = True
                except OSError:
                    server.cancelled.set()
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Request], Answer]], ChatServer]]:
    """`serve(script)`: a running server that answers each request with `script(request)`; closed after the test."""
    with contextlib.ExitStack() as stack:

        def start(script: Callable[[Request], Answer]) -> ChatServer:
            server = ChatServer(script)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def chat() -> Any:
    """What scripts are written with: `chat.said`, `chat.event`, `chat.failed`, `chat.Answer`, `chat.DONE`."""
    import types

    return types.SimpleNamespace(said=said, event=event, failed=failed, Answer=Answer, DONE=DONE)
