"""From a checkpoint folder to a model on its device: every tensor is loaded, skipped for a reason, or an error.

Everything that can be known without reading weights is checked first, on a model without memory. The weights then go
from the files through a few pinned buffers straight to their places; host memory never holds more than the buffers.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from omni_agent.errors import CheckpointError, Unavailable
from omni_agent.runtime import encoders
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import ModelConfig, read_config
from omni_agent.runtime.encoders import Encoders
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.safetensors import Entry
from omni_agent.runtime.shards import read_entries
from omni_agent.runtime.sizes import WORK_BYTES, require_plausible
from omni_agent.types import Progress, no_progress

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
QUANTISED = {"F8_E4M3": "FP8", "F8_E5M2": "FP8", "F4": "NVFP4", "U8": "NVFP4"}
BUFFER = 32 << 20  # bytes a reader holds; larger does not read faster from memory or NVMe
READERS = 8

# Part of a name -> why nothing of it is loaded when only text is wanted; `encoders.SKIPPED` where media are, too.
TEXT_ONLY = {
    "vision_model.": "the vision tower is not part of the text backbone",
    "mlp1.": "the vision projector is not part of the text backbone",
    "sound_encoder.": "the sound tower is not part of the text backbone",
    "sound_projection.": "the sound projector is not part of the text backbone",
}
RENAMED = (("language_model.", ""), ("model.", "backbone."))  # the released prefix, then transformers'


@dataclass(slots=True)
class Loaded:
    """A model ready to run, its configuration, and the tensors left aside with the reason.

    `encoders` is None where only the language model was asked for.
    """

    model: LanguageModel
    config: ModelConfig
    skipped: dict[str, str] = field(default_factory=dict)
    encoders: Encoders | None = None


def load(
    folder: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype = torch.bfloat16,
    context: int = 0,
    media: bool = False,
    progress: Progress = no_progress,
) -> Loaded:
    """Load the checkpoint in `folder`: the language model, and with `media` the encoders of pictures and sound.

    `context` tokens of cache are counted into the memory.

    Raises CheckpointError when the folder is not a sound checkpoint of this model, Unavailable when the device lacks
    the memory.
    """
    config = read_config(folder)
    entries = read_entries(folder)
    require_plausible(config, entries, media)
    plan = _places(*_parts(config, "meta", dtype, media))
    names, skipped = match(entries, plan, encoders.SKIPPED if media else TEXT_ONLY)
    require_memory(_bytes(plan), config, context, torch.device(device), dtype)
    model, towers = _parts(config, device, dtype, media)
    places = _places(model, towers)
    fill([(entries[stored], places[name]) for name, stored in names.items()], progress)
    return Loaded(model, config, skipped, towers)


def _parts(
    config: ModelConfig, device: torch.device | str, dtype: torch.dtype, media: bool
) -> tuple[LanguageModel, Encoders | None]:
    """The model without its values."""
    towers = None
    if media:
        vision, sound = VisionConfig.read(config.raw), SoundConfig.read(config.raw)
        towers = Encoders(vision, sound, device, dtype)
    return LanguageModel(config.text, device, dtype), towers


def _places(model: LanguageModel, towers: Encoders | None) -> dict[str, Tensor]:
    return model.tensors() | (towers.tensors() if towers else {})


def match(
    entries: Mapping[str, Entry], places: Mapping[str, Tensor], skipping: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The model's name -> the stored name, and the skipped names with their reasons; together they are all there is."""
    names: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for stored, entry in entries.items():
        reason = next((why for part, why in skipping.items() if part in stored), None)
        if reason is not None:
            skipped[stored] = reason
            continue
        name = _renamed(stored)
        if name not in places:
            raise CheckpointError(f"{entry.file.name} holds {stored[:200]!r}, which this model does not have")
        if entry.dtype not in DTYPES:
            kind = QUANTISED.get(entry.dtype, entry.dtype)
            raise CheckpointError(
                f"{stored[:200]} is stored as {kind}, which is not supported", hint="use the BF16 files"
            )
        if entry.shape != tuple(places[name].shape):
            raise CheckpointError(f"{stored[:200]} has shape {list(entry.shape)}, expected {list(places[name].shape)}")
        if name in names:
            raise CheckpointError(f"{stored[:200]} and {names[name][:200]} are the same tensor under two names")
        names[name] = stored
    missing = [name for name in places if name not in names]
    if missing:
        raise CheckpointError(
            f"{len(missing)} tensors are missing, the first is {missing[0]}", hint="download the checkpoint again"
        )
    return names, skipped


