"""One at a time, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque


class Line:
    """A lock that is fair: whoever gives it up goes to the end of the line. A thread that holds it may enter it again.

    Python's own locks may be taken again and again by one busy thread while others wait.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[tuple[int, threading.Lock]] = deque()
        self._holder: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._guard:
            if self._holder in (None, me):
                self._holder, self._depth = me, self._depth + 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((me, turn))
        try:
            turn.acquire()
        except BaseException:  # Ctrl-C while it waited: step out of the line, or pass on a turn that has just come
            with self._guard:
                if (me, turn) in self._waiting:
                    self._waiting.remove((me, turn))
                else:
                    self._pass_on()
            raise

    def __exit__(self, *error: object) -> None:
        with self._guard:
            self._depth -= 1
            if not self._depth:
                self._pass_on()

    def _pass_on(self) -> None:
        if not self._waiting:
            self._holder, self._depth = None, 0
            return
        self._holder, turn = self._waiting.popleft()
        self._depth = 1
        turn.release()
