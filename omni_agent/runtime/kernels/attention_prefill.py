"""Causal attention of a whole prompt chunk against a long past, by cuDNN, in parts that are joined in one pass.

cuDNN is the fastest attention that torch has on Hopper (670 TFLOP/s on an H100 where flash attention has 350), but it
builds a plan for every new shape, 0.07 s each, and has no causal mask for fewer queries than keys. So the past is cut
into blocks of one, two, four ... chunks: a handful of shapes for prompts of any length.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

ROWS = 32


@triton.jit
def join_parts_kernel(
    outs, sums, joined, tokens, out_token, out_head,
    HEADS: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    token = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = token < tokens
    d = tl.arange(0, D)
    high = tl.full([ROWS], float("-inf"), tl.float32)
    for part in tl.static_range(0, len(sums)):
        high = tl.maximum(high, tl.load(sums[part] + head * tokens + token, mask=there, other=0.0))
    total = tl.zeros([ROWS], tl.float32)
    out = tl.zeros([ROWS, D], tl.float32)
    place = token[:, None].to(tl.int64) * out_token + head * out_head + d[None, :]
    for part in tl.static_range(0, len(sums)):
        weight = tl.exp(tl.load(sums[part] + head * tokens + token, mask=there, other=0.0) - high)
        total += weight
        out += tl.load(outs[part] + place, mask=there[:, None], other=0.0).to(tl.float32) * weight[:, None]
    out /= total[:, None]
    place = token[:, None].to(tl.int64) * (HEADS * D) + head * D + d[None, :]
    tl.store(joined + place, out.to(joined.dtype.element_ty), mask=there[:, None])


def join_parts(outs: list[Tensor], sums: list[Tensor]) -> Tensor:
    """Attention over keys in parts -> over all of them, [T, H * D].

    outs: each part's [H, T, D], all of the same strides; sums: the logarithms of its sums of exponentials [H, T] fp32.
    """
    heads, tokens, d = outs[0].shape
    assert all(out.stride() == outs[0].stride() and out.stride(2) == 1 for out in outs)
    assert all(part.is_contiguous() and part.shape == (heads, tokens) for part in sums)
    joined = torch.empty(tokens, heads * d, device=outs[0].device, dtype=outs[0].dtype)
    join_parts_kernel[(triton.cdiv(tokens, ROWS), heads)](
        tuple(outs), tuple(sums), joined, tokens, outs[0].stride(1), outs[0].stride(0),
        HEADS=heads, D=d, ROWS=ROWS, num_warps=4,
    )  # fmt: skip
    return joined


def attend(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """q [T, H, D], the last T of the keys' positions; keys and values [KV, n * T, D] -> [T, H * D]. Half precision."""
    tokens, total = q.shape[0], keys.shape[1]
    assert total % tokens == 0
    parts, begin = [_cudnn(q, keys[:, total - tokens :], values[:, total - tokens :], causal=True)], 0
    while begin < total - tokens:
        end = begin + tokens * (1 << ((total - tokens - begin) // tokens).bit_length() - 1)
        parts.append(_cudnn(q, keys[:, begin:end], values[:, begin:end], causal=False))
        begin = end
    if len(parts) == 1:
        return parts[0][0].transpose(0, 1).flatten(1)
    return join_parts([out for out, _ in parts], [sums for _, sums in parts])


def _cudnn(q: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    attention: Any = torch.ops.aten._scaled_dot_product_cudnn_attention
    out, sums = attention(q.transpose(0, 1)[None], keys[None], values[None], None, True, 0.0, causal, False)[:2]
    return out[0], sums.reshape(sums.shape[1:3])


def attend_reference(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The same in plain torch, fp32."""
    mask = q.new_ones(q.shape[0], keys.shape[1], dtype=torch.bool).tril(keys.shape[1] - q.shape[0])
    q, keys, values = q.float().transpose(0, 1)[None], keys.float()[None], values.float()[None]
    out = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=True)
    return out[0].transpose(0, 1).flatten(1)


def join_parts_reference(outs: list[Tensor], sums: list[Tensor]) -> Tensor:
    """`join_parts` in plain torch, fp32."""
    weights = torch.stack(sums).softmax(0)[..., None]
    return (torch.stack(outs).float() * weights).sum(0).transpose(0, 1).flatten(1)
