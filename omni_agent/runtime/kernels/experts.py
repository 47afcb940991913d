"""One token through its experts in three launches: routing, gather-and-multiply up, gather-and-multiply down.

The shared expert is run as experts of the routed width (two in the released shape), so that one launch has them all.
Slots count the shared parts first: their weights need no routing and are loaded while the router still works. The
router's last program to finish makes the choice, which saves a launch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import THREADS, fetch_ahead, fetch_chunk, overlapping
from omni_agent.runtime.kernels.project import load_rows, load_vector, normed_dots
from omni_agent.runtime.layers import rms_norm
from omni_agent.runtime.moe import route

BLOCK = 1024
# Rows and warps a program, found by search on an H100 over the whole step; "route" keeps 4 warps (THREADS).
TILE = {"route": (1, 4), "up": (4, 4), "down": (2, 8)}


@triton.jit
def route_kernel(
    x,
    gain,
    gate,
    bias,
    logits,
    finished,
    chosen_experts,
    chosen_weights,
    ahead,
    ahead_each,
    ahead_total,
    eps,
    scale,
    K: tl.constexpr,
    EXPERTS: tl.constexpr,
    CHOSEN: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    FETCH: tl.constexpr,
    THREADS: tl.constexpr,
    PDL: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)[None, :]
    weights = load_rows(gate + row[:, None] * K + column, True, column, K, BLOCK, True)
    gains = load_vector(gain, column, K, BLOCK)
    if FETCH:
        fetch_ahead(ahead, ahead_each, ahead_total, tl.program_id(0), THREADS)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    tl.store(logits + row, normed_dots(weights, load_vector(x, column, K, BLOCK), gains, eps, K, ROWS, BLOCK))
    tl.debug_barrier()  # all of the program's logits are written before it counts as finished
    if tl.atomic_add(finished, 1, sem="acq_rel") == EXPERTS // ROWS - 1:
        tl.store(finished, 0)
        expert = tl.arange(0, EXPERTS)
        # Past the first-level cache, which may hold another layer's.
        score = tl.sigmoid(tl.load(logits + expert, cache_modifier=".cg"))
        key = score + tl.load(bias + expert)
        other, mine = key[None, :], key[:, None]
        better = (other > mine) | ((other == mine) & (expert[None, :] < expert[:, None]))
        place = tl.sum(better.to(tl.int32), axis=1)  # 0 is best, ties to the lower number
        picked = place < CHOSEN
        total = tl.sum(tl.where(picked, score, 0.0)) + 1e-20
        tl.store(chosen_experts + place, expert, mask=picked)
        tl.store(chosen_weights + place, score / total * scale, mask=picked)


@triton.jit
def experts_up_kernel(
    x,
    gain,
    chosen_experts,
    chosen_weights,
    up,
    hidden,
    eps,
    K: tl.constexpr,
    WIDTH: tl.constexpr,
    EXPERTS: tl.constexpr,
    SHARED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PDL: tl.constexpr,
):
    blocks: tl.constexpr = WIDTH // ROWS
    slot = tl.program_id(0) // blocks
    row = (tl.program_id(0) % blocks) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)[None, :]
    offset = row[:, None] * K + column
    gains = load_vector(gain, column, K, BLOCK)
    if slot < SHARED:
        weights = load_rows(up + (EXPERTS + slot) * (WIDTH * K) + offset, True, column, K, BLOCK, True)
        if PDL:
            gdc_wait()
            gdc_launch_dependents()  # not before: the kernel behind reads the choice early
        value = normed_dots(weights, load_vector(x, column, K, BLOCK), gains, eps, K, ROWS, BLOCK)
        value = tl.maximum(value, 0.0)
        tl.store(hidden + slot * WIDTH + row, (value * value).to(hidden.dtype.element_ty))
    else:
        if PDL:
            gdc_wait()
            gdc_launch_dependents()
        expert = tl.load(chosen_experts + slot - SHARED).to(tl.int64)
        weights = load_rows(up + expert * (WIDTH * K) + offset, True, column, K, BLOCK, True)
        weight = tl.load(chosen_weights + slot - SHARED)
        value = normed_dots(weights, load_vector(x, column, K, BLOCK), gains, eps, K, ROWS, BLOCK)
        value = tl.maximum(value, 0.0)
        tl.store(hidden + slot * WIDTH + row, (value * value * weight).to(hidden.dtype.element_ty))


@triton.jit
def experts_down_kernel(
    hidden,
    chosen_experts,
    down,
    stream,
    rounded,
    K: tl.constexpr,
    WIDTH: tl.constexpr,
    EXPERTS: tl.constexpr,
    CHOSEN: tl.constexpr,
    SHARED: tl.constexpr,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PDL: tl.constexpr,
):
    slot = tl.arange(0, SLOTS)
    shared, used = slot < SHARED, slot < CHOSEN + SHARED
    # Before the wait: the choice is complete, since the kernel in front let this one start only after its own wait for
    # the router. Past the first-level cache, which may hold another layer's.
    routed = used & (slot >= SHARED)
    expert = tl.load(chosen_experts + slot - SHARED, mask=routed, other=0, cache_modifier=".cg").to(tl.int64)
    first = tl.where(shared, EXPERTS * (K * WIDTH) + slot * WIDTH, expert * (K * WIDTH))
    stride = tl.where(shared, SHARED * WIDTH, WIDTH)
    column = tl.arange(0, BLOCK)[None, :]
    rows = ()
    for r in tl.static_range(0, ROWS):
        start = first + (tl.program_id(0) * ROWS + r) * stride
        piece = load_rows(down + start[:, None] + column, used[:, None], column, WIDTH, BLOCK, SLOTS == CHOSEN + SHARED)
        rows = rows + (piece,)  # type: ignore[assignment]  # noqa: RUF005
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    values = load_rows(
        hidden + slot[:, None] * WIDTH + column, used[:, None], column, WIDTH, BLOCK, SLOTS == CHOSEN + SHARED
    )
    for r in tl.static_range(0, ROWS):
        dots = tl.zeros([SLOTS, BLOCK], tl.float32)
        for i in tl.static_range(0, len(values)):
            dots += rows[r][i].to(tl.float32) * values[i].to(tl.float32)
        row = tl.program_id(0) * ROWS + r
        after = tl.load(stream + row) + tl.sum(dots)
        tl.store(stream + row, after)
        tl.store(rounded + row, after.to(rounded.dtype.element_ty))


class Choice:
    """The router's result on the device: `experts` [chosen] int32 and `weights` [chosen] fp32, best first."""

    def __init__(self, num_experts: int, chosen: int, device: torch.device) -> None:
        self.logits = torch.empty(num_experts, device=device)
        self.finished = torch.zeros(1, device=device, dtype=torch.int32)
        self.experts = torch.empty(chosen, device=device, dtype=torch.int32)
        self.weights = torch.empty(chosen, device=device)


