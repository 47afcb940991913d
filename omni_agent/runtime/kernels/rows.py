"""Matrix times a handful of vectors (a decoding batch), bound by reading the matrix once.

The few rows of x fill one tile of the tensor cores. Matrices with few rows are cut along the inner width as well, so
that all processors read; whoever adds the product to the stream adds its parts up, in a fixed order.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import overlapping

MOST = 64  # rows of x
# Rows of the matrix, columns a pass, warps, stages: found by search on an H100 with 8 and 16 rows of x.
WIDE, NARROW = (64, 64, 4, 5), (16, 128, 4, 5)


def tile_rows(rows: int) -> int:
    """Rows of the tile that holds `rows` vectors: the tensor cores take 16 at least."""
    assert 1 <= rows <= MOST
    return max(16, triton.next_power_of_2(rows))


@triton.jit
def rows_kernel(
    x,
    weight,
    out,
    rows,
    n_rows,
    K: tl.constexpr,
    TILE: tl.constexpr,
    N: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    PDL: tl.constexpr,
):
    STEPS: tl.constexpr = (K + BLOCK - 1) // BLOCK
    EACH: tl.constexpr = (STEPS + PARTS - 1) // PARTS
    part = tl.program_id(1)
    s, k = tl.arange(0, TILE), tl.arange(0, BLOCK)
    n = tl.program_id(0) * N + tl.arange(0, N)
    there, inside = (s < rows)[:, None], (n < n_rows)[None, :]
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    total = tl.zeros([TILE, N], tl.float32)
    for step in range(part * EACH, tl.minimum(part * EACH + EACH, STEPS)):
        column = step * BLOCK + k
        inputs = tl.load(x + s[:, None] * K + column[None, :], mask=there & (column < K)[None, :], other=0.0)
        place = weight + n[None, :].to(tl.int64) * K + column[:, None]
        tile = tl.load(place, mask=inside & (column < K)[:, None], other=0.0)
        total = tl.dot(inputs, tile, total, input_precision="ieee")
    place = out + (part * rows + s)[:, None].to(tl.int64) * n_rows + n[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=there & inside)


def project_rows(x: Tensor, weight: Tensor, *, parts: int = 1, dtype: torch.dtype | None = None) -> Tensor:
    """x [S, K] @ weight [N, K]^T -> [parts, S, N], whose sum over the parts is the product.

    S is at most `MOST`. One part has the dtype of x unless `dtype` says otherwise, more are fp32.
    """
    (rows, k), n = x.shape, weight.shape[0]
    assert weight.shape == (n, k) and x.is_contiguous() and weight.is_contiguous()
    per, block, warps, stages = WIDE if n > 1024 else NARROW
    out = torch.empty(parts, rows, n, device=x.device, dtype=dtype or (x.dtype if parts == 1 else torch.float32))
    rows_kernel[(triton.cdiv(n, per), parts)](
        x, weight, out, rows, n,
        K=k, TILE=tile_rows(rows), N=per, BLOCK=block, PARTS=parts, PDL=overlapping(x),
        num_warps=warps, num_stages=stages, launch_pdl=overlapping(x),
    )  # fmt: skip
    return out


def project_rows_reference(x: Tensor, weight: Tensor) -> Tensor:
    """The product [S, N] in plain torch, fp32."""
    return x.float() @ weight.float().T
