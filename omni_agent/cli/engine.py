"""`omni engine start|status|stop`, and the one question whether an engine may stay in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from omni_agent.cli.output import emit, emit_json, note, on_terminal
from omni_agent.errors import OmniError, UsageError

if TYPE_CHECKING:
    from omni_agent.settings import Settings

engine = typer.Typer(
    name="engine",
    help="The background process that keeps an engine loaded between commands.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@engine.command()
def start(
    name: Annotated[
        str | None, typer.Option("--engine", metavar="auto|lite|local", help="Which engine stays loaded.")
    ] = None,
    json: Json = False,
) -> int:
    """Start it, where it does not run already; commands with the same settings use it from then on."""
    from omni_agent.perception.choose import choose
    from omni_agent.perception.resident.address import socket_path
    from omni_agent.perception.resident.start import reached, status
    from omni_agent.settings import load

    settings = load(engine=name)
    if settings.engine == "server":
        raise UsageError("a server keeps itself loaded", hint="omni engine start --engine lite")
    chosen = choose(settings.model_copy(update={"resident": "always"})).perception.name
    reached(settings, chosen).close()
    told = status(socket_path(settings, chosen))
    if told is None:
        raise OmniError("the resident engine ended at once", hint="omni doctor")
    _show([told], json)
    return 0


@engine.command()
def status(json: Json = False) -> int:
    """Say what runs: process, engine, up time, idle limit, requests served, memory. Exit 3 when nothing does."""
    from omni_agent.perception.resident.start import running

    found = running()
    _show(found, json)
    return 0 if found else 3


@engine.command()
def stop(json: Json = False) -> int:
    """End every background engine of yours; commands that it works for end with an error."""
    from pathlib import Path

    from omni_agent.perception.resident import start

    ended = [told for told in start.running() if start.stop(Path(told["socket"]))]
    if json:
        emit_json({"schema_version": 1, "stopped": [told["pid"] for told in ended]})
    else:
        emit("\n".join(f"stopped: engine {told['engine']}, process {told['pid']}" for told in ended) or _NONE)
    return 0


_NONE = "no resident engine is running"


def _show(found: list[dict[str, Any]], json: bool) -> None:
    if json:
        emit_json({"schema_version": 1, "running": bool(found), "engines": found})
        return
    for told in found:
        emit(
            f"engine {told['engine']}, process {told['pid']}: up {_minutes(told['uptime_s'])}, "
            f"{told['requests']} requests served, {told['memory_mb']:.0f} MB, "
            f"leaves after {_minutes(told['idle_limit_s'])} without a request"
        )
    if not found:
        emit(_NONE)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


# --- may it stay? -----------------------------------------------------------------------------------------------------


def agreed(settings: Settings, quiet: bool = False) -> Settings:
    """The settings with `resident` decided: "always" or "never".

    "auto" means "always" where an engine of these settings runs already or somebody has agreed to it. On a terminal
    that somebody is asked, once; elsewhere nothing stays in the background unasked.
    """
    if settings.resident != "auto" or settings.engine == "server":
        return settings
    answer = "always" if _runs(settings) else _remembered()
    if answer is None:
        answer = _asked(settings) if on_terminal() and not quiet else "never"
    return settings.model_copy(update={"resident": answer})


def _runs(settings: Settings) -> bool:
    from omni_agent.perception.resident.address import socket_path

    names = ("lite", "local") if settings.engine == "auto" else (settings.engine,)
    try:
        return any(socket_path(settings, name).exists() for name in names)
    except OmniError:  # no folder for sockets: nothing runs
        return False


def _remembered() -> Literal["always", "never"] | None:
    """The answer that was given once."""
    from omni_agent.perception.resident.address import state_folder

    try:
        kept = (state_folder() / "resident").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return "always" if kept == "always" else "never" if kept == "never" else None


def _asked(settings: Settings) -> Literal["always", "never"]:
    """Ask, and remember the answer."""
    from omni_agent.media.files import write
    from omni_agent.perception.resident.address import state_folder

    yes = typer.confirm(
        "Keep the engine loaded in the background, so that the next command need not load it? It leaves after "
        f"{settings.idle_minutes:g} minutes without one. (Asked once; OMNI_RESIDENT=always|never decides too)",
        default=True,
        err=True,
    )
    answer: Literal["always", "never"] = "always" if yes else "never"
    try:
        write(state_folder() / "resident", answer + "\n")
    except (OmniError, OSError) as error:
        note(f"omni: the answer could not be kept: {error}")
    return answer
