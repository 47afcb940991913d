"""A prompt's tokens through the routed experts in four launches: the choice, the order, products up and down.

Tokens are not sorted: each takes its number within its expert from a counter while it chooses, so its row among all
assignments, grouped by expert, follows from the counts. Which number a token gets differs from run to run, and what
comes out does not: every row is computed by itself. No count comes back to the host.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from omni_agent.runtime.moe import route

BLOCK = 64  # columns a pass
# Up to so many rows an expert -> rows and columns of a tile, warps, stages; found by search on an H100.
TILES = ((64, (64, 128, 4, 4)), (128, (128, 128, 8, 3)), (1 << 31, (128, 256, 8, 4)))


class Assigned(NamedTuple):
    """Rows of T * k assignments grouped by expert: `sources` [T * k] int32 is the token of each row, `places` [T, k]
    int32 the row of each choice, `weights` [T, k] fp32, `experts` [T, k] int32, `counts` [E] int32."""

    sources: Tensor
    places: Tensor
    weights: Tensor
    experts: Tensor
    counts: Tensor


@triton.jit(do_not_specialize=["tokens"])
def choose_kernel(
    x,
    gate,
    bias,
    counts,
    experts,
    weights,
    ranks,
    tokens,
    scale,
    K: tl.constexpr,
    EXPERTS: tl.constexpr,
    CHOSEN: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = row < tokens
    expert, k = tl.arange(0, EXPERTS), tl.arange(0, BLOCK)
    logits = tl.zeros([ROWS, EXPERTS], tl.float32)
    for start in range(0, K, BLOCK):
        column = start + k
        place = x + row[:, None].to(tl.int64) * K + column[None, :]
        inputs = tl.load(place, mask=there[:, None] & (column < K)[None, :], other=0.0)
        tile = tl.load(gate + expert[None, :] * K + column[:, None], mask=(column < K)[:, None], other=0.0)
        logits = tl.dot(inputs, tile, logits, input_precision="ieee")
    score = tl.sigmoid(logits)
    key = score + tl.load(bias + expert)[None, :]
    total = tl.zeros([ROWS], tl.float32)
    for c in tl.static_range(0, CHOSEN):
        best = tl.argmax(key, axis=1)  # ties to the lower number
        hit = expert[None, :] == best[:, None]
        key = tl.where(hit, float("-inf"), key)
        mine = tl.sum(tl.where(hit, score, 0.0), axis=1)
        total += mine
        at = row * CHOSEN + c
        tl.store(experts + at, best, mask=there)
        tl.store(weights + at, mine, mask=there)
        tl.store(ranks + at, tl.atomic_add(counts + best, 1, mask=there, sem="relaxed"), mask=there)
    tl.debug_barrier()  # the raw scores are read back below
    share = scale / (total + 1e-20)
    for c in tl.static_range(0, CHOSEN):
        at = weights + row * CHOSEN + c
        tl.store(at, tl.load(at, mask=there) * share, mask=there)


@triton.jit(do_not_specialize=["assignments"])
def order_kernel(
    counts, experts, ranks, sources, assignments,
    EXPERTS: tl.constexpr, CHOSEN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    count = tl.load(counts + tl.arange(0, EXPERTS))
    before = tl.cumsum(count, axis=0) - count
    a = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = a < assignments
    which = tl.load(experts + a, mask=there, other=0)
    place = tl.gather(before, which, axis=0) + tl.load(ranks + a, mask=there, other=0)
    tl.store(ranks + a, place, mask=there)
    tl.store(sources + place, a // CHOSEN, mask=there)


def assign(x: Tensor, gate: Tensor, bias: Tensor, chosen: int, scale: float) -> Assigned:
    """Each token's choice as `moe.route` makes it, and where it stands: x [T, K], gate [E, K], bias [E] fp32.

    E is a power of two.
    """
    (tokens, k), count = x.shape, gate.shape[0]
    assert x.is_contiguous() and gate.is_contiguous() and bias.shape == (count,)
    whole = {"device": x.device, "dtype": torch.int32}
    counts = torch.zeros(count, **whole)
    experts, places = torch.empty(tokens, chosen, **whole), torch.empty(tokens, chosen, **whole)
    sources, weights = torch.empty(tokens * chosen, **whole), torch.empty(tokens, chosen, device=x.device)
    rows = 16 if tokens <= 2048 else 32
    choose_kernel[(triton.cdiv(tokens, rows),)](
        x, gate, bias, counts, experts, weights, places, tokens, scale,
        K=k, EXPERTS=count, CHOSEN=chosen, ROWS=rows, BLOCK=64, num_warps=4, num_stages=4,
    )  # fmt: skip
    order_kernel[(triton.cdiv(tokens * chosen, 256),)](
        counts, experts, places, sources, tokens * chosen, EXPERTS=count, CHOSEN=chosen, BLOCK=256, num_warps=4
    )
    return Assigned(sources, places, weights, experts, counts)


@triton.jit
def grouped_tile(
    x, sources, weight, out, first, left, expert, column,
    K: tl.constexpr, N: tl.constexpr, GATHER: tl.constexpr, RELU2: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """ROWS rows from `first`, of which `left` are the expert's, times COLUMNS columns from `column`."""
    EVEN: tl.constexpr = K % BLOCK == 0
    there = tl.arange(0, ROWS) < left
    row = first + tl.arange(0, ROWS)
    n = column + tl.arange(0, COLUMNS)
    source = tl.load(sources + row, mask=there, other=0) if GATHER else row
    k = tl.arange(0, BLOCK)
    inputs_of = x + source[:, None].to(tl.int64) * K + k[None, :]
    tile_of = weight + (expert.to(tl.int64) * N + n)[None, :] * K + k[:, None]
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(0, K, BLOCK):
        if EVEN:
            inputs = tl.load(inputs_of + start, mask=there[:, None], other=0.0)
            tile = tl.load(tile_of + start, mask=(n < N)[None, :], other=0.0)
        else:
            here = start + k < K
            inputs = tl.load(inputs_of + start, mask=there[:, None] & here[None, :], other=0.0)
            tile = tl.load(tile_of + start, mask=(n < N)[None, :] & here[:, None], other=0.0)
        total = tl.dot(inputs, tile, total, input_precision="ieee")
    if RELU2:
        total = tl.maximum(total, 0.0)
        total *= total
    place = out + row[:, None].to(tl.int64) * N + n[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=there[:, None] & (n < N)[None, :])


