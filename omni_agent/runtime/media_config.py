"""The sizes of the two encoders, read from `config.json`; where the file is silent, what was assumed is kept and shown.

The released file names a vision model (`vision_config.args.model`) instead of its sizes, and its sound part omits
flags for which libraries disagree. Both spellings of a key that are documented are accepted. What decides the result
and has no safe default (the patch limits, the sizes of the projectors) must be in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from omni_agent.errors import CheckpointError
from omni_agent.runtime.config import TEXT_SECTIONS

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP; the conditioner of C-RADIO holds the same numbers
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class VitShape(NamedTuple):
    hidden: int
    layers: int
    heads: int
    mlp: int


VIT_SHAPES = {  # timm's names of the sizes (timm `vision_transformer.py`)
    "vit_small_patch16_224": VitShape(384, 12, 6, 1536),
    "vit_base_patch16_224": VitShape(768, 12, 12, 3072),
    "vit_large_patch16_224": VitShape(1024, 24, 16, 4096),
    "vit_huge_patch16_224": VitShape(1280, 32, 16, 5120),
}

SOUND_MUST_BE = {  # what this runtime computes, and nothing else
    "subsampling_factor": 8,
    "subsampling_conv_kernel_size": 3,
    "subsampling_conv_stride": 2,
    "hidden_act": "silu",
}


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """C-RADIO with its projector. `prefix`: class and register tokens; `table`: side of the square of positions."""

    shape: VitShape
    prefix: int = 10
    table: int = 128
    patch: int = 16
    tubelet: int = 2
    activation: str = "gelu"
    norm_eps: float = 1e-6
    min_patches: int = 1024
    max_patches: int = 13312
    video_patches: int = 1024
    video_keeps_aspect: bool = True
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    projector: int = 20480
    output: int = 2688
    assumed: tuple[str, ...] = ()

    @staticmethod
    def read(config: Mapping[str, Any]) -> VisionConfig:
        """From the whole `config.json`. Raises CheckpointError naming the key that is missing or unsupported."""
        top, vision = _Section(config, "config.json"), _section(config, "vision_config")
        args = _Section(vision.values.get("args") or {}, "vision_config.args")
        if float(top.get("downsample_ratio", 0.5)) != 0.5:
            raise CheckpointError(
                f"config.json: 'downsample_ratio' is {top.get('downsample_ratio', 0.5)}, only 0.5 runs"
            )
        patch = int(vision.get("patch_size", 16))
        return VisionConfig(
            shape=_vit_shape(vision, args),
            prefix=_prefix_tokens(vision, args),
            table=int(args.find("cpe_max_size") or vision.get("max_img_size", 2048)) // patch,
            patch=patch,
            tubelet=int(vision.get("video_temporal_patch_size", 2)),
            activation=str(vision.get("hidden_act", "gelu")),
            norm_eps=float(vision.get("layer_norm_eps", 1e-6)),
            min_patches=int(args.find("min_num_patches") or vision.need("min_num_patches")),
            max_patches=int(args.find("max_num_patches") or vision.need("max_num_patches")),
            video_patches=int(vision.get("video_target_num_patches", 1024)),
            video_keeps_aspect=bool(vision.get("video_maintain_aspect_ratio", True)),
            mean=tuple(top.find("norm_mean") or vision.get("norm_mean", CLIP_MEAN)),
            std=tuple(top.find("norm_std") or vision.get("norm_std", CLIP_STD)),
            projector=int(top.need("projector_hidden_size")),
            output=_text_hidden(config),
            assumed=(*vision.assumed, *top.assumed),
        )


@dataclass(frozen=True, kw_only=True)
class SoundConfig:
    """Parakeet's encoder with its projector. `hop`, `window` and `fft` are in samples."""

    hidden: int = 1024
    layers: int = 24
    heads: int = 8
    feed_forward: int = 4096
    kernel: int = 9
    channels: int = 256
    mels: int = 128
    rate: int = 16_000
    hop: int = 160
    window: int = 400
    fft: int = 512
    preemphasis: float = 0.97
    attention_bias: bool = False
    convolution_bias: bool = False
    scale_input: bool = False
    projector: int = 4096
    projector_bias: bool = False
    output: int = 2688
    assumed: tuple[str, ...] = ()

    @staticmethod
    def read(config: Mapping[str, Any]) -> SoundConfig | None:
        """From the whole `config.json`; None where it has no sound part. Raises CheckpointError like VisionConfig."""
        if config.get("sound_config") is None and config.get("audio_config") is None:
            return None
        sound = _section(config, "sound_config", "audio_config")
        for key, only in (
            ("subsampling_factor", 8),
            ("subsampling_conv_kernel_size", 3),
            ("subsampling_conv_stride", 2),
        ):
            if sound.get(key, only) != only:
                raise CheckpointError(f"config.json: {key} {sound.get(key, only)} is not supported, only {only}")
        if sound.get("hidden_act", "silu") not in ("silu", "swish"):
            raise CheckpointError(f"config.json: sound activation {sound.get('hidden_act', 'silu')!r} is not supported")
        return SoundConfig(
            hidden=int(sound.need("hidden_size")),
            layers=int(sound.need("num_hidden_layers")),
            heads=int(sound.need("num_attention_heads")),
            feed_forward=int(sound.need("intermediate_size")),
            kernel=int(sound.get("conv_kernel_size", 9)),
            channels=int(sound.get("subsampling_conv_channels", 256)),
            mels=int(sound.need("num_mel_bins")),
            rate=int(sound.get("sampling_rate", 16_000)),
            hop=int(sound.get("hop_length", 160)),
            window=int(sound.get("win_length", 400)),
            fft=int(sound.get("n_fft", 512)),
            preemphasis=float(sound.get("preemphasis", 0.97)),
            attention_bias=bool(sound.get("attention_bias", False)),
            convolution_bias=bool(sound.get("convolution_bias", False)),
            scale_input=bool(sound.get("scale_input", False)),
            projector=int(sound.need("projection_hidden_size")),
            projector_bias=bool(sound.get("projection_bias", False)),
            output=_text_hidden(config),
            assumed=tuple(sound.assumed),
        )


