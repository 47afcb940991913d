"""Top-p sampling of one token a row on the device, without sorting the vocabulary.

A token is drawn from all that are still allowed; it is kept if those strictly likelier hold less than `top_p`, which
says that it lies in the nucleus. If not, neither does any token that is no likelier, so the next draw is from the
likelier ones only. What is kept is exactly distributed as the nucleus is. Two rounds are rare, more than `DRAWS`
unheard of (each about halves what lies outside); the likeliest token then stands in.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

DRAWS = 32  # uniform numbers a token
BLOCK = 8192


@triton.jit
def sample_kernel(logits, uniform, out, sharpness, top_p, vocab, DRAWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    logits += row.to(tl.int64) * vocab
    lane = tl.arange(0, BLOCK)
    high = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(0, vocab, BLOCK):
        high = tl.maximum(high, tl.load(logits + start + lane, mask=start + lane < vocab, other=float("-inf")))
    top = tl.max(high)
    pivot, draw, found = -1.0, 0, -1
    while (found < 0) & (draw < DRAWS):
        # The mass still allowed, then the block and the token where a uniform part of it is reached.
        mass = tl.zeros([BLOCK], tl.float32)
        everything = tl.zeros([BLOCK], tl.float32)
        for start in range(0, vocab, BLOCK):
            value = tl.load(logits + start + lane, mask=start + lane < vocab, other=float("-inf"))
            weight = tl.exp((value - top) * sharpness)
            everything += weight
            mass += tl.where(weight > pivot, weight, 0.0)
        goal = tl.sum(mass) * tl.load(uniform + row * DRAWS + draw)
        before, passed, at = 0.0, 0.0, 0
        for start in range(0, vocab, BLOCK):
            value = tl.load(logits + start + lane, mask=start + lane < vocab, other=float("-inf"))
            weight = tl.exp((value - top) * sharpness)
            here = tl.sum(tl.where(weight > pivot, weight, 0.0))
            take = (here > 0.0) & (passed <= goal)
            at = tl.where(take, start, at)
            before = tl.where(take, passed, before)
            passed += here
        value = tl.load(logits + at + lane, mask=at + lane < vocab, other=float("-inf"))
        weight = tl.exp((value - top) * sharpness)
        allowed = (weight > pivot) & (weight > 0.0)
        reached = allowed & (tl.cumsum(tl.where(allowed, weight, 0.0), axis=0) > goal - before)
        first = tl.min(tl.where(reached, lane, BLOCK))
        # Rounding may leave nothing reached: then it is the block's last allowed token.
        first = tl.where(first == BLOCK, tl.max(tl.where(allowed, lane, 0)), first)
        mine = tl.sum(tl.where(lane == first, weight, 0.0))
        likelier = tl.zeros([BLOCK], tl.float32)
        for start in range(0, vocab, BLOCK):
            value = tl.load(logits + start + lane, mask=start + lane < vocab, other=float("-inf"))
            weight = tl.exp((value - top) * sharpness)
            likelier += tl.where(weight > mine, weight, 0.0)
        inside = tl.sum(likelier) < top_p * tl.sum(everything)
        found = tl.where(inside, at + first, found)
        pivot = mine
        draw += 1
    if found < 0:
        for start in range(0, vocab, BLOCK):
            value = tl.load(logits + start + lane, mask=start + lane < vocab, other=float("-inf"))
            here = tl.min(tl.where(value == top, start + lane, vocab))
            found = tl.where((found < 0) & (here < vocab), here, found)
    tl.store(out + row, found)


def sample(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    """logits [S, vocab] fp32 contiguous -> tokens [S] int64, by temperature and top-p."""
    rows, vocab = logits.shape
    assert logits.is_contiguous() and logits.dtype == torch.float32
    uniform = torch.rand(rows, DRAWS, device=logits.device, generator=generator)
    out = torch.empty(rows, device=logits.device, dtype=torch.int64)
    block = min(BLOCK, triton.next_power_of_2(vocab))
    sample_kernel[(rows,)](
        logits, uniform, out, 1.0 / temperature, top_p, vocab,
        DRAWS=DRAWS, BLOCK=block, num_warps=16 if block > 1024 else 4,
    )  # fmt: skip
    return out
