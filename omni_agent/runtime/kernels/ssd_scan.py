"""The state space over many tokens in four launches. The same in plain torch, with the formulas: `mamba.chunk_scan`.

Time steps and their decays; what each chunk adds to the state; the states at the chunks' beginnings, one after the
other; the outputs.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MANY = 16  # chunks from which a program takes a whole group's heads: fewer would leave the card idle
OUTPUT = (64, 4, 2)  # rows, warps and stages of the outputs' tiles


@triton.jit(do_not_specialize=["tokens", "row"])
def decay_kernel(
    raw, bias, a_log, dt, total, tokens, raw_row, row, HEADS: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr
):
    """softplus of the raw time steps, zero past the end (a padded token lets nothing decay), and the running logs."""
    token = (tl.program_id(0) * Q + tl.arange(0, Q))[:, None].to(tl.int64)
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = head < HEADS
    inside = (token < tokens) & here[None, :]
    value = tl.load(raw + token * raw_row + head[None, :], mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + head, mask=here, other=0.0)[None, :]
    value = tl.where(value > 20.0, value, tl.log(1.0 + tl.exp(value)))
    value = tl.where(inside, value, 0.0)
    rate = -tl.exp(tl.load(a_log + head, mask=here, other=0.0))
    place = head[None, :] * row + token
    tl.store(dt + place, value, mask=here[None, :])
    tl.store(total + place, tl.cumsum(value * rate[None, :], axis=0), mask=here[None, :])


@triton.jit(do_not_specialize=["tokens", "row"])
def chunk_state_kernel(
    x, b, dt, total, added, tokens, row, x_row, b_row,
    HEADS: tl.constexpr, P: tl.constexpr, N: tl.constexpr, PER_GROUP: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    chunk, head = tl.program_id(0), tl.program_id(1)
    j, p, n = tl.arange(0, Q), tl.arange(0, P), tl.arange(0, N)
    token = (chunk * Q + j).to(tl.int64)
    inside = token < tokens
    sums = tl.load(total + head * row + token)
    last = tl.load(total + head * row + chunk * Q + Q - 1)
    scale = tl.exp(last - sums) * tl.load(dt + head * row + token)
    xt = tl.load(x + token[None, :] * x_row + head * P + p[:, None], mask=inside[None, :], other=0.0)
    bt = tl.load(b + token[:, None] * b_row + (head // PER_GROUP) * N + n[None, :], mask=inside[:, None], other=0.0)
    out = tl.dot((xt.to(tl.float32) * scale[None, :]).to(bt.dtype), bt, input_precision="ieee")
    tl.store(added + (chunk * HEADS + head).to(tl.int64) * (P * N) + p[:, None] * N + n[None, :], out)


@triton.jit(do_not_specialize=["chunks", "row"])
def pass_state_kernel(
    added, total, state, states, chunks, row,
    HEADS: tl.constexpr, SIZE: tl.constexpr, Q: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(0)
    place = head.to(tl.int64) * SIZE + tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(state + place)
    at = place
    for chunk in range(0, chunks):
        tl.store(states + at, value.to(states.dtype.element_ty))
        last = tl.load(total + head * row + chunk * Q + Q - 1)
        value = value * tl.exp(last) + tl.load(added + at)
        at += HEADS * SIZE
    tl.store(state + place, value)


@triton.jit(do_not_specialize=["tokens", "row"])
def chunk_output_kernel(
    x, b, c, dt, total, skip, states, out, tokens, row, x_row, b_row,
    HEADS: tl.constexpr, P: tl.constexpr, N: tl.constexpr, PER_GROUP: tl.constexpr, Q: tl.constexpr,
    ROWS: tl.constexpr, EACH: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """ROWS tokens of a chunk for EACH heads of one group, which share the products of B and C."""
    chunk, first, block = tl.program_id(0), tl.program_id(1) * EACH, tl.program_id(2)
    p, n, q = tl.arange(0, P), tl.arange(0, N), tl.arange(0, Q)
    i = (chunk * Q + block * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    j = (chunk * Q + q).to(tl.int64)
    inside, there = i < tokens, j < tokens
    group = (first // PER_GROUP) * N
    ci = tl.load(c + i[:, None] * b_row + group + n[None, :], mask=inside[:, None], other=0.0)
    bt = tl.load(b + j[None, :] * b_row + group + n[:, None], mask=there[None, :], other=0.0)
    scores = tl.dot(ci, bt, input_precision="ieee")
    scores = tl.where(i[:, None] >= j[None, :], scores, 0.0)
    for one in tl.range(0, EACH, num_stages=STAGES):
        head = first + one
        state = tl.load(states + (chunk * HEADS + head).to(tl.int64) * (P * N) + p[None, :] * N + n[:, None])
        xj = tl.load(x + j[:, None] * x_row + head * P + p[None, :], mask=there[:, None], other=0.0)
        sums = tl.load(total + head * row + i)
        # Above the diagonal, where the score is zero, the decay would grow without bound.
        decay = tl.exp(tl.minimum(sums[:, None] - tl.load(total + head * row + j)[None, :], 0.0))
        weight = scores * decay * tl.load(dt + head * row + j)[None, :]
        y = tl.dot(ci, state.to(ci.dtype), input_precision="ieee") * tl.exp(sums)[:, None]
        y = tl.dot(weight.to(xj.dtype), xj, y, input_precision="ieee")
        xi = tl.load(x + i[:, None] * x_row + head * P + p[None, :], mask=inside[:, None], other=0.0)
        y += xi.to(tl.float32) * tl.load(skip + head)
        place = out + i[:, None] * (HEADS * P) + head * P + p[None, :]
        tl.store(place, y.to(out.dtype.element_ty), mask=inside[:, None])


def chunk_scan(
    x: Tensor,
    dt: Tensor,
    dt_bias: Tensor,
    a_log: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    state: Tensor,
    chunk: int,
) -> Tensor:
    """y [T, H, P] of `mamba.chunk_scan` for the raw time steps dt [T, H], their bias and A's logarithm [H] fp32.

    `state` moves on in place. x, b, c and dt may be parts of one wider tensor. Head width, state size and chunk are
    powers of two of 16 or more.
    """
    tokens, heads, width = x.shape
    groups, size = b.shape[1:]
    assert x.stride(1) == width and b.stride(1) == c.stride(1) == size and b.stride(0) == c.stride(0)
    assert state.is_contiguous() and dt.stride(1) == 1
    chunks = triton.cdiv(tokens, chunk)
    row = chunks * chunk
    steps, total = (torch.empty(heads, row, device=x.device) for _ in range(2))
    added = torch.empty(chunks, heads, width, size, device=x.device)
    states = torch.empty(chunks, heads, width, size, device=x.device, dtype=x.dtype)
    out = torch.empty(tokens, heads, width, device=x.device, dtype=x.dtype)
    decay_kernel[(chunks, triton.cdiv(heads, 16))](
        dt, dt_bias, a_log, steps, total, tokens, dt.stride(0), row, HEADS=heads, BLOCK=16, Q=chunk, num_warps=4
    )
    shape = {"HEADS": heads, "P": width, "N": size, "PER_GROUP": heads // groups, "Q": chunk}
    rows = (tokens, row, x.stride(0), b.stride(0))
    chunk_state_kernel[(chunks, heads)](x, b, steps, total, added, *rows, **shape, num_warps=4)
    block = min(2048, width * size)
    pass_state_kernel[(heads, width * size // block)](
        added, total, state, states, chunks, row, HEADS=heads, SIZE=width * size, Q=chunk, BLOCK=block, num_warps=4
    )
    each = heads // groups if chunks >= MANY else 1
    part, warps, stages = min(OUTPUT[0], chunk), *OUTPUT[1:]
    chunk_output_kernel[(chunks, heads // each, chunk // part)](
        x, b, c, steps, total, d, states, out, *rows, **shape, ROWS=part, EACH=each, STAGES=stages, num_warps=warps
    )
    return out
