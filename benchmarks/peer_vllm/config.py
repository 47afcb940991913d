"""The configuration class that vLLM lacks for this model, for the peer alone: `cases` copies it into a checkpoint.

vLLM knows the architecture but not the `model_type`, so it takes this file by way of `trust_remote_code`. omni's own
runtime reads config.json itself and never runs a checkpoint's code.
"""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig
from vllm.transformers_utils.configs.nemotron_h import NemotronHConfig

PARTS = ("llm_config", "vision_config", "sound_config")


class VisionPart(PretrainedConfig):
    """`vision_config`: its keys as attributes."""

    model_type = "nemotron_omni_vision"


class SoundPart(PretrainedConfig):
    """`sound_config`: handed on to the Parakeet encoder, key by key."""

    model_type = "nemotron_omni_sound"


class OmniConfig(PretrainedConfig):
    """config.json's three sections as configurations of their own, the rest as attributes."""

    model_type = "NemotronH_Nano_Omni_Reasoning_V3"

    def __init__(self, **keys: Any) -> None:
        parts = {name: dict(keys.pop(name, None) or {}) for name in PARTS}
        super().__init__(**keys)
        text = {"architectures": ["NemotronHForCausalLM"], **parts["llm_config"]}
        text.setdefault("dtype", keys.get("dtype", keys.get("torch_dtype")))
        self.text_config = NemotronHConfig(**text)
        self.vision_config = VisionPart(**parts["vision_config"])
        # Its own model_type would send transformers to another class.
        sound = {key: value for key, value in parts["sound_config"].items() if key != "model_type"}
        self.sound_config = SoundPart(**sound) if sound else None
