"""Sound as the encoder hears it: clips of 30 seconds, each as normalised log-mel frames, and how many tokens they make.

NeMo's features as Parakeet was trained on them (transformers' `ParakeetFeatureExtractor` computes the same):
preemphasis, a symmetric Hann window centred in the FFT, power, Slaney's mel scale and norm, log, and each bin
normalised over the clip.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from omni_agent.runtime.media_config import SoundConfig

if TYPE_CHECKING:
    import torch

CLIP_SECONDS = 30.0  # trained length; every clip is normalised and encoded alone
SHORTEST_SECONDS = 0.1  # a shorter tail is filled up with silence
LOG_GUARD = 2.0**-24  # NeMo's log_zero_guard_value
NORM_GUARD = 1e-5  # NeMo's constant in per-feature normalisation


def clip_sizes(samples: int, config: SoundConfig) -> list[int]:
    """Lengths in samples of the clips that a recording is cut into; at least one, the last with its silence."""
    clip, shortest = round(CLIP_SECONDS * config.rate), round(SHORTEST_SECONDS * config.rate)
    full, rest = divmod(max(samples, shortest), clip)
    return [clip] * full + ([max(rest, shortest)] if rest else [])


def frame_tokens(frames: int) -> int:
    """Tokens of a clip of that many mel frames: three halvings, each rounded up."""
    for _ in range(3):
        frames = (frames - 1) // 2 + 1
    return frames


def sound_tokens(samples: int, config: SoundConfig) -> int:
    """Tokens of a recording of that many samples: 375 for 30 seconds."""
    return sum(frame_tokens(size // config.hop) for size in clip_sizes(samples, config))


def clips(samples: npt.NDArray[np.float32], config: SoundConfig) -> list[npt.NDArray[np.float32]]:
    """The recording, mono at the encoder's rate, cut as `clip_sizes` says."""
    assert samples.ndim == 1, f"sound is mono, got shape {samples.shape}"
    sizes = clip_sizes(len(samples), config)
    padded = np.pad(samples, (0, sum(sizes) - len(samples)))
    return np.split(padded, np.cumsum(sizes[:-1]))


def log_mel(
    batch: Sequence[npt.NDArray[np.float32]], config: SoundConfig, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips as (features float32 [clips, frames, mels], lengths int64 [clips]); zeros from a clip's length on.

    A clip of L samples has L // hop frames; what its frames hold does not depend on the other clips.
    """
    import torch

    lengths = torch.tensor([len(clip) for clip in batch], device=device)
    waves = torch.zeros(len(batch), int(lengths.max()), device=device)
    for row, clip in zip(waves, batch, strict=True):
        row[: len(clip)] = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32))
    inside = torch.arange(waves.shape[1], device=device) < lengths[:, None]
    waves = torch.cat([waves[:, :1], waves[:, 1:] - config.preemphasis * waves[:, :-1]], dim=1) * inside
    spectrum = torch.stft(
        waves,
        config.fft,
        hop_length=config.hop,
        win_length=config.window,
        window=torch.hann_window(config.window, periodic=False, device=device),
        pad_mode="constant",
        return_complex=True,
    )
    power = spectrum.real.square() + spectrum.imag.square()
    bank = torch.from_numpy(mel_bank(config.mels, config.rate, config.fft)).to(device)
    frames = lengths // config.hop
    features = torch.log(bank @ power + LOG_GUARD).transpose(1, 2)[:, : int(frames.max())]
    return _normalised(features, frames), frames


def _normalised(features: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Each bin of each clip to mean 0 and deviation 1 over the clip's own frames; zeros after them."""
    import torch

    mask = (torch.arange(features.shape[1], device=features.device) < frames[:, None])[..., None]
    count = frames[:, None, None]
    mean = (features * mask).sum(1, keepdim=True) / count
    variance = ((features - mean).square() * mask).sum(1, keepdim=True) / (count - 1)
    return (features - mean) / (variance.sqrt() + NORM_GUARD) * mask


@functools.cache
def mel_bank(mels: int, rate: int, fft: int) -> npt.NDArray[np.float32]:
    """Triangles of equal area on Slaney's mel scale (Auditory Toolbox), 0 Hz to half the rate: [mels, fft // 2 + 1]."""
    edges = _hertz(np.linspace(0.0, _mel(rate / 2), mels + 2))
    bins = np.linspace(0.0, rate / 2, fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges[2:] - edges[:-2])
    return (triangles * area[:, None]).astype(np.float32)


_LINEAR_HZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0  # linear to 1 kHz (3 mel per 200 Hz), then log


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_HZ:
        return hertz * _LINEAR_MEL / _LINEAR_HZ
    return float(_LINEAR_MEL + np.log(hertz / _LINEAR_HZ) / _LOG_STEP)


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logarithmic = _LINEAR_HZ * np.exp(_LOG_STEP * (mel - _LINEAR_MEL))
    return np.where(mel < _LINEAR_MEL, mel * _LINEAR_HZ / _LINEAR_MEL, logarithmic)
