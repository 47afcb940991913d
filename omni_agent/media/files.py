"""Files as users hand them over: checked before they are opened, and written whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omni_agent.errors import MediaError, OmniError, UsageError


@contextmanager
def opened(name: str | Path) -> Iterator[Path]:
    """A readable, non-empty file for `name`; "-" is standard input, kept in a temporary file while it is used.

    Raises UsageError for what is not there or is a folder, MediaError for what is empty or may not be read.
    """
    if str(name) != "-":
        yield checked(name)
        return
    if sys.stdin.isatty():
        raise UsageError("'-' reads standard input, and nothing is piped into it", hint="omni … - < FILE")
    with tempfile.TemporaryDirectory(prefix="omni-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield checked(path, shown="standard input")


def checked(name: str | Path, shown: str | None = None) -> Path:
    """The path of a readable, non-empty regular file. Raises as `opened` does."""
    path, shown = Path(name).expanduser(), shown or str(name)
    try:
        if not path.exists():
            raise UsageError(f"{shown}: no such file", hint="check the name, or quote it if it has spaces")
        if path.is_dir():
            raise UsageError(f"{shown} is a folder, not a file", hint=f"name the files in it: {shown.rstrip('/')}/*")
        if not os.access(path, os.R_OK):
            raise MediaError(f"{shown} may not be read", hint="check its permissions")
        if path.is_file() and path.stat().st_size == 0:
            raise MediaError(f"{shown} is empty (0 bytes)")
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise UsageError(f"{shown[:80]}: not a file name ({error})") from error
    return path


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: a full disk or an interruption leaves what was there before.

    Raises OmniError that names the path and the cause.
    """
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OmniError(
            f"{path} could not be written: {error.strerror or error}", hint="free space or name another place"
        ) from error
