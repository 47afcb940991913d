"""One query token of each sequence against a long past: the keys are split among many programs, and a second launch
joins their parts.

The number of programs is fixed, so that the launch can be captured; how much each takes follows the length on the
device. Query heads that share a key head are one tile, and read its keys once.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from omni_agent.runtime.kernels.launch import overlapping

SPLITS = 64  # a key head; two key heads then make 128 programs for the 132 processors of an H100
BLOCK = 32  # keys a pass


@triton.jit
def share(length, SPLITS: tl.constexpr, BLOCK: tl.constexpr):
    """How many keys a program takes: whole blocks."""
    return tl.cdiv(tl.cdiv(length, SPLITS), BLOCK) * BLOCK


@triton.jit
def attention_kernel(
    qkv,
    keys,
    values,
    position,
    part_out,
    part_max,
    part_sum,
    scale,
    capacity,
    KV: tl.constexpr,
    HEADS: tl.constexpr,
    TILE: tl.constexpr,
    D: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    PDL: tl.constexpr,
):
    head, split, slot = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    qkv += slot * ((KV * HEADS + 2 * KV) * D)
    now = tl.load(position + slot)
    per = share(now + 1, SPLITS, BLOCK)
    begin = split * per
    end = tl.minimum(begin + per, now + 1)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    if begin <= now:
        q_head = tl.arange(0, TILE)
        d = tl.arange(0, D)
        q = tl.load(qkv + (head * HEADS + q_head)[:, None] * D + d[None, :], mask=(q_head < HEADS)[:, None], other=0.0)
        new_key = tl.load(qkv + (KV * HEADS + head) * D + d)
        new_value = tl.load(qkv + (KV * HEADS + KV + head) * D + d)
        keys += (slot * KV + head).to(tl.int64) * capacity * D
        values += (slot * KV + head).to(tl.int64) * capacity * D
        if end == now + 1:
            tl.store(keys + now * D + d, new_key)
            tl.store(values + now * D + d, new_value)
        high = tl.full([TILE], float("-inf"), tl.float32)
        total = tl.zeros([TILE], tl.float32)
        out = tl.zeros([TILE, D], tl.float32)
        for start in range(begin, end, BLOCK):
            n = start + tl.arange(0, BLOCK)
            old = n < now  # the newest key is still on its way to the cache
            key = tl.load(keys + n[None, :] * D + d[:, None], mask=old[None, :], other=0.0)
            key = tl.where((n == now)[None, :], new_key[:, None], key)
            value = tl.load(values + n[:, None] * D + d[None, :], mask=old[:, None], other=0.0)
            value = tl.where((n == now)[:, None], new_value[None, :], value)
            score = tl.dot(q, key, input_precision="ieee") * scale
            score = tl.where((n < end)[None, :], score, float("-inf"))
            higher = tl.maximum(high, tl.max(score, axis=1))
            weight = tl.exp2(score - higher[:, None])
            fade = tl.exp2(high - higher)
            total = total * fade + tl.sum(weight, axis=1)
            out = out * fade[:, None] + tl.dot(weight.to(value.dtype), value, input_precision="ieee")
            high = higher
        part = ((slot * KV + head) * HEADS + q_head) * SPLITS + split
        inside = q_head < HEADS
        tl.store(part_max + part, high, mask=inside)
        tl.store(part_sum + part, total, mask=inside)
        tl.store(part_out + part[:, None] * D + d[None, :], out, mask=inside[:, None])


@triton.jit
def join_kernel(
    part_out,
    part_max,
    part_sum,
    position,
    out,
    D: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    PDL: tl.constexpr,
):
    head = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)  # of all sequences
    length = tl.load(position + tl.program_id(1)) + 1
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    split = tl.arange(0, SPLITS)
    d = tl.arange(0, D)
    used = split * share(length, SPLITS, BLOCK) < length
    part = head * SPLITS + split
    high = tl.load(part_max + part, mask=used, other=float("-inf"))
    weight = tl.exp2(high - tl.max(high))
    total = tl.sum(weight * tl.load(part_sum + part, mask=used, other=0.0))
    values = tl.load(part_out + part[:, None] * D + d[None, :], mask=used[:, None], other=0.0)
    joined = tl.sum(values * weight[:, None], axis=0) / total
    tl.store(out + head * D + d, joined.to(out.dtype.element_ty))


class Workspace:
    """Where the parts lie between the two launches; one serves every block, they run one after another."""

    def __init__(self, slots: int, heads: int, head_dim: int, device: torch.device) -> None:
        self.out = torch.empty(slots, heads, SPLITS, head_dim, device=device)
        self.max = torch.empty(slots, heads, SPLITS, device=device)
        self.sum = torch.empty(slots, heads, SPLITS, device=device)


def attention(
    qkv: Tensor,
    keys: Tensor,
    values: Tensor,
    lengths: Tensor,
    work: Workspace,
    out: Tensor,
) -> None:
    """out = causal attention of the tokens at positions `lengths`; their keys and values go to the cache.

    qkv [S, (H + 2 * KV) * D], keys and values [S, KV, capacity, D] contiguous, lengths [S] int64, out [S, H * D].
    """
    slots, kv, capacity, d = keys.shape
    heads = out.shape[1] // d
    assert qkv.shape == (slots, (heads + 2 * kv) * d) and lengths.shape == (slots,) and out.shape[0] == slots
    assert all(part.is_contiguous() for part in (qkv, keys, values, out))
    attention_kernel[(kv, SPLITS, slots)](
        qkv, keys, values, lengths, work.out, work.max, work.sum,
        math.log2(math.e) / math.sqrt(d), capacity,
        KV=kv, HEADS=heads // kv, TILE=max(16, triton.next_power_of_2(heads // kv)), D=d,
        SPLITS=SPLITS, BLOCK=BLOCK, PDL=overlapping(qkv),
        num_warps=4, launch_pdl=overlapping(qkv),
    )  # fmt: skip
    join_kernel[(heads, slots)](
        work.out, work.max, work.sum, lengths, out,
        D=d, SPLITS=SPLITS, BLOCK=BLOCK, PDL=overlapping(qkv), num_warps=4, launch_pdl=overlapping(qkv),
    )  # fmt: skip


def attention_reference(qkv: Tensor, keys: Tensor, values: Tensor, position: int) -> tuple[Tensor, Tensor, Tensor]:
    """out [H * D], keys and values with the token's own in plain torch, fp32."""
    kv, _, d = keys.shape
    heads = qkv.shape[0] // d - 2 * kv
    q, k, v = qkv.view(-1, d).split([heads, kv, kv])
    keys, values = keys.clone(), values.clone()
    keys[:, position], values[:, position] = k, v
    past = slice(0, position + 1)
    out = F.scaled_dot_product_attention(
        q.float()[None, :, None], keys[None, :, past].float(), values[None, :, past].float(), enable_gqa=True
    )
    return out.flatten(), keys, values
