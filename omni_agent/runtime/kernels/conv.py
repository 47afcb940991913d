"""The short causal convolution over many tokens, with SiLU, in one launch with the ring of older inputs.

The same in plain torch: `mamba.causal_conv` with `Cache.conv_window` before and `Cache.store_conv` after it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, COLUMNS = 32, 128


@triton.jit(do_not_specialize=["tokens", "seen"])
def causal_conv_kernel(
    ring,
    inputs,
    weight,
    bias,
    out,
    tokens,
    seen,
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
            old = ring + ((seen + at + WIDTH) % WIDTH) * CHANNELS + channel[None, :]
            x += tl.load(old, mask=inside & (at < 0), other=0.0).to(tl.float32)
        x *= tl.load(weight + channel * WIDTH + tap, mask=channel < CHANNELS, other=0.0).to(tl.float32)[None, :]
        total += x
    total *= tl.sigmoid(total)
    place = out + token.to(tl.int64) * CHANNELS + channel[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=inside & (token < tokens))
    if tl.program_id(0) == 0:  # the only one that reads the ring writes it
        tl.debug_barrier()
        for back in tl.static_range(1, WIDTH):
            last = tokens - back
            kept = (channel < CHANNELS) & (last >= 0)
            newest = tl.load(inputs + last.to(tl.int64) * inputs_row + channel, mask=kept)
            tl.store(ring + ((seen + last + WIDTH) % WIDTH) * CHANNELS + channel, newest, mask=kept)


def causal_conv(ring: Tensor, seen: int, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SiLU of the convolution over inputs [T, C] after `seen` earlier ones -> [T, C]; the ring moves on.

    ring [width, C] contiguous (row t % width holds the input of position t), inputs with any row stride,
    weight [C, 1, width], bias [C]. Before the beginning the ring holds zeros.
    """
    tokens, channels = inputs.shape
    width = ring.shape[0]
    assert inputs.stride(1) == 1 and ring.is_contiguous() and ring.shape[1] == channels and width <= ROWS
    assert weight.shape == (channels, 1, width)
    out = torch.empty(tokens, channels, device=inputs.device, dtype=inputs.dtype)
    causal_conv_kernel[(triton.cdiv(tokens, ROWS), triton.cdiv(channels, COLUMNS))](
        ring, inputs, weight, bias, out, tokens, seen, inputs.stride(0),
        CHANNELS=channels, WIDTH=width, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=4,
    )  # fmt: skip
    return out
