"""`omni cache path|ls|clear`: what omni keeps of files, where, how much, and its end."""

from __future__ import annotations

import typer

from omni_agent.cli.options import Json
from omni_agent.cli.output import emit, emit_json

cache = typer.Typer(
    help="What is kept of files that were read, heard and asked about: where it is, how much, and its end.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@cache.command()
def path() -> int:
    """Print the folder in which results are kept."""
    from omni_agent.tools.cache import folder

    emit(str(folder()))
    return 0


@cache.command("ls")
def listed(json: Json = False) -> int:
    """Say what is kept, kind by kind."""
    from omni_agent.tools.cache import kept

    found = kept()
    if json:
        emit_json(found)
        return 0
    for kind in found:
        emit(f"{kind.kind:<8} {kind.entries:>6} {kind.bytes / 1e6:>10.1f} MB  {kind.what}")
    return 0


@cache.command()
def clear(json: Json = False) -> int:
    """Delete all that is kept. Weights stay; what is asked again is only worked out again."""
    from omni_agent.tools.cache import clear as delete

    gone = delete()
    if json:
        emit_json(gone)
    else:
        emit(f"{sum(kind.entries for kind in gone)} results deleted, {sum(kind.bytes for kind in gone) / 1e6:.1f} MB")
    return 0
