"""The decode step as a CUDA graph: captured once over fixed buffers, then replayed with one call per token."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.decode import FusedStep, supports
from omni_agent.runtime.model import LanguageModel

WARM_UPS = 2  # steps before the capture: kernels compile, cuBLAS takes its workspace


class DecodeGraph:
    """A step for all slots of a cache, replayed: the fused kernels for one slot, `model.step` for more.

    Capturing forgets what the cache held.
    """

    def __init__(self, model: LanguageModel, cache: Cache, *, fused: bool = True) -> None:
        self.cache = cache
        self.tokens = torch.zeros(cache.slots, dtype=torch.int64, device=model.device)
        fused = fused and cache.slots == 1 and supports(model.config)
        # Kept for its buffers, which the graph writes to without owning them.
        self._run = run = FusedStep(model, cache) if fused else functools.partial(model.step, cache=cache)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream(model.device)
        side.wait_stream(torch.cuda.current_stream(model.device))
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                run(self.tokens)
        torch.cuda.current_stream(model.device).wait_stream(side)
        with torch.inference_mode(), torch.cuda.graph(self.graph):
            self.logits = run(self.tokens)
        for slot in range(cache.slots):
            cache.clear(slot)

    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens [slots] -> logits [slots, vocab] fp32, overwritten by the next call."""
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.logits
