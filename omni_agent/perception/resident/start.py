"""Finding the resident engine of these settings, starting it where there is none, and ending it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import omni_agent
from omni_agent.errors import EngineError, OmniError, Unavailable
from omni_agent.perception.resident import address
from omni_agent.perception.resident.wire import Gone, Wire
from omni_agent.settings import Settings

START_S = 60.0  # that a new process may take until it listens: an interpreter and its imports on a busy machine
ANSWER_S = 10.0  # that one which listens may take to say hello
KEEP_LOG = 1_000_000  # bytes


def reached(settings: Settings, engine: str) -> Wire:
    """A greeted connection to the engine of these settings, which is started where it does not run.

    Raises Unavailable where it cannot be started.
    """
    path = address.socket_path(settings, engine)
    mark = address.fingerprint(settings, engine)
    named = settings.model_dump(mode="json", include=set(address.PER_CALL), exclude_none=True)
    greeting = (mark, named if engine != "lite" else {})
    child: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + START_S
    while (wire := _greeted(path, *greeting)) is None:
        ended = None if child is None else child.poll()
        if (ended is not None and ended > 0) or time.monotonic() > deadline:
            raise Unavailable(
                f"the resident engine did not start: {_last_words()}",
                hint=f"see {address.log_path()}; OMNI_RESIDENT=never does without it",
            )
        if child is None:
            _relieve(path, engine)
        if child is None or ended is not None:  # 0: another listens, or was about to leave; below: somebody killed it
            child = _spawned(settings, engine, path, mark)
        time.sleep(0.02)
    return wire


def status(path: Path) -> dict[str, Any] | None:
    """What the engine that listens there says of itself; None where none does."""
    return _asked(path, "status")


def stop(path: Path) -> bool:
    """End the engine that listens there, in the middle of its work if it has some. False where none does."""
    pid = _asked(path, "stop")
    deadline = time.monotonic() + ANSWER_S
    while pid is not None and path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return pid is not None


def running() -> list[dict[str, Any]]:
    """Every resident engine of this user that answers, whichever omni started it."""
    found = (status(path) for path in sorted(address.folder().glob("*.sock")))
    return [each for each in found if each is not None]


def _greeted(path: Path, mark: str, named: dict[str, Any]) -> Wire | None:
    """A connection whose other end has said welcome; None where nobody does, or is just leaving."""
    connection = address.connected(path, ANSWER_S)
    if connection is None:
        return None
    wire = Wire(connection, ANSWER_S)
    try:
        wire.send("hello", mark, named)
        kind, _ = wire.receive()
    except Gone:
        wire.close()
        return None
    if kind != "welcome":
        wire.close()
        raise EngineError("another engine listens in the resident engine's place", hint="omni engine stop")
    wire.patience_s = None
    return wire


def _asked(path: Path, what: str) -> Any:
    try:
        connection = address.connected(path, ANSWER_S)
        if connection is None:
            return None
        wire = Wire(connection, ANSWER_S)
        try:
            wire.send(what)
            kind, values = wire.receive()
        finally:
            wire.close()
    except OmniError:
        return None
    return values[0] if kind == "value" and values else None


def _relieve(path: Path, engine: str) -> None:
    """End idle processes of the same engine with other settings or of another omni: memory holds one of a kind."""
    for other in path.parent.glob(f"{engine}-*.sock"):
        told = status(other) if other != path else None
        if told is not None and not told.get("open"):
            stop(other)


def _spawned(settings: Settings, engine: str, path: Path, mark: str) -> subprocess.Popen[bytes]:
    """A process in a session of its own, in the root folder, with these settings and no other way to get any."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("OMNI_")}
    for key, value in settings.model_dump(mode="json", exclude={"api_key", "base_url"}, exclude_none=True).items():
        environment[f"OMNI_{key.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    environment |= {"OMNI_CONFIG": os.devnull, "OMNI_ENGINE": engine, "OMNI_RESIDENT": "never"}
    roots = [str(Path(omni_agent.__file__).parent.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, roots))
    log = address.log_path()
    try:
        if log.exists() and log.stat().st_size > KEEP_LOG:
            log.unlink()
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as written:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "omni_agent.perception.resident.server", engine, str(path), mark],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        raise Unavailable(
            f"the resident engine could not be started: {error.strerror or error}", hint="OMNI_RESIDENT=never"
        ) from error


def _last_words() -> str:
    """The last line of the log."""
    try:
        lines = address.log_path().read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:200] if lines else "it said nothing"
