"""Lines of pages that clients have read: the next question about the same page needs no reading and no sending."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from omni_agent.types import Line

MOST_WORDS = 250_000  # of all pages together: some 500 pages, about 75 MB


class Lines:
    """Lines by the page's key, those not asked for longest forgotten first. It lasts as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Line, ...]] = OrderedDict()
        self._words = 0

    def of(self, key: str | None, read: Callable[[], tuple[Line, ...]]) -> tuple[Line, ...]:
        """The lines kept under this key, else those that `read` gives. A page without a key is not kept, nor is one
        without lines: it may be one that could not be read, which its reader tells anew each time."""
        if key is None:
            return read()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        lines = read()
        if lines:
            with self._lock:
                self._keep(key, lines)
        return lines

    def _keep(self, key: str, lines: tuple[Line, ...]) -> None:
        self._words += _words(lines) - _words(self._kept.pop(key, ()))
        self._kept[key] = lines
        while self._words > MOST_WORDS and len(self._kept) > 1:
            self._words -= _words(self._kept.popitem(last=False)[1])


def _words(lines: tuple[Line, ...]) -> int:
    return sum(len(line.words) + 1 for line in lines)
