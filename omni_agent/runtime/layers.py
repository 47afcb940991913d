"""Small pieces that several blocks share, in plain torch. Sums are in fp32, results in the weights' dtype."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

# Without cuDNN's attention: it builds a plan for every new length (0.07 s each on an H100 with torch 2.11, 0.7 s the
# first), and prompts, pictures and the tails of recordings nearly always have a new one.
ANY_LENGTH = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

Make = Callable[..., Tensor]
"""`make(*shape, dtype=None)`: an uninitialised tensor on the model's device, of the model's dtype unless named."""


def fast(tensor: Tensor) -> bool:
    """Whether the Triton kernels serve this tensor: half precision on a GPU. fp32 is for checking and runs plain."""
    return tensor.is_cuda and tensor.dtype.itemsize == 2


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) * weight over the last axis, computed in fp32, in the dtype of `weight`."""
    if fast(weight) and x.ndim == 2:
        from omni_agent.runtime.kernels import norms

        return norms.rms_norm(x, weight, eps)
    x = x.float()
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight.float()).to(weight.dtype)


def add_norm(stream: Tensor, added: Tensor, weight: Tensor, eps: float) -> Tensor:
    """stream [T, W] fp32 += added [T, W] in place -> `rms_norm` of it."""
    if fast(weight):
        from omni_agent.runtime.kernels import norms

        return norms.add_norm(stream, added[None], weight, eps)
    stream += added
    return rms_norm(stream, weight, eps)


def gated_group_norm(y: Tensor, gate: Tensor, weight: Tensor, groups: int, eps: float) -> Tensor:
    """y * silu(gate) first, then RMSNorm in `groups` equal groups of the last axis, then the weight.

    y, gate [T, W], weight [W] -> [T, W] in the dtype of `weight`.
    """
    if fast(weight) and groups & (groups - 1) == 0:
        from omni_agent.runtime.kernels import norms

        return norms.gated_group_norm(y, gate, weight, groups, eps)
    y = y.float() * torch.nn.functional.silu(gate.float())
    grouped = y.unflatten(-1, (groups, -1))
    grouped = grouped * torch.rsqrt(grouped.square().mean(-1, keepdim=True) + eps)
    return (grouped.flatten(-2) * weight.float()).to(weight.dtype)


def relu2(x: Tensor) -> Tensor:
    """max(x, 0)², in place."""
    if fast(x):
        from omni_agent.runtime.kernels import relu2 as kernel

        return kernel.relu2(x)
    return x.relu_().square_()


def bmm_fp32(a: Tensor, b: Tensor) -> Tensor:
    """Batched product with an fp32 result: [b, m, k] x [b, k, n]; half-precision operands stay so on the GPU."""
    if a.dtype == torch.float32:
        return torch.bmm(a, b)
    if a.is_cuda:
        return torch.bmm(a, b, out_dtype=torch.float32)
    return torch.bmm(a.float(), b.float())
