"""The command line: one app, one place where errors become exit codes.

0 found · 1 failed · 2 usage · 3 honestly not found · 4 a batch with some failures · 5 something missing ·
130 interrupted
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from omni_agent import __version__
from omni_agent.cli.ask import ask
from omni_agent.cli.cache import cache
from omni_agent.cli.click import click
from omni_agent.cli.doctor import doctor
from omni_agent.cli.engine import engine
from omni_agent.cli.model import model
from omni_agent.cli.model_options import with_model_options
from omni_agent.cli.output import note
from omni_agent.cli.transcribe import transcribe
from omni_agent.cli.watch import watch
from omni_agent.errors import OmniError

app = typer.Typer(
    name="omni",
    help="Eyes and ears on your own machine: documents, screens, recordings and videos, with the evidence shown.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (ask, click, transcribe, watch):
    app.command()(with_model_options(command))
app.command()(doctor)
app.add_typer(cache, name="cache")
app.add_typer(engine)
app.add_typer(model, name="model")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"omni {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Global options."""


def main() -> NoReturn:
    """Run the command and exit with its code; every error is one sentence on stderr."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an answer is worth more than a sign the terminal lacks
    try:
        if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on an interruption is answered below
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except OmniError as error:
        note(f"omni: {error}" + (f"\n      {error.hint}" if error.hint else ""))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        note("omni: interrupted")
        sys.exit(130)
    except typer.TyperException as error:
        _show(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's own flush is silent
        sys.exit(141)
    except Exception as error:
        if os.environ.get("OMNI_LOG") == "debug":
            raise
        note(
            f"omni: a fault in omni itself: {type(error).__name__}: {error}\n"
            "      OMNI_LOG=debug shows where; please report it"
        )
        sys.exit(1)


def _open_streams() -> None:
    """A standard stream that the caller closed leads nowhere: no file that is opened later may get its number. What is
    to read from one that is closed stays None, which says that nothing is piped in."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if name != "stdin":
                setattr(sys, name, os.fdopen(nowhere, "w"))


def _show(error: typer.TyperException) -> None:
    """Print what is wrong with the command line; a call without arguments carries the help as its message."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    usage = f"{context.get_usage()}\n" if context is not None else ""
    note(message if message.startswith("Usage:") else f"{usage}omni: {message}")
