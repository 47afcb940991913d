"""The vision tower against transformers' RADIO and a derivation in numpy; packing, order and passes against itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import RadioConfig, RadioModel
from transformers.models.nemotron_h_omni.modeling_nemotron_h_omni import (
    NemotronH_Omni_Reasoning_V3,
    NemotronH_Omni_Reasoning_V3MultiModalProjector,
)

from omni_agent.errors import CheckpointError
from omni_agent.runtime.images import Grid
from omni_agent.runtime.media_config import VisionConfig, VitShape
from omni_agent.runtime.projector import VISION_NAMES, projector
from omni_agent.runtime.vision import Features, Patches, VisionTower, merge, passes

TINY = VisionConfig(shape=VitShape(hidden=48, layers=3, heads=3, mlp=96), prefix=10, table=12, projector=64, output=40)
GRIDS = [Grid(4, 6), Grid(12, 12), Grid(2, 16), Grid(20, 2)]  # smaller than the table, as large, and larger
CLOSE = {"atol": 1e-5, "rtol": 1e-4}  # float32 sums in another order over three blocks; values are of the order of 3


def random_tower(config: VisionConfig = TINY, seed: int = 0) -> VisionTower:
    torch.manual_seed(seed)
    tower = VisionTower(config).requires_grad_(False).eval()
    for name, tensor in tower.state_dict().items():
        scale = 0.5 if name.endswith(("pos_embed", "token", "bias")) else 1.5 / tensor.shape[-1] ** 0.5
        tensor.copy_(torch.randn_like(tensor) * scale + ("norm" in name and name.endswith("weight")))
    return tower


def as_radio(tower: VisionTower, config: VisionConfig = TINY) -> Any:
    """transformers' model with the same weights, its own normalisation taken out."""
    hidden, layers, heads, mlp = config.shape
    radio = RadioModel(
        RadioConfig(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            mlp_ratio=mlp / hidden,
            max_img_size=config.table * config.patch,
            video_temporal_patch_size=2,
        )
    ).eval()
    radio.make_preprocessor_external()
    renames = (
        ("patch_generator.embedder", "embeddings.patch_projection"),
        ("patch_generator.video_embedder", "embeddings.video_patch_projection"),
        ("patch_generator.pos_embed", "embeddings.position_embedding"),
        ("patch_generator.cls_token.token", "embeddings.cls_register_token"),
        ("blocks", "encoder.layer"),
        ("attn.proj", "attention.o_proj"),
    )
    renamed = {}
    for name, tensor in tower.state_dict().items():
        for ours, theirs in renames:
            name = name.replace(ours, theirs)
        if "attn.qkv" in name:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            renamed[name] = tensor
    missing, unexpected = radio.load_state_dict(renamed, strict=False)
    assert not unexpected and all("layer_scale" in name or "summary" in name for name in missing)
    return radio


def random_patches(grid: Grid, count: int = 1, width: int = 768, seed: int = 1) -> Patches:
    generator = torch.Generator().manual_seed(seed + grid.rows)
    return Patches(torch.randn(count, grid.patches, width, generator=generator), grid)


@pytest.fixture(scope="module")
def tower() -> VisionTower:
    return random_tower()


def test_pictures_of_several_sizes_as_transformers_sees_them(tower: VisionTower) -> None:
    pictures = [random_patches(grid) for grid in GRIDS]
    ours = tower([*pictures])
    with torch.no_grad():
        theirs = as_radio(tower)(
            torch.cat([values[0] for values, _ in pictures]), image_grid_hw=torch.tensor([list(grid) for grid in GRIDS])
        ).features
    torch.testing.assert_close(torch.cat([values[0] for values, _ in ours]), theirs, **CLOSE)


