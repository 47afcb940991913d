"""The routed experts for a handful of tokens (a decoding batch): one program an expert and block of its rows.

Bound by reading the touched experts once. A program finds the tokens that chose its expert, at most one tile of them,
and leaves at once when nobody did.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST = 16  # tokens: the narrowest tile of the tensor cores


@triton.jit
def few_kernel(
    x,
    experts,
    weight,
    out,
    ASSIGNED: tl.constexpr,
    PADDED: tl.constexpr,
    SHARE: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    RELU2: tl.constexpr,
    MOST: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    expert = tl.program_id(1)
    a = tl.arange(0, PADDED)
    mine = tl.load(experts + a, mask=a < ASSIGNED, other=-1) == expert
    count = tl.sum(mine.to(tl.int32))
    if count > 0:
        m = tl.arange(0, MOST)
        order = tl.cumsum(mine.to(tl.int32), axis=0) - 1
        which = tl.sum(tl.where(mine[None, :] & (order[None, :] == m[:, None]), a[None, :], 0), axis=1)
        there = (m < count)[:, None]
        row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        k = tl.arange(0, BLOCK)
        source = x + (which // SHARE)[:, None] * K + k[None, :]
        matrix = weight + expert.to(tl.int64) * (N * K) + row[None, :] * K + k[:, None]
        total = tl.zeros([MOST, ROWS], tl.float32)
        for start in range(0, K, BLOCK):
            inputs = tl.load(source + start, mask=there & (start + k < K)[None, :], other=0.0)
            tile = tl.load(matrix + start, mask=(start + k < K)[:, None] & (row < N)[None, :], other=0.0)
            total += tl.dot(inputs, tile, input_precision="ieee")
        if RELU2:
            total = tl.maximum(total, 0.0)
            total *= total
        place = out + which[:, None] * N + row[None, :]
        tl.store(place, total.to(out.dtype.element_ty), mask=there & (row < N)[None, :])


def few(x: Tensor, experts: Tensor, weight: Tensor, *, shared_rows: bool) -> Tensor:
    """Every assignment's product: out[t * k + c] = weight[experts[t, c]] @ its input.

    experts [T, k] with T of at most `MOST`, weight [E, N, K]. With `shared_rows` the k assignments of a token read one
    row of x [T, K] and relu² follows; without, x is [T * k, K]. -> [T * k, N].
    """
    tokens, chosen = experts.shape
    count, n, k = weight.shape
    assert tokens <= MOST and weight.is_contiguous() and x.is_contiguous() and experts.is_contiguous()
    assert x.shape == (tokens if shared_rows else tokens * chosen, k)
    out = torch.empty(tokens * chosen, n, device=x.device, dtype=x.dtype)
    rows = 64
    few_kernel[(triton.cdiv(n, rows), count)](
        x, experts, weight, out,
        ASSIGNED=tokens * chosen, PADDED=triton.next_power_of_2(tokens * chosen), SHARE=chosen if shared_rows else 1,
        K=k, N=n, RELU2=shared_rows, MOST=MOST, ROWS=rows, BLOCK=64, num_warps=4, num_stages=5,
    )  # fmt: skip
    return out


def few_reference(x: Tensor, experts: Tensor, weight: Tensor, *, shared_rows: bool) -> Tensor:
    """The same in plain torch, fp32."""
    inputs = x.float().repeat_interleave(experts.shape[1], 0) if shared_rows else x.float()
    out = torch.einsum("ak,ank->an", inputs, weight[experts.flatten()].float())
    return out.relu().square() if shared_rows else out
