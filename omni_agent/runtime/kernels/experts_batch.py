"""A decoding batch through its experts in three launches: the choice, up, down. Every touched expert is read once.

All sequences of the batch fill one tile of the tensor cores, which wait for the memory anyway; so each touched expert
multiplies all of them, and a weight of zero takes out those that did not choose it. Nothing is gathered or scattered.
The shared expert is run as experts of the routed width (two in the released shape) that everybody chose. An expert's
place in the sum is given by its number, and what is added for those that others chose is zero: a sequence gets the same
bits whoever else is in the batch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import overlapping
from omni_agent.runtime.kernels.rows import tile_rows
from omni_agent.runtime.moe import route

# Rows of the matrix, columns a pass, warps, stages: found by search on an H100 with 8 and 16 sequences.
TILE = {"up": (64, 128, 4, 4), "down": (64, 128, 4, 4)}
PARTS = 16  # of the sum over experts: 42 blocks of rows times 16 for the 132 processors of an H100


class Touched:
    """What a batch chose: `experts` [E + S] int32, the shared parts (numbered E and up) first, of which the first
    `count` [1] are valid, and `weights` [rows, E] fp32, zero where not chosen."""

    def __init__(self, rows: int, num_experts: int, shared: int, device: torch.device) -> None:
        self.experts = torch.empty(num_experts + shared, device=device, dtype=torch.int32)
        self.count = torch.empty(1, device=device, dtype=torch.int32)
        self.weights = torch.empty(rows, num_experts, device=device)


@triton.jit
def choose_rows_kernel(
    logits,
    bias,
    experts,
    count,
    weights,
    scale,
    rows,
    EXPERTS: tl.constexpr,
    CHOSEN: tl.constexpr,
    SHARED: tl.constexpr,
    TILE: tl.constexpr,
    PARTS: tl.constexpr,
    PDL: tl.constexpr,
):
    s, expert = tl.arange(0, TILE), tl.arange(0, EXPERTS)
    there = (s < rows)[:, None]
    place = s[:, None] * EXPERTS + expert[None, :]
    offset = tl.load(bias + expert)[None, :]
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    total = tl.zeros([TILE, EXPERTS], tl.float32)
    for part in tl.static_range(0, PARTS):
        total += tl.load(logits + part * rows * EXPERTS + place, mask=there, other=0.0)
    score = tl.sigmoid(total)
    key = score + offset
    chosen = tl.zeros([TILE, EXPERTS], tl.int32)
    for _ in tl.static_range(0, CHOSEN):
        best = tl.argmax(tl.where(chosen > 0, float("-inf"), key), axis=1)  # ties to the lower number
        chosen += (expert[None, :] == best[:, None]).to(tl.int32)
    picked = tl.where((chosen > 0) & there, score, 0.0)
    share = picked / (tl.sum(picked, axis=1)[:, None] + 1e-20) * scale
    tl.store(weights + place, share, mask=there)
    used = tl.max(tl.where(there, chosen, 0), axis=0)
    at = SHARED + tl.cumsum(used, axis=0) - 1
    tl.store(experts + at, expert, mask=used > 0)
    shared = tl.arange(0, EXPERTS)
    tl.store(experts + shared, EXPERTS + shared, mask=shared < SHARED)
    tl.store(count, SHARED + tl.sum(used))


def choose_rows(logits: Tensor, bias: Tensor, touched: Touched, chosen: int, scale: float) -> None:
    """Fill `touched`: logits [parts, S, E] fp32, of which the sum over the parts counts, bias [E] fp32."""
    parts, rows, experts = logits.shape
    shared = touched.experts.shape[0] - experts
    assert touched.weights.shape == (rows, experts) and bias.shape == (experts,) and logits.is_contiguous()
    choose_rows_kernel[(1,)](
        logits, bias, touched.experts, touched.count, touched.weights, scale, rows,
        EXPERTS=experts, CHOSEN=chosen, SHARED=shared, TILE=tile_rows(rows), PARTS=parts, PDL=overlapping(logits),
        num_warps=8, launch_pdl=overlapping(logits),
    )  # fmt: skip


@triton.jit
def up_rows_kernel(
    x,
    up,
    experts,
    count,
    weights,
    hidden,
    rows,
    K: tl.constexpr,
    WIDTH: tl.constexpr,
    EXPERTS: tl.constexpr,
    TILE: tl.constexpr,
    N: tl.constexpr,
    BLOCK: tl.constexpr,
    PDL: tl.constexpr,
):
    BLOCKS: tl.constexpr = (WIDTH + N - 1) // N
    which = tl.program_id(0) // BLOCKS
    n = tl.program_id(0) % BLOCKS * N + tl.arange(0, N)
    s, k = tl.arange(0, TILE), tl.arange(0, BLOCK)
    there, inside = s < rows, n < WIDTH
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    if which < tl.load(count):
        expert = tl.load(experts + which)
        source = up + (expert.to(tl.int64) * WIDTH + n)[:, None] * K + k[None, :]
        total = tl.zeros([N, TILE], tl.float32)
        for start in range(0, K, BLOCK):
            column = start + k
            tile = tl.load(source + start, mask=inside[:, None] & (column < K)[None, :], other=0.0)
            place = x + s[None, :] * K + column[:, None]
            inputs = tl.load(place, mask=there[None, :] & (column < K)[:, None], other=0.0)
            total = tl.dot(tile, inputs, total, input_precision="ieee")
        weight = tl.load(weights + s * EXPERTS + expert, mask=there & (expert < EXPERTS), other=0.0)
        weight = tl.where(expert < EXPERTS, weight, 1.0)
        total = tl.maximum(total, 0.0)
        total *= total * weight[None, :]
        place = hidden + (which * TILE + s)[None, :] * WIDTH + n[:, None]
        tl.store(place, total.to(hidden.dtype.element_ty), mask=inside[:, None])


def up_rows(x: Tensor, up: Tensor, touched: Touched, width: int, most: int) -> Tensor:
    """hidden [E + S, tile, width]: for each touched expert relu(up @ x)² times its weight, rows beyond x's zero.

    x [S, K], up [(E + S) * width, K] with the shared expert's rows behind the routed ones'; at most `most` routed
    experts can be touched.
    """
    (rows, k), experts = x.shape, touched.weights.shape[1]
    listed, tile = touched.experts.shape[0], tile_rows(rows)
    assert up.shape == (listed * width, k) and up.is_contiguous() and x.is_contiguous()
    per, block, warps, stages = TILE["up"]
    hidden = torch.empty(listed, tile, width, device=x.device, dtype=x.dtype)
    up_rows_kernel[((min(most, experts) + listed - experts) * triton.cdiv(width, per),)](
        x, up, touched.experts, touched.count, touched.weights, hidden, rows,
        K=k, WIDTH=width, EXPERTS=experts, TILE=tile, N=per, BLOCK=block, PDL=overlapping(x),
        num_warps=warps, num_stages=stages, launch_pdl=overlapping(x),
    )  # fmt: skip
    return hidden


@triton.jit
def down_rows_kernel(
    hidden,
    down,
    experts,
    count,
    out,
    rows,
    K: tl.constexpr,
    WIDTH: tl.constexpr,
    EXPERTS: tl.constexpr,
    SHARED: tl.constexpr,
    TILE: tl.constexpr,
    N: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    PDL: tl.constexpr,
):
    part = tl.program_id(1)
    n = tl.program_id(0) * N + tl.arange(0, N)
    s, w = tl.arange(0, TILE), tl.arange(0, BLOCK)
    inside = (n < K)[None, :]
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    total = tl.zeros([TILE, N], tl.float32)
    for which in range(0, tl.load(count)):
        expert = tl.load(experts + which).to(tl.int64)
        if expert % PARTS == part:
            routed = expert < EXPERTS
            first = tl.where(routed, expert * (K * WIDTH), EXPERTS * (K * WIDTH) + (expert - EXPERTS) * WIDTH)
            source = down + first + n[None, :] * tl.where(routed, WIDTH, SHARED * WIDTH) + w[:, None]
            inputs_of = hidden + (which * TILE + s)[:, None] * WIDTH + w[None, :]
            for start in range(0, WIDTH, BLOCK):
                here = start + w < WIDTH
                tile = tl.load(source + start, mask=here[:, None] & inside, other=0.0)
                inputs = tl.load(inputs_of + start, mask=here[None, :], other=0.0)
                total = tl.dot(inputs, tile, total, input_precision="ieee")
    place = out + (part * rows + s)[:, None] * K + n[None, :]
    tl.store(place, total, mask=(s < rows)[:, None] & inside)


def down_rows(hidden: Tensor, down: Tensor, touched: Touched, k: int) -> Tensor:
    """[parts, S, K] fp32, whose sum over the parts is the sum over the touched experts of down @ hidden.

    hidden as `up_rows` gives it; down: flat, the routed experts [E, K, width] and behind them the shared one
    [K, S * width].
    """
    (rows, experts), (listed, tile, width) = touched.weights.shape, hidden.shape
    shared = listed - experts
    assert down.shape == (listed * k * width,) and down.is_contiguous()
    per, block, warps, stages = TILE["down"]
    out = torch.empty(PARTS, rows, k, device=hidden.device)
    down_rows_kernel[(triton.cdiv(k, per), PARTS)](
        hidden, down, touched.experts, touched.count, out, rows,
        K=k, WIDTH=width, EXPERTS=experts, SHARED=shared, TILE=tile, N=per, BLOCK=block, PARTS=PARTS,
        PDL=overlapping(hidden), num_warps=warps, num_stages=stages, launch_pdl=overlapping(hidden),
    )  # fmt: skip
    return out


def experts_batch_reference(
    x: Tensor, gate: Tensor, bias: Tensor, up: Tensor, down: Tensor, width: int, chosen: int, scale: float
) -> Tensor:
    """What the batch x [S, K] adds to the stream, [S, K], in plain torch, fp32; gate [E, K], the rest as above."""
    experts, k = gate.shape
    which, weights = route(x, gate, bias, chosen, scale)
    routed_down, shared_down = down[: experts * k * width].view(experts, k, width), down[experts * k * width :]
    y, matrices = x.float(), up.view(-1, width, k)
    total = (y @ up[experts * width :].float().T).relu().square() @ shared_down.view(k, -1).float().T
    for row in range(x.shape[0]):
        for expert, weight in zip(which[row].tolist(), weights[row], strict=True):
            inside = (matrices[expert].float() @ y[row]).relu().square()
            total[row] += weight * (routed_down[expert].float() @ inside)
    return total
