"""The chosen experts' outputs back to their tokens: gather, weigh and add, in one pass."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def combine_kernel(outputs, place, weights, out, WIDTH: tl.constexpr, CHOSEN: tl.constexpr, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < WIDTH
    total = tl.load(out + token * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    for k in tl.static_range(0, CHOSEN):
        row = tl.load(place + token * CHOSEN + k)
        value = tl.load(outputs + row * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
        total += value * tl.load(weights + token * CHOSEN + k)
    tl.store(out + token * WIDTH + column, total.to(out.dtype.element_ty), mask=inside)


def combine(outputs: Tensor, place: Tensor, weights: Tensor, out: Tensor) -> Tensor:
    """out [T, W] += sum over k of weights[t, k] * outputs[place[t, k]]; outputs [T * k, W], weights [T, k] fp32."""
    tokens, chosen = place.shape
    width = out.shape[1]
    assert outputs.is_contiguous() and place.is_contiguous() and weights.is_contiguous() and out.is_contiguous()
    block = min(1024, triton.next_power_of_2(width))
    combine_kernel[(tokens, triton.cdiv(width, block))](
        outputs, place, weights, out, WIDTH=width, CHOSEN=chosen, BLOCK=block, num_warps=4
    )
    return out


def combine_reference(outputs: Tensor, place: Tensor, weights: Tensor, out: Tensor) -> Tensor:
    """The same in plain torch; `out` stays as it is."""
    return (out.float() + (outputs[place].float() * weights[..., None]).sum(1)).to(out.dtype)
