"""Options of the full model that every command which perceives takes: reasoning, sampling, video, what is told.

Most are settings of one call: what is not given is taken from the environment or the config file as ever.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from omni_agent.cli.output import note
from omni_agent.perception.audience import Audience, audience
from omni_agent.types import Usage

PARTS = ("load", "media", "encode", "prefill", "think", "answer")


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
    "no_cache": _option(bool, "--no-cache", help="Keep nothing of these files, use nothing that was kept."),
}
_flags: ContextVar[dict[str, Any] | None] = ContextVar("flags", default=None)


def flags() -> dict[str, Any]:
    """The options of the running command that are settings of one call; None where one was not given."""
    return _flags.get() or {}


def with_model_options(command: Callable[..., int]) -> Callable[..., int]:
    """The same command with these options added; while it runs, `flags()` are those that are settings."""
    added = SETTINGS | SHOWN
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**values: Any) -> int:
        given = {name: values.pop(name) for name in added}
        kept = False if given["no_cache"] else None
        with ExitStack() as stack:
            _set(stack, _flags, {name: given[name] for name in SETTINGS} | {"keep": kept})
            told = Told(quiet=bool(values.get("quiet")), hides=bool(given["hide_reasoning"]))
            _set(stack, audience, told.audience())
            if kept is False:
                from omni_agent.tools.cache import nothing_kept

                stack.enter_context(nothing_kept())
            if given["timings"]:
                stack.callback(lambda: note(told.timings()))
            return command(**values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in added.items()]
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *parameters])  # type: ignore[attr-defined]
    return run


def _set(stack: ExitStack, variable: ContextVar[Any], value: Any) -> None:
    stack.callback(variable.reset, variable.set(value))


class Told:
    """What a command's person is told on stderr of the model's work, and what that cost."""

    def __init__(self, *, quiet: bool, hides: bool) -> None:
        self._quiet, self._hides = quiet, hides
        self._usage = Usage()
        self._adding = threading.Lock()  # several questions of one command may be answered at a time
        self._line = ""

    def audience(self) -> Audience:
        silent = Audience(spent=self._spent)
        if self._quiet:
            return silent
        return Audience(note=note, spent=self._spent, thought=silent.thought if self._hides else self._thought)

    def _thought(self, piece: str) -> None:
        """Reasoning line by line, so that no line is torn by something else that is told."""
        *lines, self._line = (self._line + piece).split("\n")
        for line in lines:
            note(f"  {line}")

    def _spent(self, usage: Usage) -> None:
        if self._line:
            note(f"  {self._line}")
            self._line = ""
        if usage.video_tokens < usage.video_tokens_before and not self._quiet:
            note(f"video: {usage.video_tokens_before:,} tokens, {usage.video_tokens:,} after sampling")
        with self._adding:
            self._usage = self._usage + usage

    def timings(self) -> str:
        """One line: seconds of each part of the model's work, tokens, and tokens a second of what it wrote."""
        usage, parts = self._usage, self._usage.seconds
        if not parts:
            return "timings: no model was asked; --json has this command's own"
        told = [f"{name} {parts[name]:.2f} s" for name in PARTS if name in parts]
        written, wrote = usage.reasoning_tokens + usage.answer_tokens, parts.get("think", 0) + parts.get("answer", 0)
        read = f"{usage.prompt_tokens:,} tokens read" + (
            f" ({usage.cached_tokens:,} kept)" if usage.cached_tokens else ""
        )
        still = f", {usage.unchanged_pairs:,} unchanged pairs of frames not encoded" if usage.unchanged_pairs else ""
        rate = f", {written / wrote:.0f} tok/s" if wrote else ""
        return f"timings: {', '.join(told)}; {read}{still}, {written:,} written{rate}"
