"""Record what vLLM's own functions say, as test vectors: `python -m benchmarks.record_vllm UNPACKED_WHEEL`.

Run by hand, never by the tests, which read the values and share the made-up inputs below. The argument is a folder with
the `vllm` package of the wheel named in VERSION (`pip download --no-deps`, unzip); einops and regex must be importable.
Only the few modules needed are loaded, their heavy neighbours replaced by empty ones, so neither a GPU nor vLLM's
dependencies are needed. Only values are kept.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import random
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

VERSION = "vllm-0.33.0-cp38-abi3-manylinux_2_28_x86_64.whl"
OUT = Path(__file__).parent.parent / "tests" / "runtime" / "data" / "vllm.json"
TABLE_SIZES = [(224, 224), (512, 512), (640, 480), (1024, 768), (1280, 720), (1366, 768), (1440, 900), (1920, 1080)]
TABLE_SIZES += [(1920, 1200), (2560, 1440), (3840, 2160), (3440, 1440), (827, 1169), (1240, 1754), (1654, 2339)]
TABLE_SIZES += [(2480, 3508), (1275, 1650), (1200, 1200), (16, 16), (17, 4000), (4000, 17), (33, 8000)]


class Anything(types.ModuleType):
    """A module that has whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *_: None})


def load(wheel: Path, path: str) -> Any:
    """One module of the wheel, its imports from vllm answered by what was loaded before or by nothing."""
    name = path.removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(name, wheel / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    for node in ast.walk(ast.parse((wheel / path).read_text())):
        wanted = getattr(node, "module", None)
        if isinstance(node, ast.ImportFrom) and wanted and (wanted.startswith("vllm") or node.level):
            full = wanted if not node.level else f"{name.rsplit('.', node.level)[0]}.{wanted}"
            parts = full.split(".")
            for end in range(1, len(parts) + 1):
                sys.modules.setdefault(".".join(parts[:end]), Anything(".".join(parts[:end])))
    platforms = sys.modules.setdefault("vllm.platforms", Anything("vllm.platforms"))
    vars(platforms)["current_platform"] = types.SimpleNamespace(simple_compile_backend="eager")
    spec.loader.exec_module(module)
    return module


def grids(processors: Any) -> dict[str, Any]:
    from PIL import Image

    draw = random.Random(0)
    sizes = TABLE_SIZES + [(draw.randint(8, 5000), draw.randint(8, 5000)) for _ in range(300)]

    def tiler(context: int) -> Any:
        return processors.DynamicResolutionImageTiler(
            max_model_len=context,
            patch_size=16,
            min_num_patches=1024,
            max_num_patches=13312,
            downsample_ratio=0.5,
            norm_mean=[0.0] * 3,
            norm_std=[1.0] * 3,
        )

    def grid_of(many: list[tuple[int, int]], available: int) -> list[list[int]]:
        made = tiler(available + 4).compute_params([Image.new("1", size) for size in many], available)
        return [[param.patch_size[1], param.patch_size[0], param.num_embeddings] for param in made]

    shared = []
    for _ in range(60):
        many = [(draw.randint(100, 4000), draw.randint(100, 4000)) for _ in range(draw.randint(2, 30))]
        available = draw.choice([2000, 6000, 12_000, 30_000, 100_000])
        shared.append({"sizes": many, "tokens": available, "grids": grid_of(many, available)})
    return {"single": [[*size, *grid_of([size], 262_144)[0]] for size in sizes], "shared": shared}


def videos(processors: Any, wheel: Path) -> dict[str, Any]:
    draw = random.Random(1)
    sizes = [(1920, 1080), (1080, 1920), (640, 480), (512, 512), (1280, 800), (2560, 1080), (100, 3000), (3000, 100)]
    sizes += [(draw.randint(32, 4000), draw.randint(32, 4000)) for _ in range(200)]
    frame_sizes = [
        [*size, *processors.get_video_target_size_and_feature_size(*size, 1024, True, 16, 0.5)] for size in sizes
    ]
    source = ast.parse((wheel / "vllm/multimodal/video.py").read_text())
    backend = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "VideoBackend")
    method = next(n for n in backend.body if getattr(n, "name", "") == "compute_frames_index_to_sample")
    assert isinstance(method, ast.FunctionDef)
    method.decorator_list, method.returns = [], None
    for argument in method.args.args:
        argument.annotation = None
    space: dict[str, Any] = {"np": np, "math": math, "Any": Any}
    exec(compile(ast.Module([method], []), "video.py", "exec"), space)
    samples = []
    for total, source_fps, fps, most in [
        (300, 30.0, 2.0, 256), (299, 29.97, 2.0, 128), (3600, 29.97, 1.0, 512), (7200, 60.0, 2.0, 128),
        (10, 25.0, 2.0, 256), (5, 2.0, 2.0, 256), (1, 30.0, 2.0, 256), (48, 23.976, 30.0, 256),
        (90_000, 25.0, 2.0, 256),
    ]:  # fmt: skip
        asked = types.SimpleNamespace(num_frames=most, fps=fps)
        clip = types.SimpleNamespace(total_frames_num=total, duration=total / source_fps)
        indices = space["compute_frames_index_to_sample"](None, clip, asked)
        samples.append({"total": total, "source_fps": source_fps, "fps": fps, "most": most, "indices": indices})
    return {"frame_sizes": frame_sizes, "samples": samples, "layouts": layouts(processors)}