@triton.jit
def grouped_kernel(
    x, sources, weight, counts, out,
    K: tl.constexpr, N: tl.constexpr, EXPERTS: tl.constexpr, GATHER: tl.constexpr, RELU2: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, NARROW: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    BLOCKS: tl.constexpr = (N + COLUMNS - 1) // COLUMNS
    each = tl.arange(0, EXPERTS)
    count = tl.load(counts + each)
    tiles = (count + ROWS - 1) // ROWS
    ends = tl.cumsum(tiles, axis=0)
    expert = tl.sum((ends * BLOCKS <= program).to(tl.int32))
    if expert < EXPERTS:
        mine = each == expert
        mine_tiles = tl.sum(tl.where(mine, tiles, 0))
        local = program - (tl.sum(tl.where(mine, ends, 0)) - mine_tiles) * BLOCKS
        # Programs of one block of the matrix stand side by side, so that memory is asked for it once.
        inside, block = (local % mine_tiles) * ROWS, local // mine_tiles
        first = tl.sum(tl.where(each < expert, count, 0)) + inside
        left = tl.sum(tl.where(mine, count, 0)) - inside
        column = block * COLUMNS
        if (NARROW < COLUMNS) and (block == BLOCKS - 1):  # the columns that are left over take a smaller tile
            grouped_tile(x, sources, weight, out, first, left, expert, column, K, N, GATHER, RELU2, ROWS, NARROW, BLOCK)
        else:
            grouped_tile(
                x, sources, weight, out, first, left, expert, column, K, N, GATHER, RELU2, ROWS, COLUMNS, BLOCK
            )


def grouped(x: Tensor, weight: Tensor, assigned: Assigned, *, up: bool) -> Tensor:
    """Each assignment's row times its expert's matrix: weight [E, N, K] -> [T * k, N].

    With `up` the rows are gathered from the tokens x [T, K] and relu² follows; without, x is [T * k, K] in the order
    of the assignments.
    """
    count, n, k = weight.shape
    total = assigned.sources.shape[0]
    assert x.shape == (assigned.places.shape[0] if up else total, k) and x.is_contiguous() and weight.is_contiguous()
    out = torch.empty(total, n, device=x.device, dtype=x.dtype)
    rows, columns, warps, stages = next(tile for most, tile in TILES if total <= most * count)
    tiles = min(total, triton.cdiv(total, rows) + count)  # no more than that whatever the counts are
    narrow = min(columns, max(16, triton.next_power_of_2(n % columns or columns)))
    grouped_kernel[(tiles * triton.cdiv(n, columns),)](
        x, assigned.sources, weight, assigned.counts, out,
        K=k, N=n, EXPERTS=count, GATHER=up, RELU2=up,
        ROWS=rows, COLUMNS=columns, NARROW=narrow, BLOCK=BLOCK,
        num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


def experts_many_reference(
    x: Tensor, gate: Tensor, bias: Tensor, up: Tensor, down: Tensor, chosen: int, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The choice [T, k], its weights and each choice's outputs [T, k, K] in plain torch, fp32."""
    experts, weights = route(x, gate, bias, chosen, scale)
    hidden = torch.einsum("tk,tcnk->tcn", x.float(), up[experts].float()).relu().square()
    return experts, weights, torch.einsum("tcn,tckn->tck", hidden, down[experts].float())
