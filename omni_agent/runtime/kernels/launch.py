"""What the decoding kernels share: whether launches may overlap, and fetching the next kernel's matrix ahead of it."""

from __future__ import annotations

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

THREADS = 128  # of the small kernels that fetch ahead: 4 warps


@functools.cache
def _hopper(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (9, 0)


def overlapping(tensor: Tensor) -> bool:
    """Whether kernels on the tensor's device may start before the one in front ends (compute capability 9.0)."""
    return tensor.is_cuda and _hopper(tensor.device)


def fetch_chunk(matrix: Tensor | None, programs: int) -> int:
    """Bytes that each thread of `programs` programs fetches so that together they fetch all of `matrix`; 0: nothing."""
    if matrix is None or not overlapping(matrix):
        return 0
    assert matrix.is_contiguous()
    return triton.cdiv(matrix.numel() * matrix.element_size(), programs * THREADS * 16) * 16


@triton.jit
def fetch_ahead(matrix, bytes_each, total, program, THREADS: tl.constexpr):
    """Bring this program's part of a matrix from memory into the second-level cache, without waiting for it.

    The small kernels between two matrices are bound by latency; meanwhile the memory can read the next matrix, far
    more of it than the waiting programs behind could hold in registers.
    """
    offset = (program * THREADS + tl.arange(0, THREADS)).to(tl.int64) * bytes_each
    address = matrix.to(tl.uint64, bitcast=True).to(tl.int64) + offset
    inside = (offset + bytes_each <= total).to(tl.int32)
    tl.inline_asm_elementwise(
        "{ .reg .pred p; setp.ne.s32 p, $2, 0; @p cp.async.bulk.prefetch.L2.global [$1], $3; mov.u32 $0, 0; }",
        "=r,l,r,r",
        [address, inside, bytes_each],
        dtype=tl.int32,
        is_pure=False,
        pack=1,
    )
