"""Options of the full model: they become settings of the call, and its audience is told on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from omni_agent.cli.model_options import SETTINGS, flags, with_model_options
from omni_agent.engines.base import Options
from omni_agent.engines.fake import FakeEngine
from omni_agent.perception.audience import audience
from omni_agent.perception.choose import WISHES
from omni_agent.perception.model import ModelPerception
from omni_agent.perception.resident.address import PER_CALL
from omni_agent.tools import cache
from omni_agent.types import Segment, Usage

MINUTES = json.dumps({"topics": [{"text": "The plan", "segments": [0]}], "decisions": [], "actions": []})
SAID = [Segment(0, 0.0, 2.0, "Here is the plan.")]


def run(command: Callable[..., int], *words: str) -> int:
    """The exit code of a command line of one command."""
    app = typer.Typer(rich_markup_mode=None)
    app.command()(with_model_options(command))
    code = app(list(words), standalone_mode=False)
    assert isinstance(code, int)
    return code


def test_what_was_given_is_a_flag_and_what_was_not_is_none() -> None:
    seen: dict[str, object] = {}

    def command(quiet: bool = False) -> int:
        seen.update(flags())
        return 3

    assert run(command, "--think", "--think-budget", "64", "--evs", "0.25", "--top-k", "1") == 3
    given = {name: value for name, value in seen.items() if value is not None}
    assert given == {"think": True, "think_budget": 64, "evs": 0.25, "top_k": 1}
    assert flags() == {}


def test_every_wish_has_an_option_and_needs_no_other_engine() -> None:
    """One list of names in four places: options, settings, the engine's options, what a resident engine is told."""
    assert {*SETTINGS, "keep"} == set(WISHES) == set(PER_CALL)
    assert set(WISHES) <= set(Options.__dataclass_fields__)


@pytest.mark.parametrize(("words", "shown"), [([], True), (["-R"], False), (["--quiet"], False)])
def test_reasoning_is_told_on_stderr_unless_hidden(
    words: list[str], shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(quiet: bool = False) -> int:
        ModelPerception(FakeEngine([f"<think>Let me\nsee \x1b[31mred</think>{MINUTES}"])).minutes(SAID)
        return 0

    assert run(command, *words) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("Let me" in printed.err) is shown
    assert "\x1b" not in printed.err


def test_timings_say_what_was_asked_even_where_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def command(quiet: bool = False) -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(command, "--timings")
    assert "no model was asked" in capsys.readouterr().err


def test_timings_tell_what_a_video_cost(capsys: pytest.CaptureFixture[str]) -> None:
    def command(quiet: bool = False) -> int:
        seconds = {"encode": 0.5, "prefill": 0.25, "answer": 2.0}
        spent = Usage(9000, 0, 100, video_tokens=8000, unchanged_pairs=12, cached_tokens=500, seconds=seconds)
        audience.get().spent(spent)
        return 0

    run(command, "--timings")
    assert capsys.readouterr().err.strip() == (
        "timings: encode 0.50 s, prefill 0.25 s, answer 2.00 s; 9,000 tokens read (500 kept), "
        "12 unchanged pairs of frames not encoded, 100 written, 50 tok/s"
    )


def test_no_cache_keeps_nothing_and_uses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_CACHE_DIR", str(tmp_path))
    cache.put("page", "known", value=1)
    seen: list[object] = []

    def command(quiet: bool = False) -> int:
        seen.append(cache.get("page", "known"))
        cache.put("page", "new", value=2)
        return 0

    run(command, "--no-cache")
    run(command)
    assert seen == [None, 1]
    run(command, "--no-cache")
    assert cache.get("page", "known") == 1


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [("--evs", "2", "--evs"), ("--think-budget", "-1", "--think-budget"), ("--fps", "0", "--fps")],
)
def test_a_senseless_value_names_its_flag(option: str, value: str, complaint: str, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("Paris is the capital of France.")
    words = [sys.executable, "-m", "omni_agent", "ask", str(note), "Capital?", option, value]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert complaint in done.stderr and "Traceback" not in done.stderr
