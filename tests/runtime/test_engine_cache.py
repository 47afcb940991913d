"""What the local engine keeps between processes, when something is wrong with it: the answer is never another one.

Each goes through the real engine on a tiny checkpoint: a picture is asked about, its encoding and the prompt's states
are kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
import pytest

from benchmarks import make_checkpoint
from omni_agent.engines.base import Done, Message, Options, Text
from omni_agent.engines.local import LocalEngine
from omni_agent.engines.wanted import Wanted
from omni_agent.errors import OmniError
from omni_agent.perception import choose
from omni_agent.perception.audience import Audience, audience
from omni_agent.runtime import segments
from omni_agent.settings import load
from omni_agent.tools.ask import Documents
from omni_agent.types import Picture

QUESTIONS = ("What is this?", "Why is it so?", "How many of them are there?")
PICTURE = Picture(np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def short_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts lie near each other in prompts that a tiny model can read."""
    monkeypatch.setattr(segments, "LEAST", 4)


def engine(folder: Path, kept: Path | None = None, notes: list[str] | None = None) -> LocalEngine:
    told = [] if notes is None else notes
    return LocalEngine(folder, context=2048, device="cpu", cache=kept, note=told.append)


def answers(asked: LocalEngine) -> list[str]:
    return [answer(asked, question)[0] for question in QUESTIONS]


def answer(asked: LocalEngine, question: str) -> tuple[str, Done]:
    *said, done = asked.stream([Message("user", (PICTURE, question))], Options(max_tokens=8))
    assert isinstance(done, Done)
    return "".join(event.text for event in said if isinstance(event, Text)), done


def flushed(asked: LocalEngine) -> None:
    snapshots = asked._loaded().generator.snapshots
    assert snapshots is not None
    snapshots.tiers.flush()


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[str]:
    """What is said where nothing is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "LEAST", 4)
        return answers(engine(folder))


@pytest.fixture
def kept(folder: Path, tmp_path: Path) -> Path:
    """A cache that an engine has filled."""
    first = engine(folder, tmp_path / "kept")
    answers(first)
    flushed(first)
    return tmp_path / "kept"


def test_another_model_in_the_same_folder_starts_anew(folder: Path, tmp_path: Path) -> None:
    """Weights replaced by others of the same shapes under a filled cache, and then put back."""
    place, kept = tmp_path / "model", tmp_path / "kept"
    shutil.copytree(folder, place)
    first = engine(place, kept)
    old = answers(first)
    flushed(first)
    aside = place.rename(tmp_path / "aside")
    make_checkpoint.write(place, seed=9)
    second = engine(place, kept)
    said, done = answer(second, QUESTIONS[0])
    assert done.usage.cached_tokens == 0
    new = [said, *answers(second)[1:]]
    assert new == answers(engine(place)) != old
    flushed(second)
    shutil.rmtree(place)
    aside.rename(place)
    again = engine(place, kept)
    said, done = answer(again, QUESTIONS[0])
    assert said == old[0] and done.usage.cached_tokens > 0  # the old files, with their old times


@pytest.mark.parametrize("how", ["altered", "cut short", "planted", "another's"])
def test_files_that_cannot_be_believed_are_dropped_with_a_note(
    how: str, folder: Path, kept: Path, expected: list[str]
) -> None:
    files = sorted(kept.glob("*.safetensors"))
    assert files
    data = {path: path.read_bytes() for path in files}
    for path, other in zip(files, [*files[1:], files[0]], strict=True):
        if how == "altered":
            path.write_bytes(data[path][:-3] + bytes([data[path][-3] ^ 1]) + data[path][-2:])
        elif how == "cut short":
            path.write_bytes(data[path][:-9])
        elif how == "planted":
            path.write_bytes(data[other])  # whole and sound, and under another name
        else:
            path.chmod(0o666)
    notes: list[str] = []
    asked = engine(folder, kept, notes)
    assert answers(asked) == expected
    assert notes and all("a kept file was dropped" in note for note in notes)
    flushed(asked)
    fresh: list[str] = []
    again = engine(folder, kept, fresh)
    assert answers(again) == expected and not fresh  # what was dropped was kept anew


BEGIN = """
import os, sys
from pathlib import Path
from omni_agent.runtime import segments
from tests.runtime.test_engine_cache import answers, engine, flushed
import torch
torch.set_num_threads(1)
segments.LEAST = 4
folder, kept, expected = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split("|")
"""
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
notes = []
asked = engine(folder, kept, notes)
assert [repr(text) for text in answers(asked)] == expected
flushed(asked)
assert [repr(text) for text in answers(asked)] == expected
assert [note for note in notes if "nothing more is kept on disk" in note] == notes and len(notes) == 1, notes
"""
TWO = """
children = []
for seed in (1, 2):
    child = os.fork()
    if child == 0:
        notes, right = [], True
        for _ in range(3):
            asked = engine(folder, kept, notes)
            right = right and [repr(text) for text in answers(asked)] == expected
            flushed(asked)
        os._exit(0 if right and not notes else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


@pytest.mark.parametrize("script", [FULL, TWO], ids=["a full disk", "two processes"])
def test_in_a_process_of_its_own(script: str, folder: Path, tmp_path: Path, expected: list[str]) -> None:
    """A disk that takes no more, and two processes that fill and use one cache from its beginning."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    told = "|".join(map(repr, expected))
    command = [sys.executable, "-c", BEGIN + script, str(folder), str(tmp_path / "kept"), told]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr


# --- through the tools ------------------------------------------------------------------------------------------------


@pytest.fixture
def local(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_MODEL_PATH", str(folder))
    monkeypatch.setenv("OMNI_DEVICE", "cpu")
    monkeypatch.setenv("OMNI_CONTEXT", "8192")
    monkeypatch.setenv("OMNI_MAX_TOKENS", "300")


def blobs() -> list[Path]:
    return sorted((load().cache_dir / "model").glob("*.safetensors"))


def letter(path: Path, **encryption: Any) -> Path:
    with pymupdf.open() as document:
        document.new_page(width=200, height=100).insert_text((20, 50), "The keeper is Ada Marsh.")
        document.save(path, **encryption)
    return path


@pytest.mark.usefixtures("local")
def test_whoever_asked_hears_what_was_dropped_and_of_a_locked_file_nothing_is_kept(
    folder: Path, tmp_path: Path
) -> None:
    """The engine is the one that the settings choose; a random model's reply may be none, which is not looked at."""
    heard: list[str] = []

    def ask(path: Path, password: str | None = None) -> None:
        """In what could be a new process: only the disk is left of what was asked before."""
        choose.choose.cache_clear()
        choose._loaded_once.cache_clear()
        settings = load(engine="local")
        eyes = choose.choose(settings).perception
        with Documents([path], password=password, engine=eyes) as documents, suppress(OmniError):
            documents.ask("Who?")
        wanted = choose._loaded_once(folder, settings.context, settings.device, settings.cache_dir / "model")
        assert isinstance(wanted, Wanted) and isinstance(wanted._engine, LocalEngine)
        flushed(wanted._engine)

    before = audience.set(Audience(note=heard.append))
    try:
        plain, locked = letter(tmp_path / "plain.pdf"), tmp_path / "locked.pdf"
        letter(locked, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="sesame", owner_pw="boss")
        ask(locked, "sesame")
        assert not blobs()
        ask(plain)
        assert blobs() and not heard
        for path in blobs():
            path.write_bytes(path.read_bytes()[:-1])
        ask(plain)
    finally:
        audience.reset(before)
    assert heard and all("a kept file was dropped" in text for text in heard)