def test_tubelets_as_transformers_sees_them(tower: VisionTower) -> None:
    """Six frames as three tubelets: transformers stacks the two frames of each along the channels."""
    frames = torch.randn(6, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    stacked = frames.view(3, 6, 64, 96)
    with torch.no_grad():
        theirs = as_radio(tower)(stacked).features
    cells = frames.view(3, 2, 3, 4, 16, 6, 16).permute(0, 3, 5, 1, 2, 4, 6).reshape(3, 24, 1536)
    (ours,) = tower([Patches(cells, Grid(4, 6))])
    torch.testing.assert_close(ours.values, theirs, **CLOSE)


@pytest.mark.parametrize("grid", GRIDS)
def test_positions_in_another_arithmetic(tower: VisionTower, grid: Grid) -> None:
    """The table resized to the longer side squared, half-pixel centres, edges held, in float64 numpy; then cropped."""
    side = max(grid)
    table = tower.patch_generator.pos_embed.double().numpy().reshape(12, 12, -1)
    centre = np.clip((np.arange(side) + 0.5) * 12 / side - 0.5, 0, 11)
    low = np.floor(centre).astype(int)
    high, share = np.minimum(low + 1, 11), centre - low
    weights = np.zeros((side, 12))
    weights[np.arange(side), low] += 1 - share
    weights[np.arange(side), high] += share
    square = np.einsum("ya,xb,abc->yxc", weights, weights, table)
    expected = square[: grid.rows, : grid.columns].reshape(grid.patches, -1)
    np.testing.assert_allclose(tower.patch_generator.positions(grid).numpy(), expected, atol=1e-5)


def test_a_picture_does_not_see_its_neighbours(tower: VisionTower) -> None:
    together = tower([random_patches(grid) for grid in GRIDS])
    for grid, features in zip(GRIDS, together, strict=True):
        (alone,) = tower([random_patches(grid)])
        torch.testing.assert_close(features.values, alone.values, **CLOSE)


def test_pictures_and_tubelets_share_a_pass(tower: VisionTower) -> None:
    picture, film = random_patches(Grid(4, 4)), random_patches(Grid(2, 6), count=3, width=1536)
    mixed = tower([film, picture])
    torch.testing.assert_close(mixed[0].values, tower([film])[0].values, **CLOSE)
    torch.testing.assert_close(mixed[1].values, tower([picture])[0].values, **CLOSE)


def test_passes_keep_order_and_bound_and_never_cut_a_picture() -> None:
    batches = [random_patches(Grid(4, 4), 5, seed=n) for n in range(3)] + [random_patches(Grid(10, 10))]
    gathered = list(passes(batches, at_once=50))
    assert [[(len(values), grid) for values, grid in batch] for batch in gathered] == [
        [(3, (4, 4))],
        [(2, (4, 4))],
        [(3, (4, 4))],
        [(2, (4, 4))],
        [(3, (4, 4))],
        [(2, (4, 4))],
        [(1, (10, 10))],
    ]
    joined = torch.cat([values for batch in gathered for values, grid in batch if grid == (4, 4)])
    assert torch.equal(joined, torch.cat([values for values, _ in batches[:3]]))
    assert [len(batch) for batch in passes(batches, at_once=1000)] == [4]


def test_merging_as_transformers_shuffles() -> None:
    values = torch.randn(2, 4 * 6, 5, generator=torch.Generator().manual_seed(3))
    theirs = NemotronH_Omni_Reasoning_V3.pixel_shuffle(None, values.view(2, 4, 6, 5))
    assert torch.equal(merge(Features(values, Grid(4, 6))), theirs.reshape(2, 6, 20))


def test_a_token_is_its_four_patches_row_by_row() -> None:
    values = torch.arange(4 * 4, dtype=torch.float32).view(1, 16, 1)
    assert merge(Features(values, Grid(4, 4)))[0].tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


@pytest.mark.parametrize("bias", [False, True])
def test_the_projector_as_transformers_has_it(bias: bool) -> None:
    torch.manual_seed(4)
    theirs = NemotronH_Omni_Reasoning_V3MultiModalProjector(20, 32, 12, bias=bias)
    ours = projector(20, 32, 12, VISION_NAMES, bias)
    pairs = {"layer_norm": "0", "linear_1": "1", "linear_2": "3"}
    ours.load_state_dict(
        {pairs[name.split(".")[0]] + "." + name.split(".")[1]: t for name, t in theirs.state_dict().items()}
    )
    values = torch.randn(7, 20)
    torch.testing.assert_close(ours(values), theirs(values))


def test_an_unknown_activation_is_an_error_that_names_it() -> None:
    with pytest.raises(CheckpointError, match="'snake'"):
        VisionTower(VisionConfig(shape=TINY.shape, activation="snake"))
