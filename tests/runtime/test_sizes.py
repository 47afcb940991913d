"""The arithmetic of sizes against the published totals, against the modules, and against what a folder really holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import make_checkpoint
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import ModelConfig, read_config
from omni_agent.runtime.encoders import Encoders
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.shards import read_entries
from omni_agent.runtime.sizes import Part, cache_bytes, parameters, part_of, parts


@pytest.fixture(scope="module")
def released() -> ModelConfig:
    """The released model's configuration, put together from the model card and two libraries' readers of it."""
    return read_config(Path(make_checkpoint.__file__).parent / "released")


def test_the_published_totals(released: ModelConfig) -> None:
    """Of the released BF16 model: 33,015,632,214 parameters in 7,349 tensors."""
    found = parts(released)
    assert {name: part.parameters for name, part in found.items()} == {
        "Mamba-2 layers": 891_132_608,
        "MoE layers": 29_841_767_680,
        "attention layers": 140_394_240,
        "embeddings": 352_321_536,
        "head": 352_321_536,
        "final norm": 2_688,
        "vision tower": 653_611_526,
        "vision projector": 159_912_960,
        "sound tower": 608_962_064,
        "sound projector": 15_205_376,
    }
    assert sum(part.parameters for part in found.values()) == 33_015_632_214
    assert sum(part.tensors for part in found.values()) == 7_349


def test_the_published_cache(released: ModelConfig) -> None:
    """6,144 bytes a token; 48.2 MB of states and, with a ring of four rows, 1.1 MB of convolution inputs."""
    constant = cache_bytes(released.text, 0)
    assert cache_bytes(released.text, 1000) - constant == 6_144_000
    assert constant == 23 * (64 * 64 * 128 * 4 + 4 * 6144 * 2)
    for context in (0, 131_072):
        assert cache_bytes(released.text, context) == Cache.bytes(released.text, 1, context, torch.bfloat16)


@pytest.mark.parametrize("bias", [False, True])
def test_the_sound_tower_with_and_without_biases_is_what_the_module_has(released: ModelConfig, bias: bool) -> None:
    raw: dict[str, Any] = dict(released.raw)
    raw["sound_config"] = raw["sound_config"] | {"attention_bias": bias, "convolution_bias": bias}
    raw["sound_config"]["projection_bias"] = bias
    tensors = Encoders(VisionConfig.read(raw), SoundConfig.read(raw), "meta").tensors()
    config = ModelConfig(architecture="", text=released.text, raw=raw)
    for part, prefix, aside in (
        ("sound tower", "sound_encoder.", Part(128 * 257 + 400, 24 + 2)),  # counters, mel bank and window
        ("sound projector", "sound_projection.", Part(0, 0)),
    ):
        held = [tensor.numel() for name, tensor in tensors.items() if name.startswith(prefix)]
        assert parts(config)[part] == Part(sum(held) + aside.parameters, len(held) + aside.tensors)


def test_every_stored_tensor_is_of_its_part(folder: Path) -> None:
    """Headers counted part by part equal the arithmetic on the tiny checkpoint, where no two sizes agree by chance."""
    config, entries = read_config(folder), read_entries(folder)
    counted: dict[str, Part] = {}
    for name, entry in entries.items():
        part = part_of(name, config.text)
        before = counted.get(part, Part(0, 0))
        size = 0 if name.endswith("num_batches_tracked") else math.prod(entry.shape)
        counted[part] = Part(before.parameters + size, before.tensors + 1)
    assert counted == parts(config)
    assert parameters(entries) == sum(part.parameters for part in counted.values())
    assert part_of("language_model.backbone.layers.99.mixer.D", config.text) == "other"
    assert part_of("mtp.weight", config.text) == "other"
