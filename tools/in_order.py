"""Many pieces of work, several at a time where that is worth it, their outcomes in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from dataclasses import replace
from typing import TypeVar

from omni_agent.engines.wanted import still_wanted
from omni_agent.errors import EngineError, OmniError
from omni_agent.perception.audience import Audience, audience

T = TypeVar("T")

AHEAD = 4  # times as many outcomes as run at a time may wait for one that takes long; then nothing new is begun


def in_order(work: Iterable[Callable[[], T]], at_once: int) -> Generator[T | OmniError, None, None]:
    """What each piece of work returns, or the error that it raised, in the order of the pieces.

    The next piece is taken, in the caller's thread, when there is a place for it: an endless iterable is no harm. With
    one at a time they run in the caller's thread too. Closing the iterator gives up what runs.
    """
    if at_once == 1:
        yield from (_tried(piece) for piece in work)
        return
    given_up = threading.Event()
    running: deque[Future[T | OmniError]] = deque()
    try:
        for piece in work:
            running.append(_started(piece, given_up))
            while running and not _place(running, at_once):
                if running[0].done():
                    yield running.popleft().result()
                else:
                    wait([future for future in running if not future.done()], return_when=FIRST_COMPLETED)
        while running:
            yield running.popleft().result()
    finally:
        given_up.set()


def _place(running: deque[Future[T]], at_once: int) -> bool:
    """Whether another piece may begin; what can be told is told first."""
    busy = sum(not future.done() for future in running)
    return busy < at_once and len(running) < AHEAD * at_once and not running[0].done()


def _tried(piece: Callable[[], T]) -> T | OmniError:
    try:
        return piece()
    except OmniError as error:
        return error


def _started(piece: Callable[[], T], given_up: threading.Event) -> Future[T | OmniError]:
    """The piece in a thread of its own, which ends with the process at the latest.

    It has the caller's context, but nobody hears its reasoning: that of several at once would be one tangle.
    """
    outcome: Future[T | OmniError] = Future()
    context, outer = copy_context(), still_wanted.get()

    def wanted() -> None:
        outer()
        if given_up.is_set():
            raise EngineError("given up")

    def run() -> None:
        still_wanted.set(wanted)
        audience.set(replace(audience.get(), thought=Audience().thought))
        try:
            outcome.set_result(_tried(piece))
        except BaseException as fault:  # whoever fetches the outcome gets it
            outcome.set_exception(fault)

    threading.Thread(target=context.run, args=(run,), daemon=True, name="omni-piece").start()
    return outcome
