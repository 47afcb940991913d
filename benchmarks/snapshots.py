"""A new question on a kept prompt, to its first token, at the released shape: `python -m benchmarks.snapshots`.

Weights are random, so what is said means nothing; the times and the comparison of tokens hold for any weights. The
prompt is kept in GPU memory, in host memory and on disk in turn, and asked 32 new tokens; disk is read by fresh tiers,
as after a restart, once from the system's page cache and once after it was dropped. `disk_plain_s` is what 16 threads
need to read the same files and do nothing with them: the disk's share of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.decode import machine, random_model
from omni_agent.runtime.generate import Generator
from omni_agent.runtime.layout import Prompt, of_text
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.snapshots import Snapshots
from omni_agent.runtime.store import open_store
from omni_agent.runtime.tiers import Limits, Tiers

NEW, RUNS, TOKENS = 32, 5, 16
GB = 1 << 30


def asked(length: int, question: int) -> Prompt:
    """`length` shared tokens and 32 of this question, cut between them."""
    shared = torch.randint(100, 100_000, (length,), generator=torch.Generator().manual_seed(0))
    new = torch.randint(100, 100_000, (NEW,), generator=torch.Generator().manual_seed(1 + question))
    plain = of_text([*shared.tolist(), *new.tolist()], "cuda")
    return Prompt(plain.ids, plain.places, plain.values, (), (length,))


def first_token(generator: Generator, prompt: Prompt) -> tuple[float, list[int]]:
    """Seconds to the first token, and the first tokens."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    stream = generator.stream(prompt, sampling=Sampling(), max_tokens=TOKENS, ends=frozenset())
    first = next(stream)
    seconds = time.perf_counter() - start
    return seconds, [event.id for event in (first, *stream) if hasattr(event, "id")]


def drop_caches() -> None:
    Path("/proc/sys/vm/drop_caches").write_text("3")


def plain_read(folder: Path, block: int = 2 << 20) -> float:
    """Seconds to read every file of a folder that is not in the page cache."""
    drop_caches()
    begun = time.perf_counter()
    jobs = [(path, at) for path in folder.glob("*.safetensors") for at in range(0, path.stat().st_size, block)]

    def read(job: tuple[Path, int]) -> None:
        handle = os.open(job[0], os.O_RDONLY)
        os.pread(handle, block, job[1])
        os.close(handle)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(read, jobs))
    return time.perf_counter() - begun


def measure(model: LanguageModel, length: int, folder: Path) -> dict[str, Any]:
    generator = Generator(model, length + 1024)
    prompts = [asked(length, question) for question in range(RUNS)]
    first_token(generator, prompts[0])  # kernels compile
    full = [first_token(generator, prompt) for prompt in prompts[:2]]
    found: dict[str, Any] = {"shared": length, "full_prefill_s": min(seconds for seconds, _ in full), "equal": True}
    alone = Prompt(prompts[0].ids[-NEW:], prompts[0].places, prompts[0].values)
    found["new_tokens_alone_s"] = statistics.median(first_token(generator, alone)[0] for _ in range(RUNS))
    places = {"gpu": Limits(device=8 * GB), "host": Limits(host=8 * GB)}
    for place, limits in places.items():
        generator.snapshots = Snapshots(Tiers(model.device, limits), "benchmark")
        first_token(generator, prompts[-1])
        runs = [first_token(generator, prompt) for prompt in prompts]
        found[f"{place}_s"] = statistics.median(seconds for seconds, _ in runs)
        found[f"{place}_all_s"] = [seconds for seconds, _ in runs]
        found["equal"] &= [tokens for _, tokens in runs[:2]] == [tokens for _, tokens in full]
    store = open_store(folder, 32 * GB, print)
    tiers = Tiers(model.device, Limits(), store)
    generator.snapshots = Snapshots(tiers, "benchmark")
    begun = time.perf_counter()
    found["keeping_s"] = first_token(generator, prompts[-1])[0]
    tiers.flush()
    found["written_s"] = time.perf_counter() - begun
    for place, dropped in (("disk_cached", False), ("disk", True)):
        runs = []
        for prompt in prompts[:3]:
            if dropped:
                drop_caches()
            fresh = open_store(folder, 32 * GB, print)
            generator.snapshots = Snapshots(Tiers(model.device, Limits(), fresh), "benchmark")
            runs.append(first_token(generator, prompt))
        found[f"{place}_all_s"] = [seconds for seconds, _ in runs]
        found["equal"] &= [tokens for _, tokens in runs[:2]] == [tokens for _, tokens in full]
    found["disk_plain_s"] = min(plain_read(folder) for _ in range(2))
    found["bytes"] = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert store is not None
    store.clear()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32_768, 131_072])
    arguments = parser.parse_args()
    model = random_model()
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(model, length, Path(folder) / "kept") for length in arguments.lengths]
    about = machine() | {"command": "python -m benchmarks.snapshots"}
    result = {"machine": about, "new_tokens": NEW, "runs": runs}
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
