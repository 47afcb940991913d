"""config.json as a dataclass: what the language model is made of, read strictly from the released file.

Nothing is guessed. A key that some library fills with a default of its own (`routed_scaling_factor` is 2.5 in this
family and 1.0 in two libraries) must stand in the file, and a setting that this runtime does not compute is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omni_agent.errors import CheckpointError

MAMBA, MOE, ATTENTION = "M", "E", "*"
ARCHITECTURES = ("NemotronH_Nano_Omni_Reasoning_V3", "NemotronHForCausalLM")
MAX_JSON_BYTES = 64 << 20

# Field -> the key's documented spellings, the released one first (model card's file, then the transformers library's).
SPELLINGS: dict[str, tuple[str, ...]] = {
    "pattern": ("hybrid_override_pattern", "layers_block_type"),
    "vocab_size": ("vocab_size",),
    "hidden_size": ("hidden_size",),
    "norm_eps": ("layer_norm_epsilon", "rms_norm_eps", "norm_eps"),
    "max_positions": ("max_position_embeddings",),
    "num_heads": ("num_attention_heads",),
    "num_kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim", "attention_head_dim"),
    "mamba_heads": ("mamba_num_heads",),
    "mamba_head_dim": ("mamba_head_dim",),
    "state_size": ("ssm_state_size",),
    "num_groups": ("n_groups", "mamba_n_groups"),
    "conv_width": ("conv_kernel", "mamba_d_conv"),
    "chunk_size": ("chunk_size", "mamba_chunk_size"),
    "num_experts": ("n_routed_experts", "num_local_experts"),
    "experts_per_token": ("num_experts_per_tok",),
    "expert_width": ("moe_intermediate_size",),
    "shared_width": ("moe_shared_expert_intermediate_size",),
    "routed_scale": ("routed_scaling_factor",),
    "eos_ids": ("eos_token_id",),
}
TEXT_SECTIONS = ("llm_config", "text_config")
MEDIA_TOKENS = {
    "image_token": ("img_context_token_id", "image_token_id"),
    "video_token": ("video_context_token_id", "video_token_id"),
    "sound_token": ("sound_context_token_id", "audio_token_id"),
}
BLOCK_LETTERS = {
    "mamba": MAMBA,
    "linear_attention": MAMBA,
    "moe": MOE,
    "attention": ATTENTION,
    "full_attention": ATTENTION,
}

# What this runtime computes, and nothing else; a key may be absent where every known reader agrees on its meaning.
MUST_BE: dict[str, tuple[Any, bool]] = {  # key -> (the value we compute, may be absent)
    "mlp_hidden_act": ("relu2", False),
    "mamba_hidden_act": ("silu", True),
    "norm_topk_prob": (True, False),
    "n_group": (1, False),
    "topk_group": (1, False),
    "n_shared_experts": (1, True),
    "tie_word_embeddings": (False, False),
    "use_conv_bias": (True, True),
    "use_bias": (False, True),
    "mlp_bias": (False, True),
    "attention_bias": (False, True),
    "mamba_proj_bias": (False, True),
    "sliding_window": (None, True),
    "moe_latent_size": (None, True),
    "num_nextn_predict_layers": (0, True),
}
LARGEST = 1 << 24  # no count in a sane file comes near; a larger one is damage or malice


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """The language model's shape. Widths are in elements; `pattern` holds one letter a block: M, E or *."""

    pattern: str
    vocab_size: int
    hidden_size: int
    norm_eps: float
    max_positions: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mamba_heads: int
    mamba_head_dim: int
    state_size: int
    num_groups: int
    conv_width: int
    chunk_size: int
    num_experts: int
    experts_per_token: int
    expert_width: int
    shared_width: int
    routed_scale: float
    eos_ids: tuple[int, ...]

    @property
    def inner(self) -> int:
        """Width of a Mamba block's inside, heads times head width."""
        return self.mamba_heads * self.mamba_head_dim

    @property
    def conv_dim(self) -> int:
        """Channels of the convolution: x, then B and C of every group."""
        return self.inner + 2 * self.num_groups * self.state_size

    @property
    def in_proj_rows(self) -> int:
        """Rows of in_proj: z, xBC, dt."""
        return self.inner + self.conv_dim + self.mamba_heads

    def count(self, letter: str) -> int:
        return self.pattern.count(letter)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A checkpoint folder's config.json. `raw` is the whole file, for the parts that read it themselves."""

    architecture: str
    text: TextConfig
    image_token: int | None = None
    video_token: int | None = None  # outside the vocabulary in the released file: never embedded
    sound_token: int | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