class Letters:
    """A tokenizer of one id a character; the marks are ids above them."""

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(letter) for letter in text] for text in texts]}


def layouts(processors: Any) -> list[dict[str, Any]]:
    """The whole replacement of a video as vLLM lays it out: marks as <, > and a placeholder as #."""
    processors.PromptUpdateDetails = types.SimpleNamespace(from_seq=lambda ids: ids)
    out = []
    for indices, fps, counts in [
        ([0, 15, 30, 45], 30.0, [4, 4]),
        ([0, 15, 30, 45, 60], 29.97, [6, 0, 3]),
        ([7], 25.0, [2]),
        (list(range(0, 600, 50)), 59.94, [9, 2, 0, 0, 1, 5]),
    ]:
        ids = processors.NanoNemotronVLProcessor.get_video_repl(
            tokens_per_frame=counts,
            frames_indices=indices,
            frame_duration_ms=int(1000.0 / fps),
            tokenizer=Letters(),
            img_start_token_ids=[ord("<")],
            img_end_token_ids=[ord(">")],
            img_context_token_ids=[ord("#")],
            video_temporal_patch_size=2,
        )
        out.append({"indices": indices, "fps": fps, "counts": counts, "text": "".join(map(chr, ids))})
    return out


def evs_tokens(seed: int, tubelets: int, places: int, width: int) -> torch.Tensor:
    """A scene that holds still in parts: legacy numpy streams are frozen, so every machine draws the same."""
    draw = np.random.RandomState(seed)
    scene = draw.randn(places, width)
    frames = []
    for _ in range(tubelets):
        moving = draw.rand(places) < 0.4
        scene = np.where(moving[:, None], scene + draw.randn(places, width) * draw.rand(places, 1), scene)
        frames.append(scene)
    return torch.tensor(np.stack(frames), dtype=torch.float32)


def evs(module: Any) -> dict[str, Any]:
    counts = [
        [per, frames, rate, module.compute_retained_tokens_count(per, frames, rate)]
        for per in (1, 252, 256, 240)
        for frames in (1, 2, 3, 64, 128)
        for rate in (0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
    ]
    masks = []
    for seed, (t, h, w), rate in [
        (0, (4, 3, 5), 0.5), (1, (9, 6, 4), 0.7), (2, (2, 4, 4), 0.95), (3, (1, 2, 3), 0.5), (4, (12, 2, 7), 0.33)
    ]:  # fmt: skip
        tokens = evs_tokens(seed, t, h * w, 16)
        mask = module.compute_retention_mask(tokens.flatten(0, 1), (t, h, w), 1, rate)
        masks.append({"seed": seed, "thw": [t, h, w], "rate": rate, "kept": mask.nonzero().flatten().tolist()})
    return {"counts": counts, "masks": masks}


def tone(seconds: float) -> Any:
    """A rising tone with a beat, the same everywhere."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.4 * np.sin(2 * np.pi * (200 + 150 * time) * time) * np.cos(3 * time)).astype(np.float32)


def sound(parakeet: Any, configs: Any) -> dict[str, Any]:
    config = configs.ExtractorConfig(
        feature_size=128,
        sampling_rate=16_000,
        subsampling_factor=8,
        subsampling_conv_kernel_size=3,
        subsampling_conv_stride=2,
    )
    extractor = parakeet.ParakeetExtractor.__new__(parakeet.ParakeetExtractor)
    extractor.config, extractor._clip_target_samples, extractor._tail_min_samples = config, 480_000, 1600
    draw = random.Random(2)
    lengths = [0, 1, 159, 160, 1599, 1600, 1601, 16_000, 160_000, 479_999, 480_000, 480_001, 481_600, 960_000]
    lengths += [9_600_000, 57_600_000] + [draw.randint(1, 3_000_000) for _ in range(60)]
    made = extractor([tone(31.07)])
    features, mask = made["input_audio_features"], made["feature_attention_mask"]
    return {
        "tokens": [[n, extractor.audio_token_count(n)] for n in lengths],
        "clips": [[n, extractor._clip_sizes(n)] for n in lengths if n < 3_000_000],
        "features": {
            "seconds": 31.07,
            "frames": mask.sum(1).tolist(),
            "values": [[c, f, m, float(features[c, f, m])] for c, n in enumerate(mask.sum(1).tolist())
                       for f in range(0, n, max(1, n // 13)) for m in range(3, 128, 31)],
        },
    }  # fmt: skip


def main() -> None:
    wheel = Path(sys.argv[1])
    pruning = load(wheel, "vllm/multimodal/video_prune/evs.py")
    configs = load(wheel, "vllm/transformers_utils/configs/parakeet.py")
    parakeet = load(wheel, "vllm/model_executor/models/parakeet.py")
    processors = load(wheel, "vllm/transformers_utils/processors/nano_nemotron_vl.py")
    recorded = {
        "source": f"{VERSION}, its own functions, run on the CPU by benchmarks.record_vllm; torch {torch.__version__}",
        "grids": grids(processors),
        "videos": videos(processors, wheel),
        "evs": evs(pruning),
        "sound": sound(parakeet, configs),
    }
    lines = json.dumps(recorded, separators=(",", ":"))
    OUT.write_text(lines.replace("},{", "},\n{").replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
