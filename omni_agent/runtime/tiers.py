"""Named tensors on the device, in host memory and on disk, each under a limit; the least recently used move down."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from omni_agent.runtime.packing import packed, unpacked
from omni_agent.runtime.store import Blob, Store

READERS = 32  # files read from disk at a time, waiting for it mostly; their digests are computed as they come
WAITING = 128  # blobs that may wait to be written


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes that may be kept in each place; 0 keeps nothing there."""

    device: int = 0
    host: int = 0


def fitting(device: torch.device) -> Limits:
    """Limits for this machine: a quarter of what is free on the card beside the model, and an eighth of main memory."""
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8
    if device.type != "cuda":
        return Limits(device=host)
    return Limits(device=torch.cuda.mem_get_info(device)[0] // 4, host=host)


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
    """Blobs by name, as near to the device as the limits allow; what is put in goes to `store` as well, later.

    Nobody writes to a blob's tensors once it is here.
    """

    def __init__(self, device: torch.device, limits: Limits, store: Store | None = None) -> None:
        self.device, self.limits, self.store = device, limits, store
        self._near, self._far = Shelf(limits.device), Shelf(limits.host)
        self._lock = threading.RLock()
        self._unpacking = threading.Lock()  # one at a time: it takes memory of the device beside the result's
        self._pool: ThreadPoolExecutor | None = None
        self._writing: dict[str, Future[None]] = {}
        self._writer: ThreadPoolExecutor | None = None
        self._stream: torch.cuda.Stream | None = None  # the writer's

    def __contains__(self, name: str) -> bool:
        return name in self._near or name in self._far or (self.store is not None and name in self.store)

    def get(self, name: str) -> Blob | None:
        """The blob's tensors on the device, or None."""
        (blob,) = self.fetch([name])
        return blob and {part: tensor.to(self.device, non_blocking=True) for part, tensor in blob.items()}

    def fetch(self, names: Sequence[str]) -> list[Blob | None]:
        """Several blobs where they lie, on the device or in pinned host memory; those on disk are read onto the device,
        all at the same time. The last is the last used."""
        stored = self._read([name for name in names if name not in self._near and name not in self._far])
        return [self._taken(name, stored.get(name)) for name in names]

    def put(self, name: str, blob: Blob) -> None:
        """Keep tensors that nobody writes to any more."""
        with self._lock:
            if name not in self._near and name not in self._far:
                self._place(name, blob)
        if self.store is not None and name not in self.store and name not in self._writing:
            self._write(self.store, name, blob)

    def flush(self) -> None:
        """Wait until everything that was put in is on disk, as far as it can be."""
        for future in list(self._writing.values()):
            future.result()

    def clear(self) -> None:
        """Forget everything, on disk too."""
        self.flush()
        self._near.clear()
        self._far.clear()
        if self.store is not None:
            self.store.clear()

    def _taken(self, name: str, read: Blob | None) -> Blob | None:
        with self._lock:
            blob = self._near.get(name) or self._far.get(name)
            if blob is None and read is not None:
                blob = read
                self._place(name, blob)
            return blob

    def _read(self, names: Sequence[str]) -> dict[str, Blob | None]:
        store = self.store
        if store is None or not names:
            return {}
        if self._pool is None:
            self._pool = ThreadPoolExecutor(READERS, "omni-read")

        def read(name: str) -> Blob | None:
            blob = store.get(name, self.device)
            with self._unpacking:
                return blob and unpacked(blob)

        return dict(zip(names, self._pool.map(read, names), strict=True))

    def _write(self, store: Store, name: str, blob: Blob) -> None:
        """Write in the background, after the work that makes the tensors. Past `WAITING` writes this one is left out:
        what waits holds memory."""
        if len(self._writing) >= WAITING:
            return
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "omni-write")
        done = torch.cuda.Event() if self.device.type == "cuda" else None
        if done is not None:
            done.record()

        def write() -> None:
            if done is None:
                store.put(name, packed(blob))
                return
            done.synchronize()
            if self._stream is None:
                self._stream = torch.cuda.Stream(self.device)
            with torch.cuda.stream(self._stream):
                try:
                    parts = packed(blob)
                except torch.OutOfMemoryError:  # it only saves time later
                    parts = blob
                store.put(name, {part: tensor.cpu() for part, tensor in parts.items()})

        self._writing[name] = future = self._writer.submit(write)
        future.add_done_callback(lambda _: self._writing.pop(name, None))

    def _place(self, name: str, blob: Blob) -> None:
        """Put a blob on the device's shelf; what falls off it moves to the host's, and what falls off that is on disk
        or gone."""
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
