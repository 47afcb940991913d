"""`omni engine`, and the question whether an engine may stay: real processes, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

OMNI = [sys.executable, "-m", "omni_agent"]


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sockets, log and remembered answer of this test alone; whatever it started ends with it."""
    with tempfile.TemporaryDirectory(prefix="omni") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setenv("XDG_STATE_HOME", f"{folder}/state")
        monkeypatch.setenv("OMNI_RESIDENT", "auto")
        yield Path(folder)
        omni("engine", "stop")


@pytest.fixture
def note(tmp_path: Path) -> str:
    path = tmp_path / "note.txt"
    path.write_text("The office opens at nine on weekdays. The key is with Maria.\n")
    return str(path)


def omni(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*OMNI, *arguments], capture_output=True, text=True, timeout=120)


def running() -> list[dict[str, object]]:
    engines: list[dict[str, object]] = json.loads(omni("engine", "status", "--json").stdout)["engines"]
    return engines


def ended_process(pid: int) -> bool:
    """Whether it is gone, or only its exit code is left for a parent that does not ask for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def on_a_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """The command's exit code and all that the terminal showed; `answer` is typed when a question comes."""
    child, terminal = pty.fork()
    if not child:
        os.execv(OMNI[0], [*OMNI, *arguments])
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other end has been closed
            break
        if not piece:
            break
        shown += piece
        if answer and b"]: " in shown:
            os.write(terminal, answer.encode())
            answer = ""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode(errors="replace")


def test_start_status_stop() -> None:
    nothing = omni("engine", "status")
    assert nothing.returncode == 3 and "no resident engine" in nothing.stdout
    begun = omni("engine", "start", "--engine", "lite")
    assert begun.returncode == 0 and "engine lite, process" in begun.stdout
    again = json.loads(omni("engine", "start", "--json").stdout)["engines"]
    (told,) = running()
    assert told["pid"] == again[0]["pid"] and told["engine"] == "lite" and told["requests"] == 0
    assert told["idle_limit_s"] == 900 and float(str(told["memory_mb"])) > 10 and float(str(told["uptime_s"])) > 0
    findings = json.loads(omni("doctor", "--json").stdout)["findings"]
    (found,) = (finding for finding in findings if finding["part"] == "resident engine")
    assert found["ok"] and str(told["pid"]) in found["detail"]
    ended = omni("engine", "stop")
    assert ended.returncode == 0 and str(told["pid"]) in ended.stdout
    assert omni("engine", "status").returncode == 3
    deadline = time.monotonic() + 10
    while not ended_process(int(str(told["pid"]))):
        assert time.monotonic() < deadline
    assert "no resident engine" in omni("engine", "stop").stdout


def test_doctor_says_that_none_runs() -> None:
    findings = json.loads(omni("doctor", "--json").stdout)["findings"]
    (found,) = (finding for finding in findings if finding["part"] == "resident engine")
    assert not found["ok"] and "omni engine start" in found["hint"]


def test_an_engine_that_was_started_is_used(note: str) -> None:
    omni("engine", "start")
    done = omni("ask", "-q", "--json", note, "Who has the key?")
    assert done.returncode == 0 and "Maria" in json.loads(done.stdout)["answer"]
    assert running()[0]["requests"] == 1


def test_nothing_stays_in_the_background_unasked(note: str) -> None:
    assert omni("ask", "-q", "--json", note, "Who has the key?").returncode == 0
    assert running() == []


def test_a_setting_allows_it_and_another_forbids_it(note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_RESIDENT", "always")
    assert omni("ask", "-q", "--json", note, "Who has the key?").returncode == 0
    assert len(running()) == 1
    monkeypatch.setenv("OMNI_RESIDENT", "never")
    assert omni("ask", "-q", "--json", note, "Who has the key?").returncode == 0
    assert running()[0]["requests"] == 1


@pytest.mark.parametrize(("typed", "stays"), [("y\n", 1), ("\n", 1), ("n\n", 0)])
def test_a_terminal_is_asked_once_and_the_answer_is_kept(note: str, own_folders: Path, typed: str, stays: int) -> None:
    code, shown = on_a_terminal(typed, "ask", "--json", note, "Who has the key?")
    assert code == 0 and "in the background" in shown and len(running()) == stays
    kept = own_folders / "state" / "omni" / "resident"
    assert kept.read_text() == ("always\n" if stays else "never\n")
    code, shown = on_a_terminal("", "ask", "--json", note, "Who has the key?")
    assert code == 0 and "in the background" not in shown
    if stays:
        assert running()[0]["requests"] == 2


def test_a_quiet_command_is_not_asked(note: str) -> None:
    code, shown = on_a_terminal("", "ask", "-q", "--json", note, "Who has the key?")
    assert code == 0 and "in the background" not in shown and running() == []


def test_an_answer_that_nobody_gave_counts_as_none(note: str, own_folders: Path) -> None:
    (own_folders / "state" / "omni").mkdir(parents=True)
    (own_folders / "state" / "omni" / "resident").write_bytes(b"\xff\x00perhaps")
    assert omni("ask", "-q", "--json", note, "Who has the key?").returncode == 0
    assert running() == []


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[str]:
    """A command whose request the engine works on: a scan of a few words, for which it has to load first."""
    from PIL import Image, ImageDraw, ImageFont

    monkeypatch.setenv("OMNI_RESIDENT", "always")
    page = Image.new("RGB", (640, 200), "white")
    ImageDraw.Draw(page).text((20, 60), "The key is with Maria.", fill="black", font=ImageFont.load_default(40))
    page.save(tmp_path / "scan.png")
    omni("engine", "start")
    command = [*OMNI, "ask", "-q", "--json", str(tmp_path / "scan.png"), "Who has the key?"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any(told["requests"] for told in running()):
        assert started.poll() is None
    return started


def test_a_command_whose_engine_is_stopped_ends_with_one_sentence(asking: subprocess.Popen[str]) -> None:
    omni("engine", "stop")
    out, err = asking.communicate(timeout=60)
    assert asking.returncode == 1 and out == "" and "Traceback" not in err
    assert "ended in the middle of its work" in err and "run the command again" in err


def test_ctrl_c_stops_the_work_there_too(asking: subprocess.Popen[str]) -> None:
    asking.send_signal(signal.SIGINT)
    assert asking.wait(30) == 130
    deadline = time.monotonic() + 90  # a page that is being read is read to its end
    while any(told["open"] for told in running()):
        assert time.monotonic() < deadline
    assert len(running()) == 1


def test_a_server_has_no_resident_engine() -> None:
    done = omni("engine", "start", "--engine", "server")
    assert done.returncode == 2 and "Traceback" not in done.stderr
