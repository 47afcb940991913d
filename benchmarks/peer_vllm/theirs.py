"""The cases through vLLM, in a process of its own: `python -m benchmarks.peer_vllm.theirs FOLDER --out ANSWERS.json`.

Greedy, one request at a time, eager (its CUDA graphs and compiler are about speed). vLLM rounds what comes out of the
encoders to BF16 whatever the model's dtype is, which fails in float32; there, and only there, the two modules that do
so are given a `torch` whose bfloat16 is float32. vLLM 0.26 needs av, soxr and soundfile for media.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

from benchmarks.peer_vllm.cases import CASES, CONTEXT, FPS, NEW_TOKENS, RATE, SAMPLED, Clip, media

FAULTS = (RuntimeError, ValueError, TypeError, AssertionError, LookupError, AttributeError, NotImplementedError)
SHOWN = 5  # log-probabilities a token


class Float32Torch(types.ModuleType):
    """torch, with float32 under the name of bfloat16."""

    def __getattr__(self, name: str) -> Any:
        import torch

        return torch.float32 if name == "bfloat16" else getattr(torch, name)


def exact_float32() -> None:
    import torch
    from vllm.model_executor.models import nano_nemotron_vl, parakeet

    torch.backends.cudnn.allow_tf32 = False
    for module in (nano_nemotron_vl, parakeet):
        vars(module)["torch"] = Float32Torch("torch")


def one_configuration() -> None:
    """The smallest tiles of vLLM's scan kernels alone: trying all of them takes minutes and changes no result."""
    from importlib import import_module

    from triton.runtime.autotuner import Autotuner

    for part in ("bmm", "chunk_scan", "chunk_state", "state_passing"):
        module = import_module(f"vllm.model_executor.layers.mamba.ops.ssd_{part}")
        for kernel in vars(module).values():
            if isinstance(kernel, Autotuner):
                kernel.configs = [min(kernel.configs, key=lambda config: math.prod(config.kwargs.values()))]


def engine(folder: Path, dtype: str, evs: float, text_only: bool) -> Any:
    from vllm import LLM

    limits = {"image": 3, "video": 2, "audio": 2}
    return LLM(
        model=str(folder / dtype),
        trust_remote_code=True,
        dtype=dtype,
        max_model_len=CONTEXT,
        max_num_seqs=2,
        max_num_batched_tokens=8192,
        enforce_eager=True,
        enable_prefix_caching=False,
        gpu_memory_utilization=0.2,
        kv_cache_memory_bytes=2 << 30,
        mamba_ssm_cache_dtype="float32",  # what its hook for this family sets, which does not know this architecture
        limit_mm_per_prompt=dict.fromkeys(limits, 0) if text_only else limits,
        video_pruning_rate=evs or None,
        disable_log_stats=True,
    )


def request(name: str, tokenizer: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The conversation rendered by the checkpoint's own template, and its media in order."""
    kinds = {"picture": "image", "clip": "video", "sound": "audio"}
    content: list[dict[str, str]] = []
    data: dict[str, list[Any]] = {}
    for part in CASES[name].parts:
        if part not in found:
            content.append({"type": "text", "text": part})
            continue
        kind = kinds[_kind(found[part])]
        content.append({"type": kind})
        data.setdefault(kind, []).append(_item(found[part]))
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=CASES[name].think,
    )
    return {"prompt": prompt} | ({"multi_modal_data": data} if data else {})


def _kind(item: Any) -> str:
    return "clip" if isinstance(item, Clip) else "picture" if item.ndim == 3 else "sound"


def _item(item: Any) -> Any:
    from PIL import Image

    if isinstance(item, Clip):
        metadata = {
            "fps": FPS,
            "frames_indices": item.indices,
            "total_num_frames": item.indices[-1] + 1,
            "duration": (item.indices[-1] + 1) / FPS,
            "video_backend": "opencv",
            "do_sample_frames": False,
        }
        return item.frames, metadata
    return Image.fromarray(item) if item.ndim == 3 else (item, RATE)


def answer(llm: Any, asked: dict[str, Any]) -> dict[str, Any]:
    from vllm import SamplingParams

    params = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True, logprobs=SHOWN)
    output = llm.generate([asked], params, use_tqdm=False)[0]
    said = output.outputs[0]
    return {
        "prompt_ids": list(output.prompt_token_ids),
        "tokens": list(said.token_ids),
        "logprobs": [[[number, entry.logprob] for number, entry in step.items()] for step in said.logprobs],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="float32")
    parser.add_argument("--evs", type=float, default=0.0)
    parser.add_argument("--text-only", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    os.environ.update(
        HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", TORCHDYNAMO_DISABLE="1"
    )
    if options.dtype == "float32":
        os.environ["TRITON_F32_DEFAULT"] = "ieee"  # not tf32
    import torch
    import vllm

    if options.dtype == "float32":
        exact_float32()
    one_configuration()
    began = time.perf_counter()
    llm = engine(options.folder, options.dtype, options.evs, options.text_only)
    result: dict[str, Any] = {
        "vllm": vllm.__version__,
        "torch": torch.__version__,
        "dtype": options.dtype,
        "evs": options.evs,
        "start_s": round(time.perf_counter() - began, 1),
        "cases": {},
    }
    tokenizer, found = llm.get_tokenizer(), media()
    for name in SAMPLED if options.evs else CASES:
        if options.text_only and any(part in found for part in CASES[name].parts):
            continue
        try:
            result["cases"][name] = answer(llm, request(name, tokenizer, found))
        except FAULTS as error:
            result["cases"][name] = {"error": f"{type(error).__name__}: {error}"[:2000]}
        print(name, str(result["cases"][name])[:300], file=sys.stderr, flush=True)
        options.out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
