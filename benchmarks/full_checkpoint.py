"""A checkpoint at the released size with random weights: `python -m benchmarks.full_checkpoint FOLDER` (66 GB).

Every tensor under its released name, in 17 shards, with a small tokenizer and our own chat template. The tokenizer has
one token for each of `WORDS` and for every other byte, so that the caption of a pair of frames has 25 to 34 tokens; the
released one makes about 25 to 35 of it.
Matrices are N(0, 0.02), so routing spreads over the experts; drawn on the GPU where there is one.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from benchmarks import make_checkpoint
from omni_agent.runtime.config import read_config
from omni_agent.runtime.encoders import Encoders
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.model import LanguageModel

HERE = Path(__file__).parent
SHARDS = 17
# Of the captions (see `runtime.video.captions`), the benchmark's questions and the template.
WORDS = (
    "Frame", " frame", " sampled", " at", " seconds", " and", "What", " happens", " Where", "Where", " is", " the",
    " button", " do", " they", " say", "Transcribe", " this", " audio", "system", "user", "assistant", "Hello",
)  # fmt: skip
WRITERS = 8
LEFT_ASIDE = {  # stored in the released files and not loaded
    "vision_model.radio_model.input_conditioner.norm_mean": (3, 1, 1),
    "vision_model.radio_model.input_conditioner.norm_std": (3, 1, 1),
    "sound_encoder.encoder.feature_extractor.fb": (128, 257),
    "sound_encoder.encoder.feature_extractor.window": (400,),
}


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The released name and shape of every tensor that the configuration in `folder` asks for."""
    config = read_config(folder)
    media = Encoders(VisionConfig.read(config.raw), SoundConfig.read(config.raw), "meta")
    text = LanguageModel(config.text, "meta")
    named = {f"language_model.{name}": tensor for name, tensor in text.tensors().items()}
    named |= {
        prefix + name: tensor for prefix, part in media.parts.items() for name, tensor in part.state_dict().items()
    }
    return {name: tuple(tensor.shape) for name, tensor in named.items()} | LEFT_ASIDE


def draw(name: str, place: torch.Tensor) -> None:
    """Random values of a sane size, in place."""
    if name.endswith("A_log"):
        place.copy_(torch.log(torch.arange(1, place.numel() + 1, device=place.device)))
    elif name.endswith("dt_bias"):
        place.uniform_(-4, -2)
    elif name.endswith(("e_score_correction_bias", "bias", "running_mean")):
        place.zero_()
    elif place.ndim == 1:
        place.fill_(1)
    else:
        place.normal_(0, 0.02)


def write(folder: Path, source: Path = HERE / "released") -> Path:
    """Write the checkpoint that `source`/config.json describes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "config.json", folder)
    raw = json.loads((folder / "config.json").read_text())
    make_checkpoint.tokenizer(raw["llm_config"]["vocab_size"], WORDS).save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(make_checkpoint.CHAT_TEMPLATE)
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": [2, 11]}))
    wanted = list(shapes(folder).items())
    sizes = np.cumsum([0] + [2 * int(np.prod(shape)) for _, shape in wanted])
    cuts = np.searchsorted(sizes, np.linspace(0, sizes[-1], SHARDS + 1))
    cuts[-1] = len(wanted)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    index: dict[str, str] = {}
    jobs = []
    for number in range(SHARDS):
        part = wanted[cuts[number] : cuts[number + 1]]
        file = f"model-{number + 1:05d}-of-{SHARDS:05d}.safetensors"
        index |= dict.fromkeys((name for name, _ in part), file)
        jobs.append((folder / file, part, device))
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(_shard, *zip(*jobs, strict=True)))
    metadata = {"total_size": int(sizes[-1])}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": metadata, "weight_map": index}))
    return folder


def _shard(path: Path, part: list[tuple[str, tuple[int, ...]]], device: str) -> None:
    """One safetensors file, its tensors drawn straight into the mapped file: no shard is ever held in memory twice."""
    header: dict[str, dict[str, object]] = {}
    end = 0
    for name, shape in part:
        begin, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    data = torch.from_numpy(np.memmap(path, np.uint8, "r+", 8 + len(text))).view(torch.bfloat16)
    at = 0
    for name, shape in part:
        made = torch.empty(shape, dtype=torch.bfloat16, device=device)
        draw(name, made)
        data[at : at + made.numel()].copy_(made.flatten())
        at += made.numel()


if __name__ == "__main__":
    began = time.perf_counter()
    made = write(Path(sys.argv[1]))
    total = sum(file.stat().st_size for file in made.glob("*.safetensors"))
    print(f"{total / 1e9:.1f} GB in {time.perf_counter() - began:.0f} s")
