"""`omni watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.options import Engine, Json, Quiet, chosen
from omni_agent.cli.output import bars, emit, emit_json, note

if TYPE_CHECKING:
    from omni_agent.tools.watch import WatchResult


def watch(
    video: Annotated[str, typer.Argument(metavar="VIDEO|-", help="A video; '-' reads standard input.")],
    question: Annotated[str, typer.Argument(help="One question, in plain words.")],
    frames: Annotated[
        Path | None,
        typer.Option("--frames", metavar="DIR", help="Where pictures of the cited moments are saved; else ./omni-out."),
    ] = None,
    json: Json = False,
    engine: Engine = None,
    quiet: Quiet = False,
) -> int:
    """Answer a question about a video: what is shown and what is said, with the moments."""
    from omni_agent.tools.watch import watch as answer

    perception = chosen(engine, quiet)
    try:
        with bars(quiet) as progress:
            folder = frames or Path("omni-out")
            result = answer(video, question, frames_dir=folder, engine=perception, progress=progress)
    except KeyboardInterrupt:
        note("omni: interrupted; what was read and heard is kept, the same command goes on from there")
        return 130
    if json:
        emit_json(result)
    elif result.found:
        _print(result)
    for warning in result.warnings:
        note(f"note: {warning}")
    if not result.found:
        note(f"not found: {result.reason}")
        return 3
    return 1 if frames is not None and any(moment.frame is None for moment in result.moments) else 0


def _print(result: WatchResult) -> None:
    """The answer, then each moment with what was seen and said there and where its picture is."""
    from omni_agent.types import timestamp

    emit(result.answer)
    for moment in result.moments:
        emit(f"\n[{timestamp(moment.start)}] to [{timestamp(moment.end)}]")
        for label, text in (("seen", moment.seen), ("said", moment.said), ("frame", moment.frame)):
            if text:
                emit(f"  {label:<6} {text}")
