"""Decoding and prefill of the language model at its released shape, random weights: `python -m benchmarks.decode`.

Routers are drawn from N(0, 0.02) with zero selection bias, so that tokens spread over experts as the peers' figures
assume; the JSON says how many distinct experts a step touched. Medians. Needs one GPU with 80 GB.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from omni_agent.runtime import decode_batch
from omni_agent.runtime.config import read_config
from omni_agent.runtime.graphs import DecodeGraph
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.sampling import Sampler, Sampling

HERE = Path(__file__).parent
READ_TB_S = 3.02  # measured read bandwidth of an H100 80GB HBM3


def random_model(pattern: str | None = None) -> LanguageModel:
    """The released shape on the GPU in BF16; matrices N(0, 0.02), time steps of 0.02 to 0.13."""
    config = read_config(HERE / "text-backbone").text
    model = LanguageModel(config, "cuda", torch.bfloat16)
    torch.manual_seed(0)
    for name, place in model.tensors().items():
        if name.endswith("A_log"):
            place.copy_(torch.log(torch.arange(1, place.numel() + 1, device="cuda")))
        elif name.endswith("dt_bias"):
            place.uniform_(-4, -2)
        elif name.endswith(("e_score_correction_bias", "conv1d.bias")):
            place.zero_()
        elif name.endswith(".D") or "norm" in name:
            place.fill_(1)
        else:
            place.normal_(0, 0.02)
    return model


def bytes_per_step(model: LanguageModel, context: int, distinct: float, slots: int = 1) -> float:
    """What a step must read, and write of the states: weights once, the experts that are touched, keys and values."""
    config = model.config
    weights = sum(t.numel() * t.element_size() for name, t in model.tensors().items() if ".experts." not in name)
    weights -= model.embeddings.numel() * 2
    expert = 2 * config.expert_width * config.hidden_size * 2
    state = config.count("M") * config.inner * config.state_size * 4 * 2
    cache = config.count("*") * 2 * config.num_kv_heads * config.head_dim * 2 * context
    return weights + config.count("E") * distinct * expert + slots * (state + cache)


def distinct_experts(model: LanguageModel, slots: int, context: int) -> float:
    """Distinct routed experts a layer in one step of `slots` different sequences, mean over the layers."""
    seen: list[int] = []
    module: Any = decode_batch  # whose import is watched for one step
    choose = module.choose_rows
    shared = model.config.shared_width // model.config.expert_width

    def spy(logits: Any, bias: Any, touched: Any, *rest: Any) -> None:
        choose(logits, bias, touched, *rest)
        seen.append(int(touched.count) - shared)

    cache = model.new_cache(slots, context + 8)
    tokens = _prefilled(model, cache, context)
    module.choose_rows = spy
    try:
        decode_batch.BatchStep(model, cache)(tokens)
    finally:
        module.choose_rows = choose
    return statistics.mean(seen)


def _prefilled(model: LanguageModel, cache: Any, context: int) -> Any:
    tokens = []
    for slot in range(cache.slots):
        ids = torch.randint(100, 131_000, (context,), device="cuda")
        tokens.append(model.prefill(model.embed(ids), cache, slot).argmax())
    return torch.stack(tokens)


def decode(
    model: LanguageModel,
    slots: int,
    context: int,
    steps: int = 128,
    *,
    fused: bool = True,
    sampling: Sampling | None = None,
) -> float:
    """Median seconds a step after a prompt of `context` tokens, from three runs, tokens chosen on the device."""
    cache = model.new_cache(slots, context + 4 * steps + 16)
    graph = DecodeGraph(model, cache, fused=fused)
    tokens = _prefilled(model, cache, context)
    sampler = Sampler(sampling or Sampling(), model.device)
    times = []
    for run in range(4):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(steps):
            tokens = sampler(graph(tokens))
        torch.cuda.synchronize()
        if run:
            times.append((time.perf_counter() - began) / steps)
    return statistics.median(times)


def prefill(model: LanguageModel, length: int, runs: int = 3) -> float:
    """Median seconds from ids on the device to the last position's logits."""
    cache = model.new_cache(1, length)
    ids = torch.randint(100, 131_000, (length,), device="cuda")
    times = []
    for run in range(runs + 1):
        cache.clear(0)
        torch.cuda.synchronize()
        began = time.perf_counter()
        model.prefill(model.embed(ids), cache)
        torch.cuda.synchronize()
        if run:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def profile(work: Callable[[], Any], repeats: int) -> list[dict[str, Any]]:
    """GPU time by kernel of `work`, in microseconds each time; overlapping launches count twice."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    work()
    with profiler(activities=[ProfilerActivity.CUDA]) as watched:
        for _ in range(repeats):
            work()
        torch.cuda.synchronize()
    rows = [event for event in watched.key_averages() if event.self_device_time_total > 0]
    rows.sort(key=lambda event: -event.self_device_time_total)
    return [
        {"kernel": row.key[:70], "launches": row.count / repeats, "us": row.self_device_time_total / repeats}
        for row in rows[:24]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contexts", type=int, nargs="*", default=[1024, 32_768])
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 16])
    parser.add_argument("--prompts", type=int, nargs="*", default=[1024, 4096, 16_384, 65_536])
    parser.add_argument("--plain", action="store_true", help="also the step without our kernels")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--peer", type=Path, metavar="SITE", help="also vLLM 0.26, installed in the folder SITE")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "decode.json")
    options = parser.parse_args()
    result: dict[str, Any] = machine()
    if options.peer:
        result["peer"] = peer(options.peer)
    began = time.perf_counter()
    with torch.inference_mode():
        model = random_model()
        result |= {"init_s": round(time.perf_counter() - began, 1)}
        for context in options.contexts:
            report(result, model, f"decode_b1_{context // 1024}k", decode(model, 1, context), 6.0, context)
        if options.contexts:
            context = options.contexts[0]
            seconds = decode(model, 1, context, sampling=Sampling(temperature=0.6, top_p=0.95, seed=0))
            report(result, model, "decode_b1_sampled", seconds, 6.0, context)
            if options.plain:
                report(result, model, "decode_b1_plain", decode(model, 1, context, 32, fused=False), 6.0, context)
        for slots in options.batches:
            distinct = distinct_experts(model, slots, 512)
            report(result, model, f"decode_b{slots}", decode(model, slots, 512, 64), distinct, 512, slots)
        for length in options.prompts:
            result[f"prefill_{length}_s"] = round(prefill(model, length), 4)
            print(f"prefill {length:>7} tokens  {result[f'prefill_{length}_s']:.4f} s", flush=True)
        result["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        if options.profile:
            result |= profiles(model)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def peer(site: Path) -> dict[str, Any]:
    """vLLM's figures for the same, on the same card, from a process that is gone when ours begins."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peer_vllm.speed"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print("vLLM", figures, flush=True)
    return figures