def read_text(path: Path, limit: int = MAX_JSON_BYTES) -> str:
    """A text file of a checkpoint folder. Raises CheckpointError when it is missing, no regular file, or longer than
    `limit` bytes; never reads more than that, whatever the file system says its size is."""
    try:
        if not path.is_file():
            raise CheckpointError(f"{path} is missing", hint="download the checkpoint again")
        if path.stat().st_size > limit:
            raise CheckpointError(f"{path} has {path.stat().st_size} bytes, too many for a {path.name}")
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise CheckpointError(f"{path} has more than {limit} bytes, too many for a {path.name}")
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint="download the checkpoint again") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint folder. Raises CheckpointError when it is missing, huge or damaged, or says two
    things at once. `Infinity` is let pass: the released config.json writes it in time_step_limit."""
    try:
        value = json.loads(read_text(path), object_pairs_hook=no_twins, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint="download the checkpoint again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return value


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `json.loads`; readers differ in which of two values under one name they take."""
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twin = next(key for key in made if keys.count(key) > 1)
        raise ValueError(f"{twin[:80]!r} stands twice in one object")
    return made


def _constant(word: str) -> float:
    if word != "Infinity":
        raise ValueError(f"{word} is no number")
    return float("inf")


def read_config(folder: Path) -> ModelConfig:
    """The configuration of the checkpoint in `folder`.

    Raises CheckpointError, naming the key, for another architecture, a quantised checkpoint, a missing or senseless
    value, or a setting this runtime does not compute.
    """
    raw = read_json(folder / "config.json")
    architecture = _architecture(raw, folder)
    _refuse_quantised(raw, folder)
    section = next((raw[name] for name in TEXT_SECTIONS if name in raw), raw)
    if not isinstance(section, dict):
        raise CheckpointError(f"{folder / 'config.json'}: the language model's section is no object")
    return ModelConfig(
        architecture=architecture,
        text=text_config(section, str(folder / "config.json")),
        raw=raw,
        **{name: _media_token(raw, keys, folder) for name, keys in MEDIA_TOKENS.items()},
    )


def text_config(section: dict[str, Any], where: str) -> TextConfig:
    """The language model's part of config.json, checked; `where` opens every complaint."""
    values = {name: _value(section, keys, where) for name, keys in SPELLINGS.items()}
    for key, (meant, optional) in MUST_BE.items():
        if key not in section and not optional:
            raise CheckpointError(f"{where} lacks '{key}', which libraries fill differently")
        if key in section and section[key] != meant:
            raise CheckpointError(f"{where}: '{key}' is {section[key]!r}; this runtime computes {meant!r} only")
    _check_time_step(section, where)
    values["pattern"] = _pattern(values["pattern"], section.get("num_hidden_layers"), where)
    values["eos_ids"] = _ids(values["eos_ids"], where)
    for name in ("norm_eps", "routed_scale"):
        values[name] = _positive_float(values[name], SPELLINGS[name][0], where)
    for name, value in values.items():
        if name not in ("pattern", "eos_ids", "norm_eps", "routed_scale") and not _is_count(value):
            raise CheckpointError(f"{where}: '{SPELLINGS[name][0]}' is {value!r}, no sensible count")
    config = TextConfig(**values)
    _check_shape(config, where)
    return config


def _architecture(raw: dict[str, Any], folder: Path) -> str:
    named = raw.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    if first not in ARCHITECTURES:
        raise CheckpointError(
            f"{folder} holds a model of architecture {first!r}; this runtime runs {ARCHITECTURES[0]} only",
            hint="point it at a folder of nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16",
        )
    return str(first)


