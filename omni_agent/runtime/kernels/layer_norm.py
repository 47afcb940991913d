"""A residual added and the LayerNorm that follows it in one pass; the same in plain torch: `vision.add_norm`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def add_layer_norm_kernel(hidden, added, weight, bias, out, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    place = tl.program_id(0).to(tl.int64) * WIDTH + column
    total = tl.load(hidden + place, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(added + place, mask=inside, other=0.0).to(tl.float32)
    rounded = total.to(hidden.dtype.element_ty)
    tl.store(hidden + place, rounded, mask=inside)
    value = rounded.to(tl.float32)
    value = tl.where(inside, value - tl.sum(value) / WIDTH, 0.0)
    value *= tl.rsqrt(tl.sum(value * value) / WIDTH + eps)
    value = value * tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


def add_layer_norm(hidden: Tensor, added: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """hidden [T, W] += added [T, W] in place -> its LayerNorm [T, W]; weight, bias [W]; all of one dtype."""
    tokens, width = hidden.shape
    assert added.shape == hidden.shape and hidden.is_contiguous() and added.is_contiguous()
    out = torch.empty_like(hidden)
    add_layer_norm_kernel[(tokens,)](
        hidden, added, weight, bias, out, eps, WIDTH=width, BLOCK=triton.next_power_of_2(width), num_warps=4
    )
    return out