def profiles(model: LanguageModel) -> dict[str, Any]:
    """Kernel tables of decode steps and of prefills."""
    tables = {}
    for slots in (1, 16):
        cache = model.new_cache(slots, 2048)
        graph = DecodeGraph(model, cache)
        tokens = _prefilled(model, cache, 1024 if slots == 1 else 512)
        tables[f"profile_decode_b{slots}"] = profile(lambda graph=graph, tokens=tokens: graph(tokens), 5)  # type: ignore[misc]
    for length in (1024, 16_384):
        ids = torch.randint(100, 131_000, (length,), device="cuda")
        cache = model.new_cache(1, length)

        def whole(cache: Any = cache, ids: Any = ids) -> None:
            cache.clear(0)
            model.prefill(model.embed(ids), cache)

        tables[f"profile_prefill_{length}"] = profile(whole, 2)
    for name, rows in tables.items():
        print(name, *(f"{row['us']:9.1f} us {row['launches']:6.1f} x  {row['kernel']}" for row in rows), sep="\n")
    return tables


def report(
    result: dict[str, Any],
    model: LanguageModel,
    name: str,
    seconds: float,
    distinct: float,
    context: int,
    slots: int = 1,
) -> None:
    """One line on the screen and its numbers in the result."""
    limit = bytes_per_step(model, context, distinct, slots) / (READ_TB_S * 1e12)
    assert math.isfinite(seconds)
    result[f"{name}_tok_s"] = round(slots / seconds, 1)
    result[f"{name}_limit_tok_s"] = round(slots / limit, 1)
    result[f"{name}_share_of_limit"] = round(limit / seconds, 3)
    result[f"{name}_distinct_experts"] = round(distinct, 1)
    print(
        f"{name:<20} {slots / seconds:8.1f} tok/s  limit {slots / limit:7.1f}  {limit / seconds:5.1%} of it  "
        f"{distinct:5.1f} experts a layer",
        flush=True,
    )


def machine() -> dict[str, Any]:
    """Card, versions, commit, command."""
    import triton

    commit = (
        os.environ.get("OMNI_COMMIT")
        or subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=HERE).stdout.strip()
    )
    return {
        "card": torch.cuda.get_device_name(),
        "driver_cuda": torch.version.cuda,
        "torch": torch.__version__,
        "triton": triton.__version__,
        "python": platform.python_version(),
        "commit": commit,
        "command": "python -m benchmarks.decode " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
