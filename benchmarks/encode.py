"""Encoding pictures, video and sound at the released sizes with random weights: `python -m benchmarks.encode`.

Needs a GPU with about 8 GB free. Times are from pixels or samples in host memory to tokens on the card: the first call,
then the best of RUNS. `peak_gb` is the card's memory above weights and inputs. The limit of a picture is its arithmetic
at the card's measured rate of products.

`--films FILE...` are recordings, of which pairs of frames that equal the pair before are not encoded: their share at
the engine's two frames a second, and the time beside that of the same frames with one pixel changed in each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record_vllm import tone
from omni_agent.runtime.encoders import Encoders, Film
from omni_agent.runtime.images import Grid, picture_grids
from omni_agent.runtime.media_config import VIT_SHAPES, SoundConfig, VisionConfig
from omni_agent.runtime.vision import Patches

RUNS = 5
VISION = VisionConfig(shape=VIT_SHAPES["vit_huge_patch16_224"])
LIMITS = {"one 1920x1080 picture": 0.028}  # seconds on an H100: 21 TFLOP, half of it attention, at 768 TFLOP/s


def random_encoders(device: str) -> Encoders:
    """The released shape; small weights, norms of one."""
    torch.manual_seed(0)
    made = Encoders(VISION, SoundConfig(), device)
    for name, tensor in made.tensors().items():
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.fill_(1.0)
        else:
            tensor.normal_(0, 0.02)
    return made


def pictures(count: int, width: int, height: int) -> list[Any]:
    draw = np.random.default_rng(0)
    one = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [np.roll(one, shift, axis=1) for shift in range(count)]


def jobs(encoders: Encoders) -> dict[str, Callable[[], int]]:
    """Each gives the number of tokens it made."""

    def shown(count: int, width: int, height: int) -> Callable[[], int]:
        given, grids = pictures(count, width, height), picture_grids([(width, height)] * count, VISION)
        return lambda: sum(len(tokens) for tokens in encoders.pictures(given, grids))

    def filmed(count: int, width: int, height: int, rate: float) -> Callable[[], int]:
        film = Film(pictures(count, width, height), width, height, range(0, count * 15, 15), 30.0)
        return lambda: sum(len(tokens) for tokens in encoders.film(film, rate)[0])

    def heard(seconds: float) -> Callable[[], int]:
        samples = tone(seconds)
        return lambda: len(encoders.recordings([samples])[0])

    return {
        "one 1920x1080 picture": shown(1, 1920, 1080),
        "one 640x480 picture": shown(1, 640, 480),
        "eight 1920x1080 pictures": shown(8, 1920, 1080),
        "100 A4 pages at 150 dpi": shown(100, 1240, 1754),
        "256 frames of 1280x720": filmed(256, 1280, 720, 0.0),
        "256 frames of 1280x720, half kept": filmed(256, 1280, 720, 0.5),
        "30 seconds of sound": heard(30.0),
        "20 minutes of sound": heard(1200.0),
    }


def peers(encoders: Encoders) -> dict[str, Callable[[], int]]:
    """The towers alone, ours and transformers' of the same shape and type, on inputs that are already on the card."""
    from transformers import ParakeetEncoderConfig, RadioConfig, RadioModel
    from transformers.models.parakeet.modeling_parakeet import ParakeetEncoder

    like = {"device": "cuda", "dtype": torch.bfloat16}
    pages = [Grid(110, 78), Grid(104, 80), Grid(68, 120)] * 3
    sizes = {"one 1920x1080 picture": [Grid(68, 120)], "9 pages of 3 sizes": pages}
    radio = RadioModel(RadioConfig(video_temporal_patch_size=2)).to(**like).eval().requires_grad_(False)
    radio.make_preprocessor_external()
    sound = SoundConfig()
    parakeet = ParakeetEncoder(
        ParakeetEncoderConfig(num_mel_bins=sound.mels, attention_bias=False, convolution_bias=False, scale_input=False)
    )
    parakeet = parakeet.to(**like).eval().requires_grad_(False)
    jobs: dict[str, Callable[[], int]] = {}
    for name, grids in sizes.items():
        patches = [Patches(torch.randn(1, grid.patches, 768, **like), grid) for grid in grids]
        flat, shape = torch.cat([values[0] for values, _ in patches]), torch.tensor([list(grid) for grid in grids])

        def ours(patches: list[Patches] = patches) -> int:
            return len(encoders.parts["vision_model.radio_model.model."](patches))

        def theirs(flat: torch.Tensor = flat, shape: torch.Tensor = shape) -> int:
            return len(radio(flat, image_grid_hw=shape.cuda()).features)

        jobs |= {f"tower, {name}": ours, f"transformers' tower, {name}": theirs}
    features, lengths = torch.randn(16, 3000, 128, **like), torch.full((16,), 3000, device="cuda")
    mask = torch.ones(16, 3000, dtype=torch.bool, device="cuda")
    jobs["sound encoder, 16 clips of 30 s"] = lambda: len(encoders.parts["sound_encoder.encoder."](features, lengths))
    jobs["transformers' sound encoder, 16 clips"] = lambda: len(parakeet(features, attention_mask=mask)[0])
    return jobs


