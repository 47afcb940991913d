"""What both sides are given: one tiny checkpoint in the released layout, and conversations with made-up media.

The checkpoint's widths are such that both sides' kernels take them: heads of 128 and 64, a state of 128, 128 experts of
which 6 are chosen. Its vision tower is the smallest that vLLM knows by name. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

CONTEXT = 4096
NEW_TOKENS = 48
RATE = 16_000
FPS = 29.97
TEXT: dict[str, Any] = {
    "hidden_size": 256,
    "num_attention_heads": 8,
    "head_dim": 128,
    "mamba_num_heads": 8,
    "mamba_head_dim": 64,
    "ssm_state_size": 128,
    "chunk_size": 128,
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 64,
    "moe_shared_expert_intermediate_size": 128,
    "max_position_embeddings": 8192,
}
VISION = {
    "width": 384,
    "layers": 12,
    "heads": 6,
    "mlp": 1536,
    "table": 128,
    "prefix": 10,
    "patch": 16,
    "projector": 512,
}
SOUND = {"hidden_size": 64, "layers": 4, "ff": 256, "channels": 16, "mels": 128, "kernel": 9, "heads": 4}
SOUND["projector"] = 128


class Clip(NamedTuple):
    """A video: frames uint8 [T, H, W, 3] and their numbers in the source, whose rate is FPS."""

    frames: npt.NDArray[np.uint8]
    indices: list[int]


class Case(NamedTuple):
    """A user's turn: texts and the names of media."""

    parts: tuple[str, ...]
    think: bool = False


def picture(seed: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Coarse blocks of colour under fine noise."""
    draw = np.random.RandomState(seed)
    coarse = draw.randint(0, 256, (-(-height // 40), -(-width // 40), 3)).repeat(40, 0).repeat(40, 1)
    noise = draw.randint(-30, 31, (height, width, 3))
    return (coarse[:height, :width] + noise).clip(0, 255).astype(np.uint8)


def clip(seed: int, frames: int, width: int, height: int) -> Clip:
    """A scene of which each place moves more or less, so that no two places change alike."""
    draw = np.random.RandomState(seed)
    scene = picture(seed, width, height).astype(np.float64)
    moving = draw.rand(-(-height // 30), -(-width // 30), 1).repeat(30, 0).repeat(30, 1)[:height, :width] ** 3
    shown = []
    for _ in range(frames):
        scene = scene + moving * draw.randint(-200, 201, (height, width, 3))
        shown.append(scene.clip(0, 255).astype(np.uint8))
    return Clip(np.stack(shown), [15 * number for number in range(frames)])


def tone(seconds: float, base: float) -> npt.NDArray[np.float32]:
    """A rising tone with a beat, mono at RATE."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * (base + 90 * time) * time) * np.cos(3 * time)).astype(np.float32)


def media() -> dict[str, Any]:
    """Every medium that the cases name."""
    return {
        "picture": picture(1, 300, 200),
        "small": picture(2, 90, 60),
        "large": picture(3, 700, 1000),
        "odd": picture(4, 333, 171),
        "clip": clip(5, 7, 320, 180),
        "longer": clip(6, 12, 320, 180),
        "sound": tone(3.3, 200),
        "speech": tone(31.07, 120),
    }


PROSE = " ".join(
    f"Line {number}: the {['quick', 'slow', 'red', 'old'][number % 4]} fox saw {number * 37 % 91} hens."
    for number in range(28)
)
CASES = {
    "text": Case(("What is the capital of France?",), think=True),
    "long text": Case((PROSE, " Which line is the longest?")),
    "picture": Case(("picture", "What is to be seen here?")),
    "several pictures": Case(("small", "Compare this with ", "large", "odd", "and say what differs.")),
    "video": Case(("clip", "What happens?")),
    "two videos": Case(("clip", "longer", "Which one moves more?")),
    "sound": Case(("sound", "Transcribe this audio.")),
    "long sound": Case(("speech", "Transcribe this audio.")),
    "all of them": Case(
        ("odd", "A picture, then a video with its sound: ", "clip", "sound", "Describe them."), think=True
    ),
}
SAMPLED = ("video", "two videos", "all of them")  # the cases with a video, run again with half of its tokens left out


def write_checkpoint(folder: Path) -> Path:
    """The checkpoint in `folder`/ours, weights in BF16; vLLM's view of it in `folder`/bfloat16 and `folder`/float32."""
    import torch

    from benchmarks import make_checkpoint

    raw = make_checkpoint.config(**TEXT)
    args = {
        "model": "vit_small_patch16_224",
        "cpe_max_size": VISION["table"] * VISION["patch"],
        "register_multiple": VISION["prefix"],
        "cls_token_per_teacher": True,
        "teachers": [{"name": name} for name in ("clip", "siglip2-g", "dino_v3")],
        "min_num_patches": 64,
        "max_num_patches": 512,
    }
    raw["vision_config"] = {
        "args": args,
        "patch_size": VISION["patch"],
        "video_temporal_patch_size": 2,
        "video_target_num_patches": 96,
        "video_maintain_aspect_ratio": True,
    }
    raw["sound_config"] |= {
        "hidden_size": SOUND["hidden_size"],
        "num_hidden_layers": SOUND["layers"],
        "num_attention_heads": SOUND["heads"],
        "intermediate_size": SOUND["ff"],
        "subsampling_conv_channels": SOUND["channels"],
        "projection_hidden_size": SOUND["projector"],
    }
    raw |= {"vit_hidden_size": VISION["width"], "projector_hidden_size": VISION["projector"]}
    made = make_checkpoint.write(folder / "ours", dtype=torch.bfloat16, raw=raw, vision=VISION, sound=SOUND)
    for dtype in ("bfloat16", "float32"):
        _write_peer(made, folder / dtype, raw, dtype)
    return made


def _write_peer(ours: Path, folder: Path, raw: dict[str, Any], dtype: str) -> None:
    """The same files, with what vLLM wants beside them: a configuration class, a tokenizer's class, and keys of the
    released file that omni has no use for."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ours.iterdir():
        if file.name != "config.json" and not (folder / file.name).exists():
            (folder / file.name).symlink_to(file.resolve())
    shutil.copy(Path(__file__).parent / "config.py", folder / "config.py")
    preprocessor = json.loads((ours / "preprocessor_config.json").read_text())
    config = raw | preprocessor | {
        "auto_map": {"AutoConfig": "config.OmniConfig"},
        "dtype": dtype,
        "template": "",
        "ps_version": "v2",
        "image_tag_type": "internvl",
        "use_thumbnail": False,
    }  # fmt: skip
    config.pop("torch_dtype")
    (folder / "config.json").write_text(json.dumps(config))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | settings | {"model_max_length": CONTEXT}))
