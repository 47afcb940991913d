"""Telling voices apart: the port agrees with what it was made from, and the shipped call has two people in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omni_agent.media import audio
from omni_agent.perception.lite import voices
from omni_agent.types import Segment, Sound


def test_the_filters_are_librosas() -> None:
    """Peaks, their places and the areas of four filters as librosa.filters.mel(sr=16000, n_fft=400, n_mels=40) gives
    them (librosa computes the spectrograms that the encoder was trained on)."""
    some = voices._filters()[[0, 10, 20, 39]]
    assert some.argmax(axis=1).tolist() == [2, 20, 44, 185]
    assert some.max(axis=1) == pytest.approx([0.012405, 0.011879, 0.007192, 0.001725], abs=2e-6)
    assert some.sum(axis=1) == pytest.approx([0.024809, 0.024809, 0.02522, 0.024979], abs=2e-6)


def test_the_encoder_is_torchs() -> None:
    """The largest entries of the vector that torch.nn.LSTM and Linear give with the original float32 weights."""
    time, band = np.meshgrid(np.arange(160), np.arange(40), indexing="ij")
    mel = ((1 + np.sin(time / 7 + band / 3)) * np.exp(-band / 10) * 0.05).astype(np.float32)
    vector = voices.Encoder()(mel[None])[0]
    largest = np.argsort(-vector)[:6]
    assert largest.tolist() == [42, 180, 124, 199, 246, 218]
    assert vector[largest] == pytest.approx(
        [0.2695472, 0.26798335, 0.26339185, 0.21153735, 0.20826904, 0.198416], abs=5e-4
    )
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


@pytest.fixture(scope="session")
def turns(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> tuple[Sound, list[Segment], str]:
    """Six turns of two synthetic voices, and who speaks in each."""
    require("espeak-ng")
    folder, pieces, segments, at = tmp_path_factory.mktemp("turns"), [], [], 0.0
    said = ("Shall we begin with the budget for this year?", "Yes, I have brought all of the numbers with me today.")
    for number in range(6):
        path = folder / f"{number}.wav"
        voice = ("en-us+m3", "en-us+f3")[number % 2]
        subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), said[number // 2 % 2]], check=True)
        sound = audio.load(path)
        segments.append(Segment(number, at, at + sound.duration, ""))
        pieces.append(sound.samples)
        at += sound.duration
    return Sound(np.concatenate(pieces)), segments, "121212"


def test_two_voices_are_two_speakers_in_the_order_they_are_heard(turns: tuple[Sound, list[Segment], str]) -> None:
    sound, segments, who = turns
    assert voices.tell_apart(sound, segments) == tuple(f"Speaker {n}" for n in who)


def test_one_voice_is_one_speaker(examples: Path) -> None:
    sound = audio.load(examples / "speech.flac")
    segments = [Segment(n, 5.0 * n, 5.0 * n + 4.0, "") for n in range(5)]
    assert set(voices.tell_apart(sound, segments)) == {"Speaker 1"}


def test_very_short_and_no_segments(turns: tuple[Sound, list[Segment], str]) -> None:
    sound, segments, _ = turns
    assert voices.tell_apart(sound, []) == ()
    blink = Segment(9, sound.end, sound.end, "")
    assert len(voices.tell_apart(sound, [*segments, blink])) == 7
