"""The weight files of a checkpoint folder: which they are and what tensors their headers and the index promise.

Needs no torch, so that a folder can be looked at on a machine that cannot run it.
"""

from __future__ import annotations

from pathlib import Path

from omni_agent.errors import CheckpointError
from omni_agent.runtime.config import read_json
from omni_agent.runtime.safetensors import Entry, read_header

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def read_entries(folder: Path) -> dict[str, Entry]:
    """Every tensor of the folder's shards, checked against the index. Raises CheckpointError."""
    shards, index = shard_files(folder)
    entries: dict[str, Entry] = {}
    for shard in shards:
        for name, entry in read_header(shard).items():
            if name in entries:
                raise CheckpointError(f"{name[:200]!r} stands in both {entries[name].file.name} and {shard.name}")
            entries[name] = entry
    for name, shard_name in index.items():
        if name not in entries or entries[name].file.name != shard_name:
            raise CheckpointError(f"{name[:200]!r} is not in {shard_name}, where {INDEX} puts it")
    return entries


def shard_files(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """The shards, which are all there, and the index's map from tensor to shard (empty where one file is all).

    A shard may be a link that leads out of the folder: the Hugging Face cache is made of such links, and nothing but
    tensors is ever read through one. Names in the index may not lead out, since they come with the download.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder")
    if (folder / INDEX).is_file():
        index = read_json(folder / INDEX).get("weight_map")
        if not isinstance(index, dict) or not index:
            raise CheckpointError(f"{folder / INDEX} has no weight_map")
        return [_shard(folder, shard) for shard in sorted(set(map(str, index.values())))], index
    if (folder / SINGLE).is_file():
        return [folder / SINGLE], {}
    pickles = sorted(path.name for path in folder.iterdir() if path.name.endswith(PICKLES))
    if pickles:
        raise CheckpointError(
            f"{folder} holds {pickles[0]}: pickle files can run code and are never read",
            hint="use the safetensors checkpoint",
        )
    raise CheckpointError(f"{folder / INDEX} is missing", hint="download the checkpoint again")


def _shard(folder: Path, name: str) -> Path:
    if name.endswith(PICKLES):
        raise CheckpointError(f"{folder / INDEX} names {name[:200]}: pickle files can run code and are never read")
    if Path(name).name != name or not name.endswith(".safetensors") or len(name) > 255:
        raise CheckpointError(f"{folder / INDEX} points at {name[:200]!r}, which is no file of this folder")
    if not (folder / name).is_file():
        raise CheckpointError(f"{folder / name} is missing", hint="download the checkpoint again")
    return folder / name
