"""Page pictures that were drawn while a document is open: the next question about it looks at the same ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from omni_agent.types import Picture

LIMIT = 512 << 20  # bytes: eighty A4 pages at 150 dpi


class Drawn:
    """Pictures by page and dpi, up to `LIMIT` bytes together; those not looked at for the longest time go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[int, int], Picture] = OrderedDict()
        self._bytes = 0

    def picture(self, number: int, dpi: int, draw: Callable[[int, int], Picture]) -> Picture:
        """The picture of that page; whoever wants one that is being drawn waits for it."""
        with self._lock:
            key = (number, dpi)
            if key not in self._pictures:
                self._pictures[key] = draw(number, dpi)
                self._bytes += self._pictures[key].pixels.nbytes
            self._pictures.move_to_end(key)
            while self._bytes > LIMIT and len(self._pictures) > 1:
                self._bytes -= self._pictures.popitem(last=False)[1].pixels.nbytes
            return self._pictures[key]