def _renamed(stored: str) -> str:
    for prefix, replacement in RENAMED:
        if stored.startswith(prefix):
            stored = replacement + stored.removeprefix(prefix)
    return stored


def _bytes(places: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in places.values())


def require_memory(weights: int, config: ModelConfig, context: int, device: torch.device, dtype: torch.dtype) -> None:
    """Raise Unavailable, with the sum, when weights, cache and working space exceed the device's free memory."""
    if device.type != "cuda":
        return
    cache = Cache.bytes(config.text, 1, context, dtype) if context else 0
    work = WORK_BYTES
    free, total = torch.cuda.mem_get_info(device)
    if weights + cache + work <= free:
        return
    spare = free - weights - work
    per_token = Cache.bytes(config.text, 1, 1, dtype) - Cache.bytes(config.text, 1, 0, dtype)
    fits = (spare - Cache.bytes(config.text, 1, 0, dtype)) // per_token
    raise Unavailable(
        f"the model needs {_gb(weights)} of weights + {_gb(cache)} of cache + {_gb(work)} to work in, "
        f"the card has {_gb(free)} free of {_gb(total)}",
        hint=f"a context of {fits} tokens would fit" if fits > 0 else "this card cannot hold the BF16 model",
    )


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def fill(pairs: Iterable[tuple[Entry, Tensor]], progress: Progress = no_progress) -> None:
    """Read every entry's bytes into its tensor, pieces in parallel, converting floats where dtypes differ."""
    pieces = [piece for entry, tensor in pairs for piece in _pieces(entry, tensor)]
    pieces.sort(key=lambda piece: (str(piece[0].file), piece[0].offset))
    total, done, lock = sum(entry.size for entry, _ in pieces), 0, threading.Lock()
    if not pieces:
        return
    readers = min(READERS, os.cpu_count() or 1) if pieces[0][1].is_cuda else 2
    with ThreadPoolExecutor(readers) as pool:
        local = threading.local()
        for size in pool.map(lambda piece: _read(piece[0], piece[1], local), pieces):
            with lock:
                done += size
            progress("loading weights", done, total)
    if pieces[0][1].is_cuda:
        torch.cuda.synchronize(pieces[0][1].device)


def _pieces(entry: Entry, tensor: Tensor) -> list[tuple[Entry, Tensor]]:
    """The tensor cut along its first axis into pieces of at most one buffer, as far as rows allow."""
    if entry.size <= BUFFER or not entry.shape or tensor.stride(0) == 0:
        return [(entry, tensor)]
    row = entry.size // entry.shape[0]
    rows = max(1, BUFFER // row)
    return [
        (
            Entry(entry.file, entry.dtype, (len(part), *entry.shape[1:]), entry.offset + start * row, len(part) * row),
            part,
        )
        for start in range(0, entry.shape[0], rows)
        for part in [tensor[start : start + rows]]
    ]


def _read(entry: Entry, tensor: Tensor, local: threading.local) -> int:
    """One piece from its file into its place, by way of this thread's pinned buffer when the place is on the GPU."""
    stored = DTYPES[entry.dtype]
    if not tensor.is_cuda:
        direct = tensor.is_contiguous() and tensor.dtype == stored
        target = tensor if direct else torch.empty(entry.shape, dtype=stored)
        _read_bytes(entry, target.reshape(-1).view(torch.uint8))
        if not direct:
            tensor.copy_(target)
        return entry.size
    buffer = getattr(local, "buffer", None)
    if buffer is None or buffer.numel() < entry.size:
        buffer = local.buffer = torch.empty(max(BUFFER, entry.size), dtype=torch.uint8, pin_memory=True)
        local.stream = torch.cuda.Stream(tensor.device)
    _read_bytes(entry, buffer[: entry.size])
    with torch.cuda.stream(local.stream):
        staged = buffer[: entry.size].view(stored).view(entry.shape)
        if stored != tensor.dtype:
            staged = staged.to(tensor.device, non_blocking=True)
        tensor.copy_(staged, non_blocking=True)
    local.stream.synchronize()  # the buffer is reused
    return entry.size


def _read_bytes(entry: Entry, target: Tensor) -> None:
    assert target.numel() == entry.size == math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
    if entry.size == 0:
        return
    view = memoryview(target.numpy())
    try:
        with entry.file.open("rb", buffering=0) as stream:
            stream.seek(entry.offset)
            done = 0
            while done < entry.size:
                count = stream.readinto(view[done:])
                if not count:
                    raise CheckpointError(f"{entry.file} became shorter while it was read")
                done += count
    except OSError as error:
        raise CheckpointError(f"{entry.file} cannot be read: {error}") from error
