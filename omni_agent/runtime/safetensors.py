"""Safetensors headers, read with distrust: a checkpoint may be damaged, truncated, or made to harm.

The format (huggingface.co/docs/safetensors): eight bytes of little-endian header length, a JSON header that gives every
tensor's dtype, shape and byte range, then the bytes. Only the header is read here, and every number in it is checked
against the file before anything is allocated.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from omni_agent.errors import CheckpointError
from omni_agent.runtime.config import no_twins

MAX_HEADER = 64 << 20  # the released model's largest is well under one MB
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F4": 1}
ITEM_BYTES |= {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor's bytes stand: `offset` from the beginning of `file`."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


def read_header(file: Path) -> dict[str, Entry]:
    """Every tensor of a safetensors file. Raises CheckpointError when the file is not exactly what its header says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(MAX_HEADER, size - 8):
                _damaged(file, f"its header claims {length} bytes, the file has {size}")
            header = json.loads(stream.read(length), object_pairs_hook=no_twins)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}", hint="download the checkpoint again") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is no sound safetensors file: {error}", hint="download it again") from error
    if not isinstance(header, dict):
        _damaged(file, "its header is no object")
    header.pop("__metadata__", None)
    entries = {name: _entry(file, name, value, 8 + length) for name, value in header.items()}
    _check_layout(file, entries, 8 + length, size)
    return entries


def _entry(file: Path, name: str, value: Any, base: int) -> Entry:
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    except (KeyError, TypeError, ValueError):
        _damaged(file, f"the entry of {name[:200]!r} is incomplete")
    if dtype not in ITEM_BYTES:
        _damaged(file, f"{name[:200]!r} is of type {str(dtype)[:40]!r}")
    if len(shape) > 8 or any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
        _damaged(file, f"the numbers of {name[:200]!r} are senseless")
    if math.prod(shape) * ITEM_BYTES[dtype] != end - begin:
        _damaged(file, f"{name[:200]!r} has {end - begin} bytes, its shape {list(shape)} needs otherwise")
    return Entry(file, dtype, shape, base + begin, end - begin)


def _check_layout(file: Path, entries: dict[str, Entry], base: int, size: int) -> None:
    """The byte ranges follow one another without gap or overlap to the file's very end, as the format demands."""
    reached = base
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].offset, item[1].size)):
        if entry.offset != reached:
            _damaged(file, f"the bytes of {name[:200]!r} overlap others or leave a gap")
        reached += entry.size
    if reached > size:
        _damaged(file, f"it ends after {size} of {reached} bytes")
    if reached < size:
        _damaged(file, f"it has {size - reached} bytes that no tensor owns")


def _damaged(file: Path, what: str) -> NoReturn:
    raise CheckpointError(f"{file} is damaged: {what}", hint="download it again") from None
