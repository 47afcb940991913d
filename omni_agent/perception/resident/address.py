"""Where a resident engine listens, who may speak with it, and which one belongs to which settings.

Its socket's name holds a fingerprint of all that its answers depend on: this omni's files, the interpreter, and the
settings that an engine loads by. Another omni or other settings therefore never reach a wrong engine; the greeting
checks it once more.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import omni_agent
from omni_agent.errors import EngineError, Unavailable
from omni_agent.settings import Settings

PER_CALL = frozenset(  # what a question brings along: one loaded engine serves any of these
    ["think", "think_budget", "max_tokens", "temperature", "top_p", "top_k", "seed", "fps", "max_frames", "evs", "keep"]
)
_ELSEWHERE = frozenset(("engine", "resident", "idle_minutes", "base_url", "api_key", "model"))
_ONLY_LITE = frozenset(("cache_dir", "offline", "whisper_model"))
_PATH_MAX = 107  # bytes of a Unix socket's path on Linux (sun_path, with its NUL)
_UCRED = struct.Struct("3i")  # pid, uid, gid


def loads_by(settings: Settings, engine: str) -> dict[str, Any]:
    """The settings that make a loaded engine what it is, as JSON values."""
    known = settings.model_dump(mode="json", exclude=set(_ELSEWHERE | PER_CALL))
    return {key: value for key, value in known.items() if engine != "lite" or key in _ONLY_LITE}


def fingerprint(settings: Settings, engine: str) -> str:
    """32 hexadecimal digits; different ones for what must not answer in place of one another."""
    package = Path(omni_agent.__file__).parent
    newest = max(
        (entry.stat().st_mtime_ns for folder, _, _ in os.walk(package, followlinks=True) for entry in os.scandir(folder)
         if entry.name.endswith((".py", ".md"))),
        default=0,
    )  # fmt: skip
    model = settings.model_path
    facts = {
        "omni": [omni_agent.__version__, str(package), newest],
        "python": [sys.executable, sys.version],
        "engine": engine,
        "settings": loads_by(settings, engine),
        "model folder": model.stat().st_mtime_ns if engine != "lite" and model is not None and model.is_dir() else 0,
        "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def folder() -> Path:
    """The folder of the sockets, made with mode 0700. Raises Unavailable where it, or the folder that holds it, belongs
    to somebody else."""
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():  # without XDG_RUNTIME_DIR it is in /tmp, which is why it is checked below
        warnings.simplefilter("ignore")
        path = user_runtime_path("omni")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        for place, owners in ((path.parent, (0, os.geteuid())), (path, (os.geteuid(),))):
            status = place.lstat()
            shared = status.st_mode & (0o077 if place is path else 0o022)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners or shared:
                raise Unavailable(
                    f"{place} is not a folder of yours alone, so no resident engine can listen there",
                    hint=f"remove it, or `chmod 700 {place}`; OMNI_RESIDENT=never does without",
                )
    except OSError as error:
        raise Unavailable(f"{path} cannot be used for the resident engine: {error.strerror or error}") from error
    return path


def socket_path(settings: Settings, engine: str) -> Path:
    """Where the engine of these settings listens. Raises Unavailable."""
    path = folder() / f"{engine}-{fingerprint(settings, engine)[:16]}.sock"
    if len(os.fsencode(path)) > _PATH_MAX:
        raise Unavailable(f"{path} is too long for a socket", hint="set XDG_RUNTIME_DIR to a folder with a short name")
    return path


def peer(connection: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end, as the kernel knows them (SO_PEERCRED, unix(7))."""
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid


def connected(path: Path, timeout_s: float) -> socket.socket | None:
    """A connection to whoever listens there, None where nobody does. Raises EngineError when it is another user."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
        uid = peer(connection)[1]
    except OSError:
        connection.close()
        return None
    if uid != os.geteuid():
        connection.close()
        raise EngineError(f"{path} is served by another user (uid {uid}); it was not asked", hint=f"rm {path}")
    return connection


def state_folder() -> Path:
    """Where the log and the remembered answer are, made with mode 0700."""
    from platformdirs import user_state_path

    path = user_state_path("omni")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def log_path() -> Path:
    """Where resident engines write what happened; no content of any file."""
    return state_folder() / "engine.log"
