"""The state-space scan of a prefill, ours against mamba-ssm's Triton kernels: `python -m benchmarks.scan`.

Needs a GPU and mamba-ssm. One layer at the released shape in BF16; errors are relative to plain torch in fp32 on the
same rounded inputs, times are medians of one call.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.decode import machine
from omni_agent.runtime import mamba
from omni_agent.runtime.kernels import ssd_scan

HERE = Path(__file__).parent
HEADS, WIDTH, GROUPS, STATE, CHUNK = 64, 64, 8, 128, 128


def seconds(work: Callable[[], Any], runs: int = 20) -> float:
    """Median seconds of `work` by CUDA events, after three runs that count for nothing."""
    times = []
    for run in range(runs + 3):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        torch.cuda.synchronize()
        if run >= 3:
            times.append(began.elapsed_time(ended) / 1e3)
    return statistics.median(times)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def scan(tokens: int) -> dict[str, Any]:
    """Errors against plain torch, the difference of the two, and the time of each, for a prompt of `tokens`."""
    torch.manual_seed(tokens)
    widths = [HEADS * WIDTH, GROUPS * STATE, GROUPS * STATE, HEADS]
    wide = torch.randn(tokens, sum(widths), device="cuda", dtype=torch.bfloat16)
    x, b, c, raw = wide.split(widths, dim=-1)
    x, b, c = x.unflatten(-1, (HEADS, WIDTH)), b.unflatten(-1, (GROUPS, STATE)), c.unflatten(-1, (GROUPS, STATE))
    bias, a_log = torch.randn(HEADS, device="cuda") - 4, torch.rand(HEADS, device="cuda") * 2
    d, first = torch.randn(HEADS, device="cuda"), torch.randn(HEADS, WIDTH, STATE, device="cuda")

    def ours() -> tuple[Tensor, Tensor]:
        state = first.clone()
        return ssd_scan.chunk_scan(x, raw, bias, a_log, b, c, d, state, CHUNK), state

    def theirs() -> tuple[Tensor, Tensor]:
        dt = torch.nn.functional.softplus(raw.float() + bias)
        return mamba.mamba_ssm_scan(x, dt, -a_log.exp(), b, c, d, first, CHUNK)

    dt = torch.nn.functional.softplus(raw.float() + bias)
    exact = mamba.chunk_scan(x.float(), dt, -a_log.exp(), b.float(), c.float(), d, first, CHUNK)
    (y, state), (their_y, their_state) = ours(), theirs()
    return {
        "tokens": tokens,
        "ours_error": error(y, exact[0]),
        "mamba_ssm_error": error(their_y, exact[0]),
        "difference": error(y, their_y),
        "ours_state_error": error(state, exact[1]),
        "mamba_ssm_state_error": error(their_state, exact[1]),
        "ours_us": round(seconds(ours) * 1e6, 1),
        "mamba_ssm_us": round(seconds(theirs) * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="*", default=[1, 100, 1024, 4096, 8192])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scan.json")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    with torch.inference_mode():
        rows = [scan(tokens) for tokens in options.tokens]
    for row in rows:
        both = (f"{who} {row[who + '_us']:8.1f} us, error {row[who + '_error']:.1e}" for who in ("ours", "mamba_ssm"))
        print(f"{row['tokens']:>6} tokens", *both, f"apart {row['difference']:.1e}", sep="  ")
    result = machine() | {"command": "python -m benchmarks.scan", "mamba_ssm": _version(), "rows": rows}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def _version() -> str:
    import mamba_ssm

    return str(getattr(mamba_ssm, "__version__", "")) or importlib.metadata.version("mamba_ssm")


if __name__ == "__main__":
    main()
