"""The fair lock: order, re-entry, Ctrl-C while waiting."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from omni_agent.engines.line import Line


def waiting(line: Line, count: int) -> None:
    while len(line._waiting) < count:
        time.sleep(0.001)


def test_it_is_given_in_the_order_of_arrival_and_to_one_at_a_time() -> None:
    """Five that wait are each served once before the first of them, which comes again at once, is served twice."""
    line, served, inside = Line(), [], []

    def work(name: int) -> None:
        for _ in range(50):
            with line:
                inside.append(name)
                served.append(name)
                assert inside == [name]
                inside.remove(name)

    with ThreadPoolExecutor(5) as pool:
        with line:
            running = [pool.submit(work, name) for name in range(5)]
            waiting(line, 5)
        for future in running:
            future.result()
    assert len(served) == 250 and sorted(served[:5]) == [0, 1, 2, 3, 4]


def test_a_thread_that_holds_it_enters_again_and_no_other_does() -> None:
    line, entered = Line(), threading.Event()

    def enter() -> None:
        with line:
            entered.set()

    with line:
        with line:
            other = threading.Thread(target=enter)
            other.start()
            waiting(line, 1)
        assert not entered.is_set()  # one of two was left
    other.join()
    assert entered.is_set()


def test_ctrl_c_leaves_the_line() -> None:
    line, free, held = Line(), threading.Event(), threading.Event()

    def hold() -> None:
        with line:
            held.set()
            free.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)

    def interrupt() -> None:
        waiting(line, 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt), line:
        pass
    free.set()
    holder.join()
    with line:
        pass
