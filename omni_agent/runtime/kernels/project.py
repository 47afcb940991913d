"""Matrix times vector for one token, bound by reading the matrix once: a norm folded in before, or a residual after.

Every program loads its rows of the matrix into registers before it waits for the kernel in front of it (programmatic
dependent launch): weights do not depend on anything, so the memory stays busy across launches. The stream between
blocks is kept twice: fp32 for adding up, and rounded to the weights' dtype for the products.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import overlapping
from omni_agent.runtime.layers import rms_norm

BLOCK = 1024  # columns a pass: 8 a thread at 4 warps, 16 bytes a load
# Rows and warps a program, found by search on an H100 over the whole step.
TILE = {"norm": (4, 4), "add": (4, 8), "head": (4, 8)}


@triton.jit
def load_rows(place, inside, column, K: tl.constexpr, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    """A tile of matrix rows as a tuple of [ROWS, BLOCK] pieces; EVEN: no row lies outside."""
    pieces = ()
    for start in tl.static_range(0, K, BLOCK):
        if EVEN and start + BLOCK <= K:
            piece = tl.load(place + start, eviction_policy="evict_first")
        else:
            piece = tl.load(place + start, mask=inside & (column + start < K), other=0.0, eviction_policy="evict_first")
        pieces = pieces + (piece,)  # type: ignore[assignment]  # noqa: RUF005  Triton cannot unpack
    return pieces


@triton.jit
def load_vector(place, column, K: tl.constexpr, BLOCK: tl.constexpr):
    """A vector as a tuple of [1, BLOCK] pieces."""
    pieces = ()
    for start in tl.static_range(0, K, BLOCK):
        if start + BLOCK <= K:
            piece = tl.load(place + column + start)
        else:
            piece = tl.load(place + column + start, mask=column + start < K, other=0.0)
        pieces = pieces + (piece,)  # type: ignore[assignment]  # noqa: RUF005
    return pieces


@triton.jit
def normed_dots(weights, xs, gains, eps, K: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """rows . (x / rms(x) * gain) for a tile: [ROWS] fp32. The division by the rms is one factor at the end."""
    dots = tl.zeros([ROWS, BLOCK], tl.float32)
    squares = tl.zeros([1, BLOCK], tl.float32)
    for i in tl.static_range(0, len(weights)):
        x = xs[i].to(tl.float32)
        squares += x * x
        dots += weights[i].to(tl.float32) * (x * gains[i].to(tl.float32))
    return tl.sum(dots, axis=1) * tl.rsqrt(tl.sum(squares) / K + eps)


@triton.jit
def norm_project_kernel(
    x,
    gain,
    weight,
    out,
    rows,
    eps,
    K: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    EVEN: tl.constexpr,
    PDL: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)[None, :]
    place = weight + row[:, None] * K + column
    weights = load_rows(place, row[:, None] < rows, column, K, BLOCK, EVEN)
    gains = load_vector(gain, column, K, BLOCK)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    dots = normed_dots(weights, load_vector(x, column, K, BLOCK), gains, eps, K, ROWS, BLOCK)
    if EVEN:
        tl.store(out + row, dots.to(out.dtype.element_ty))
    else:
        tl.store(out + row, dots.to(out.dtype.element_ty), mask=row < rows)


def norm_project(x: Tensor, gain: Tensor, weight: Tensor, out: Tensor, eps: float, *, tile: str = "norm") -> None:
    """out = weight @ rms_norm(x, gain): x, gain [K], weight [R, K] contiguous, out [R] of any float dtype."""
    rows, k = weight.shape
    assert x.shape == gain.shape == (k,) and out.shape == (rows,) and weight.is_contiguous()
    per, warps = TILE[tile]
    norm_project_kernel[(triton.cdiv(rows, per),)](
        x, gain, weight, out, rows, eps,
        K=k, ROWS=per, BLOCK=BLOCK, EVEN=rows % per == 0, PDL=overlapping(x),
        num_warps=warps, launch_pdl=overlapping(x),
    )  # fmt: skip


def norm_project_reference(x: Tensor, gain: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The same in plain torch, fp32."""
    return weight.float() @ rms_norm(x.float(), gain.float(), eps)


