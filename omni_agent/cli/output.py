"""What goes where: results to stdout, everything else to stderr; text from files and models without its teeth."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omni_agent.errors import OmniError
from omni_agent.types import Progress, no_progress, to_json

# Escape sequences first, whole; then control characters except tab and newline; then the marks that reorder text.
_HARMFUL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_].*?(?:\x1b\\|\x07|$)"  # OSC, DCS, SOS, PM, APC with their payload
    r"|\x1b[ -/]*[0-~]?"  # other escapes
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c]"  # bidirectional marks, embeddings, isolates
    r"|[\ufeff\ufff9-\ufffb]",
    re.DOTALL,
)


def clean(text: str) -> str:
    """The text without escape sequences, control characters and marks that change the reading direction."""
    return _HARMFUL.sub("", text.replace("\r\n", "\n"))


def emit(text: str) -> None:
    """Write a result, cleaned, with one newline at its end."""
    _out(clean(text).rstrip("\n"))


def emit_json(value: Any) -> None:
    """Write one JSON object on one line. Control characters are escaped by JSON itself; bidi marks by ensure_ascii."""
    _out(json.dumps(to_json(value), ensure_ascii=True))


def _out(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has had enough; the command line ends quietly
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's own flush is silent
        raise OmniError(f"the result could not be written: {error.strerror or error}") from error


def note(text: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    sys.stderr.write(clean(text).rstrip("\n") + "\n")
    sys.stderr.flush()


def on_terminal() -> bool:
    """Whether somebody can be asked: they see stderr and type into stdin."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str) -> bool:
    """Ask on stderr and read the answer; only "y" and "yes" agree. Typer's own question writes a space to stdout."""
    sys.stderr.write(f"{clean(question)} [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def bars(quiet: bool = False, prefix: str = "") -> Iterator[Progress]:
    """A progress that draws bars with the time left on stderr; draws nothing when stderr is no terminal.

    Nothing may be printed and nobody asked while they are drawn: both would land in the middle of them.
    """
    if quiet or not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    # Without redirection: rich would send to stderr what is written to stdout, a result that goes into a file included.
    with Bars(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as drawn:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: float, total: float | None) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(escape(clean(prefix + what)), total=total)
            drawn.update(tasks[what], completed=done, total=total)

        yield progress
