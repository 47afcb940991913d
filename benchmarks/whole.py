"""The full model from files to answers, as `--engine local` runs it: `python -m benchmarks.whole FOLDER [ROW ...]`.

FOLDER is a checkpoint at the released size (`python -m benchmarks.full_checkpoint` writes one with random weights).
Rows: start, screenshot, frames128, frames256, recording, text131k, pages100. Media are decoded and in memory when the
clock starts, except in `start`, which counts a new process from its first instruction to its first token. Medians of
RUNS after one run that is not counted; the long rows run once. Needs one GPU with 80 GB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts
from omni_agent.engines.base import Done, Message, Options, Part
from omni_agent.engines.local import LocalEngine
from omni_agent.types import Frame, Picture, Sound

RUNS = 3
CONTEXT = 225_280  # 100 A4 pages and an answer
NOTE = "captions and questions have about as many tokens as with the released tokenizer, other text one a byte"
RESULTS = Path(__file__).parent / "results" / "whole.json"


class MadeClip:
    """Frames of a scene in which a tenth of the picture moves, all in memory."""

    def __init__(self, frames: int, width: int = 1280, height: int = 720, fps: float = 2.0) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        self.duration = frames / fps
        self._frames = []
        for number in range(frames):
            pixels = noise.copy()
            pixels[:, : width // 10] = np.roll(noise[:, : width // 10], 16 * number, axis=0)
            self._frames.append(Frame(number / fps, Picture(pixels)))

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        return iter(self._frames)

    def sound(self) -> Sound | None:
        return None


def page(number: int) -> Picture:
    """An A4 page at 150 dpi with lines of text."""
    from PIL import Image, ImageDraw

    paper = Image.new("RGB", (1240, 1754), "white")
    ink = ImageDraw.Draw(paper)
    for line in range(70):
        ink.text(
            (90, 80 + line * 23), f"{number}.{line} " + "the quick brown fox jumps over the lazy dog " * 3, "black"
        )
    return Picture(np.asarray(paper))


def noise(width: int, height: int) -> Picture:
    return Picture(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


def speech(minutes: float) -> Sound:
    return Sound(np.random.default_rng(2).normal(0, 0.05, round(minutes * 60 * 16_000)).astype(np.float32))


ROWS: dict[str, tuple[Callable[[], tuple[Part, ...]], dict[str, Any], int]] = {  # parts, options, counted runs
    "screenshot": (lambda: (noise(1920, 1080), "Where is the button? " * 8), {"max_tokens": 60}, RUNS),
    "frames128": (lambda: (MadeClip(128), "What happens?"), {"max_tokens": 1, "max_frames": 128}, RUNS),
    "frames256": (lambda: (MadeClip(256), "What happens?"), {"max_tokens": 32, "max_frames": 256}, 1),
    "recording": (lambda: (speech(20), "Transcribe this audio."), {"max_tokens": 32}, 1),
    "text131k": (lambda: ("a" * 131_072,), {"max_tokens": 64}, 1),
    "pages100": (lambda: (*(page(number) for number in range(100)), "What do they say?"), {"max_tokens": 32}, 1),
}


def measure(engine: LocalEngine, name: str) -> dict[str, Any]:
    """Seconds to the first token and to the end, what it cost, and the card's memory at its peak."""
    import torch

    make, options, runs = ROWS[name]
    parts = make()
    firsts, totals, done = [], [], Done()
    for _ in range(runs + (runs > 1)):
        torch.cuda.reset_peak_memory_stats()
        began, first = time.perf_counter(), 0.0
        for event in engine.stream([Message("user", parts)], Options(**options)):
            first = first or time.perf_counter() - began
            if isinstance(event, Done):
                done = event
        firsts.append(first)
        totals.append(time.perf_counter() - began)
    usage = done.usage
    decoding = usage.seconds.get("answer", 0.0)
    return {
        "first_s": round(statistics.median(firsts[-runs:]), 4),
        "total_s": round(statistics.median(totals[-runs:]), 4),
        "prompt_tokens": usage.prompt_tokens,
        "answer_tokens": usage.answer_tokens,
        "decode_tok_s": round((usage.answer_tokens - 1) / decoding, 1)
        if decoding and usage.answer_tokens > 1
        else None,
        "video_tokens": [usage.video_tokens_before, usage.video_tokens],
        "seconds": {part: round(value, 4) for part, value in usage.seconds.items()},
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "runs": runs,
    }


def first_token(folder: Path) -> None:
    """Load, answer one token, say so: what a new process is for `start`."""
    engine = LocalEngine(folder, context=8192)
    for _ in engine.stream([Message("user", ("Hello",))], Options(max_tokens=2)):
        print("token", flush=True)
        return


def start(folder: Path) -> dict[str, Any]:
    """Seconds from the start of a new process to its first token; the first run may compile kernels."""
    times = []
    for _ in range(1 + RUNS):
        began = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.whole", str(folder), "--first-token"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if not process.stdout.readline().startswith("token"):
                raise SystemExit("the new process said nothing")
            times.append(time.perf_counter() - began)
    return {"first_run_s": round(times[0], 2), "start_s": round(statistics.median(times[1:]), 2), "runs": RUNS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", nargs="*", default=["start", *ROWS])
    parser.add_argument("--first-token", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.first_token:
        first_token(given.folder)
        return
    import torch

    card = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "note": NOTE}
    results: dict[str, Any] = {**facts(), **card}
    if "start" in given.rows:
        results["start"] = start(given.folder)
        print("start", results["start"], flush=True)
        given.out.write_text(json.dumps(results, indent=1) + "\n")
    engine = LocalEngine(given.folder, context=CONTEXT)
    for name in given.rows:
        if name != "start":
            results[name] = measure(engine, name)
            print(name, results[name], flush=True)
            given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
