"""The language model: residual blocks after the pattern string, each one mixer behind one norm, and a head.

The stream between the blocks is fp32; mixers compute in the checkpoint's dtype. Prompts go through in chunks whose
boundaries depend on the position alone, so memory is bounded and a prompt in pieces equals the prompt whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from omni_agent.errors import EngineError
from omni_agent.runtime.attention import WHOLE, Attention
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import ATTENTION, MAMBA, MOE, TextConfig
from omni_agent.runtime.layers import Make, add_norm, rms_norm
from omni_agent.runtime.mamba import Mamba
from omni_agent.runtime.moe import MoE

PREFILL_CHUNK = WHOLE  # tokens; about 1.8 GB of activations in bf16 at the released widths


@dataclass(slots=True)
class Block:
    """x + mixer(norm(x))."""

    norm: Tensor
    mixer: Attention | Mamba | MoE


class LanguageModel:
    """All blocks, embedding and head, on one device.

    Weights are uninitialised until something fills `tensors()`; on the device "meta" they cost nothing and still have
    their shapes.
    """

    def __init__(self, config: TextConfig, device: torch.device | str, dtype: torch.dtype = torch.bfloat16) -> None:
        self.config, self.device, self.dtype = config, torch.device(device), dtype
        self.embeddings = self._make(config.vocab_size, config.hidden_size)
        self.blocks = [Block(self._make(config.hidden_size), mixer) for mixer in _mixers(config, self._make)]
        self.norm_f = self._make(config.hidden_size)
        self.head = self._make(config.vocab_size, config.hidden_size)

    def _make(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, device=self.device, dtype=dtype or self.dtype)

    def tensors(self) -> dict[str, Tensor]:
        """Every checkpoint tensor's name (without a leading `language_model.`) and where its values go."""
        named = {
            "backbone.embeddings.weight": self.embeddings,
            "backbone.norm_f.weight": self.norm_f,
            "lm_head.weight": self.head,
        }
        for number, block in enumerate(self.blocks):
            named[f"backbone.layers.{number}.norm.weight"] = block.norm
            for name, tensor in block.mixer.tensors().items():
                named[f"backbone.layers.{number}.mixer.{name}"] = tensor
        return named

    def new_cache(self, slots: int, capacity: int) -> Cache:
        return Cache(self.config, slots, capacity, self.device, self.dtype)

    def embed(self, ids: Tensor) -> Tensor:
        """ids [T] -> [T, hidden]. Raises EngineError for an id outside the vocabulary (the video placeholder is)."""
        self.require_known(ids)
        return self.lookup(ids)

    def require_known(self, ids: Tensor) -> None:
        """Raise EngineError for an id outside the vocabulary. The host waits for the device."""
        low, high = torch.stack(ids.aminmax()).tolist()
        if low < 0 or high >= self.config.vocab_size:
            wrong = low if low < 0 else high
            raise EngineError(f"token id {wrong} is outside the vocabulary of {self.config.vocab_size}")

    def lookup(self, ids: Tensor) -> Tensor:
        """`embed` for ids that are known; the host does not wait."""
        return F.embedding(ids, self.embeddings)

    @torch.inference_mode()
    def prefill(self, embedded: Tensor, cache: Cache, slot: int = 0, *, chunk: int = PREFILL_CHUNK) -> Tensor:
        """Continue the sequence in `slot` by T tokens: embedded [T, hidden] -> logits [vocab] fp32 of the last.

        Raises EngineError when the sequence would outgrow the cache.
        """
        tokens = embedded.shape[0]
        if tokens == 0 or cache.seen[slot] + tokens > cache.capacity:
            raise EngineError(f"{cache.seen[slot]} + {tokens} tokens do not fit a context of {cache.capacity}")
        done = 0
        while done < tokens:
            size = min(tokens - done, chunk - cache.seen[slot] % chunk)
            x = self._chunk(embedded[done : done + size], cache, slot)
            cache.advance(slot, size)
            done += size
        return F.linear(x[-1], self.head).float()

    def _chunk(self, embedded: Tensor, cache: Cache, slot: int) -> Tensor:
        """Through all blocks and the last norm."""
        stream, eps = embedded.to(torch.float32, copy=True), self.config.norm_eps
        x = rms_norm(stream, self.blocks[0].norm, eps)
        for block, norm in zip(self.blocks, self.next_norms(), strict=True):
            x = add_norm(stream, block.mixer.prefill(x, cache, slot), norm, eps)
        return x

    def next_norms(self) -> list[Tensor]:
        """The norm that follows each block: the next block's, at the end the last one."""
        return [block.norm for block in self.blocks[1:]] + [self.norm_f]

    @torch.inference_mode()
    def step(self, tokens: Tensor, cache: Cache) -> Tensor:
        """One token more for every slot: tokens [slots] -> logits [slots, vocab] fp32.

        Reads and moves `cache.lengths` on the device only, so that it can be captured; whoever replays it keeps
        `cache.seen` in step and below the capacity.
        """
        stream, eps = F.embedding(tokens, self.embeddings).float(), self.config.norm_eps
        x = rms_norm(stream, self.blocks[0].norm, eps)
        for block, norm in zip(self.blocks, self.next_norms(), strict=True):
            x = add_norm(stream, block.mixer.step(x, cache), norm, eps)
        cache.lengths += 1
        return F.linear(x, self.head).float()


def _mixers(config: TextConfig, make: Make) -> list[Attention | Mamba | MoE]:
    mixers: list[Attention | Mamba | MoE] = []
    seen = {MAMBA: 0, MOE: 0, ATTENTION: 0}
    for letter in config.pattern:
        if letter == MAMBA:
            mixers.append(Mamba(config, seen[letter], make))
        elif letter == ATTENTION:
            mixers.append(Attention(config, seen[letter], make))
        elif letter == MOE:
            mixers.append(MoE(config, make))
        else:
            raise AssertionError(f"config let the block letter {letter!r} pass")
        seen[letter] += 1
    return mixers
