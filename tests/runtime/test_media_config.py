"""The encoders' part of config.json: both spellings, what is assumed, what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks import make_checkpoint
from omni_agent.errors import CheckpointError
from omni_agent.runtime.encoders import Encoders
from omni_agent.runtime.media_config import VIT_SHAPES, SoundConfig, VisionConfig, VitShape

RELEASED: dict[str, Any] = {  # as model card, vLLM and transformers together tell it
    "llm_config": {"hidden_size": 2688},
    "vision_config": {
        "args": {
            "model": "vit_huge_patch16_224",
            "cpe_max_size": 2048,
            "register_multiple": 10,
            "cls_token_per_teacher": True,
            "teachers": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
            "min_num_patches": 1024,
            "max_num_patches": 13312,
        },
        "patch_size": 16,
        "video_temporal_patch_size": 2,
        "video_target_num_patches": 1024,
    },
    "sound_config": {
        "model_type": "parakeet",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 8,
        "intermediate_size": 4096,
        "num_mel_bins": 128,
        "projection_hidden_size": 4096,
    },
    "projector_hidden_size": 20480,
}


def without(key: str, *path: str) -> dict[str, Any]:
    config = copy.deepcopy(RELEASED)
    section = config
    for step in path:
        section = section[step]
    del section[key]
    return config


def test_the_released_sizes() -> None:
    vision, sound = VisionConfig.read(RELEASED), SoundConfig.read(RELEASED)
    assert sound is not None
    assert (vision.shape, vision.prefix, vision.table) == (VIT_SHAPES["vit_huge_patch16_224"], 10, 128)
    assert (vision.min_patches, vision.max_patches, vision.projector, vision.output) == (1024, 13312, 20480, 2688)
    assert (sound.hidden, sound.layers, sound.mels, sound.projector) == (1024, 24, 128, 4096)
    assert not (sound.attention_bias or sound.convolution_bias or sound.scale_input)


def test_the_published_parameters_and_tensors_are_all_there() -> None:
    """Published: 653,611,526 with the 6 numbers of the conditioner; 608,879,616 and 49,152 running statistics; …"""
    tensors = Encoders(VisionConfig.read(RELEASED), SoundConfig.read(RELEASED), "meta").tensors()

    def count(prefix: str) -> tuple[int, int]:
        sizes = [tensor.numel() for name, tensor in tensors.items() if name.startswith(prefix)]
        return sum(sizes), len(sizes)

    assert count("vision_model.radio_model.model.") == (653_611_526 - 6, 32 * 12 + 6 - 2)
    assert count("mlp1.") == (159_912_960, 3)
    assert count("sound_encoder.encoder.") == (608_879_616 + 49_152, 24 * 28 + 14 - 2)
    assert count("sound_projection.") == (15_205_376, 3)


def test_what_the_file_does_not_say_is_told() -> None:
    vision = VisionConfig.read(RELEASED)
    assert "vision_config: hidden_act = gelu" in vision.assumed
    assert "vision_config: video_maintain_aspect_ratio = True" in vision.assumed
    sound = SoundConfig.read(RELEASED)
    assert sound is not None and "sound_config: convolution_bias = False" in sound.assumed


def test_transformers_spelling_says_the_same() -> None:
    theirs = {
        "text_config": {"hidden_size": 2688},
        "vision_config": {
            "hidden_size": 1280,
            "num_hidden_layers": 32,
            "num_attention_heads": 16,
            "mlp_ratio": 4.0,
            "max_img_size": 2048,
            "num_cls_tokens": 3,
            "num_registers": 7,
            "patch_size": 16,
            "min_num_patches": 1024,
            "max_num_patches": 13312,
        },
        "audio_config": RELEASED["sound_config"],
        "projector_hidden_size": 20480,
    }
    ours, released = VisionConfig.read(theirs), VisionConfig.read(RELEASED)
    assert (ours.shape, ours.prefix, ours.table) == (released.shape, released.prefix, released.table)
    assert SoundConfig.read(theirs) is not None


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("min_num_patches", ("vision_config", "args")),
        ("max_num_patches", ("vision_config", "args")),
        ("projector_hidden_size", ()),
        ("vision_config", ()),
        ("llm_config", ()),
        ("num_attention_heads", ("sound_config",)),
        ("projection_hidden_size", ("sound_config",)),
        ("model", ("vision_config", "args")),
    ],
)
def test_what_decides_the_result_must_be_in_the_file(key: str, path: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError, match="vision model 'None'" if key == "model" else key):
        config = without(key, *path)
        VisionConfig.read(config)
        SoundConfig.read(config)


def test_other_arithmetic_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="downsample_ratio"):
        VisionConfig.read(RELEASED | {"downsample_ratio": 0.25})
    with pytest.raises(CheckpointError, match="subsampling_factor"):
        SoundConfig.read(RELEASED | {"sound_config": RELEASED["sound_config"] | {"subsampling_factor": 4}})
    named = RELEASED["vision_config"] | {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    with pytest.raises(CheckpointError, match="contradicts itself"):
        VisionConfig.read(RELEASED | {"vision_config": named})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("vision_config", "patch_size", 0),
        ("vision_config", "patch_size", "16"),
        ("vision_config", "video_target_num_patches", 10**30),
        ("vision_config", "layer_norm_eps", "tiny"),
        ("vision_config", "video_maintain_aspect_ratio", "yes"),
        ("vision_config", "min_num_patches", 20_000),
        ("sound_config", "num_hidden_layers", 1_000_000),
        ("sound_config", "num_attention_heads", 7),
        ("sound_config", "hidden_act", "gelu"),
        ("sound_config", "n_fft", -512),
        ("sound_config", "projection_bias", 1),
        ("", "norm_std", [0.1, 0.0, 0.1]),
        ("", "norm_mean", [0.1]),
        ("", "norm_mean", 0.5),
        ("", "projector_hidden_size", True),
    ],
)
def test_a_senseless_value_is_an_error_that_names_it(section: str, key: str, value: Any) -> None:
    config = copy.deepcopy(RELEASED)
    target = config[section] if section else config
    if key in target.get("args", {}):
        target = target["args"]
    target[key] = value
    with pytest.raises(
        CheckpointError, match=key if key not in ("min_num_patches", "num_attention_heads") else str(value)
    ):
        VisionConfig.read(config)
        SoundConfig.read(config)


def test_a_checkpoint_without_sound_has_none() -> None:
    assert SoundConfig.read(without("sound_config")) is None


def test_the_tiny_checkpoint_is_read_like_a_real_one() -> None:
    vision = VisionConfig.read(make_checkpoint.config())
    assert (vision.shape, vision.prefix, vision.table) == (VitShape(32, 2, 2, 64), 10, 8)
