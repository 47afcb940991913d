"""Video: which frames are taken, the grid of a frame, pairs of frames as tubelets, and the text that tells their times.

A tubelet is two frames in a row embedded together; an odd last frame is repeated. Time reaches the model only as
text, one caption a tubelet, counted in whole milliseconds from the frame numbers and the frame rate of the source,
the way the model was trained (vLLM, sglang and transformers write the same text).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from omni_agent.runtime.images import MERGE, Grid, normalised, on_device, patchify
from omni_agent.runtime.media_config import VisionConfig

if TYPE_CHECKING:
    import torch

FRAMES_AT_ONCE = 16  # frames resized together: a 4K frame is 100 MB as float32
SPARSE = 16  # of so many rows and columns one is looked at before a whole frame is


def sample_frames(total: int, source_fps: float, *, fps: float, max_frames: int) -> list[int]:
    """Numbers of the frames to take from `total`: evenly spread, at most `fps` a second and `max_frames` in all.

    As vLLM's default loader does it: floor(duration·fps) frames by linspace over the whole video, rounded down.
    """
    if total < 1 or source_fps <= 0 or fps <= 0 or max_frames < 1:
        raise ValueError(f"{total} frames at {source_fps} fps, {fps} fps and {max_frames} frames wanted")
    count = max(1, min(total, max_frames, math.floor(total / source_fps * fps)))
    if count == total:
        return list(range(total))
    indices: list[int] = np.linspace(0, total - 1, count, dtype=int).tolist()
    return indices


def frame_grid(width: int, height: int, vision: VisionConfig) -> Grid:
    """The grid of every frame of a video of that size: near `video_patches` patches, aspect kept, sides even."""
    target = vision.video_patches
    if not vision.video_keeps_aspect:
        side = max(MERGE, math.isqrt(target) // MERGE * MERGE)
        return Grid(side, side)
    aspect = width / max(height, 1)
    rows = max(1, round(math.sqrt(target / aspect)))
    columns = max(1, round(math.sqrt(target * aspect)))
    up = Grid(rows + rows % MERGE, columns + columns % MERGE)
    if up.patches <= target:
        return up
    return Grid(max(MERGE, rows - rows % MERGE), max(MERGE, columns - columns % MERGE))


def tubelet_count(frames: int, vision: VisionConfig) -> int:
    return -(-frames // vision.tubelet)


def captions(indices: Sequence[int], source_fps: float, vision: VisionConfig) -> list[str]:
    """The text before each tubelet, e.g. "Frame 1 sampled at 0.00 seconds and frame 2 sampled at 0.50 seconds: ".

    `indices` are frame numbers in the source. All but the first begin with a newline; each is tokenised on its own.
    """
    milliseconds = int(1000.0 / source_fps)  # 33 at 30 fps: the model learned the times that this gives
    texts = []
    for first in range(0, len(indices), vision.tubelet):
        frames = enumerate(indices[first : first + vision.tubelet], first + 1)
        told = " and ".join(f"frame {n} sampled at {int(i) * milliseconds / 1000.0:.2f} seconds" for n, i in frames)
        texts.append(("\n" if first else "") + "F" + told[1:] + ": ")
    return texts


def changed_frames(
    frames: Iterable[npt.NDArray[np.uint8]], vision: VisionConfig, numbers: list[int]
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of those tubelets that differ from the tubelet before, whole tubelets of them.

    `numbers` gets, for every tubelet of the film, which of those that came out it equals.
    """
    before: list[npt.NDArray[np.uint8]] = []
    for batch in _batches(frames, vision.tubelet):
        tubelet = batch + [batch[-1]] * (vision.tubelet - len(batch))
        if before and all(map(_same, tubelet, before)):
            numbers.append(numbers[-1])
            continue
        yield from tubelet
        numbers.append(numbers[-1] + 1 if numbers else 0)
        before = tubelet


def _same(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    """Whether two frames are equal; a few of their pixels nearly always tell that they are not."""
    few = slice(None, None, SPARSE)
    return np.array_equal(one[few, few], other[few, few]) and np.array_equal(one, other)


def tubelet_patches(
    frames: Iterable[npt.NDArray[np.uint8]], grid: Grid, vision: VisionConfig, device: torch.device
) -> Iterator[torch.Tensor]:
    """Frames, uint8 [H, W, 3] of one size, as float32 [tubelets, patches, 2·3·patch²], some tubelets at a time.

    A patch of a tubelet is flattened (frame, channel, y, x).
    """
    import torch

    for batch in _batches(frames, FRAMES_AT_ONCE * vision.tubelet):
        batch += [batch[-1]] * (-len(batch) % vision.tubelet)
        resized = [
            normalised(on_device(batch[at : at + FRAMES_AT_ONCE], device), grid, vision)
            for at in range(0, len(batch), FRAMES_AT_ONCE)
        ]
        values = torch.cat(resized)
        yield patchify(values.reshape(-1, vision.tubelet * 3, *values.shape[-2:]), vision.patch)


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
