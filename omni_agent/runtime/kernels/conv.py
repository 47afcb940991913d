"""The short causal convolution over many tokens, with SiLU. The same in plain torch: `mamba.causal_conv`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def causal_conv_kernel(
    before,
    inputs,
    weight,
    bias,
    out,
    tokens,
    inputs_row,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    token = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (channel < CHANNELS)[None, :]
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    total += tl.load(bias + channel, mask=channel < CHANNELS, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(0, WIDTH):
        at = token - (WIDTH - 1) + tap
        here = inside & (at >= 0) & (at < tokens)
        x = tl.load(inputs + at.to(tl.int64) * inputs_row + channel[None, :], mask=here, other=0.0).to(tl.float32)
        if tap < WIDTH - 1:
            old = before + (at + WIDTH - 1) * CHANNELS + channel[None, :]
            x += tl.load(old, mask=inside & (at < 0), other=0.0).to(tl.float32)
        x *= tl.load(weight + channel * WIDTH + tap, mask=channel < CHANNELS, other=0.0).to(tl.float32)[None, :]
        total += x
    total *= tl.sigmoid(total)
    place = out + token.to(tl.int64) * CHANNELS + channel[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=inside & (token < tokens))


def causal_conv(before: Tensor, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """before [width - 1, C] contiguous, inputs [T, C] with any row stride, weight [C, 1, width], bias [C] -> [T, C]."""
    tokens, channels = inputs.shape
    assert inputs.stride(1) == 1 and before.is_contiguous()
    out = torch.empty(tokens, channels, device=inputs.device, dtype=inputs.dtype)
    rows, columns = 32, 128
    causal_conv_kernel[(triton.cdiv(tokens, rows), triton.cdiv(channels, columns))](
        before, inputs, weight, bias, out, tokens, inputs.stride(0),
        CHANNELS=channels, WIDTH=weight.shape[2], ROWS=rows, COLUMNS=columns, num_warps=4,
    )  # fmt: skip
    return out
