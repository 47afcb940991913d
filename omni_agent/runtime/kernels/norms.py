"""Norms over many tokens, one pass over memory each. The same in plain torch: `layers.rms_norm`, `add_norm` and
`gated_group_norm`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import overlapping


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


@triton.jit(do_not_specialize=["tokens"])
def add_norm_kernel(
    stream, added, weight, out, tokens, eps,
    WIDTH: tl.constexpr, PARTS: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    gain = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    row = tl.program_id(0).to(tl.int64) * WIDTH
    value = tl.load(stream + row + column, mask=inside, other=0.0)
    for part in tl.static_range(0, PARTS):
        place = added + part * tokens.to(tl.int64) * WIDTH + row + column
        value += tl.load(place, mask=inside, other=0.0).to(tl.float32)
    tl.store(stream + row + column, value, mask=inside)
    value *= tl.rsqrt(tl.sum(value * value) / WIDTH + eps) * gain
    tl.store(out + row + column, value.to(out.dtype.element_ty), mask=inside)


def add_norm(stream: Tensor, added: Tensor, weight: Tensor, eps: float) -> Tensor:
    """stream [T, W] fp32 += the sum of added [parts, T, W] over its parts -> rms_norm of the new stream [T, W]."""
    parts, tokens, width = added.shape
    assert stream.shape == (tokens, width) and stream.is_contiguous() and added.is_contiguous()
    assert stream.dtype == torch.float32
    out = torch.empty(stream.shape, device=stream.device, dtype=weight.dtype)
    add_norm_kernel[(tokens,)](
        stream, added, weight, out, tokens, eps,
        WIDTH=width, PARTS=parts, BLOCK=triton.next_power_of_2(width), PDL=overlapping(stream),
        num_warps=8, launch_pdl=overlapping(stream),
    )  # fmt: skip
    return out


@triton.jit
def gated_group_norm_kernel(
    y, gate, weight, out, gate_row, eps,
    GROUPS: tl.constexpr, GROUP: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    group, column = tl.arange(0, GROUPS)[:, None], tl.arange(0, BLOCK)[None, :]
    inside = column < GROUP
    place = group * GROUP + column
    gain = tl.load(weight + place, mask=inside, other=0.0).to(tl.float32)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    row = tl.program_id(0).to(tl.int64)
    z = tl.load(gate + row * gate_row + place, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(y + row * (GROUPS * GROUP) + place, mask=inside, other=0.0).to(tl.float32) * z * tl.sigmoid(z)
    value *= tl.rsqrt(tl.sum(value * value, axis=1, keep_dims=True) / GROUP + eps) * gain
    tl.store(out + row * (GROUPS * GROUP) + place, value.to(out.dtype.element_ty), mask=inside)


def gated_group_norm(y: Tensor, gate: Tensor, weight: Tensor, groups: int, eps: float) -> Tensor:
    """y [T, W] contiguous, gate [T, W] with any row stride, weight [W], `groups` a power of two -> [T, W]."""
    tokens, width = y.shape
    assert y.is_contiguous() and gate.shape == y.shape and gate.stride(1) == 1
    out = torch.empty(y.shape, device=y.device, dtype=weight.dtype)
    gated_group_norm_kernel[(tokens,)](
        y, gate, weight, out, gate.stride(0), eps,
        GROUPS=groups, GROUP=width // groups, BLOCK=triton.next_power_of_2(width // groups), PDL=overlapping(y),
        num_warps=8, launch_pdl=overlapping(y),
    )  # fmt: skip
    return out
