"""Who speaks when, approximately: voices as vectors, gathered into groups.

The vectors are those of Resemblyzer 0.1.4 (Apache-2.0), a speaker encoder after Wan et al., "Generalized end-to-end
loss for speaker verification" (arXiv 1710.10467): three LSTM layers over 1.6 s of mel power, here in numpy. Similar
voices merge and people who talk at once are not taken apart, so what uses the labels calls them approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from omni_agent.types import Segment, Sound

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 40  # the spectrogram that the encoder was trained on
FRAMES = 160  # 1.6 s, one window
STEP = 80  # frames from one window to the next
LOUDNESS = -30.0  # dBFS that quieter speech is raised to, as in training
BATCH = 64  # windows at once: 64 * 160 * 1024 float32 gates are 42 MB
RELIABLE = 1.6  # seconds of speech below which a voice is only attached to a group, never makes one
APART = (
    0.20  # mean cosine distance from which two groups are two people; measured: 0.05–0.16 within a reader, 0.18–0.54
)
# between two (the low end: women of one profession over the telephone, who merge)
MAX_GROUPED = 800  # segments that make the groups, the longest ones: the rest is attached
CRUMB = 0.04  # a group with less of the speech than this is a part of the nearest one


def tell_apart(sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
    """One label a segment: "Speaker 1" for the voice that is heard first, and so on. Approximate.

    `sound` is the whole recording at 16 kHz.
    """
    import numpy as np

    if not segments:
        return ()
    vectors = embed(sound, segments)
    lengths = np.array([segment.end - segment.start for segment in segments])
    longest = np.argsort(-lengths, kind="stable")[:MAX_GROUPED]
    makers = np.sort(longest[lengths[longest] >= min(RELIABLE, lengths.max())])
    groups = _without_crumbs(_grouped(vectors[makers]), lengths[makers])
    centres = np.stack(
        [_unit(vectors[makers[groups == group]].mean(axis=0)) for group in np.unique(groups[groups >= 0])]
    )
    nearest = (vectors @ centres.T).argmax(axis=1)
    order: list[int] = list(dict.fromkeys(int(group) for group in nearest))
    return tuple(f"Speaker {order.index(int(group)) + 1}" for group in nearest)


def embed(sound: Sound, segments: Sequence[Segment]) -> Floats:
    """The voice in each segment as a unit vector, [n, 256]."""
    import numpy as np

    encoder = Encoder()
    windows: list[Floats] = []
    owners: list[int] = []
    for number, segment in enumerate(segments):
        low, high = (round((time - sound.start) * sound.rate) for time in (segment.start, segment.end))
        mel = _mel(_loud(_long_enough(sound.samples[max(low, 0) : max(high, low + 1)])))
        starts = range(0, max(1, len(mel) - FRAMES + 1), STEP)
        windows += [mel[start : start + FRAMES] for start in starts]
        owners += [number] * len(starts)
    vectors = np.concatenate([encoder(np.stack(windows[at : at + BATCH])) for at in range(0, len(windows), BATCH)])
    owner = np.array(owners)
    return np.stack([_unit(vectors[owner == number].mean(axis=0)) for number in range(len(segments))])


class Encoder:
    """The network: mel power [n, 160, 40] to unit vectors [n, 256]."""

    def __init__(self) -> None:
        self._weights = _weights()

    def __call__(self, mels: Floats) -> Floats:
        import numpy as np

        signal = mels
        for layer in range(3):
            signal = self._lstm(signal, layer)
        raw = np.maximum(signal[:, -1] @ self._weights["linear.weight"].T + self._weights["linear.bias"], 0.0)
        return raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-9)

    def _lstm(self, signal: Floats, layer: int) -> Floats:
        """One LSTM layer over [n, time, features]; gates in torch's order: input, forget, cell, output."""
        import numpy as np

        weights = {name: self._weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh")}
        bias = self._weights[f"lstm.bias_ih_l{layer}"] + self._weights[f"lstm.bias_hh_l{layer}"]
        driven = signal @ weights["weight_ih"].T + bias
        hidden = cell = np.zeros((len(signal), 256), np.float32)
        out = np.empty((*signal.shape[:2], 256), np.float32)
        for time in range(signal.shape[1]):
            given, forget, new, shown = np.split(driven[:, time] + hidden @ weights["weight_hh"].T, 4, axis=1)
            cell = _sigmoid(forget) * cell + _sigmoid(given) * np.tanh(new)
            hidden = out[:, time] = _sigmoid(shown) * np.tanh(cell)
        return out


@cache
def _weights() -> dict[str, Floats]:
    import numpy as np

    with files("omni_agent.perception.lite").joinpath("data/voices.npz").open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def _sigmoid(x: Floats) -> Floats:
    import numpy as np

    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _unit(vector: Floats) -> Floats:
    import numpy as np

    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _long_enough(samples: Floats) -> Floats:
    """The samples, repeated until they fill one window: an encoder hears zeros as a voice of its own."""
    import numpy as np

    wanted = FRAMES * HOP
    if not len(samples):
        return np.zeros(wanted, np.float32)
    return samples if len(samples) >= wanted else np.tile(samples, -(-wanted // len(samples)))[:wanted]


def _loud(samples: Floats) -> Floats:
    import numpy as np

    level = 20 * np.log10(max(float(np.sqrt(np.square(samples).mean())), 1e-6))
    return samples * np.float32(10 ** (max(0.0, LOUDNESS - level) / 20))


def _mel(samples: Floats) -> Floats:
    """Mel power [frames, 40]: Hann windows of 25 ms every 10 ms, centred."""
    import numpy as np

    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames * hann, axis=1)))
    return (power @ _filters().T).astype(np.float32)


@cache
def _filters() -> npt.NDArray[np.float64]:
    """Triangular mel filters [40, 201] of equal area over 0–8 kHz, on Slaney's scale (linear below 1 kHz, 27 steps a
    factor of 6.4 above; Auditory Toolbox, 1998)."""
    import numpy as np

    step, corner, base = 200 / 3, 1000.0, np.log(6.4) / 27
    top = corner / step + np.log(RATE / 2 / corner) / base
    mels = np.linspace(0, top, BANDS + 2)
    edges = np.where(mels < corner / step, mels * step, corner * np.exp(base * (mels - corner / step)))
    at = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def _grouped(vectors: Floats) -> npt.NDArray[np.int64]:
    """Average-link clustering by cosine distance until no two groups are nearer than APART: a number a vector."""
    import numpy as np

    groups = np.arange(len(vectors))
    sizes = np.ones(len(vectors))
    distance = (1.0 - vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(distance, np.inf)
    while True:
        one, other = np.unravel_index(int(distance.argmin()), distance.shape)
        if distance[one, other] >= APART:
            return groups
        merged = (distance[one] * sizes[one] + distance[other] * sizes[other]) / (sizes[one] + sizes[other])
        distance[one], distance[:, one] = merged, merged
        distance[one, one] = np.inf
        distance[other], distance[:, other] = np.inf, np.inf
        sizes[one] += sizes[other]
        groups[groups == groups[other]] = groups[one]


def _without_crumbs(groups: npt.NDArray[np.int64], lengths: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The groups, with -1 for those that hold too little speech to be somebody; their members are attached later."""
    import numpy as np

    spoken = {int(group): float(lengths[groups == group].sum()) for group in np.unique(groups)}
    enough = min(CRUMB * sum(spoken.values()), max(spoken.values()))
    return np.where([spoken[int(group)] >= enough for group in groups], groups, -1)
