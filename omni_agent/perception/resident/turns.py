"""Whose turn it is: one request runs at a time, or a few, and no client waits behind another one's second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

LOOK_S = 0.2  # between two looks whether a client that waits is still there


class Turns:
    """Grants turns to clients, in round robin: of those that wait, the one that was served longest ago is next, and a
    client's own requests are served in the order in which they came. `at_once` turns are out at a time."""

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._free = threading.Condition()
        self._clock = count(1)
        self._served: dict[int, int] = {}  # client -> when it last had a turn
        self._waiting: list[tuple[int, int]] = []  # (arrival, client)
        self.running = 0
        self.given = 0  # requests that had the turn

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, client: int, still_there: Callable[[], None], waits: Callable[[], None] = lambda: None) -> None:
        """Wait for the turn of this client and take it. `waits` is called once where it is not free at once;
        `still_there` raises when the client has gone, and its place in the queue is then free."""
        with self._free:
            place = (next(self._clock), client)
            self._waiting.append(place)
            told = False
            try:
                while self.running >= self._at_once or self._next() != place:
                    if not told:
                        waits()
                        told = True
                    self._free.wait(LOOK_S)
                    still_there()
            except BaseException:
                self._waiting.remove(place)
                self._free.notify_all()
                raise
            self._waiting.remove(place)
            self.running += 1
            self._served[client] = next(self._clock)
            self._free.notify_all()  # there may be a turn left for the next

    def give(self) -> None:
        """End the turn."""
        with self._free:
            self.running -= 1
            present = {client for _, client in self._waiting}
            if not present:
                self._served.clear()
            self._free.notify_all()

    def _next(self) -> tuple[int, int]:
        return min(self._waiting, key=lambda place: (self._served.get(place[1], 0), place[0]))