@triton.jit
def project_add_kernel(
    x,
    gain,
    squares,
    weight,
    stream,
    rounded,
    rows,
    eps,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    PARTS: tl.constexpr,
    NORM: tl.constexpr,
    ROWS: tl.constexpr,
    EVEN: tl.constexpr,
    PDL: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, GROUP)[None, :]
    weights = load_rows(weight + row[:, None] * K + column, row[:, None] < rows, column, K, GROUP, EVEN)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    before = tl.load(stream + row, mask=row < rows, other=0.0)
    part = tl.arange(0, PARTS)
    dots = tl.zeros([ROWS, GROUP], tl.float32)
    for g in tl.static_range(0, K // GROUP):
        y = tl.load(x + g * GROUP + column).to(tl.float32)
        if NORM:
            total = tl.sum(tl.load(squares + g * PARTS + part))
            y *= tl.load(gain + g * GROUP + column).to(tl.float32) * tl.rsqrt(total / GROUP + eps)
        dots += weights[g].to(tl.float32) * y
    after = before + tl.sum(dots, axis=1)
    tl.store(stream + row, after, mask=row < rows)
    tl.store(rounded + row, after.to(rounded.dtype.element_ty), mask=row < rows)


def project_add(
    x: Tensor,
    weight: Tensor,
    stream: Tensor,
    rounded: Tensor,
    *,
    norm: tuple[Tensor, Tensor, int, float] | None = None,
) -> None:
    """stream += weight @ x, and its rounded copy; with `norm` x is first normalised in groups.

    x [K], weight [R, K] contiguous, stream [R] fp32, rounded [R]. norm: the gain [K], the sums of squares of x in
    equal parts of it [P] fp32, the number of groups, eps. K is a multiple of a power of two that is the group's width.
    """
    rows, k = weight.shape
    assert x.shape == (k,) and stream.shape == rounded.shape == (rows,) and weight.is_contiguous()
    gain, squares, groups, eps = norm or (x, stream, max(1, k // 512), 0.0)
    parts = squares.shape[0] // groups if norm else 1
    assert k % groups == 0 and (norm is None or squares.shape[0] == parts * groups)
    per, warps = TILE["add"]
    project_add_kernel[(triton.cdiv(rows, per),)](
        x, gain, squares, weight, stream, rounded, rows, eps,
        K=k, GROUP=k // groups, PARTS=parts, NORM=norm is not None,
        ROWS=per, EVEN=rows % per == 0, PDL=overlapping(x),
        num_warps=warps, launch_pdl=overlapping(x),
    )  # fmt: skip


def project_add_reference(
    x: Tensor, weight: Tensor, stream: Tensor, *, gain: Tensor | None = None, groups: int = 1, eps: float = 0.0
) -> Tensor:
    """The new stream in plain torch, fp32."""
    y = x.float()
    if gain is not None:
        y = y.unflatten(0, (groups, -1))
        y = (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)).flatten() * gain.float()
    return stream + weight.float() @ y


@triton.jit
def embed_kernel(tokens, table, stream, rounded, K: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr):
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.load(table + tl.load(tokens) * K + column, mask=column < K)
    tl.store(stream + column, row.to(tl.float32), mask=column < K)
    tl.store(rounded + column, row, mask=column < K)


def embed(tokens: Tensor, table: Tensor, stream: Tensor, rounded: Tensor) -> None:
    """stream, rounded = table[tokens[0]]: tokens [1] int64, table [V, K], stream [K] fp32, rounded [K]."""
    k = table.shape[1]
    assert tokens.shape == (1,) and stream.shape == rounded.shape == (k,)
    embed_kernel[(triton.cdiv(k, 512),)](
        tokens,
        table,
        stream,
        rounded,
        K=k,
        BLOCK=512,
        PDL=overlapping(tokens),
        num_warps=4,
        launch_pdl=overlapping(tokens),
    )
