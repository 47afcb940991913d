"""How many parameters and tensors a configuration means, part by part, and what they take; plain arithmetic.

The same sums, in the same order, as the published totals: 33,015,632,214 parameters in 7,349 tensors for the released
model. Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from omni_agent.errors import CheckpointError
from omni_agent.runtime.config import ATTENTION, MAMBA, MOE, ModelConfig, TextConfig
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.safetensors import Entry

WORK_BYTES = 3 << 30  # on a card beside weights and cache: a prompt chunk's activations, captured graphs, cuBLAS


class Part(NamedTuple):
    """A part of the model: parameters, and the tensors that hold them."""

    parameters: int
    tensors: int

    def times(self, count: int) -> Part:
        return Part(self.parameters * count, self.tensors * count)


def parts(config: ModelConfig, media: bool = True) -> dict[str, Part]:
    """Every part by the name that a person would use. Raises CheckpointError like the readers of the media sections."""
    text = config.text
    blocks: dict[str, tuple[str, Callable[[TextConfig], Part]]] = {
        "Mamba-2 layers": (MAMBA, _mamba),
        "MoE layers": (MOE, _moe),
        "attention layers": (ATTENTION, _attention),
    }
    found = {name: block(text).times(text.count(letter)) for name, (letter, block) in blocks.items()}
    found["embeddings"] = found["head"] = Part(text.vocab_size * text.hidden_size, 1)
    found["final norm"] = Part(text.hidden_size, 1)
    if media:
        vision, sound = VisionConfig.read(config.raw), SoundConfig.read(config.raw)
        found["vision tower"] = _vision(vision)
        found["vision projector"] = _projector(4 * vision.shape.hidden, vision.projector, vision.output)
        if sound is not None:
            found["sound tower"] = _sound(sound)
            found["sound projector"] = _projector(sound.hidden, sound.projector, sound.output, sound.projector_bias)
    return found


def has_media(config: ModelConfig) -> bool:
    """Whether the checkpoint is more than a language model."""
    return "vision_config" in config.raw


def part_of(name: str, text: TextConfig) -> str:
    """The part, by the names of `parts`, that a stored tensor belongs to; "other" where it is of none."""
    for beginning, part in (
        ("vision_model.", "vision tower"),
        ("mlp1.", "vision projector"),
        ("sound_encoder.", "sound tower"),
        ("sound_projection.", "sound projector"),
    ):
        if name.startswith(beginning):
            return part
    _, found, rest = name.rpartition("layers.")
    number = rest.partition(".")[0]
    if found and number.isdecimal() and len(number) < 5 and int(number) < len(text.pattern):
        letters = {MAMBA: "Mamba-2 layers", MOE: "MoE layers", ATTENTION: "attention layers"}
        return letters[text.pattern[int(number)]]
    leaves = {"embeddings": "embeddings", "norm_f": "final norm", "lm_head": "head"}
    return leaves.get(name.removesuffix(".weight").rpartition(".")[2], "other")


def cache_bytes(text: TextConfig, context: int, item: int = 2) -> int:
    """What one sequence of `context` tokens keeps: keys and values and the convolutions' inputs in elements of `item`
    bytes, the Mamba states in fp32."""
    kv = 2 * text.count(ATTENTION) * text.num_kv_heads * text.head_dim * item
    return context * kv + text.count(MAMBA) * (
        text.conv_width * text.conv_dim * item + text.inner * text.state_size * 4
    )


def require_plausible(config: ModelConfig, entries: Mapping[str, Entry], media: bool) -> None:
    """Raise CheckpointError where config.json describes more than the files hold, before anything so large is made."""
    for what, described, stored in (
        ("parameters", sum(part.parameters for part in parts(config, media).values()), parameters(entries)),
        ("tensors", sum(part.tensors for part in parts(config, media).values()), len(entries)),
    ):
        if described > stored:
            raise CheckpointError(
                f"config.json describes {described:,} {what}, the files hold {stored:,}",
                hint="download the checkpoint again",
            )


def parameters(entries: Mapping[str, Entry]) -> int:
    """Parameters as the published totals count them: all numbers but the counters of a batch norm."""
    return sum(math.prod(entry.shape) for name, entry in entries.items() if not name.endswith("num_batches_tracked"))


def _mamba(text: TextConfig) -> Part:
    conv = text.conv_dim * (text.conv_width + 1)
    projections = text.hidden_size * (text.in_proj_rows + text.inner)
    return Part(text.hidden_size + 3 * text.mamba_heads + conv + text.inner + projections, 9)


def _moe(text: TextConfig) -> Part:
    router = text.num_experts * (text.hidden_size + 1)
    experts = 2 * text.hidden_size * (text.num_experts * text.expert_width + text.shared_width)
    return Part(text.hidden_size + router + experts, 5 + 2 * text.num_experts)


def _attention(text: TextConfig) -> Part:
    return Part(text.hidden_size * (1 + 2 * text.head_dim * (text.num_heads + text.num_kv_heads)), 5)


def _vision(vision: VisionConfig) -> Part:
    width, pixels = vision.shape.hidden, 3 * vision.patch**2
    embedders = width * pixels * (1 + vision.tubelet) + width * (vision.table**2 + vision.prefix)
    block = _linear(width, 3 * width) + _linear(width, width) + 2 * width * 2
    block += _linear(width, vision.shape.mlp) + _linear(vision.shape.mlp, width)
    conditioner = 6
    return Part(embedders + vision.shape.layers * block + conditioner, 12 * vision.shape.layers + 6)


def _sound(sound: SoundConfig) -> Part:
    width, channels = sound.hidden, sound.channels
    features = sound.mels * (sound.fft // 2 + 1) + sound.window
    shrink = 3 * channels * 10 + 2 * _linear(channels, channels) + _linear(channels * (sound.mels // 8), width)
    layers = [*_sound_layer(sound)]
    return Part(
        features + shrink + sound.layers * sum(layers),
        14 + sound.layers * (len(layers) + 1),  # the counter of the batch norm is a tensor and no parameter
    )


def _sound_layer(sound: SoundConfig) -> Iterator[int]:
    """The size of every tensor in a conformer block."""
    width = sound.hidden
    yield from [width * sound.feed_forward] * 4
    yield from [width * width] * 5
    yield from [width] * 2  # the query's biases
    yield from (2 * width * width, width * sound.kernel, width * width)
    yield from [width] * 4  # the batch norm
    yield from [width] * 10  # five layer norms
    if sound.attention_bias:
        yield from (sound.feed_forward, width, sound.feed_forward, width, *[width] * 4)
    if sound.convolution_bias:
        yield from (2 * width, width, width)


def _projector(wide: int, inside: int, out: int, bias: bool = False) -> Part:
    return Part(wide + inside * wide + out * inside + bias * (inside + out), 3 + 2 * bias)


def _linear(wide: int, out: int) -> int:
    return out * (wide + 1)