class _Section:
    """One object of the file: `need` refuses, `get` notes what it assumed, `find` only looks."""

    def __init__(self, values: Mapping[str, Any], shown: str) -> None:
        self.values, self.shown = values, shown
        self.assumed: list[str] = []

    def find(self, key: str) -> Any:
        return self.values.get(key)

    def need(self, key: str) -> Any:
        if self.values.get(key) is None:
            raise CheckpointError(
                f"config.json: {self.shown} lacks '{key}'", hint="it must come from the file: no default is safe"
            )
        return self.values[key]

    def get(self, key: str, default: Any) -> Any:
        if self.values.get(key) is None:
            self.assumed.append(f"{self.shown}: {key} = {default}")
            return default
        return self.values[key]


def _section(config: Mapping[str, Any], *names: str) -> _Section:
    found = next(((name, config[name]) for name in names if isinstance(config.get(name), Mapping)), None)
    if found is None:
        raise CheckpointError(
            f"config.json has no section '{names[0]}'", hint="is this a Nemotron 3 Nano Omni checkpoint?"
        )
    return _Section(found[1], found[0])


def _vit_shape(vision: _Section, args: _Section) -> VitShape:
    """By the name of the model, or by its sizes where the file says them itself."""
    name, hidden = args.find("model"), vision.find("hidden_size")
    if hidden is None:
        if name not in VIT_SHAPES:
            raise CheckpointError(
                f"config.json: vision model {name!r} is not known", hint=f"known: {', '.join(VIT_SHAPES)}"
            )
        return VIT_SHAPES[name]
    mlp = vision.find("intermediate_size") or int(hidden) * float(vision.get("mlp_ratio", 4.0))
    layers, heads = vision.need("num_hidden_layers"), vision.need("num_attention_heads")
    shape = VitShape(int(hidden), int(layers), int(heads), int(mlp))
    if name in VIT_SHAPES and VIT_SHAPES[name] != shape:
        raise CheckpointError(f"config.json contradicts itself: vision model {name} is not {tuple(shape)}")
    return shape


def _prefix_tokens(vision: _Section, args: _Section) -> int:
    """Class tokens, one a teacher, filled up with registers to a multiple (RADIO's `register_multiple`)."""
    multiple, teachers = args.find("register_multiple"), args.find("teachers")
    if multiple and teachers:
        classes = len({teacher["name"] for teacher in teachers}) if args.find("cls_token_per_teacher") else 1
        return classes + int(multiple) - classes % int(multiple)
    return int(vision.get("num_cls_tokens", 3)) + int(vision.get("num_registers", 7))


def _text_hidden(config: Mapping[str, Any]) -> int:
    return int(_section(config, *TEXT_SECTIONS).need("hidden_size"))
