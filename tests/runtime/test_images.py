"""Pictures: the grid arithmetic against vLLM's recorded values and against its own laws, the pixels against Pillow."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.record_vllm import OUT
from omni_agent.runtime.images import (
    MERGE,
    RESERVED,
    Grid,
    normalised,
    patchify,
    picture_grid,
    picture_grids,
    picture_patches,
)
from omni_agent.runtime.media_config import CLIP_MEAN, CLIP_STD, VIT_SHAPES, VisionConfig

VISION = VisionConfig(shape=VIT_SHAPES["vit_huge_patch16_224"])
VECTORS = json.loads(OUT.read_text())["grids"]

# From the model's reference: width, height -> rows, columns, tokens.
TABLE = [
    (512, 512, 32, 32, 256),
    (224, 224, 32, 32, 256),
    (640, 480, 30, 40, 300),
    (1024, 768, 48, 64, 768),
    (1280, 720, 46, 80, 920),
    (1366, 768, 48, 86, 1032),
    (1440, 900, 58, 90, 1305),
    (1920, 1080, 68, 120, 2040),
    (1920, 1200, 76, 120, 2280),
    (2560, 1440, 86, 154, 3311),
    (3840, 2160, 86, 154, 3311),
    (3440, 1440, 74, 178, 3293),
    (827, 1169, 74, 52, 962),  # A4 at 100 dpi
    (1240, 1754, 110, 78, 2145),  # A4 at 150 dpi
    (1654, 2339, 136, 96, 3264),  # A4 at 200 dpi
    (2480, 3508, 136, 96, 3264),  # A4 at 300 dpi
    (1275, 1650, 104, 80, 2080),  # Letter at 150 dpi
]


@pytest.mark.parametrize(("width", "height", "rows", "columns", "tokens"), TABLE)
def test_the_published_table(width: int, height: int, rows: int, columns: int, tokens: int) -> None:
    grid = picture_grid(width, height, VISION)
    assert (grid, grid.tokens) == (Grid(rows, columns), tokens)


def test_an_exact_odd_multiple_of_the_patch_gains_one() -> None:
    """1200 / 16 + 0.5 = 75.5 rounds to the even 76; 1216 / 16 + 0.5 = 76.5 stays 76."""
    assert picture_grid(1200, 1216, VISION) == Grid(76, 76)


def test_single_pictures_as_vllm_computes_them() -> None:
    assert len(VECTORS["single"]) > 300
    for width, height, rows, columns, tokens in VECTORS["single"]:
        grid = picture_grid(width, height, VISION)
        assert [*grid, grid.tokens] == [rows, columns, tokens], (width, height)


def test_shared_budgets_as_vllm_computes_them() -> None:
    assert len(VECTORS["shared"]) == 60
    for case in VECTORS["shared"]:
        grids = picture_grids([tuple(size) for size in case["sizes"]], VISION, case["tokens"] + RESERVED)
        assert [[*grid, grid.tokens] for grid in grids] == case["grids"]


@given(st.integers(1, 60_000), st.integers(1, 60_000))
def test_every_grid_is_even_and_within_the_limits(width: int, height: int) -> None:
    grid = picture_grid(width, height, VISION)
    assert min(grid) >= MERGE and grid.rows % MERGE == grid.columns % MERGE == 0
    assert grid.patches <= VISION.max_patches
    if max(width, height) < 20 * min(width, height):  # strips may round to fewer
        assert grid.patches >= VISION.min_patches * 0.9


@given(st.integers(64, 8000), st.integers(64, 8000))
def test_a_turned_picture_has_the_turned_grid_or_nearly(width: int, height: int) -> None:
    """Height is made even first, so the turned grid may differ by one step a side."""
    upright, turned = picture_grid(width, height, VISION), picture_grid(height, width, VISION)
    assert abs(upright.rows - turned.columns) <= MERGE and abs(upright.columns - turned.rows) <= MERGE


@given(
    st.lists(st.tuples(st.integers(50, 6000), st.integers(50, 6000)), min_size=1, max_size=20), st.integers(0, 80_000)
)
def test_a_shared_budget_holds_unless_every_picture_is_at_the_minimum(
    sizes: list[tuple[int, int]], tokens: int
) -> None:
    grids = picture_grids(sizes, VISION, tokens)
    assert sum(grid.tokens for grid in grids) <= max(tokens, VISION.min_patches // 4 * len(sizes))
    free = picture_grids(sizes, VISION)
    if sum(grid.tokens for grid in free) <= tokens - 4 and tokens >= 3332:
        assert grids == free


def test_no_picture_is_refused_by_its_shape() -> None:
    """The released arithmetic divides by zero here."""
    for size in [(1_000_000, 10), (10, 1_000_000), (1, 1), (1, 300_000)]:
        assert picture_grid(*size, VISION).patches <= VISION.max_patches
    with pytest.raises(ValueError, match="0x5"):
        picture_grid(0, 5, VISION)


def pillow_resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Each channel as a float picture through Pillow: antialiased bicubic without rounding or clamping."""
    channels = [Image.fromarray(pixels[..., c].astype(np.float32)) for c in range(3)]
    return np.stack([np.asarray(c.resize((width, height), Image.Resampling.BICUBIC)) for c in channels])


@pytest.mark.parametrize("size", [(300, 200), (1920, 1080), (70, 900)])
def test_pixels_are_resized_like_pillow_in_float_and_normalised_once(size: tuple[int, int]) -> None:
    """Within 0.05 of 255: Pillow's weights are float64, ours float32, whose positions are off by 1e-4 of a pixel near
    1000, and the noise has steps of 255. It overshoots, and must stay overshot."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 2, (height, width, 3), dtype=np.uint8) * 255
    grid = picture_grid(width, height, VISION)
    ours = normalised(torch.from_numpy(pixels)[None], grid, VISION)[0].numpy()
    theirs = pillow_resized(pixels, grid.columns * 16, grid.rows * 16)
    mean, std = np.array(CLIP_MEAN)[:, None, None], np.array(CLIP_STD)[:, None, None]
    back = (ours * std + mean) * 255
    assert np.abs(back - theirs).max() < 0.05
    if width * height < 100_000:  # enlarged
        assert theirs.max() > 256 and back.max() > 256 and back.min() < -1


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    values = normalised(torch.from_numpy(pixels)[None], Grid(32, 32), VISION)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(values, (pixels / 255 - CLIP_MEAN) / CLIP_STD, atol=1e-5)


def test_a_patch_is_flattened_channel_row_column() -> None:
    values = torch.arange(2 * 3 * 32 * 48, dtype=torch.float32).view(2, 3, 32, 48)
    patches = patchify(values, 16)
    assert patches.shape == (2, 6, 768)
    second_row_last_column = values[1, :, 16:32, 32:48]
    assert torch.equal(patches[1, 5], second_row_last_column.reshape(-1))


def test_a_picture_becomes_one_batch_of_patches() -> None:
    pixels = np.zeros((480, 640, 3), dtype=np.uint8)
    pixels.flags.writeable = False  # as Pillow gives them
    patches = picture_patches(pixels, picture_grid(640, 480, VISION), VISION, torch.device("cpu"))
    assert patches.shape == (1, 1200, 768)
    black = torch.tensor(CLIP_MEAN) / torch.tensor(CLIP_STD)
    torch.testing.assert_close(patches[0, 0].view(3, 256).mean(1), -black)
