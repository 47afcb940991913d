"""What the README shows is what a reader gets: every command and every snippet is run, and its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rapidfuzz import fuzz

pytestmark = pytest.mark.usefixtures("shared_cache")
ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
# What Whisper hears differs by a word and by 0.1 s between processors: its int8 kernels for AVX2 and AVX-512 round
# differently (CT2_FORCE_CPU_ISA shows it on one machine). Below this share of equal letters it is another output.
ALIKE = 92
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Every `$ command` of the console blocks with the output shown below it."""
    found = []
    for block in CONSOLE:
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = piece.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command = command[:-1] + more
            found.append((command, output.strip()))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a fresh checkout to whoever stands in it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.parametrize(("command", "shown"), commands(), ids=[command for command, _ in commands()])
def test_a_command_prints_what_the_readme_shows(command: str, shown: str, folder: Path) -> None:
    tools = Path(sys.executable).parent
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=240,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )
    if re.match("omni (transcribe|watch)", command):
        assert fuzz.ratio(done.stdout.strip(), shown) >= ALIKE, done.stdout + done.stderr
    else:
        assert done.stdout.strip() == shown, done.stderr


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_a_snippet_prints_what_its_comments_say(code: str, folder: Path) -> None:
    """`# -> text` below a print is what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"^ *# -> (.*)$", code, re.MULTILINE)


def test_every_command_of_omni_is_shown() -> None:
    shown = " ".join(command for command, _ in commands())
    for name in ("ask", "click", "transcribe", "watch"):  # what doctor prints depends on the machine
        assert f"omni {name}" in shown
    assert PYTHON
