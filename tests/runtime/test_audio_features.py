"""Sound as mel frames: against transformers' extractor, vLLM's recorded values and a derivation in float64 numpy."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import ParakeetFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from benchmarks.record_vllm import OUT, tone
from omni_agent.runtime.audio_features import clip_sizes, clips, frame_tokens, log_mel, mel_bank, sound_tokens
from omni_agent.runtime.media_config import SoundConfig

SOUND = SoundConfig()
VECTORS = json.loads(OUT.read_text())["sound"]
Samples = npt.NDArray[np.float32]


@pytest.mark.parametrize(
    ("seconds", "tokens"), [(1, 13), (10, 125), (30, 375), (60, 750), (600, 7500), (3600, 45_000), (0.1, 2)]
)
def test_the_published_token_counts(seconds: float, tokens: int) -> None:
    assert sound_tokens(round(seconds * 16_000), SOUND) == tokens


def test_clips_and_tokens_as_vllm_counts_them() -> None:
    assert len(VECTORS["tokens"]) > 70
    for samples, tokens in VECTORS["tokens"]:
        assert sound_tokens(samples, SOUND) == tokens, samples
    for samples, sizes in VECTORS["clips"]:
        assert clip_sizes(samples, SOUND) == sizes, samples


@given(st.integers(0, 4_000_000))
def test_clips_hold_the_whole_recording_and_little_silence(samples: int) -> None:
    sizes = clip_sizes(samples, SOUND)
    assert 0 <= sum(sizes) - samples <= 1600 and all(1600 <= size <= 480_000 for size in sizes)
    assert abs(sound_tokens(samples, SOUND) - samples / 1280) <= len(sizes) + 2


def test_a_recording_is_cut_in_order_and_its_tail_filled() -> None:
    samples = tone(60.05)
    parts = clips(samples, SOUND)
    assert [len(part) for part in parts] == [480_000, 480_000, 1600]
    np.testing.assert_array_equal(np.concatenate(parts)[: len(samples)], samples)
    assert not parts[-1][800:].any()


def test_the_mel_bank_as_transformers_builds_it() -> None:
    theirs = mel_filter_bank(257, 128, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_bank(128, 16_000, 512), theirs.T, atol=1e-7)


def test_features_as_transformers_extracts_them() -> None:
    """Three lengths in one batch. transformers keeps a frame more, all zero, than the valid length of the longest."""
    batch = [tone(4.0), tone(2.345), tone(0.4)]
    theirs = ParakeetFeatureExtractor(feature_size=128)(batch, sampling_rate=16_000, return_tensors="pt")
    features, lengths = log_mel(batch, SOUND)
    assert lengths.tolist() == theirs.attention_mask.sum(1).tolist() == [400, 234, 40]
    assert not theirs.input_features[:, 400:].any()
    torch.testing.assert_close(features, theirs.input_features[:, :400], atol=2e-4, rtol=1e-4)


def test_features_as_vllm_extracts_them() -> None:
    """31.07 seconds: a full clip and a tail, normalised apart."""
    told = VECTORS["features"]
    features, lengths = log_mel(clips(tone(told["seconds"]), SOUND), SOUND)
    assert lengths.tolist() == told["frames"]
    places = torch.tensor([value[:3] for value in told["values"]])
    expected = torch.tensor([value[3] for value in told["values"]])
    assert len(expected) > 100
    torch.testing.assert_close(features[tuple(places.T)], expected, atol=2e-4, rtol=1e-4)


def derived(samples: Samples) -> npt.NDArray[np.float64]:
    """The definition in float64: a transform of each frame written out, not an FFT library's STFT."""
    wave = np.append(samples[:1], samples[1:] - 0.97 * samples[:-1]).astype(np.float64)
    wave = np.pad(wave, 256)
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    frames = np.stack([wave[160 * n : 160 * n + 512] * window for n in range(len(samples) // 160)])
    angles = 2 * np.pi * np.outer(np.arange(512), np.arange(257)) / 512
    power = (frames @ np.cos(angles)) ** 2 + (frames @ np.sin(angles)) ** 2
    logs = np.log(power @ mel_bank(128, 16_000, 512).T.astype(np.float64) + 2.0**-24)
    deviation = np.sqrt(((logs - logs.mean(0)) ** 2).sum(0) / (len(logs) - 1))
    return (logs - logs.mean(0)) / (deviation + 1e-5)


def test_features_in_another_arithmetic() -> None:
    """Noise, so that no bin is near the guard: float32 against float64 within 1e-3 deviations."""
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    features, _ = log_mel([samples], SOUND)
    np.testing.assert_allclose(features[0].numpy(), derived(samples), atol=1e-3)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    short, long = tone(1.234), tone(5.0)
    together, _ = log_mel([long, short], SOUND)
    alone, lengths = log_mel([short], SOUND)
    torch.testing.assert_close(together[1, : int(lengths[0])], alone[0], atol=1e-5, rtol=1e-5)
    assert not together[1, int(lengths[0]) :].any()


def test_silence_has_features() -> None:
    features, _ = log_mel([np.zeros(1600, np.float32)], SOUND)
    assert features.shape == (1, 10, 128) and not features.isnan().any()


@given(st.integers(1, 10_000))
def test_three_halvings_are_an_eighth_rounded_up(frames: int) -> None:
    assert frame_tokens(frames) == -(-frames // 8)
