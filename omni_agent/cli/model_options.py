"""Options of the full model that every command which perceives takes: reasoning, sampling, video, and where time went.

They are settings of one call: what is not given is taken from the environment or the config file as ever.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import typer


def _option(kind: Any, *names: str, help: str, metavar: str | None = None) -> Any:
    return Annotated[kind | None, typer.Option(*names, help=help, metavar=metavar)]


SETTINGS: dict[str, Any] = {  # a field of Settings -> its option
    "think": _option(bool, "--think/--no-think", help="Reason before answering."),
    "think_budget": _option(int, "--think-budget", metavar="N", help="Tokens of reasoning after which it should end."),
    "max_tokens": _option(int, "--max-tokens", metavar="N", help="Tokens of the answer and its reasoning, at most."),
    "temperature": _option(float, "--temperature", metavar="T", help="0 is greedy."),
    "top_p": _option(float, "--top-p", metavar="P", help="Share of likeliest tokens that are drawn from."),
    "top_k": _option(int, "--top-k", metavar="K", help="Number of likeliest tokens that are drawn from."),
    "seed": _option(int, "--seed", metavar="N", help="The same answer again."),
    "fps": _option(float, "--fps", metavar="N", help="Frames a second that are seen of a video."),
    "max_frames": _option(int, "--max-frames", metavar="N", help="Frames of a video, at most."),
    "evs": _option(
        float, "--evs", metavar="0…0.95", help="Share of a video's tokens left out, those that change least."
    ),
}
SHOWN: dict[str, Any] = {
    "hide_reasoning": _option(bool, "--hide-reasoning", "-R", help="Do not show the reasoning on stderr."),
    "timings": _option(bool, "--timings", help="Say on stderr where the time went."),
}


@dataclass(frozen=True)
class Wishes:
    """What was given: `settings` as flags for settings.load; whether to show the reasoning and the times."""

    settings: dict[str, Any]
    hide_reasoning: bool = False
    timings: bool = False


_wishes: ContextVar[Wishes | None] = ContextVar("wishes", default=None)


def wishes() -> Wishes:
    """The options of the command that is running."""
    return _wishes.get() or Wishes({})


def with_model_options(command: Callable[..., int]) -> Callable[..., int]:
    """The same command with these options added; while it runs, `wishes()` are what was given."""
    added = SETTINGS | SHOWN
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**values: Any) -> int:
        given = {name: values.pop(name) for name in added}
        token = _wishes.set(Wishes({name: given[name] for name in SETTINGS}, *(bool(given[name]) for name in SHOWN)))
        try:
            return command(**values)
        finally:
            _wishes.reset(token)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in added.items()]
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *parameters])  # type: ignore[attr-defined]
    return run
