"""Work that was done once: pages read, stretches transcribed. Keyed by content, so a renamed file is still known."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from omni_agent.errors import OmniError
from omni_agent.media.files import write
from omni_agent.settings import load

VERSION = 1  # raise it when what is stored, or the way it is made, changes


def get(kind: str, *key: object) -> Any:
    """What was kept under this key, or None. A damaged entry counts as none."""
    try:
        return json.loads(_path(kind, key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def put(kind: str, *key: object, value: Any) -> None:
    """Keep a JSON value. A cache that cannot be written is no error: the work is only done again next time."""
    try:
        load().cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # what was read may be private
        write(_path(kind, key), json.dumps(value))
    except (OmniError, OSError):
        return


def fingerprint(path: Path) -> str:
    """The sha256 of a file's content."""
    status = path.stat()
    return _fingerprint(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _fingerprint(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(kind: str, key: tuple[object, ...]) -> Path:
    name = hashlib.sha256(json.dumps([VERSION, *map(str, key)]).encode()).hexdigest()
    return load().cache_dir / kind / name[:2] / f"{name}.json"
