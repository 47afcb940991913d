"""Causal attention without positions: 32 query heads share 2 key heads in the released model (16:1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import sdpa_kernel

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import TextConfig
from omni_agent.runtime.layers import ANY_LENGTH, Make, fast

WHOLE = 16_384  # tokens of a full prompt chunk: so many queries are worth cuDNN's plans


class Attention:
    """One attention mixer. `qkv` stacks q, k and v so that one product reads the input once."""

    def __init__(self, config: TextConfig, index: int, make: Make) -> None:
        self.config, self.index = config, index  # index: the how-manieth attention block
        self.q_rows = config.num_heads * config.head_dim
        self.kv_rows = config.num_kv_heads * config.head_dim
        self.qkv = make(self.q_rows + 2 * self.kv_rows, config.hidden_size)
        self.o_proj = make(config.hidden_size, self.q_rows)

    def tensors(self) -> dict[str, Tensor]:
        """Checkpoint name -> where it goes."""
        q, k, v = self.qkv.split([self.q_rows, self.kv_rows, self.kv_rows])
        return {"q_proj.weight": q, "k_proj.weight": k, "v_proj.weight": v, "o_proj.weight": self.o_proj}

    def prefill(self, x: Tensor, cache: Cache, slot: int) -> Tensor:
        """x [T, hidden] after the sequence in `slot` -> [T, hidden]; keys and values are stored."""
        q, k, v = self._heads(x)
        start, end = cache.seen[slot], cache.seen[slot] + x.shape[0]
        cache.await_keys(self.index)
        keys, values = cache.keys[self.index, slot], cache.values[self.index, slot]
        keys[:, start:end] = k.transpose(0, 1)
        values[:, start:end] = v.transpose(0, 1)
        return F.linear(attend(q, keys[:, :end], values[:, :end]), self.o_proj)

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """x [slots, hidden], one token a sequence, at position `cache.lengths` -> [slots, hidden]."""
        q, k, v = self._heads(x)
        keys, values = cache.keys[self.index], cache.values[self.index]
        rows = torch.arange(x.shape[0], device=x.device)
        keys[rows, :, cache.lengths] = k
        values[rows, :, cache.lengths] = v
        seen = torch.arange(cache.capacity, device=x.device) <= cache.lengths[:, None]
        out = F.scaled_dot_product_attention(
            q[:, :, None], keys, values, attn_mask=seen[:, None, None], enable_gqa=True
        )
        return F.linear(out.flatten(1), self.o_proj)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        q, k, v = F.linear(x, self.qkv).split([self.q_rows, self.kv_rows, self.kv_rows], dim=-1)
        return tuple(part.unflatten(-1, (-1, self.config.head_dim)) for part in (q, k, v))


def attend(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention of the last T positions: q [T, H, D], keys and values [KV, length, D] -> [T, H * D]."""
    tokens, length = q.shape[0], keys.shape[1]
    if tokens == WHOLE and length % WHOLE == 0 and fast(q):
        from omni_agent.runtime.kernels import attention_prefill
        from omni_agent.runtime.kernels.launch import overlapping

        if overlapping(q):
            return attention_prefill.attend(q, keys, values)
    first = length == tokens
    query, past = q.transpose(0, 1)[None], (keys[None], values[None])
    if fast(q) and not first:
        # What torch.nn.attention.bias.causal_lower_right does here; importing that takes torch's compiler, 4 s.
        out = torch.ops.aten._scaled_dot_product_flash_attention(query, *past, 0.0, True)[0]
    else:
        mask = None if first else q.new_ones(tokens, length, dtype=torch.bool).tril(length - tokens)
        with sdpa_kernel(ANY_LENGTH, set_priority=True):
            out = F.scaled_dot_product_attention(query, *past, attn_mask=mask, is_causal=first, enable_gqa=True)
    return out[0].transpose(0, 1).flatten(1)
