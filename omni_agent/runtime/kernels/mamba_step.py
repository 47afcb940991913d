"""One token of each sequence through a Mamba block's inside, in one launch: convolution, state update, output, gate.

A program holds a few rows of one head's state. The convolution's inputs are a ring (row t % width holds position t), so
that the programs which share B and C read the old rows while one of them writes the new one.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import overlapping

ROWS = 32  # state rows a program: 128 programs of 16 kB state in the released shape


@triton.jit
def conv_before(ring, weight, bias, channel, position, CHANNELS: tl.constexpr, WIDTH: tl.constexpr):
    """What the older inputs and the bias give the convolution of these channels."""
    total = tl.load(bias + channel).to(tl.float32)
    for back in tl.static_range(0, WIDTH - 1):
        row = (position + 1 + back) % WIDTH
        old = tl.load(ring + row * CHANNELS + channel).to(tl.float32)
        total += old * tl.load(weight + channel * WIDTH + back).to(tl.float32)
    return total


@triton.jit
def conv_now(total, now, last):
    """With the newest input added, and SiLU."""
    total += now.to(tl.float32) * last.to(tl.float32)
    return total * tl.sigmoid(total)


@triton.jit
def mamba_step_kernel(
    projected,
    ring,
    state,
    length,
    conv_weight,
    conv_bias,
    a_log,
    skip,
    dt_bias,
    out,
    squares,
    HEADS: tl.constexpr,
    P: tl.constexpr,
    N: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    GATED: tl.constexpr,
    PDL: tl.constexpr,
):
    INNER: tl.constexpr = HEADS * P
    CHANNELS: tl.constexpr = INNER + 2 * GROUPS * N
    head, part, slot = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    projected += slot * (INNER + CHANNELS + HEADS)
    ring += slot * (WIDTH * CHANNELS)
    state += slot.to(tl.int64) * (INNER * N)
    out += slot * INNER
    group = head // (HEADS // GROUPS)
    position = tl.load(length + slot)
    row = head * P + part * ROWS + tl.arange(0, ROWS)  # of the inner width
    n = tl.arange(0, N)
    b_channel = INNER + group * N + n
    c_channel = b_channel + GROUPS * N
    place = state + row[:, None] * N + n[None, :]
    old = tl.load(place)
    x = conv_before(ring, conv_weight, conv_bias, row, position, CHANNELS, WIDTH)
    b = conv_before(ring, conv_weight, conv_bias, b_channel, position, CHANNELS, WIDTH)
    c = conv_before(ring, conv_weight, conv_bias, c_channel, position, CHANNELS, WIDTH)
    x_last = tl.load(conv_weight + row * WIDTH + WIDTH - 1)
    b_last = tl.load(conv_weight + b_channel * WIDTH + WIDTH - 1)
    c_last = tl.load(conv_weight + c_channel * WIDTH + WIDTH - 1)
    rate = -tl.exp(tl.load(a_log + head))
    d, bias = tl.load(skip + head), tl.load(dt_bias + head)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    inputs = projected + INNER
    x_now, b_now, c_now = tl.load(inputs + row), tl.load(inputs + b_channel), tl.load(inputs + c_channel)
    dt = tl.load(inputs + CHANNELS + head).to(tl.float32) + bias
    dt = tl.where(dt > 20.0, dt, tl.log(1.0 + tl.exp(dt)))
    newest = ring + (position % WIDTH) * CHANNELS
    tl.store(newest + row, x_now)
    if (head % (HEADS // GROUPS) == 0) & (part == 0):
        tl.store(newest + b_channel, b_now)
        tl.store(newest + c_channel, c_now)
    x, b, c = conv_now(x, x_now, x_last), conv_now(b, b_now, b_last), conv_now(c, c_now, c_last)
    new = old * tl.exp(dt * rate) + (dt * x)[:, None] * b[None, :]
    tl.store(place, new)
    y = tl.sum(new * c[None, :], axis=1) + d * x
    if GATED:
        gate = tl.load(projected + row).to(tl.float32)
        y *= gate * tl.sigmoid(gate)
        tl.store(squares + (slot * HEADS + head) * (P // ROWS) + part, tl.sum(y * y))
    tl.store(out + row, y.to(out.dtype.element_ty))


def mamba_step(
    projected: Tensor,
    ring: Tensor,
    state: Tensor,
    lengths: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    a_log: Tensor,
    d: Tensor,
    dt_bias: Tensor,
    out: Tensor,
    squares: Tensor | None,
    groups: int,
) -> None:
    """out = y, and with `squares` y * silu(z), not yet normalised; ring and state move on.

    projected [S, z | x B C | dt], ring [S, width, channels], state [S, H, P, N] fp32, lengths [S] int64 (the tokens'
    positions), conv_weight [channels, 1, width], conv_bias [channels], a_log, d, dt_bias [H] fp32, out [S, H * P],
    squares [S, H * P / rows] fp32: sums of squares of out, in order, see `square_parts`.
    """
    slots, heads, width, size = state.shape
    rows = min(ROWS, width)
    inner, channels = heads * width, heads * width + 2 * groups * size
    assert projected.shape == (slots, inner + channels + heads) and out.shape == (slots, inner)
    assert ring.shape[0] == slots and ring.shape[2] == channels and lengths.shape == (slots,)
    assert squares is None or squares.shape == (slots, square_parts(heads, width))
    assert all(part.is_contiguous() for part in (projected, ring, state, out))
    mamba_step_kernel[(heads, width // rows, slots)](
        projected, ring, state, lengths, conv_weight, conv_bias, a_log, d, dt_bias, out,
        out if squares is None else squares,
        HEADS=heads, P=width, N=size, GROUPS=groups, WIDTH=ring.shape[1], ROWS=rows, GATED=squares is not None,
        PDL=overlapping(projected), num_warps=4, launch_pdl=overlapping(projected),
    )  # fmt: skip


def square_parts(heads: int, width: int) -> int:
    """How many sums of squares `mamba_step` leaves."""
    return heads * (width // min(ROWS, width))


def mamba_step_reference(
    projected: Tensor,
    ring: Tensor,
    state: Tensor,
    position: int,
    conv_weight: Tensor,
    conv_bias: Tensor,
    a_log: Tensor,
    d: Tensor,
    dt_bias: Tensor,
    groups: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """out, ring and state after the token in plain torch, fp32."""
    heads, p, n = state.shape
    width, inner = ring.shape[0], heads * p
    z, now, dt = projected.float().split([inner, ring.shape[1], heads])
    ring = ring.clone()
    ring[position % width] = now.to(ring.dtype)
    order = [(position + 1 + back) % width for back in range(width)]
    mixed = F.silu((ring[order].float() * conv_weight[:, 0].float().T).sum(0) + conv_bias.float())
    x, b, c = mixed.split([inner, groups * n, groups * n])
    b, c = (v.view(groups, n).repeat_interleave(heads // groups, 0) for v in (b, c))
    x, dt = x.view(heads, p), F.softplus(dt + dt_bias)
    state = state * torch.exp(-a_log.exp() * dt)[:, None, None] + (dt[:, None] * x)[..., None] * b[:, None]
    y = (state * c[:, None]).sum(-1) + d[:, None] * x
    return y.flatten() * F.silu(z), ring, state
