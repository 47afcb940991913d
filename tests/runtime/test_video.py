"""Video: frame grids, sampling and the text of the times against vLLM's recorded values and transformers' own; tubelets
by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.nemotron_h_omni.processing_nemotron_h_omni import NemotronH_Omni_Reasoning_V3Processor
from transformers.models.nemotron_h_omni.video_processing_nemotron_h_omni import (
    NemotronH_Omni_Reasoning_V3VideoProcessor,
)

from benchmarks.record_vllm import OUT
from omni_agent.runtime import layout, video
from omni_agent.runtime.images import Grid, normalised
from omni_agent.runtime.media_config import VIT_SHAPES, VisionConfig
from omni_agent.runtime.tokenizer import SpecialIds

VISION = VisionConfig(shape=VIT_SHAPES["vit_huge_patch16_224"])
CPU = torch.device("cpu")
VECTORS = json.loads(OUT.read_text())["videos"]


@pytest.mark.parametrize(
    ("width", "height", "grid"),
    [
        (1920, 1080, Grid(24, 42)),
        (1080, 1920, Grid(42, 24)),
        (640, 480, Grid(28, 36)),
        (512, 512, Grid(32, 32)),
        (1280, 800, Grid(24, 40)),
        (2560, 1080, Grid(20, 48)),
    ],
)
def test_the_published_frame_grids(width: int, height: int, grid: Grid) -> None:
    assert video.frame_grid(width, height, VISION) == grid


def test_frame_grids_as_vllm_computes_them() -> None:
    assert len(VECTORS["frame_sizes"]) > 200
    for width, height, to_width, to_height, tokens in VECTORS["frame_sizes"]:
        grid = video.frame_grid(width, height, VISION)
        assert (grid.columns * 16, grid.rows * 16, grid.tokens) == (to_width, to_height, tokens), (width, height)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([256, 1024, 2000]))
def test_frame_grids_as_transformers_computes_them(width: int, height: int, target: int) -> None:
    settings = SimpleNamespace(video_target_num_patches=target, _downsample_factor=2, video_maintain_aspect_ratio=True)
    columns, rows = NemotronH_Omni_Reasoning_V3VideoProcessor._compute_target_patches(settings, height, width)
    vision = VisionConfig(shape=VISION.shape, video_patches=target)
    assert video.frame_grid(width, height, vision) == (rows, columns)


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_frame_grid_is_even_and_near_the_target(width: int, height: int) -> None:
    grid = video.frame_grid(width, height, VISION)
    assert grid.rows % 2 == grid.columns % 2 == 0
    if max(width, height) <= 8 * min(width, height):
        assert 0.75 * VISION.video_patches <= grid.patches <= 1.1 * VISION.video_patches  # rounding may exceed it


def test_a_file_that_drops_the_aspect_gets_squares() -> None:
    square = VisionConfig(shape=VISION.shape, video_keeps_aspect=False)
    assert video.frame_grid(1920, 1080, square) == Grid(32, 32)


def test_sampling_as_vllm_does_it() -> None:
    assert len(VECTORS["samples"]) == 9
    for case in VECTORS["samples"]:
        indices = video.sample_frames(case["total"], case["source_fps"], fps=case["fps"], max_frames=case["most"])
        assert indices == case["indices"]


@given(st.integers(1, 100_000), st.floats(1, 240), st.floats(0.01, 60), st.integers(1, 600))
def test_samples_are_in_order_within_the_video_and_within_every_bound(
    total: int, source_fps: float, fps: float, most: int
) -> None:
    indices = video.sample_frames(total, source_fps, fps=fps, max_frames=most)
    assert indices == sorted(set(indices)) and indices[0] >= 0 and indices[-1] <= total - 1
    assert len(indices) <= min(total, most, max(1, total / source_fps * fps))


def test_senseless_sampling_is_refused() -> None:
    for total, source_fps, fps, most in [(0, 30.0, 2.0, 8), (9, 0.0, 2.0, 8), (9, 30.0, 0.0, 8), (9, 30.0, 2.0, 0)]:
        with pytest.raises(ValueError, match="wanted"):
            video.sample_frames(total, source_fps, fps=fps, max_frames=most)


def test_times_are_whole_milliseconds_of_the_source() -> None:
    """At 30 fps a frame lasts 33 ms here, so frame 60 is at 1.98 seconds, not 2.00."""
    assert video.captions([0, 15, 60], 30.0, VISION) == [
        "Frame 1 sampled at 0.00 seconds and frame 2 sampled at 0.49 seconds: ",
        "\nFrame 3 sampled at 1.98 seconds: ",
    ]


@given(st.lists(st.integers(0, 500_000), min_size=1, max_size=20), st.floats(0.5, 240), st.integers(0, 5))
def test_whole_layouts_as_transformers_writes_them(indices: list[int], fps: float, count: int) -> None:
    settings = SimpleNamespace(
        image_start_token="<img>", image_token="<image>", image_end_token="</img>", video_temporal_patch_dim=2
    )
    theirs = NemotronH_Omni_Reasoning_V3Processor.replace_video_token(
        settings,
        {"num_tokens": [count]},
        0,
        num_frames=len(indices),
        video_metadata=SimpleNamespace(fps=fps, frames_indices=indices),
    )
    tubelet = "<img>" + "<image>" * count + "</img>"
    assert "".join(caption + tubelet for caption in video.captions(indices, fps, VISION)) == theirs


def test_whole_layouts_as_vllm_writes_them() -> None:
    """Ids of one letter each; vLLM's text has < and > for the marks and # for a placeholder."""
    names = ("image", "image_start", "image_end", "sound", "sound_start", "sound_end")
    others = dict.fromkeys(("turn_start", "turn_end", "think", "end_think"), 0)
    ids = SpecialIds(**dict(zip(names, map(ord, "#<>@[]"), strict=True)), **others, user=())
    assert len(VECTORS["layouts"]) == 4
    for case in VECTORS["layouts"]:
        texts = video.captions(case["indices"], case["fps"], VISION)
        tubelets = [torch.full((count, 2), float(n)) for n, count in enumerate(case["counts"])]
        pieces = layout.video(tubelets, [list(map(ord, text)) for text in texts], ids)
        prompt = layout.assemble(pieces, ids)
        assert "".join(map(chr, prompt.ids.tolist())) == case["text"]
        assert prompt.values[:, 0].tolist() == [n for n, count in enumerate(case["counts"]) for _ in range(count)]


def test_tubelets_pair_frames_and_repeat_an_odd_last() -> None:
    draw = np.random.default_rng(0)
    frames = [draw.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(5)]
    grid = Grid(2, 4)
    (patches,) = video.tubelet_patches(frames, grid, VISION, CPU)
    assert patches.shape == (3, 8, 1536)
    single = [normalised(torch.from_numpy(frame)[None], grid, VISION)[0] for frame in frames]
    for tubelet, (first, second) in enumerate([(0, 1), (2, 3), (4, 4)]):
        corner = torch.cat([single[first][:, 16:, 48:].reshape(-1), single[second][:, 16:, 48:].reshape(-1)])
        assert torch.equal(patches[tubelet, 7], corner)


def test_many_frames_come_in_chunks_that_join_to_the_same() -> None:
    draw = np.random.default_rng(1)
    frames = [draw.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(2 * video.FRAMES_AT_ONCE + 3)]
    chunks = list(video.tubelet_patches(iter(frames), Grid(2, 2), VISION, CPU))
    assert [len(chunk) for chunk in chunks] == [video.FRAMES_AT_ONCE, 2]
    (alone,) = video.tubelet_patches(frames[-3:], Grid(2, 2), VISION, CPU)
    assert torch.equal(chunks[1], alone)
