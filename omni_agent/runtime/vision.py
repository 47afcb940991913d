"""The vision tower, C-RADIOv4-H: patches of pictures and of tubelets in, one vector a patch out.

Module names are the checkpoint's (below `vision_model.radio_model.model.`), so it loads without renaming. It stands
in for transformers' `RadioModel`, which the tests compare it with: ours keeps q, k and v fused as stored, has no
multiplications by LayerScale ones, interpolates the position table once a size instead of once a picture, and packs
pictures of all sizes into one sequence whose linear layers run once, while attention stays within each picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import sdpa_kernel

from omni_agent.runtime.images import MERGE, Grid
from omni_agent.runtime.layers import ANY_LENGTH, fast
from omni_agent.runtime.media_config import VisionConfig

PATCHES_AT_ONCE = 32_768  # in one pass: about 1.5 GB of activations at full size in bfloat16


class Patches(NamedTuple):
    """Pictures or tubelets of one grid: values [count, grid.patches, channels·patch²], any floating type."""

    values: torch.Tensor
    grid: Grid


class Features(NamedTuple):
    """What the tower says of them: values [count, grid.patches, hidden], in the tower's type."""

    values: torch.Tensor
    grid: Grid


class PatchGenerator(nn.Module):
    """Patches to the tower's input: projection, position, and the learned prefix that has no position."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        hidden, inputs = config.shape.hidden, 3 * config.patch**2
        self.table = config.table
        self.embedder = nn.Linear(inputs, hidden, bias=False)
        self.video_embedder = nn.Linear(inputs * config.tubelet, hidden, bias=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.table**2, hidden))
        self.cls_token = nn.ParameterDict({"token": torch.zeros(config.prefix, hidden)})

    def forward(self, patches: Patches, position: torch.Tensor) -> torch.Tensor:
        """[count, prefix + patches, hidden]; `position` as `positions` gives it."""
        values = patches.values.to(self.pos_embed.dtype)
        still = values.shape[-1] == self.embedder.in_features
        embedded = (self.embedder if still else self.video_embedder)(values) + position
        prefix = self.cls_token["token"].expand(len(values), -1, -1)
        return torch.cat([prefix, embedded], dim=1)

    def positions(self, grid: Grid) -> torch.Tensor:
        """[grid.patches, hidden]: the table resized in float32 to the grid's longer side squared, then cropped."""
        square = self.pos_embed.view(1, self.table, self.table, -1).permute(0, 3, 1, 2).float()
        side = max(grid)
        resized = functional.interpolate(square, size=(side, side), mode="bilinear", align_corners=False)
        cropped = resized[0, :, : grid.rows, : grid.columns]
        return cropped.flatten(1).T.to(self.pos_embed.dtype)


class Attention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, hidden: torch.Tensor, runs: list[tuple[int, int]]) -> torch.Tensor:
        """`hidden` [total, width] holds runs of `count` sequences of `length`; each sequence attends to itself only."""
        parts = self.qkv(hidden).split([count * length for count, length in runs])
        outputs = [attend(part, self.heads, length) for part, (_, length) in zip(parts, runs, strict=True)]
        return self.proj(outputs[0] if len(outputs) == 1 else torch.cat(outputs))


def attend(qkv: torch.Tensor, heads: int, length: int) -> torch.Tensor:
    """Sequences of `length`, each to itself: qkv [n·length, 3·width], q, k and v side by side -> [n·length, width]."""
    width = qkv.shape[1] // (3 * heads)
    if fast(qkv):
        from omni_agent.runtime.kernels.attention_vision import attention_vision, pieces

        if pieces(width) is not None:
            return attention_vision(qkv, heads, length)
    query, key, value = qkv.view(-1, length, 3, heads, width).permute(2, 0, 3, 1, 4).unbind(0)
    with sdpa_kernel(ANY_LENGTH, set_priority=True):
        seen = functional.scaled_dot_product_attention(query, key, value)
    return seen.transpose(1, 2).reshape(len(qkv), -1)


