"""The encoders on a GPU: the same tokens as on the CPU, and the promised bounds on memory at the released sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import encode
from benchmarks.record_vllm import tone
from omni_agent.runtime.audio_features import log_mel
from omni_agent.runtime.encoders import Encoders, Film
from omni_agent.runtime.images import Grid, normalised, picture_grids
from omni_agent.runtime.loading import load
from omni_agent.runtime.media_config import SoundConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.fixture(scope="module")
def full() -> Iterator[Encoders]:
    """The released sizes with random weights."""
    yield encode.random_encoders("cuda")
    torch.cuda.empty_cache()


def test_float32_agrees_with_the_cpu(folder: Path) -> None:
    pictures = encode.pictures(2, 200, 90)
    grids = [Grid(6, 10)] * 2
    made = []
    for device in ("cpu", "cuda"):
        towers = load(folder, device=device, dtype=torch.float32, media=True).encoders
        assert towers is not None
        film = Film(encode.pictures(5, 96, 64), 96, 64, range(5), 30.0)
        tokens = [*towers.pictures(pictures, grids), *towers.film(film)[0], *towers.recordings([tone(2.0), tone(0.7)])]
        made.append([part.cpu() for part in tokens])
    for ours, cards in zip(*made, strict=True):
        torch.testing.assert_close(cards, ours, atol=2e-3, rtol=1e-3)  # cuDNN's convolutions round to TF32


def test_pixels_and_features_agree_with_the_cpu() -> None:
    pixels = torch.from_numpy(np.stack(encode.pictures(1, 1920, 1080)))
    here, there = (
        normalised(pixels, Grid(68, 120), encode.VISION),
        normalised(pixels.cuda(), Grid(68, 120), encode.VISION),
    )
    torch.testing.assert_close(there.cpu(), here, atol=1e-3, rtol=1e-4)
    one, two = log_mel([tone(30.0)], SoundConfig()), log_mel([tone(30.0)], SoundConfig(), "cuda")
    torch.testing.assert_close(two[0].cpu(), one[0], atol=2e-3, rtol=1e-3)


def test_pictures_of_many_sizes_in_one_call(full: Encoders) -> None:
    """In bfloat16 a picture's tokens do not depend on its neighbours beyond rounding."""
    sizes = [(640, 480), (1920, 1080), (827, 1169), (512, 512)]
    pictures = [encode.pictures(1, *size)[0] for size in sizes]
    grids = picture_grids(sizes, encode.VISION)
    together = full.pictures(pictures, grids)
    for pixels, grid, tokens in zip(pictures, grids, together, strict=True):
        (alone,) = full.pictures([pixels], [grid])
        similar = torch.nn.functional.cosine_similarity(tokens.float(), alone.float(), dim=-1)
        assert len(tokens) == grid.tokens and float(similar.min()) > 0.99


@pytest.mark.parametrize("job", ["100 A4 pages at 150 dpi", "256 frames of 1280x720", "20 minutes of sound"])
def test_memory_stays_bounded(full: Encoders, job: str) -> None:
    """Beside the tokens themselves (a hundred pages make 1.2 GB of them) nothing grows with the length."""
    work = encode.jobs(full)[job]
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    tokens = work()
    made = tokens * encode.VISION.output * 2
    assert torch.cuda.max_memory_allocated() - held - 2 * made < 4e9
