"""Work that was done once: pages read, stretches transcribed. Keyed by content, so a renamed file is still known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omni_agent.errors import OmniError
from omni_agent.media.files import write
from omni_agent.settings import load

KINDS = {  # folder in the cache -> what it holds; weights that were put together there are no result and not listed
    "last": "the files of the last question, and the turns about them",
    "page": "pages read",
    "heard": "stretches of sound heard",
    "voices": "voices told apart",
    "watched": "videos watched",
    "model": "what the full model made of files and prompts",
}
VERSION = 1  # raise it when what is stored, or the way it is made, changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of one kind: files and bytes on disk."""

    kind: str
    what: str
    entries: int
    bytes: int


def folder() -> Path:
    """Where everything is kept."""
    return load().cache_dir


def kept() -> tuple[Kept, ...]:
    """What is on disk, kind by kind, with what is not there as zero."""
    return tuple(_counted(kind, [path.stat().st_size for path in _entries(kind)]) for kind in KINDS)


def clear() -> tuple[Kept, ...]:
    """Delete all that is kept and say what it was. Work of another process that is under way is only done again."""
    return tuple(_counted(kind, list(_deleted(kind))) for kind in KINDS)


def _counted(kind: str, sizes: list[int]) -> Kept:
    return Kept(kind=kind, what=KINDS[kind], entries=len(sizes), bytes=sum(sizes))


def _entries(kind: str) -> Iterator[Path]:
    for path in (folder() / kind).rglob("*"):
        if path.suffix in (".json", ".safetensors") and path.is_file() and not path.is_symlink():
            yield path


def _deleted(kind: str) -> Iterator[int]:
    for path in list(_entries(kind)):
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            yield size


_off: ContextVar[bool] = ContextVar("nothing is kept", default=False)


@contextmanager
def nothing_kept() -> Iterator[None]:
    """While it lasts nothing is kept and nothing that was kept is used."""
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)


def keeping() -> bool:
    """Whether anything is kept at all."""
    return not _off.get() and load().keep


def get(kind: str, *key: object) -> Any:
    """What was kept under this key, or None. A damaged entry counts as none."""
    if not keeping():
        return None
    try:
        return json.loads(_path(kind, key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def put(kind: str, *key: object, value: Any) -> None:
    """Keep a JSON value. A cache that cannot be written is no error: the work is only done again next time."""
    if not keeping():
        return
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
