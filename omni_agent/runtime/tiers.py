"""Named tensors kept on the device and in host memory under size limits; the least recently used move down and out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Blob = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes that may be kept in each place; 0 keeps nothing there."""

    device: int = 0
    host: int = 0


class Shelf:
    """Blobs under one limit, the least recently used first."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._blobs: OrderedDict[str, Blob] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return name in self._blobs

    def get(self, name: str) -> Blob | None:
        if name in self._blobs:
            self._blobs.move_to_end(name)
        return self._blobs.get(name)

    def put(self, name: str, blob: Blob) -> list[tuple[str, Blob]]:
        """Keep a blob; what had to go for it, the blob itself where it does not fit at all."""
        size = size_of(blob)
        if name in self._blobs:
            return []
        if size > self.limit:
            return [(name, blob)]
        gone = []
        while self.used + size > self.limit:
            other, old = self._blobs.popitem(last=False)
            self.used -= size_of(old)
            gone.append((other, old))
        self._blobs[name] = blob
        self.used += size
        return gone

    def clear(self) -> None:
        self._blobs.clear()
        self.used = 0


class Tiers:
    """Blobs by name, as near to the device as the limits allow."""

    def __init__(self, device: torch.device, limits: Limits) -> None:
        self.device = device
        self._near, self._far = Shelf(limits.device), Shelf(limits.host)

    def __contains__(self, name: str) -> bool:
        return name in self._near or name in self._far

    def get(self, name: str) -> Blob | None:
        """The blob's tensors on the device, or None; they must not be written to."""
        blob = self._near.get(name)
        kept = self._far.get(name)
        if blob is None and kept is not None:
            blob = {part: tensor.to(self.device, non_blocking=True) for part, tensor in kept.items()}
            self._place(name, blob)
        return blob

    def fetch(self, names: Sequence[str]) -> list[Blob | None]:
        """Several blobs, as `get` gives them."""
        return [self.get(name) for name in names]

    def put(self, name: str, blob: Blob) -> None:
        """Keep tensors that nobody writes to any more."""
        if name not in self:
            self._place(name, blob)

    def clear(self) -> None:
        self._near.clear()
        self._far.clear()

    def _place(self, name: str, blob: Blob) -> None:
        for other, old in self._near.put(name, blob):
            if other not in self._far and size_of(old) <= self._far.limit:
                self._far.put(other, {part: to_host(tensor) for part, tensor in old.items()})


def size_of(blob: Blob) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in blob.values())


def to_host(tensor: Tensor) -> Tensor:
    """A copy in host memory, pinned where that makes the way back quick."""
    if not tensor.is_cuda:
        return tensor
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
