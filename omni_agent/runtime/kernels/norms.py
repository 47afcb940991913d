"""Norms over many tokens, one pass over memory each. The same in plain torch: `layers.rms_norm`, `gated_group_norm`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def rms_norm_kernel(x, weight, out, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    row = tl.program_id(0).to(tl.int64) * WIDTH
    value = tl.load(x + row + column, mask=inside, other=0.0).to(tl.float32)
    value *= tl.rsqrt(tl.sum(value * value) / WIDTH + eps)
    value *= tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row + column, value.to(out.dtype.element_ty), mask=inside)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x [T, W] contiguous, weight [W] -> [T, W] in the dtype of `weight`."""
    tokens, width = x.shape
    assert x.is_contiguous()
    out = torch.empty(x.shape, device=x.device, dtype=weight.dtype)
    rms_norm_kernel[(tokens,)](x, weight, out, eps, WIDTH=width, BLOCK=triton.next_power_of_2(width), num_warps=8)
    return out


@triton.jit
def gated_group_norm_kernel(
    y, gate, weight, out, gate_row, eps, GROUPS: tl.constexpr, GROUP: tl.constexpr, BLOCK: tl.constexpr
):
    group, column = tl.arange(0, GROUPS)[:, None], tl.arange(0, BLOCK)[None, :]
    inside = column < GROUP
    place = group * GROUP + column
    row = tl.program_id(0).to(tl.int64)
    z = tl.load(gate + row * gate_row + place, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(y + row * (GROUPS * GROUP) + place, mask=inside, other=0.0).to(tl.float32) * z * tl.sigmoid(z)
    value *= tl.rsqrt(tl.sum(value * value, axis=1, keep_dims=True) / GROUP + eps)
    value *= tl.load(weight + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * (GROUPS * GROUP) + place, value.to(out.dtype.element_ty), mask=inside)


def gated_group_norm(y: Tensor, gate: Tensor, weight: Tensor, groups: int, eps: float) -> Tensor:
    """y [T, W] contiguous, gate [T, W] with any row stride, weight [W], `groups` a power of two -> [T, W]."""
    tokens, width = y.shape
    assert y.is_contiguous() and gate.shape == y.shape and gate.stride(1) == 1
    out = torch.empty(y.shape, device=y.device, dtype=weight.dtype)
    gated_group_norm_kernel[(tokens,)](
        y, gate, weight, out, gate.stride(0), eps,
        GROUPS=groups, GROUP=width // groups, BLOCK=triton.next_power_of_2(width // groups), num_warps=8,
    )  # fmt: skip
    return out
