"""Packing gives back every bit pattern, saves a quarter of what models write, and leaves alone what it cannot pack."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from omni_agent.runtime.packing import LEAST, MOST_OTHERS, packed, unpacked
from omni_agent.runtime.store import open_store
from omni_agent.runtime.tiers import Limits, Tiers, size_of


def bits(tensor: Tensor) -> Tensor:
    return tensor.view(torch.int16)


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    return (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * scale).bfloat16()


def patterns(share: float) -> Tensor:
    """Normal numbers, of which every pattern that 16 bits have replaces some, up to this share of all."""
    tensor = normal(2 * LEAST)
    every = torch.arange(65_536, dtype=torch.int32).to(torch.int16)
    places = torch.randperm(len(tensor), generator=torch.Generator().manual_seed(1))[: int(share * len(tensor))]
    bits(tensor)[places] = every.repeat(1 + len(places) // len(every))[: len(places)]
    return tensor


@pytest.mark.parametrize("scale", [1e-30, 0.02, 300.0])
def test_normal_numbers_take_three_quarters(scale: float) -> None:
    blob = {"keys": normal(6, 2, LEAST // 8, 4, scale=scale), "state": torch.ones(3)}
    small = packed(blob)
    assert size_of(small) < 0.76 * size_of(blob)
    again = unpacked(small)
    assert again.keys() == blob.keys() and again["keys"].shape == blob["keys"].shape
    assert torch.equal(bits(again["keys"]), bits(blob["keys"])) and torch.equal(again["state"], blob["state"])


@pytest.mark.parametrize("share", [0.01, 0.015, 0.05, 1.0])
def test_every_pattern_comes_back(share: float) -> None:
    """Zeros of both signs, infinities, NaNs with what they carry, the smallest numbers: packed or left as they are."""
    blob = {"keys": patterns(share)}
    small = packed(blob)
    assert ("keys" in small) == (share > MOST_OTHERS) and size_of(small) <= size_of(blob)
    assert torch.equal(bits(unpacked(small)["keys"]), bits(blob["keys"]))


@pytest.mark.parametrize("tensor", [normal(LEAST + 1), normal(8), normal(0), torch.zeros(LEAST), normal(4, LEAST).T])
def test_odd_small_empty_wide_and_transposed(tensor: Tensor) -> None:
    assert torch.equal(unpacked(packed({"keys": tensor}))["keys"], tensor)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_what_lies_on_disk_is_packed_and_comes_back(tmp_path: Path, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    keys = normal(2, LEAST).to(device)
    name = f"keys-{'0' * 64}"
    notes: list[str] = []
    store = open_store(tmp_path / "kept", 1 << 30, notes.append)
    tiers = Tiers(torch.device(device), Limits(), store)
    tiers.put(name, {"keys": keys})
    tiers.flush()
    (file,) = (tmp_path / "kept").glob("*.safetensors")
    assert file.stat().st_size < 0.76 * 2 * keys.numel()
    blob = Tiers(torch.device(device), Limits(), open_store(tmp_path / "kept", 1 << 30, notes.append)).get(name)
    assert blob is not None and blob["keys"].device == keys.device and not notes
    assert torch.equal(bits(blob["keys"]), bits(keys))
