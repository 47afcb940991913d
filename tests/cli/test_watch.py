"""`omni watch` as people run it: text, JSON, exit codes, interruption and resuming."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Film = Callable[..., Path]
OMNI = [sys.executable, "-m", "omni_agent", "watch", "--engine", "lite"]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, film: Film) -> Path:
    path = tmp_path_factory.mktemp("slides") / "slides.mp4"
    return film(path, [(0.0, "Quarterly report"), (3.0, "Revenue: 41.7 million"), (6.0, "Thank you")], 8.0)


def omni(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*OMNI, *arguments], capture_output=True, text=True, timeout=240, **options)


def test_the_answer_with_its_moment(slides: Path, tmp_path: Path) -> None:
    done = omni(str(slides), "What is the revenue?", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Revenue: 41.7 million" in done.stdout.splitlines()[0]
    assert "[00:03]" in done.stdout and "\x1b" not in done.stdout
    saved = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.split()[:1] == ["frame"]]
    assert saved and all((tmp_path / name).is_file() and name.startswith("omni-out") for name in saved)


def test_json_is_the_contract(slides: Path, tmp_path: Path) -> None:
    done = omni(str(slides), "What is the revenue?", "--json", "--frames", str(tmp_path / "here"))
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result["schema_version"] == 1 and result["found"] and result["engine"] == "lite"
    assert {"answer", "confidence"} <= set(result)
    assert all(set(moment) >= {"start", "end", "frame", "seen", "said"} for moment in result["moments"])
    assert result["moments"][0]["start"] == pytest.approx(3.0, abs=0.6)
    assert Path(result["moments"][0]["frame"]).parent == tmp_path / "here"


def test_standard_input(slides: Path, tmp_path: Path) -> None:
    with slides.open("rb") as file:
        done = omni("-", "What is the revenue?", cwd=tmp_path, stdin=file)
    assert done.returncode == 0 and "41.7" in done.stdout


def test_what_is_not_there_is_exit_3(slides: Path, tmp_path: Path) -> None:
    done = omni(str(slides), "What is the name of the ship?", "--json", cwd=tmp_path)
    assert done.returncode == 3 and json.loads(done.stdout)["found"] is False and "not found" in done.stderr
    assert not (tmp_path / "omni-out").exists()


def test_mistakes_are_one_sentence(slides: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "letter.mp4"
    renamed.write_text("Dear reader\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for name, question, code in (
        (str(renamed), "?", 1),
        (str(empty), "?", 1),
        (str(tmp_path), "?", 2),
        ("none.mp4", "?", 2),
        (str(slides), " ", 2),
    ):
        done = omni(name, question, "--quiet", cwd=tmp_path)
        assert done.returncode == code and done.stdout == "" and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.startswith("omni: ") and len(done.stderr.splitlines()) <= 2


def test_a_full_disk_is_named_and_leaves_no_half_picture(slides: Path, tmp_path: Path) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = omni(str(slides), "What is the revenue?", "--frames", "out", cwd=tmp_path, preexec_fn=full)
    assert done.returncode == 1 and "could not be written" in done.stderr and "Traceback" not in done.stderr
    assert "41.7 million" in done.stdout and "frame" not in done.stdout, "the answer is worth more than its picture"
    assert list((tmp_path / "out").iterdir()) == []


def test_interrupted_and_resumed(tmp_path: Path, film: Film) -> None:
    """Ctrl-C in the middle of a video: the stretches that were read are kept and not read again."""
    shows = [(float(at), f"Station {at}\nplatform {at % 7}\n" + "x" * (at % 9)) for at in range(0, 65, 5)]
    path = film(tmp_path / "long.mp4", shows, 65.0)
    notes = Path(os.environ["OMNI_CACHE_DIR"]) / "watched"
    command = [*OMNI, str(path), "Which platform has Station 60?", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    deadline = time.monotonic() + 200
    while not list(notes.rglob("*.json")) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and out == "" and "goes on from there" in err, err
    kept = {note: note.stat().st_mtime_ns for note in notes.rglob("*.json")}
    assert 1 <= len(kept) < 3
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0 and "platform 4" in json.loads(done.stdout)["moments"][0]["seen"], done.stdout
    assert all(note.stat().st_mtime_ns == when for note, when in kept.items())
    assert len(list(notes.rglob("*.json"))) >= 3  # a note for each half minute, and what the question needed
