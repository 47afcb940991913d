"""Still pictures: which grid of 16-pixel patches a picture gets, and its pixels as normalised patches.

The grid arithmetic is that of the released processor (the same in vLLM's and sglang's processors and in transformers):
Python's rounding to even, grids with even sides, so many patches that they fit the model's limits and the request.
Four patches become one token, so one token covers 32×32 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from omni_agent.runtime.media_config import VisionConfig

if TYPE_CHECKING:
    import torch

MERGE = 2  # patches of one token along each side (downsample_ratio 0.5)
COPIERS = 4  # threads that put a video's frames into pinned memory
RESERVED = 4  # tokens of the context that the released processor leaves free


class Grid(NamedTuple):
    """Patches of a picture along each side, both even."""

    rows: int
    columns: int

    @property
    def patches(self) -> int:
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        return self.patches // MERGE**2


def picture_grid(width: int, height: int, vision: VisionConfig, limit: int | None = None) -> Grid:
    """The grid for a picture of that size in pixels, with at most `limit` patches (default: the model's maximum).

    Strips so thin that the released arithmetic divides by zero or overshoots the maximum are cut to what fits.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height} pixels")
    limit = vision.max_patches if limit is None else limit
    rows = round(height / vision.patch + 0.5)
    columns = round(width / vision.patch + 0.5)
    factor = min(math.sqrt(limit / (rows * columns)), 1.0)
    rows, columns = max(1, math.floor(factor * rows)), max(1, math.floor(factor * columns))
    if rows * columns < vision.min_patches < limit:
        factor = math.sqrt(vision.min_patches / (rows * columns))
        rows, columns = math.ceil(factor * rows), math.ceil(factor * columns)
    rows = _even(rows, columns, limit)
    columns = _even(columns, rows, limit)
    if rows * columns > vision.max_patches:
        rows = min(rows, _even_below(vision.max_patches // min(rows, columns)))
        columns = min(columns, _even_below(vision.max_patches // rows))
    return Grid(rows, columns)


def _even(side: int, other: int, limit: int) -> int:
    """`side` made even: upwards if the grid then still fits."""
    if side % MERGE == 0:
        return side
    return side + 1 if (side + 1) * other <= limit else max(MERGE, side - 1)


def _even_below(side: int) -> int:
    return max(MERGE, side - side % MERGE)


def picture_grids(sizes: Sequence[tuple[int, int]], vision: VisionConfig, tokens: int | None = None) -> list[Grid]:
    """Grids for the pictures of one request, (width, height) each, that together need at most `tokens` tokens.

    `tokens` is what the context has left beside the text; None sets no bound. The pictures share it in proportion to
    what each would have taken. No picture goes below the model's minimum, so very many pictures can need more: the
    caller counts what it gets.
    """
    if tokens is None or not sizes:
        return [picture_grid(width, height, vision) for width, height in sizes]
    budget = max((tokens - RESERVED) * MERGE**2, vision.min_patches * len(sizes))
    shares = [max(min(budget, vision.max_patches), vision.min_patches)] * len(sizes)
    for _ in range(10):  # it settles in two or three rounds
        grids = [picture_grid(*size, vision, share) for size, share in zip(sizes, shares, strict=True)]
        total = sum(grid.patches for grid in grids)
        if total <= budget:
            return grids
        scale = budget / total
        scaled = [max(vision.min_patches, int(grid.patches * scale)) for grid in grids]
        smaller = any(new < old for new, old in zip(scaled, shares, strict=True))
        shares = scaled if smaller else [vision.min_patches] * len(sizes)
    return [picture_grid(*size, vision, vision.min_patches) for size in sizes]


def on_device(pictures: Sequence[npt.NDArray[np.uint8]], device: torch.device) -> torch.Tensor:
    """Pictures of one size [H, W, 3] as uint8 [N, H, W, 3] on the device, by way of pinned memory to a GPU."""
    import torch

    staged = torch.empty((len(pictures), *pictures[0].shape), dtype=torch.uint8, pin_memory=device.type == "cuda")
    places = staged.numpy()
    if len(pictures) == 1:
        places[0] = pictures[0]
    else:  # one core copies at a few GB/s; frames are many, and copying frees the interpreter
        with ThreadPoolExecutor(COPIERS) as pool:
            list(pool.map(np.copyto, places, pictures))
    return staged.to(device, non_blocking=True)


def normalised(pixels: torch.Tensor, grid: Grid, vision: VisionConfig) -> torch.Tensor:
    """uint8 [N, H, W, 3] resized to the grid: float32 [N, 3, rows·patch, columns·patch].

    Antialiased bicubic in float32 without clamping, so its overshoot stays; then /255 and CLIP's mean and deviation,
    here and nowhere else (the checkpoint's `input_conditioner` would normalise a second time).
    """
    import torch
    from torch.nn import functional

    assert pixels.dtype == torch.uint8 and pixels.shape[-1] == 3, f"pixels are {pixels.dtype} {tuple(pixels.shape)}"
    size = (grid.rows * vision.patch, grid.columns * vision.patch)
    values = pixels.permute(0, 3, 1, 2).to(torch.float32)
    if tuple(values.shape[-2:]) != size:
        values = functional.interpolate(values, size=size, mode="bicubic", align_corners=False, antialias=True)
    mean = torch.tensor(vision.mean, device=values.device).view(3, 1, 1)
    std = torch.tensor(vision.std, device=values.device).view(3, 1, 1)
    return values.div(255.0).sub_(mean).div_(std)


def patchify(values: torch.Tensor, patch: int) -> torch.Tensor:
    """[N, C, H, W] as [N, patches, C·patch²]: patches row by row, each flattened (channel, y, x)."""
    count, channels, height, width = values.shape
    cells = values.view(count, channels, height // patch, patch, width // patch, patch)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(count, -1, channels * patch * patch)


def picture_patches(
    pixels: npt.NDArray[np.uint8], grid: Grid, vision: VisionConfig, device: torch.device
) -> torch.Tensor:
    """One picture [H, W, 3] as float32 [1, patches, 3·patch²] for the vision tower."""
    return patchify(normalised(on_device([pixels], device), grid, vision), vision.patch)
