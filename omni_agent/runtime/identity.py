"""What kept results depend on beside their input: the weights, the number type, the card and the code."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path

import torch

from omni_agent.errors import CheckpointError
from omni_agent.runtime.config import read_json
from omni_agent.runtime.shards import shard_files

SAMPLES, SAMPLE = 16, 4096  # bytes looked at in each shard, evenly spread: hashing all 66 GB would take a minute


def identity(folder: Path, device: torch.device, dtype: torch.dtype) -> str:
    """The name of everything that the numbers of a checkpoint in `folder` on `device` depend on.

    A folder in which a file was replaced has another name: size, time of change and samples of every shard count, and
    all of config.json. Raises CheckpointError where the folder cannot be read.
    """
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    mamba_ssm = importlib.util.find_spec("mamba_ssm") is not None
    parts = [checkpoint(folder), str(dtype), card, torch.__version__, mamba_ssm, code()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def checkpoint(folder: Path) -> str:
    """The name of a checkpoint folder's content as it is now."""
    digest = hashlib.sha256()
    try:
        digest.update(json.dumps(read_json(folder / "config.json"), sort_keys=True).encode())
        for shard in shard_files(folder)[0]:
            status = shard.stat()
            digest.update(f"{shard.name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} ".encode())
            with shard.open("rb") as file:
                for number in range(SAMPLES):
                    file.seek(status.st_size * number // SAMPLES)
                    digest.update(file.read(SAMPLE))
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error
    return digest.hexdigest()


@cache
def code() -> str:
    """The name of this runtime's own source: what another version kept may differ in the last bits."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
