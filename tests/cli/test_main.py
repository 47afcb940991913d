"""The frame of the command line: help, usage errors, exit codes, and what importing costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def omni(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "omni_agent", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_no_command_prints_the_help_and_is_a_usage_error() -> None:
    done = omni()
    assert done.returncode == 2 and done.stdout == "" and "Commands:" in done.stderr


def test_help_names_every_command() -> None:
    done = omni("--help")
    assert done.returncode == 0
    for command in ("ask", "click", "transcribe", "watch", "doctor"):
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", ["ask", "click", "transcribe", "watch", "doctor"])
def test_each_command_explains_itself(command: str) -> None:
    done = omni(command, "--help")
    assert done.returncode == 0 and "--json" in done.stdout


@pytest.mark.parametrize("arguments", [("fly",), ("doctor", "--wings"), ("ask",), ("transcribe",)])
def test_a_wrong_call_is_one_sentence_and_exit_2(arguments: tuple[str, ...]) -> None:
    done = omni(*arguments)
    assert done.returncode == 2 and done.stdout == "" and "omni: " in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("engine", ["local", "server"])
def test_an_engine_that_cannot_run_here_is_one_sentence_and_exit_5(engine: str, examples: Path) -> None:
    done = omni("ask", "--engine", engine, str(examples / "report.pdf"), "How many?")
    assert done.returncode == 5 and done.stdout == ""
    assert done.stderr.count("\n") <= 3 and "Traceback" not in done.stderr


def test_ctrl_c_while_omni_is_still_loading_is_quiet(tmp_path: Path) -> None:
    """The command line's library takes a fifth of a second to load; here it never ends."""
    (tmp_path / "typer.py").write_text("import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(60)\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-m", "omni_agent", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "loading").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=30)
    assert (process.returncode, out, told) == (130, "", "omni: interrupted\n")


@pytest.mark.parametrize(("closed", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_closed_streams_are_no_fault(closed: str, code: int) -> None:
    """As some launchers start programs; "cache path" writes one line."""
    done = subprocess.run(
        f"{sys.executable} -m omni_agent cache path {closed}", shell=True, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code and "fault" not in done.stderr and "Error" not in done.stderr
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_an_unknown_engine_is_named() -> None:
    done = omni("ask", "--engine", "warp", "x.pdf", "q")
    assert done.returncode == 2 and "warp" in done.stderr


def test_doctor_speaks_of_every_engine_and_never_fails() -> None:
    done = omni("doctor", "--json")
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == 0
    assert {"engine lite", "engine local", "engine server"} <= {finding["part"] for finding in findings}
    assert all(finding["ok"] or finding["detail"] for finding in findings)


def test_doctor_says_where_every_weight_of_the_embedded_engine_is() -> None:
    told = {finding["part"]: finding for finding in json.loads(omni("doctor", "--json").stdout)["findings"]}
    for part, name in (("speech", "Whisper base in"), ("reading", "rapidocr/models"), ("meaning", "MiniLM in")):
        assert told[part]["ok"] and name in told[part]["detail"]
    assert "reranker_en/model.onnx, its sha256 is right" in told["answers"]["detail"]
    assert "8 icon fonts in" in told["icons"]["detail"]


def test_importing_omni_loads_no_heavy_library_and_opens_nothing() -> None:
    """Measured by what is loaded, not by a clock: the names that take long are not there."""
    code = (
        "import sys, omni_agent, omni_agent.cli.main\n"
        "heavy = {'numpy','PIL','pymupdf','av','torch','rapidocr','onnxruntime','faster_whisper','mss','pyautogui',"
        "'sounddevice','pydantic','rich.progress','langchain_core','cv2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_terminal_that_knows_no_unicode_gets_the_answer_all_the_same(examples: Path, tmp_path: Path) -> None:
    page = tmp_path / "note.txt"
    page.write_text("The café opens at nine o’clock on weekdays.\n", encoding="utf-8")
    done = omni("ask", "-q", "--json", str(page), "When does the café open?", PYTHONIOENCODING="ascii")
    assert "fault" not in done.stderr and json.loads(done.stdout)["schema_version"] == 1
    done = omni("ask", "-q", str(page), "When does the café open?", PYTHONIOENCODING="ascii")
    assert "fault" not in done.stderr and done.returncode in (0, 3)


def test_a_reader_that_hangs_up_is_no_error() -> None:
    done = subprocess.run(f"{sys.executable} -m omni_agent doctor | true", shell=True, capture_output=True, text=True)
    assert done.stderr == ""
