"""The resident process: holds one perception, answers over a socket, leaves when nobody has asked for a while.

It opens no file of the user's: pages, frames and notes are asked of the client while a request runs (`remote`). Run as
`python -m omni_agent.perception.resident.server ENGINE SOCKET FINGERPRINT`, with the settings in the environment.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from omni_agent import __version__
from omni_agent.engines.local import LocalEngine
from omni_agent.errors import OmniError
from omni_agent.perception.base import Perception
from omni_agent.perception.resident.address import peer
from omni_agent.perception.resident.lines import Lines
from omni_agent.perception.resident.session import GREETING_S, Session
from omni_agent.perception.resident.turns import Turns
from omni_agent.perception.resident.values import Nonsense, error_packed
from omni_agent.perception.resident.wire import Gone, Wire

log = logging.getLogger("omni.resident")


class Server:
    """One perception for many clients, `at_once` requests at a time: more than one only for an engine that answers
    several together.

    `perceive` makes the perception for the settings that a client brings along. Where `shares` is true the turn is
    given up whenever a client is asked for something: an answer from a thousand pages then holds up nobody's click.
    That is for perceptions without state between two such questions; a model in the middle of a prompt has some.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: str,
        engine: str,
        perceive: Callable[[dict[str, Any]], Perception],
        *,
        idle_s: float,
        shares: bool,
        at_once: int = 1,
    ) -> None:
        self.path, self.fingerprint, self.engine = path, fingerprint, engine
        self.perceive, self.idle_s, self.shares = perceive, idle_s, shares
        self.turns, self.lines = Turns(at_once), Lines()
        self._lock = threading.Lock()
        self._open = 0
        self._leaving = False
        self._began = self._used = time.monotonic()

    def run(self) -> None:
        """Serve until the idle time has passed or SIGTERM comes. Returns at once where another process serves here."""
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it, however this process ends
            except BlockingIOError:
                return
            listener = self._listening()
            log.info("omni %s, engine %s, process %d: listening", __version__, self.engine, os.getpid())
            try:
                while not self._idle():
                    if select.select([listener], [], [], min(1.0, self.idle_s))[0]:
                        connection, _ = listener.accept()
                        threading.Thread(target=self._meet, args=(connection,), daemon=True).start()
            finally:
                self.path.unlink(missing_ok=True)
                log.info("process %d leaves after %d requests", os.getpid(), self.turns.given)

    def _listening(self) -> socket.socket:
        self.path.unlink(missing_ok=True)  # of a process that was killed
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(self.path))
        finally:
            os.umask(before)
        listener.listen(128)
        return listener

    def _idle(self) -> bool:
        with self._lock:
            self._leaving = not self._open and time.monotonic() - self._used > self.idle_s
            return self._leaving

    def _meet(self, connection: socket.socket) -> None:
        """One connection from its first to its last message; whatever is wrong with it ends it and nothing else."""
        wire = Wire(connection, GREETING_S)
        try:
            pid, uid = peer(connection)
            if uid != os.geteuid():
                log.warning("a process of the user %d was turned away", uid)
                return
            kind, values = wire.receive()
            if kind == "status":
                wire.send("value", self.status())
            elif kind == "stop":
                wire.send("value", os.getpid())
                os.kill(os.getpid(), signal.SIGTERM)
            elif kind == "hello" and len(values) == 2 and isinstance(values[1], dict):
                self._greet(wire, pid, *values)
            else:
                raise Nonsense("no greeting")
        except Gone:
            pass
        except OmniError as error:  # nonsense, mostly: say so where the other side still listens
            log.warning("a client was dropped: %s", error)
            with suppress(Gone):
                wire.send("error", error_packed(error))
        finally:
            wire.close()

    def _greet(self, wire: Wire, client: int, fingerprint: str, settings: dict[str, Any]) -> None:
        if fingerprint != self.fingerprint:
            wire.send("other", self.status())
            return
        with self._lock:
            if self._leaving:
                return
            self._open += 1
        try:
            wire.send("welcome", os.getpid())
            perceive = partial(self.perceive, settings)
            Session(wire, client, self.turns, self.lines, perceive, shares=self.shares).run()
        finally:
            with self._lock:
                self._open -= 1
                self._used = time.monotonic()

    def status(self) -> dict[str, Any]:
        """What there is to know about this process: seconds, megabytes, counts."""
        now = time.monotonic()
        idle = 0.0 if self._open else now - self._used
        return {
            "pid": os.getpid(),
            "engine": self.engine,
            "version": __version__,
            "uptime_s": round(now - self._began, 1),
            "idle_s": round(idle, 1),
            "idle_limit_s": self.idle_s,
            "requests": self.turns.given,
            "open": self._open,
            "running": self.turns.running,
            "waiting": self.turns.waiting,
            "memory_mb": _resident_mb(),
            "socket": str(self.path),
        }


def _resident_mb() -> float:
    """Memory of this process that is in RAM (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def serve(server: Server) -> None:
    """Run a server as this process's whole work; ends the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _leave)
    with suppress(SystemExit):
        server.run()
    sys.stderr.flush()
    os._exit(0)  # threads in the middle of a request are not waited for


def main() -> None:
    """The process's own settings are those that the client put into its environment."""
    from omni_agent.perception.choose import choose
    from omni_agent.settings import load

    engine, path, fingerprint = sys.argv[1:4]
    settings = load()

    def perceive(named: dict[str, Any]) -> Perception:
        return choose(load(**named) if named else settings).perception

    idle_s = settings.idle_minutes * 60
    shares, at_once = engine == "lite", LocalEngine.at_once if engine == "local" else 1
    serve(Server(Path(path), fingerprint, engine, perceive, idle_s=idle_s, shares=shares, at_once=at_once))


if __name__ == "__main__":
    main()