class Mlp(nn.Module):
    def __init__(self, hidden: int, inner: int, activation: str) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, inner)
        self.act = activations(activation)
        self.fc2 = nn.Linear(inner, hidden)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(hidden)))


class Block(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        hidden = config.shape.hidden
        self.norm1 = nn.LayerNorm(hidden, eps=config.norm_eps)
        self.attn = Attention(hidden, config.shape.heads)
        self.norm2 = nn.LayerNorm(hidden, eps=config.norm_eps)
        self.mlp = Mlp(hidden, config.shape.mlp, config.activation)


def add_norm(hidden: torch.Tensor, added: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
    """hidden += added in place -> the norm of it; both [total, width]."""
    if fast(hidden):
        from omni_agent.runtime.kernels.layer_norm import add_layer_norm

        return add_layer_norm(hidden, added, norm.weight, norm.bias, norm.eps)
    return norm(hidden.add_(added))


class VisionTower(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.prefix = config.prefix
        self.patch_generator = PatchGenerator(config)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.shape.layers)])

    def forward(self, batches: list[Patches]) -> list[Features]:
        """One pass over all of them; the caller bounds their number (`passes`)."""
        position = {batch.grid: self.patch_generator.positions(batch.grid) for batch in batches}
        embedded = [self.patch_generator(batch, position[batch.grid]) for batch in batches]
        runs = [(len(values), values.shape[1]) for values in embedded]
        hidden = self._blocks(torch.cat([values.flatten(0, 1) for values in embedded]), runs)
        parts = hidden.split([count * length for count, length in runs])
        return [
            Features(part.view(count, length, -1)[:, self.prefix :], batch.grid)
            for part, (count, length), batch in zip(parts, runs, batches, strict=True)
        ]

    def _blocks(self, hidden: torch.Tensor, runs: list[tuple[int, int]]) -> torch.Tensor:
        """Each block is x + attn(norm1(x)), then x + mlp(norm2(x)); `hidden` is overwritten."""
        blocks: list[Block] = list(self.blocks)
        normed = blocks[0].norm1(hidden)
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            normed = add_norm(hidden, block.attn(normed, runs), block.norm2)
            out = block.mlp(normed)
            if following is None:
                hidden += out
            else:
                normed = add_norm(hidden, out, following.norm1)
        return hidden


def activations(name: str) -> nn.Module:
    """The activation that the file names."""
    from omni_agent.errors import CheckpointError

    known = {"gelu": nn.GELU(), "gelu_pytorch_tanh": nn.GELU(approximate="tanh"), "relu": nn.ReLU(), "silu": nn.SiLU()}
    if name not in known:
        raise CheckpointError(
            f"config.json: vision activation {name!r} is not known", hint=f"known: {', '.join(known)}"
        )
    return known[name]


def passes(batches: Iterable[Patches], at_once: int = PATCHES_AT_ONCE) -> Iterator[list[Patches]]:
    """The same batches in the same order, gathered (and a large one cut) so that a pass has at most `at_once` patches.

    A single picture is never cut: its patches attend to each other.
    """
    waiting: list[Patches] = []
    room = at_once
    for values, grid in batches:
        for piece in values.split(max(1, at_once // grid.patches)):
            size = len(piece) * grid.patches
            if waiting and size > room:
                yield waiting
                waiting, room = [], at_once
            waiting.append(Patches(piece, grid))
            room -= size
    if waiting:
        yield waiting


def merge(features: Features) -> torch.Tensor:
    """Four neighbouring patches as one: [count, tokens, 4·hidden], the four in the order (dy, dx, channel)."""
    values, grid = features
    cells = values.reshape(len(values), grid.rows // MERGE, MERGE, grid.columns // MERGE, MERGE, -1)
    return cells.transpose(2, 3).reshape(len(values), grid.tokens, -1)