def _refuse_quantised(raw: dict[str, Any], folder: Path) -> None:
    texts = [json.dumps(raw.get("quantization_config") or {})]
    if (folder / "hf_quant_config.json").is_file():
        texts.append(json.dumps(read_json(folder / "hf_quant_config.json")) + "quant")
    text = " ".join(texts).upper()
    if text.strip() == "{}":
        return
    kind = "NVFP4" if "NVFP4" in text or "FP4" in text else "FP8" if "FP8" in text else "quantised"
    raise CheckpointError(
        f"{folder} holds {kind} weights, which this runtime does not support yet", hint="use the BF16 checkpoint"
    )


def _value(section: dict[str, Any], keys: tuple[str, ...], where: str) -> Any:
    found = [(key, section[key]) for key in keys if key in section]
    if not found:
        raise CheckpointError(f"{where} lacks '{keys[0]}'", hint="it must come from the file: no default is safe")
    if len(keys) > 1 and keys[0] != "hybrid_override_pattern" and any(value != found[0][1] for _, value in found):
        both = ", ".join(f"{key} = {value!r}" for key, value in found)
        raise CheckpointError(f"{where} contradicts itself: {both}")
    return found[0][1]


def _pattern(value: Any, blocks: Any, where: str) -> str:
    if isinstance(value, list):
        value = "".join(BLOCK_LETTERS.get(str(name), "?") for name in value)
    if not isinstance(value, str) or not value or len(value) > 4096:
        raise CheckpointError(f"{where}: the pattern of blocks is {str(value)[:80]!r}")
    unknown = sorted(set(value) - {MAMBA, MOE, ATTENTION})
    if unknown:
        raise CheckpointError(f"{where}: the pattern of blocks holds {unknown[0]!r}; known are M, E and *")
    if blocks is not None and blocks != len(value):
        raise CheckpointError(f"{where}: num_hidden_layers is {blocks!r}, the pattern has {len(value)} blocks")
    return value


def _ids(value: Any, where: str) -> tuple[int, ...]:
    ids = value if isinstance(value, list) else [value]
    if not ids or any(type(item) is not int or item < 0 for item in ids):
        raise CheckpointError(f"{where}: 'eos_token_id' is {value!r}")
    return tuple(ids)


def _positive_float(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise CheckpointError(f"{where}: '{key}' is {value!r}")
    return float(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= LARGEST


def _check_time_step(section: dict[str, Any], where: str) -> None:
    """dt is not clamped here; a file that asks for a clamp is refused rather than computed otherwise."""
    limit = section.get("time_step_limit", section.get("mamba_dt_limit", [0.0, float("inf")]))
    try:
        low, high = (float(item) for item in limit)
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{where}: 'time_step_limit' is {limit!r}") from error
    if low != 0.0 or high < 1e6:
        raise CheckpointError(f"{where}: 'time_step_limit' is {limit!r}; this runtime does not clamp the time step")


def _check_shape(config: TextConfig, where: str) -> None:
    wrong = [
        what
        for what, bad in (
            ("query heads are no multiple of the key heads", config.num_heads % config.num_kv_heads),
            ("Mamba heads are no multiple of the groups", config.mamba_heads % config.num_groups),
            ("more experts per token than experts", config.experts_per_token > config.num_experts),
            ("an end id is outside the vocabulary", max(config.eos_ids) >= config.vocab_size),
            ("a convolution of width 1", config.conv_width < 2),
        )
        if bad
    ]
    if wrong:
        raise CheckpointError(f"{where}: {wrong[0]}")


def _media_token(raw: dict[str, Any], keys: tuple[str, ...], folder: Path) -> int | None:
    value = next((raw[key] for key in keys if key in raw), None)
    if value is not None and (type(value) is not int or value < 0):
        raise CheckpointError(f"{folder / 'config.json'}: '{keys[0]}' is {value!r}")
    return value
