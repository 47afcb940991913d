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
from omni_agent.runtime.config import LARGEST, TEXT_SECTIONS

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
MOST_LAYERS = 4096  # no sane file comes near
MERGED = 4  # patches that become one token


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
        """From the whole `config.json`. Raises CheckpointError naming the key that is missing or senseless."""
        top, vision = _Section("config.json", config), _section(config, "vision_config")
        args = vision.find("args")
        if isinstance(args, Mapping):  # the released file puts most of it one level deeper
            vision.objects = (args, *vision.objects)
        top.only("downsample_ratio", 0.5)
        patch = vision.count("patch_size", 16)
        table_key = "cpe_max_size" if vision.find("cpe_max_size") is not None else "max_img_size"
        made = VisionConfig(
            shape=_vit_shape(vision),
            prefix=_prefix_tokens(vision),
            table=max(1, vision.count(table_key, 2048) // patch),
            patch=patch,
            tubelet=vision.count("video_temporal_patch_size", 2),
            activation=str(vision.value("hidden_act", "gelu")),
            norm_eps=vision.number("layer_norm_eps", 1e-6),
            min_patches=vision.count("min_num_patches"),
            max_patches=vision.count("max_num_patches"),
            video_patches=vision.count("video_target_num_patches", 1024),
            video_keeps_aspect=vision.flag("video_maintain_aspect_ratio", True),
            mean=top.triple("norm_mean", CLIP_MEAN),
            std=top.triple("norm_std", CLIP_STD),
            projector=top.count("projector_hidden_size"),
            output=_text_hidden(config),
            assumed=(*vision.assumed, *top.assumed),
        )
        if not MERGED <= made.min_patches <= made.max_patches:
            raise CheckpointError(
                f"config.json: between {made.min_patches} and {made.max_patches} patches fits nothing"
            )
        return made


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
        for key, value in SOUND_MUST_BE.items():
            sound.only(key, value)
        hidden, heads = sound.count("hidden_size"), sound.count("num_attention_heads")
        if hidden % heads or hidden % 2:
            raise CheckpointError(f"config.json: {heads} heads do not divide a sound encoder of width {hidden}")
        return SoundConfig(
            hidden=hidden,
            layers=sound.count("num_hidden_layers", most=MOST_LAYERS),
            heads=heads,
            feed_forward=sound.count("intermediate_size"),
            kernel=sound.count("conv_kernel_size", 9),
            channels=sound.count("subsampling_conv_channels", 256),
            mels=sound.count("num_mel_bins"),
            rate=sound.count("sampling_rate", 16_000),
            hop=sound.count("hop_length", 160),
            window=sound.count("win_length", 400),
            fft=sound.count("n_fft", 512),
            preemphasis=sound.number("preemphasis", 0.97),
            attention_bias=sound.flag("attention_bias", False),
            convolution_bias=sound.flag("convolution_bias", False),
            scale_input=sound.flag("scale_input", False),
            projector=sound.count("projection_hidden_size"),
            projector_bias=sound.flag("projection_bias", False),
            output=_text_hidden(config),
            assumed=tuple(sound.assumed),
        )


class _Section:
    """One object of the file, or several of which the first that has a key speaks. With a default, a key may be absent,
    and what was assumed is noted; without one it must be there."""

    def __init__(self, shown: str, *objects: Mapping[str, Any]) -> None:
        self.shown, self.objects = shown, objects
        self.assumed: list[str] = []

    def find(self, key: str) -> Any:
        return next((found[key] for found in self.objects if found.get(key) is not None), None)

    def value(self, key: str, default: Any = None) -> Any:
        if (found := self.find(key)) is not None:
            return found
        if default is None:
            hint = "it must come from the file: no default is safe"
            raise CheckpointError(f"config.json: {self.shown} lacks '{key}'", hint=hint)
        self.assumed.append(f"{self.shown}: {key} = {default}")
        return default

    def only(self, key: str, computed: Any) -> None:
        if (value := self.value(key, computed)) != computed:
            raise self._wrong(key, value, f"this runtime computes {computed!r} only")

    def count(self, key: str, default: int | None = None, *, most: int = LARGEST) -> int:
        value = self.value(key, default)
        if type(value) is not int or not 0 < value <= most:
            raise self._wrong(key, value, "no sensible count")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
            raise self._wrong(key, value, "no sensible number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.value(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "neither true nor false")
        return value

    def triple(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        value = self.value(key, default)
        listed = value if isinstance(value, list | tuple) else ()
        numbers = tuple(float(n) for n in listed if isinstance(n, int | float) and 0 < n < 1)
        if len(numbers) != 3 or len(listed) != 3:
            raise self._wrong(key, value, "not three shares of one")
        return numbers

    def _wrong(self, key: str, value: Any, why: str) -> CheckpointError:
        return CheckpointError(f"config.json: '{key}' of {self.shown} is {str(value)[:80]!r}: {why}")


def _section(config: Mapping[str, Any], *names: str) -> _Section:
    found = next(((name, config[name]) for name in names if isinstance(config.get(name), Mapping)), None)
    if found is None:
        raise CheckpointError(f"config.json has no section '{names[0]}'", hint="download the checkpoint again")
    return _Section(*found)


def _vit_shape(vision: _Section) -> VitShape:
    """By the name of the model, or by its sizes where the file says them itself."""
    name = str(vision.find("model"))
    if vision.find("hidden_size") is None:
        if name not in VIT_SHAPES:
            known = ", ".join(VIT_SHAPES)
            raise CheckpointError(f"config.json: vision model {name[:80]!r} is not known", hint=f"known: {known}")
        return VIT_SHAPES[name]
    hidden, layers = vision.count("hidden_size"), vision.count("num_hidden_layers", most=MOST_LAYERS)
    heads = vision.count("num_attention_heads")
    ratio = vision.number("mlp_ratio", 4.0) if vision.find("intermediate_size") is None else 0.0
    shape = VitShape(hidden, layers, heads, int(hidden * ratio) or vision.count("intermediate_size"))
    if shape.mlp > LARGEST:
        raise CheckpointError(f"config.json: a vision tower {shape.mlp} wide is not sensible")
    if name in VIT_SHAPES and VIT_SHAPES[name] != shape:
        raise CheckpointError(f"config.json contradicts itself: vision model {name} is not {tuple(shape)}")
    if hidden % heads:
        raise CheckpointError(f"config.json: {heads} heads do not divide a vision tower of width {hidden}")
    return shape


def _prefix_tokens(vision: _Section) -> int:
    """Class tokens, one a teacher, filled up with registers to a multiple (RADIO's `register_multiple`)."""
    teachers = vision.find("teachers")
    if vision.find("register_multiple") is None or not isinstance(teachers, list):
        return vision.count("num_cls_tokens", 3) + vision.count("num_registers", 7)
    multiple = vision.count("register_multiple")
    names = {str(teacher.get("name")) for teacher in teachers if isinstance(teacher, Mapping)}
    classes = len(names) if vision.flag("cls_token_per_teacher", True) else 1
    return classes + multiple - classes % multiple


def _text_hidden(config: Mapping[str, Any]) -> int:
    return _section(config, *TEXT_SECTIONS).count("hidden_size")
