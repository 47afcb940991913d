"""Attention of many patches to each other, for head widths that are no power of two (80 in the vision tower).

A head is cut into a power of two and a rest, 64 and 16, each with products of its own: torch's flash attention pads 80
to 96 and cuDNN's to 128, and cuDNN builds a plan for every new number of patches.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

# Queries and keys a pass, warps, stages: found by search on an H100 with one picture and with 64 tubelets.
TILE = (128, 64, 4, 3)


def pieces(width: int) -> tuple[int, int] | None:
    """A head's width as a power of two and a rest that is one, too, or 0; None where it is no such sum."""
    first = 1 << (width.bit_length() - 1)
    rest = width - first
    return (first, rest) if first >= 16 and (rest == 0 or (rest >= 16 and rest & (rest - 1) == 0)) else None


@triton.jit
def load_pair(place, row, inside, STRIDE: tl.constexpr, FIRST: tl.constexpr, REST: tl.constexpr, EVEN: tl.constexpr):
    """Rows of a head in its two pieces, [ROWS, FIRST] and [ROWS, REST or 16]; EVEN: every row is inside."""
    first, rest = tl.arange(0, FIRST), FIRST + tl.arange(0, REST if REST > 0 else 16)
    at = place + row[:, None].to(tl.int64) * STRIDE
    if EVEN:
        a = tl.load(at + first[None, :])
        b = tl.load(at + rest[None, :]) if REST > 0 else a
    else:
        a = tl.load(at + first[None, :], mask=inside[:, None], other=0.0)
        b = tl.load(at + rest[None, :], mask=inside[:, None], other=0.0) if REST > 0 else a
    return a, b


@triton.jit
def attend_tile(
    q, q_rest, keys, values, row, length, scale, out, out_rest, high, total,
    STRIDE: tl.constexpr, FIRST: tl.constexpr, REST: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """One tile of keys into the running maximum, sum and output (Milakov and Gimelshein 2018, arXiv 1805.02867)."""
    inside = row < length
    k, k_rest = load_pair(keys, row, inside, STRIDE, FIRST, REST, EVEN)
    v, v_rest = load_pair(values, row, inside, STRIDE, FIRST, REST, EVEN)
    score = tl.dot(q, k.T, input_precision="ieee")
    if REST > 0:
        score = tl.dot(q_rest, k_rest.T, score, input_precision="ieee")
    if not EVEN:
        score = tl.where(inside[None, :], score, float("-inf"))
    higher = tl.maximum(high, tl.max(score, axis=1) * scale)
    weight = tl.exp2(score * scale - higher[:, None])
    fade = tl.exp2(high - higher)
    total = total * fade + tl.sum(weight, axis=1)
    weight = weight.to(v.dtype)
    out = tl.dot(weight, v, out * fade[:, None], input_precision="ieee")
    if REST > 0:
        out_rest = tl.dot(weight, v_rest, out_rest * fade[:, None], input_precision="ieee")
    return out, out_rest, higher, total


@triton.jit(do_not_specialize=["length"])
def attention_vision_kernel(
    qkv, attended, length, scale,
    HEADS: tl.constexpr, FIRST: tl.constexpr, REST: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    WIDTH: tl.constexpr = FIRST + REST
    STRIDE: tl.constexpr = 3 * HEADS * WIDTH
    head, start_row = tl.program_id(1), tl.program_id(2).to(tl.int64) * length
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    queries = qkv + start_row * STRIDE + head * WIDTH
    keys = queries + HEADS * WIDTH
    values = keys + HEADS * WIDTH
    q, q_rest = load_pair(queries, row, row < length, STRIDE, FIRST, REST, False)
    out = tl.zeros([ROWS, FIRST], tl.float32)
    out_rest = tl.zeros([ROWS, REST if REST > 0 else 16], tl.float32)
    high = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    whole = length // KEYS * KEYS
    key = tl.arange(0, KEYS)
    for start in range(0, whole, KEYS):
        out, out_rest, high, total = attend_tile(
            q, q_rest, keys, values, start + key, length, scale, out, out_rest, high, total, STRIDE, FIRST, REST, True
        )
    if whole < length:
        out, out_rest, high, total = attend_tile(
            q, q_rest, keys, values, whole + key, length, scale, out, out_rest, high, total, STRIDE, FIRST, REST, False
        )
    place = attended + (start_row + row[:, None]) * (HEADS * WIDTH) + head * WIDTH
    there = (row < length)[:, None]
    tl.store(place + tl.arange(0, FIRST)[None, :], (out / total[:, None]).to(attended.dtype.element_ty), mask=there)
    if REST > 0:
        rest = FIRST + tl.arange(0, REST)[None, :]
        tl.store(place + rest, (out_rest / total[:, None]).to(attended.dtype.element_ty), mask=there)


def attention_vision(qkv: Tensor, heads: int, length: int) -> Tensor:
    """qkv [n * length, 3 * heads * width], q, k and v side by side -> [n * length, heads * width].

    Each of the n sequences attends to itself only; `pieces` must know the width.
    """
    rows, width = qkv.shape[0], qkv.shape[1] // (3 * heads)
    split = pieces(width)
    assert split is not None and qkv.is_contiguous() and rows % length == 0
    out = torch.empty(rows, heads * width, device=qkv.device, dtype=qkv.dtype)
    per, keys, warps, stages = TILE
    attention_vision_kernel[(triton.cdiv(length, per), heads, rows // length)](
        qkv, out, length, math.log2(math.e) / math.sqrt(width),
        HEADS=heads, FIRST=split[0], REST=split[1], ROWS=per, KEYS=keys, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


def attention_vision_reference(qkv: Tensor, heads: int, length: int) -> Tensor:
    """The same in plain torch, fp32."""
    q, k, v = qkv.float().view(-1, length, 3, heads, qkv.shape[1] // (3 * heads)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(qkv.shape[0], -1)
