"""The decode step as a CUDA graph: captured once over fixed buffers, then replayed with one call per token."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.decode import FusedStep, supports
from omni_agent.runtime.decode_batch import BatchStep
from omni_agent.runtime.kernels.rows import MOST
from omni_agent.runtime.model import LanguageModel

WARM_UPS = 2  # steps before the capture: kernels compile, cuBLAS takes its workspace


def stepper(model: LanguageModel, cache: Cache) -> FusedStep | BatchStep:
    """The step out of our kernels for as many sequences as the cache has slots."""
    return FusedStep(model, cache) if cache.slots == 1 else BatchStep(model, cache)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without garbage collection: a graph or memory of another model that is freed meanwhile spoils a capture."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class DecodeGraph:
    """A step for all slots of a cache, replayed: our kernels where they serve the shape, else `model.step`.

    Capturing forgets what the cache held.
    """

    def __init__(self, model: LanguageModel, cache: Cache, *, fused: bool = True) -> None:
        self.cache = cache
        self.tokens = torch.zeros(cache.slots, dtype=torch.int64, device=model.device)
        fused = fused and cache.slots <= MOST and supports(model.config)
        # Kept for its buffers, which the graph writes to without owning them.
        self._run = run = stepper(model, cache) if fused else lambda tokens: model.step(tokens, cache)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream(model.device)
        side.wait_stream(torch.cuda.current_stream(model.device))
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                run(self.tokens)
        torch.cuda.current_stream(model.device).wait_stream(side)
        # "thread_local": other threads, which keep or load states, may go on with the card.
        capture = torch.cuda.graph(self.graph, capture_error_mode="thread_local")
        with undisturbed(), torch.inference_mode(), capture:
            self.logits = run(self.tokens)
        for slot in range(cache.slots):
            cache.clear(slot)

    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens [slots] -> logits [slots, vocab] fp32, overwritten by the next call."""
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.logits
