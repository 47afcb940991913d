"""Options that several commands share, and the perception they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.model_options import flags
from omni_agent.cli.output import note

if TYPE_CHECKING:
    from omni_agent.perception.base import Perception

Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", metavar="auto|lite|local|server", help="Which engine answers; auto never leaves this machine."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]


def chosen(engine: str | None, quiet: bool) -> Perception:
    """The perception that will answer; says on stderr which one, and the first time what a better one needs."""
    from omni_agent.cli.engine import agreed
    from omni_agent.perception.choose import choose
    from omni_agent.settings import load

    settings = agreed(load(engine=engine, **flags()), quiet)
    choice = choose(settings)
    if not quiet:
        note(f"engine: {choice.perception.name}")
    told = settings.cache_dir / "told-what-is-better"
    if choice.better and not quiet and not told.exists():
        note(f"a better answer needs {choice.better}; said once, `omni doctor` repeats it")
        try:
            told.parent.mkdir(parents=True, exist_ok=True)
            told.touch()
        except OSError:
            pass  # a read-only home hears it every time
    return choice.perception