def choose(
    x: Tensor,
    gain: Tensor,
    gate: Tensor,
    bias: Tensor,
    choice: Choice,
    scale: float,
    eps: float,
    ahead: Tensor | None = None,
) -> None:
    """Fill `choice` for the token x: x, gain [K], gate [E, K], bias [E] fp32, E a power of two.

    ahead: a matrix that the next kernel reads.
    """
    experts, k = gate.shape
    rows, warps = TILE["route"]
    assert x.shape == gain.shape == (k,) and bias.shape == (experts,) and gate.is_contiguous()
    each = fetch_chunk(ahead, experts // rows)
    ahead = gate if ahead is None else ahead
    route_kernel[(experts // rows,)](
        x, gain, gate, bias, choice.logits, choice.finished, choice.experts, choice.weights,
        ahead, each, ahead.nbytes, eps, scale,
        K=k, EXPERTS=experts, CHOSEN=choice.experts.shape[0], ROWS=rows, BLOCK=BLOCK,
        FETCH=each > 0, THREADS=THREADS, PDL=overlapping(x),
        num_warps=warps, launch_pdl=overlapping(x),
    )  # fmt: skip


def experts_up(x: Tensor, gain: Tensor, choice: Choice, up: Tensor, hidden: Tensor, eps: float) -> None:
    """hidden[slot] = relu(up[expert of slot] @ rms_norm(x))², the routed ones times their weight.

    x, gain [K], up [(E + S) * W, K] with the shared expert's rows behind the routed ones', hidden [S + chosen, W].
    Must directly follow `choose`, and `experts_down` must directly follow it.
    """
    experts, chosen, (slots, width), k = choice.logits.shape[0], choice.experts.shape[0], hidden.shape, x.shape[0]
    shared = slots - chosen
    rows, warps = TILE["up"]
    assert up.shape == ((experts + shared) * width, k) and up.is_contiguous() and width % rows == 0
    experts_up_kernel[(slots * width // rows,)](
        x, gain, choice.experts, choice.weights, up, hidden, eps,
        K=k, WIDTH=width, EXPERTS=experts, SHARED=shared, ROWS=rows, BLOCK=BLOCK, PDL=overlapping(x),
        num_warps=warps, launch_pdl=overlapping(x),
    )  # fmt: skip


def experts_down(hidden: Tensor, choice: Choice, down: Tensor, stream: Tensor, rounded: Tensor) -> None:
    """stream += sum over slots of down[expert of slot] @ hidden[slot], and its rounded copy.

    down: flat, the routed experts [E, K, W] and behind them the shared expert [K, S * W]; stream [K] fp32, rounded [K].
    """
    experts, chosen, (slots, width), k = choice.logits.shape[0], choice.experts.shape[0], hidden.shape, stream.shape[0]
    shared = slots - chosen
    rows, warps = TILE["down"]
    assert down.shape == ((experts + shared) * k * width,) and down.is_contiguous() and k % rows == 0
    experts_down_kernel[(k // rows,)](
        hidden, choice.experts, down, stream, rounded,
        K=k, WIDTH=width, EXPERTS=experts, CHOSEN=chosen, SHARED=shared, SLOTS=triton.next_power_of_2(slots),
        ROWS=rows, BLOCK=BLOCK, PDL=overlapping(hidden),
        num_warps=warps, launch_pdl=overlapping(hidden),
    )  # fmt: skip


def experts_reference(
    x: Tensor,
    gain: Tensor,
    gate: Tensor,
    bias: Tensor,
    up: Tensor,
    down: Tensor,
    width: int,
    chosen: int,
    scale: float,
    eps: float,
) -> Tensor:
    """What both launches add to the stream [K], in plain torch, fp32; arguments as above, gate [E, K]."""
    count, k = gate.shape
    y = rms_norm(x.float(), gain.float(), eps)
    which, weights = route(y[None], gate, bias, chosen, scale)
    routed_down, shared_down = down[: count * k * width].view(count, k, width), down[count * k * width :].view(k, -1)
    total = shared_down.float() @ (up[count * width :].float() @ y).relu().square()
    for expert, weight in zip(which[0].tolist(), weights[0], strict=True):
        inside = (up[expert * width : (expert + 1) * width].float() @ y).relu().square()
        total += weight * (routed_down[expert].float() @ inside)
    return total
