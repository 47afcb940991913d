"""Files as users hand them over: checked before they are opened, and written whole or not at all."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from omni_agent.errors import MediaError, OmniError, UsageError


@contextmanager
def opened(name: str | Path) -> Iterator[Path]:
    """A readable, non-empty file for `name`; "-" is standard input, kept in a temporary file while it is used.

    Raises UsageError for what is not there or is a folder, MediaError for what is empty or may not be read.
    """
    if str(name) != "-":
        path = checked(name)
        if path.is_file():
            yield path
            return
        with _spooled(path.open("rb"), str(name)) as copy:  # a pipe such as <(command): read once, so keep it
            yield copy
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("'-' reads standard input, and nothing is piped into it", hint="omni … - < FILE")
    with _spooled(sys.stdin.buffer, "standard input") as copy:
        yield copy


@contextmanager
def _spooled(stream: BinaryIO, shown: str) -> Iterator[Path]:
    """What a stream holds, as a temporary file."""
    with tempfile.TemporaryDirectory(prefix="omni-") as folder:
        path = Path(folder, "stream")
        try:
            with path.open("wb") as copy:
                shutil.copyfileobj(stream, copy)
        except OSError as error:
            raise OmniError(f"{shown} could not be kept in {folder}: {error.strerror or error}") from error
        yield checked(path, shown=shown)


def checked(name: str | Path, shown: str | None = None) -> Path:
    """The path of a readable, non-empty regular file. Raises as `opened` does."""
    shown = shown or str(name)
    try:
        path = Path(name).expanduser()
        if not path.exists():
            raise UsageError(f"{shown}: no such file", hint="check the name, or quote it if it has spaces")
        if path.is_dir():
            raise UsageError(f"{shown} is a folder, not a file", hint=f"name the files in it: {shown.rstrip('/')}/*")
        if not path.is_file() and not path.is_fifo():  # /dev/zero has no end
            raise UsageError(f"{shown} is a device or a socket, not a file")
        if not os.access(path, os.R_OK):
            raise MediaError(f"{shown} may not be read", hint="check its permissions")
        if path.is_file() and path.stat().st_size == 0:
            raise MediaError(f"{shown} is empty (0 bytes)")
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL in it, or ~ of nobody
        raise UsageError(f"{shown[:80]}: not a file name ({error})") from error
    return path


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: a full disk or an interruption leaves what was there before.

    Raises OmniError that names the path and the cause.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path = path.resolve()  # a link is written through, not replaced
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # /dev/stdout and the like
            path.write_bytes(data)
            return
        _replace(path, data)
    except OSError as error:
        raise OmniError(
            f"{path} could not be written: {error.strerror or error}", hint="free space or name another place"
        ) from error


def keep_other(path: Path, same: Callable[[bytes], bool]) -> Path | None:
    """A copy of a file that holds something else than what is to be written there: its name with "~", "~2", … at the
    end. None: there is no file, or its content is the `same`. Raises OmniError that names the path and the cause.
    """
    try:
        if not path.is_file() or same(path.read_bytes()):
            return None
        names = (path.with_name(f"{path.name}~{number if number > 1 else ''}") for number in itertools.count(1))
        kept = next(name for name in names if not name.exists())
        shutil.copy2(path, kept)  # the name never stands for nothing, not even for a moment
    except OSError as error:
        raise OmniError(
            f"{path} could not be kept: {error.strerror or error}", hint="name another place with -o"
        ) from error
    return kept


def _replace(path: Path, data: bytes) -> None:
    """Put the data beside the file under a name that nobody can have prepared, then in its place with its mode."""
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
        if path.exists():
            part.chmod(path.stat().st_mode & 0o7777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
