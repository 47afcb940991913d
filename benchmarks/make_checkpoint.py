"""Tiny random checkpoints in the released layout: every tensor family, sharded, with a tokenizer and a chat template.

`write(folder)` makes one. Names, nesting and spellings are the released file's; only the sizes are small. Weights are
drawn so that nothing is degenerate: routers spread, time steps lie well above transformers' clamp of 0.001.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PATTERN = "MEM*EME*ME"
SPECIAL = {  # the released ids
    0: "<unk>",
    1: "<s>",
    2: "</s>",
    10: "<|im_start|>",
    11: "<|im_end|>",
    12: "<think>",
    13: "</think>",
    14: "<tool_call>",
    15: "</tool_call>",
    16: "<tool_response>",
    17: "</tool_response>",
    18: "<image>",
    19: "<img>",
    20: "</img>",
    27: "<so_embedding>",
    30: "<so_start>",
    31: "<so_end>",
}
TEXT: dict[str, Any] = {
    "model_type": "nemotron_h",
    "vocab_size": 320,
    "hidden_size": 64,
    "hybrid_override_pattern": PATTERN,
    "num_hidden_layers": len(PATTERN),
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "ssm_state_size": 16,
    "n_groups": 2,
    "conv_kernel": 4,
    "chunk_size": 16,
    "n_routed_experts": 16,
    "num_experts_per_tok": 3,
    "n_shared_experts": 1,
    "moe_intermediate_size": 48,
    "moe_shared_expert_intermediate_size": 96,
    "routed_scaling_factor": 2.5,
    "norm_topk_prob": True,
    "n_group": 1,
    "topk_group": 1,
    "max_position_embeddings": 4096,
    "layer_norm_epsilon": 1e-5,
    "mlp_hidden_act": "relu2",
    "mamba_hidden_act": "silu",
    "use_conv_bias": True,
    "use_bias": False,
    "mlp_bias": False,
    "attention_bias": False,
    "mamba_proj_bias": False,
    "tie_word_embeddings": False,
    "time_step_limit": [0.0, math.inf],
    "mamba_ssm_cache_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION = {"width": 32, "layers": 2, "heads": 2, "mlp": 64, "table": 8, "prefix": 10, "patch": 16, "projector": 48}
SOUND = {
    "hidden_size": 16,
    "layers": 2,
    "ff": 32,
    "channels": 4,
    "mels": 128,
    "kernel": 9,
    "heads": 2,
    "projector": 32,
}

# Our own wording of the documented switches: a system block that is always there and names the tools, thinking on by
# default, old thinking dropped, tool results in a user's turn, media as their placeholders where content is a list.
CHAT_TEMPLATE = """\
{%- macro spoken(content) -%}
{%- if content is string -%}{{- content -}}
{%- else -%}
{%- for item in content or [] -%}
{%- set marks = {'image': '<image>', 'video': '<video>', 'audio': '<so_embedding>'} -%}
{{- item.text if item.type == 'text' else marks[item.type] -}}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set thinking = enable_thinking is not defined or enable_thinking -%}
{%- set drop = truncate_history_thinking is not defined or truncate_history_thinking -%}
{%- set ns = namespace(last=-1) -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}
{%- set system = spoken(messages[0].content) if messages and messages[0].role == 'system' else '' -%}
{{- '<|im_start|>system\\n' + system -}}
{%- if tools -%}
{{- ('\\n\\n' if system else '') + '# Tools\\n\\nThese functions can be called:\\n<tools>' -}}
{%- for tool in tools -%}
{%- set f = tool.function or tool -%}
{{- '\\n<function>\\n<name>' + f.name + '</name>' -}}
{%- if f.description -%}{{- '\\n<description>' + f.description + '</description>' -}}{%- endif -%}
{{- '\\n<parameters>' + (f.parameters or {}) | tojson + '</parameters>\\n</function>' -}}
{%- endfor -%}
{{- '\\n</tools>\\n\\nA call is written like this:\\n<tool_call>\\n<function=NAME>\\n' -}}
{{- '<parameter=KEY>\\nVALUE\\n</parameter>\\n</function>\\n</tool_call>' -}}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- for m in messages -%}
{%- if m.role == 'system' -%}
{%- if not loop.first -%}{{- raise_exception('a system message must come first') -}}{%- endif -%}
{%- elif m.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if m.reasoning_content and not (drop and loop.index0 < ns.last) -%}
{{- '<think>\\n' + m.reasoning_content + '\\n</think>' -}}
{%- else -%}{{- '<think></think>' -}}{%- endif -%}
{{- spoken(m.content) -}}
{%- for call in m.tool_calls or [] -%}
{{- ('\\n' if loop.first and m.content else '') + '<tool_call>\\n<function=' + call.function.name + '>\\n' -}}
{%- for key, value in (call.function.arguments or {}).items() -%}
{%- set value = value if value is string else value | tojson -%}
{{- '<parameter=' + key + '>\\n' + value + '\\n</parameter>\\n' -}}
{%- endfor -%}
{{- '</function>\\n</tool_call>\\n' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- elif m.role == 'tool' -%}
{%- if loop.previtem is not defined or loop.previtem.role != 'tool' -%}{{- '<|im_start|>user\\n' -}}{%- endif -%}
{{- '<tool_response>\\n' + spoken(m.content) + '\\n</tool_response>\\n' -}}
{%- if loop.last or loop.nextitem.role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
{%- else -%}
{{- '<|im_start|>' + m.role + '\\n' + spoken(m.content) + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' + ('<think>\\n' if thinking else '<think></think>') -}}
{%- endif -%}
"""


def config(**text: Any) -> dict[str, Any]:
    """config.json as released, tiny; keywords replace keys of the language model's section (None removes one)."""
    section = {key: value for key, value in (TEXT | text).items() if value is not None}
    return {
        "architectures": ["NemotronH_Nano_Omni_Reasoning_V3"],
        "model_type": "NemotronH_Nano_Omni_Reasoning_V3",
        "torch_dtype": "bfloat16",
        "llm_config": section,
        "vision_config": vision_config(),
        "sound_config": sound_config(),
        "vit_hidden_size": VISION["width"],
        "projector_hidden_size": VISION["projector"],
        "force_image_size": 64,
        "downsample_ratio": 0.5,
        "patch_size": 16,
        "video_pruning_rate": 0.0,
        "img_context_token_id": 18,
        "video_context_token_id": 131081,
        "sound_context_token_id": 27,
    }


def vision_config() -> dict[str, Any]:
    """The released file names a known model in `args`; sizes that none has are spelled out beside it."""
    return {
        "args": {
            "cpe_max_size": VISION["table"] * VISION["patch"],
            "register_multiple": VISION["prefix"],
            "cls_token_per_teacher": True,
            "teachers": [{"name": name} for name in ("clip", "siglip2-g", "dino_v3", "clip")],
            "min_num_patches": 16,
            "max_num_patches": 64,
        },
        "patch_size": VISION["patch"],
        "hidden_size": VISION["width"],
        "num_hidden_layers": VISION["layers"],
        "num_attention_heads": VISION["heads"],
        "intermediate_size": VISION["mlp"],
        "video_temporal_patch_size": 2,
        "video_target_num_patches": 24,
        "video_maintain_aspect_ratio": True,
    }


def sound_config() -> dict[str, Any]:
    return {
        "model_type": "parakeet",
        "hidden_size": SOUND["hidden_size"],
        "num_hidden_layers": SOUND["layers"],
        "num_attention_heads": SOUND["heads"],
        "intermediate_size": SOUND["ff"],
        "conv_kernel_size": SOUND["kernel"],
        "subsampling_factor": 8,
        "subsampling_conv_channels": SOUND["channels"],
        "subsampling_conv_kernel_size": 3,
        "subsampling_conv_stride": 2,
        "num_mel_bins": SOUND["mels"],
        "projection_hidden_size": SOUND["projector"],
        "projection_bias": False,
        "sampling_rate": 16_000,
        "convolution_bias": False,
    }


def text_shapes(c: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the language model under its released name."""
    hidden, inner = c["hidden_size"], c["mamba_num_heads"] * c["mamba_head_dim"]
    conv = inner + 2 * c["n_groups"] * c["ssm_state_size"]
    query, key = c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    mixers: dict[str, dict[str, tuple[int, ...]]] = {
        "M": {
            "A_log": (c["mamba_num_heads"],),
            "D": (c["mamba_num_heads"],),
            "dt_bias": (c["mamba_num_heads"],),
            "conv1d.weight": (conv, 1, c["conv_kernel"]),
            "conv1d.bias": (conv,),
            "in_proj.weight": (inner + conv + c["mamba_num_heads"], hidden),
            "norm.weight": (inner,),
            "out_proj.weight": (hidden, inner),
        },
        "E": {
            "gate.weight": (c["n_routed_experts"], hidden),
            "gate.e_score_correction_bias": (c["n_routed_experts"],),
            "shared_experts.up_proj.weight": (c["moe_shared_expert_intermediate_size"], hidden),
            "shared_experts.down_proj.weight": (hidden, c["moe_shared_expert_intermediate_size"]),
        },
        "*": {
            "q_proj.weight": (query, hidden),
            "k_proj.weight": (key, hidden),
            "v_proj.weight": (key, hidden),
            "o_proj.weight": (hidden, query),
        },
    }
    for expert in range(c["n_routed_experts"]):
        mixers["E"][f"experts.{expert}.up_proj.weight"] = (c["moe_intermediate_size"], hidden)
        mixers["E"][f"experts.{expert}.down_proj.weight"] = (hidden, c["moe_intermediate_size"])
    yield "language_model.backbone.embeddings.weight", (c["vocab_size"], hidden)
    for number, letter in enumerate(c["hybrid_override_pattern"]):
        yield f"language_model.backbone.layers.{number}.norm.weight", (hidden,)
        for name, shape in mixers[letter].items():
            yield f"language_model.backbone.layers.{number}.mixer.{name}", shape
    yield "language_model.backbone.norm_f.weight", (hidden,)
    yield "language_model.lm_head.weight", (c["vocab_size"], hidden)


def media_shapes(
    c: dict[str, Any], v: dict[str, int] = VISION, s: dict[str, int] = SOUND
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the towers and projectors under its released name."""
    hidden = c["hidden_size"]
    vision = "vision_model.radio_model."
    yield vision + "input_conditioner.norm_mean", (3, 1, 1)
    yield vision + "input_conditioner.norm_std", (3, 1, 1)
    patches = vision + "model.patch_generator."
    yield patches + "embedder.weight", (v["width"], 3 * v["patch"] ** 2)
    yield patches + "video_embedder.weight", (v["width"], 6 * v["patch"] ** 2)
    yield patches + "pos_embed", (1, v["table"] ** 2, v["width"])
    yield patches + "cls_token.token", (v["prefix"], v["width"])
    for block in range(v["layers"]):
        for name, rows, columns in (
            ("attn.qkv", 3 * v["width"], v["width"]),
            ("attn.proj", v["width"], v["width"]),
            ("mlp.fc1", v["mlp"], v["width"]),
            ("mlp.fc2", v["width"], v["mlp"]),
        ):
            yield f"{vision}model.blocks.{block}.{name}.weight", (rows, columns)
            yield f"{vision}model.blocks.{block}.{name}.bias", (rows,)
        for name in ("norm1", "norm2"):
            yield f"{vision}model.blocks.{block}.{name}.weight", (v["width"],)
            yield f"{vision}model.blocks.{block}.{name}.bias", (v["width"],)
    yield "mlp1.0.weight", (4 * v["width"],)
    yield "mlp1.1.weight", (v["projector"], 4 * v["width"])
    yield "mlp1.3.weight", (hidden, v["projector"])
    yield from _sound_shapes(s)
    yield "sound_projection.norm.weight", (s["hidden_size"],)
    yield "sound_projection.linear1.weight", (s["projector"], s["hidden_size"])
    yield "sound_projection.linear2.weight", (hidden, s["projector"])


def _sound_shapes(s: dict[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    root, width, channels = "sound_encoder.encoder.", s["hidden_size"], s["channels"]
    yield root + "feature_extractor.fb", (s["mels"], 257)
    yield root + "feature_extractor.window", (400,)
    for number, shape in {
        0: (channels, 1, 3, 3),
        2: (channels, 1, 3, 3),
        3: (channels, channels, 1, 1),
        5: (channels, 1, 3, 3),
        6: (channels, channels, 1, 1),
    }.items():
        yield f"{root}subsampling.layers.{number}.weight", shape
        yield f"{root}subsampling.layers.{number}.bias", (channels,)
    yield root + "subsampling.linear.weight", (width, channels * s["mels"] // 8)
    yield root + "subsampling.linear.bias", (width,)
    for layer in range(s["layers"]):
        at = f"{root}layers.{layer}."
        for part in ("feed_forward1", "feed_forward2"):
            yield at + part + ".linear1.weight", (s["ff"], width)
            yield at + part + ".linear2.weight", (width, s["ff"])
        for part in ("q", "k", "v", "o", "relative_k"):
            yield f"{at}self_attn.{part}_proj.weight", (width, width)
        for part in ("u", "v"):
            yield f"{at}self_attn.bias_{part}", (s["heads"], width // s["heads"])
        yield at + "conv.pointwise_conv1.weight", (2 * width, width, 1)
        yield at + "conv.depthwise_conv.weight", (width, 1, s["kernel"])
        yield at + "conv.pointwise_conv2.weight", (width, width, 1)
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield at + "conv.norm." + part, (width,)
        yield at + "conv.norm.num_batches_tracked", ()
        for part in ("feed_forward1", "self_att", "conv", "feed_forward2", "out"):
            yield f"{at}norm_{part}.weight", (width,)
            yield f"{at}norm_{part}.bias", (width,)


def random_tensor(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Values of a plausible size for a tensor of that name."""
    leaf = name.rsplit(".", 2)
    value = torch.randn(shape, generator=generator)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("A_log"):
        return torch.log(torch.rand(shape, generator=generator) * 15 + 1)
    if name.endswith("dt_bias"):  # softplus of it lies in 0.01 … 0.3
        step = torch.exp(torch.rand(shape, generator=generator) * 3.4 - 4.6)
        return step + torch.log(-torch.expm1(-step))
    if "norm" in leaf[-2] or name.endswith((".D", "running_var", "norm_std", "mlp1.0.weight")):
        return 1 + 0.1 * value.clamp(-3, 3)
    if name.endswith("e_score_correction_bias"):
        return 0.1 * value
    if len(shape) >= 2:
        fan_in = math.prod(shape[1:])
        scale = 0.2 if name.endswith("embeddings.weight") else 1.0
        return value * scale / math.sqrt(fan_in) if scale == 1.0 else value * scale
    return 0.1 * value


def tensors(
    raw: dict[str, Any],
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    *,
    vision: dict[str, int] = VISION,
    sound: dict[str, int] = SOUND,
) -> dict[str, torch.Tensor]:
    """All tensors of a tiny checkpoint; `vision` and `sound` are the towers' sizes."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [*text_shapes(raw["llm_config"]), *media_shapes(raw["llm_config"], vision, sound)]
    made = {name: random_tensor(name, shape, generator) for name, shape in shapes}
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in made.items()}


def tokenizer(vocab_size: int = 320, words: Sequence[str] = ()) -> Tokenizer:
    """Byte-level with the released special tokens at their released ids; each of `words` (ASCII, with the space before
    it where one stands there) is one token, every other byte one of its own."""
    vocab = {text: number for number, text in SPECIAL.items()}
    spelled = [word.replace(" ", "\u0120") for word in words]  # how byte-level vocabularies write a space
    merges = list(dict.fromkeys((word[:end], word[end]) for word in spelled for end in range(1, len(word))))
    plain = iter([*sorted(pre_tokenizers.ByteLevel.alphabet()), *(first + second for first, second in merges)])
    for number in range(vocab_size):
        if number not in SPECIAL:
            text = next(plain, None)
            vocab[text if text is not None else f"<SPECIAL_{number}>"] = number
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL.values()])
    return made


def write(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    shards: int = 3,
    seed: int = 0,
    raw: dict[str, Any] | None = None,
    vision: dict[str, int] = VISION,
    sound: dict[str, int] = SOUND,
) -> Path:
    """Write a whole tiny checkpoint into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = raw or config()
    made = tensors(raw, dtype, seed, vision=vision, sound=sound)
    names = list(made)
    index: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number * len(names) // shards : (number + 1) * len(names) // shards]
        save_file({name: made[name].contiguous() for name in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(value.numel() * value.element_size() for value in made.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": [2, 11]}))
    tokenizer(raw["llm_config"]["vocab_size"]).save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"norm_mean": [0.48145466, 0.4578275, 0.40821073], "norm_std": [0.26862954, 0.26130258, 0.27577711]})
    )
    return folder
