"""`omni click`: prints `x y`, and presses only with --do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.options import Engine, Json, Quiet, chosen
from omni_agent.cli.output import agreed, bars, clean, emit, emit_json, note, on_terminal
from omni_agent.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from omni_agent.tools.click import ClickResult


def click(
    target: Annotated[str, typer.Argument(help='What to find: "Submit button", "search icon in the top right".')],
    image: Annotated[
        str | None, typer.Option("--image", "-i", metavar="FILE|-", help="Look in a picture instead of the screen.")
    ] = None,
    screen: Annotated[
        int | None, typer.Option("--screen", "-s", help="Look on this screen only, counted from 1.")
    ] = None,
    do: Annotated[bool, typer.Option("--do", help="Press it. Asks first; off a terminal it needs --yes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --do: press without asking.")] = False,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="FILE.png", help="Save a picture that shows what was found.")
    ] = None,
    engine: Engine = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Find something on the screen, or in a picture, and print where: x y.

    Screen coordinates for a screen, pixels of the picture for --image. Exit 3 when it is not there.
    """
    from omni_agent.tools.click import click as find
    from omni_agent.tools.click import press

    if do and image is not None:
        raise UsageError("--do presses on a screen, not in a picture", hint="leave out --image")
    if do and not yes and not on_terminal():
        raise Unavailable(
            "nothing was pressed: there is no terminal to ask on", hint="add --yes to press without asking"
        )
    if do:
        from omni_agent.media.hands import check

        check()
    perception = chosen(engine, quiet)
    with bars(quiet) as progress:
        result = find(target, image=image, screen=screen, overlay=overlay, engine=perception, progress=progress)
    _print(result, json)
    if not result.found:
        return 3
    if do:
        if not yes and not _agreed(result):
            note("nothing was pressed")
            return 1
        done = press(result, engine=perception)
        note(f"pressed {done.point[0]} {done.point[1]}" + ("" if done.changed else "; nothing changed on the screen"))
    return 0


def _print(result: ClickResult, json: bool) -> None:
    if json:
        emit_json(result)
    elif result.found and result.point is not None:
        x, y = result.point.screen or result.point.image
        emit(f"{x} {y}")
    if not result.found and not json:
        note(f"not found: {result.reason}")
        for other in result.alternatives:
            x, y = other.point.screen or other.point.image
            note(f"  {x} {y}  {other.label}".rstrip())


def _agreed(result: ClickResult) -> bool:
    assert result.point is not None and result.point.screen is not None
    x, y = result.point.screen
    named = f" ({clean(result.label)})" if result.label else ""
    return agreed(f"press at {x} {y}{named}?")
