"""vLLM at the released shape with dummy weights, for `benchmarks.decode --peer`: one JSON object on the last line.

Its dummy weights lie within 1e-3, with which every token would take the same experts; so it is told to spread them. No
tokenizer, no prefix caching, CUDA graphs and compilation as it sets them up itself.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

BACKBONE = Path(__file__).parent.parent / "text-backbone"
CONTEXT = 70_000
NEW = 256


def engine() -> Any:
    from vllm import LLM

    return LLM(
        model=str(BACKBONE),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="bfloat16",
        max_model_len=CONTEXT,
        max_num_seqs=16,
        max_num_batched_tokens=8192,
        gpu_memory_utilization=0.93,
        enable_prefix_caching=False,
        disable_log_stats=True,
    )


def seconds(llm: Any, batch: int, prompt: int, new: int) -> float:
    """From prompts of ids to the last of `new` tokens each; no prompt is given twice."""
    from vllm import SamplingParams

    prompts = [{"prompt_token_ids": random.choices(range(5, 131_000), k=prompt)} for _ in range(batch)]
    greedy = SamplingParams(temperature=0, max_tokens=new, min_tokens=new, ignore_eos=True, detokenize=False)
    began = time.perf_counter()
    llm.generate(prompts, greedy, use_tqdm=False)
    return time.perf_counter() - began


def decode(llm: Any, batch: int, prompt: int) -> float:
    """Tokens a second of all sequences together, prefill taken off; the median of three."""
    seconds(llm, batch, prompt, 8)
    rates = []
    for _ in range(3):
        whole, first = seconds(llm, batch, prompt, NEW + 1), seconds(llm, batch, prompt, 1)
        rates.append(batch * NEW / (whole - first))
    return statistics.median(rates)


def prefill(llm: Any, prompt: int) -> float:
    """Seconds to the first token: the median of five after one that counts for nothing."""
    return statistics.median([seconds(llm, 1, prompt, 1) for _ in range(6)][1:])


def main() -> None:
    os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_ENABLE_V1_MULTIPROCESSING="0")
    os.environ["VLLM_MOE_ROUTING_SIMULATION_STRATEGY"] = "uniform_random"
    os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")  # it would be compiled first, for nothing: greedy
    import vllm

    random.seed(0)
    began = time.perf_counter()
    llm = engine()
    result: dict[str, Any] = {"vllm": vllm.__version__, "start_s": round(time.perf_counter() - began, 1)}
    for context in (1024, 32_768):
        result[f"decode_b1_{context // 1024}k_tok_s"] = round(decode(llm, 1, context), 1)
    for batch in (8, 16):
        result[f"decode_b{batch}_tok_s"] = round(decode(llm, batch, 512), 1)
    for length in (1024, 4096, 16_384, 65_536):
        result[f"prefill_{length}_s"] = round(prefill(llm, length), 4)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