def skipping(encoders: Encoders, path: Path) -> dict[str, Any]:
    """What is saved on a recording by not encoding again what did not change."""
    from omni_agent.engines.base import Options
    from omni_agent.engines.turn import FRAME_SIDE
    from omni_agent.media import video

    clip, options = video.load(path), Options()
    every = max(1 / options.fps, clip.duration / options.max_frames)
    shown = itertools.islice(clip.frames(every=every, max_side=FRAME_SIDE), options.max_frames)
    frames = [frame.picture.pixels for frame in shown]
    unlike = [pixels.copy() for pixels in frames]
    for number, pixels in enumerate(unlike):
        pixels[0, 0] = number
    height, width = frames[0].shape[:2]
    films = [Film(given, width, height, range(len(frames)), 2.0) for given in (frames, unlike)]
    pairs, unchanged = -(-len(frames) // VISION.tubelet), encoders.film(films[0])[1].unchanged
    seconds, every_pair = (measured(lambda film=film: len(encoders.film(film)[0]))["s"] for film in films)  # type: ignore[misc]
    share = round(unchanged / pairs, 3)
    return {"pairs": pairs, "unchanged": unchanged, "share": share, "s": seconds, "all_s": every_pair}


def measured(job: Callable[[], int]) -> dict[str, Any]:
    start = time.perf_counter()
    tokens = job()
    torch.cuda.synchronize()
    first = time.perf_counter() - start
    torch.cuda.reset_peak_memory_stats()
    held, times = torch.cuda.memory_allocated(), []
    for _ in range(RUNS if first < 1 else 2):
        start = time.perf_counter()
        job()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() - held
    return {"tokens": tokens, "first_s": round(first, 4), "s": round(min(times), 4), "peak_gb": round(peak / 1e9, 2)}


def profiled(job: Callable[[], int]) -> None:
    """Where the time of a job goes, by kernel."""
    job()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        job()
        torch.cuda.synchronize()
    print(seen.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=90))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", metavar="JOB", help="show the kernels of one job instead")
    parser.add_argument("--peers", action="store_true", help="compare the towers alone with transformers' as well")
    parser.add_argument("--films", metavar="FILE", type=Path, nargs="*", default=[], help="recordings to measure, too")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/encode.json"))
    given = parser.parse_args()
    encoders = random_encoders("cuda")
    all_jobs = jobs(encoders) | (peers(encoders) if given.peers else {})
    if given.profile:
        profiled(all_jobs[given.profile])
        return
    results = {}
    for name, job in all_jobs.items():
        results[name] = measured(job) | ({"limit_s": LIMITS[name]} if name in LIMITS else {})
        print(f"{name:44}", *(f"{key} {value}" for key, value in results[name].items()), sep="  ", flush=True)
    for path in given.films:
        results[path.name] = skipping(encoders, path)
        print(f"{path.name:44}", *(f"{key} {value}" for key, value in results[path.name].items()), sep="  ", flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    about = {
        "command": " ".join(["python -m benchmarks.encode", *sys.argv[1:]]),
        "commit": os.environ.get("OMNI_COMMIT") or commit,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "gpu": torch.cuda.get_device_name(),
        "cores": os.cpu_count(),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
