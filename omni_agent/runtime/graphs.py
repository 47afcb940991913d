"""The decode step as a CUDA graph: captured once over fixed buffers, then replayed with one call per token."""

from __future__ import annotations

import torch
from torch import Tensor

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.model import LanguageModel

WARM_UPS = 2  # steps before the capture: kernels compile, cuBLAS takes its workspace


class DecodeGraph:
    """`model.step` for all slots of a cache, replayed. Capturing forgets what the cache held."""

    def __init__(self, model: LanguageModel, cache: Cache) -> None:
        self.cache = cache
        self.tokens = torch.zeros(cache.slots, dtype=torch.int64, device=model.device)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream(model.device)
        side.wait_stream(torch.cuda.current_stream(model.device))
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                model.step(self.tokens, cache)
        torch.cuda.current_stream(model.device).wait_stream(side)
        with torch.inference_mode(), torch.cuda.graph(self.graph):
            self.logits = model.step(self.tokens, cache)
        for slot in range(cache.slots):
            cache.clear(slot)

    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens [slots] -> logits [slots, vocab] fp32, overwritten by the next call."""
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.logits
