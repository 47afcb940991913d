"""Several pieces of work at a time: order, bounds, errors in their place, giving up; and many questions on one file."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import omni_agent
from omni_agent.engines.base import Message
from omni_agent.engines.fake import FakeEngine
from omni_agent.engines.wanted import Wanted, still_wanted
from omni_agent.errors import EngineError, OmniError, UsageError
from omni_agent.perception.audience import Audience, audience
from omni_agent.perception.model import ModelPerception
from omni_agent.tools.ask import AskResult, Documents
from omni_agent.tools.in_order import AHEAD, in_order
from omni_agent.types import Box, Line, Picture


class Crowd:
    """How many are inside at a time, at most."""

    def __init__(self) -> None:
        self.inside = self.most = self.entered = 0
        self._lock = threading.Lock()

    def visit(self, name: int, seconds: float = 0.005) -> int:
        with self._lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)
        time.sleep(seconds)
        with self._lock:
            self.inside -= 1
        return name


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_outcomes_come_in_order_however_long_each_takes(at_once: int) -> None:
    crowd = Crowd()
    work = [partial(crowd.visit, n, 0.02 if n % 7 == 0 else 0.001) for n in range(30)]
    assert list(in_order(work, at_once)) == list(range(30))
    assert crowd.most <= at_once and (crowd.most > 1) is (at_once > 1)


def test_an_endless_list_is_taken_as_places_become_free() -> None:
    """While the first takes its time, a bounded number of others is begun; places that are free are used."""
    crowd, first = Crowd(), threading.Event()

    def slow() -> int:
        first.wait(30)
        return -1

    def work() -> Iterator[Callable[[], int]]:
        yield slow
        yield from (partial(crowd.visit, n, 0.0) for n in count())

    threading.Timer(0.3, first.set).start()
    outcomes = in_order(work(), 3)
    assert next(outcomes) == -1
    assert 3 <= crowd.entered <= AHEAD * 3
    assert [next(outcomes) for _ in range(50)] == list(range(50))
    outcomes.close()


def test_an_error_stands_in_its_place_and_a_fault_ends_it_all() -> None:
    def fails() -> int:
        raise UsageError("not so")

    def faulty() -> int:
        raise ZeroDivisionError("a bug")

    for at_once in (1, 3):
        found = list(in_order([lambda: 1, fails, lambda: 3], at_once))
        assert found[::2] == [1, 3] and isinstance(found[1], UsageError)
        with pytest.raises(ZeroDivisionError):
            list(in_order([lambda: 1, faulty, lambda: 3], at_once))


def test_closing_gives_up_what_runs() -> None:
    """As Ctrl-C does: whoever works on an engine's answer is told at its next token that nobody wants it."""
    ended, begun = [threading.Event() for _ in range(3)], threading.Barrier(3, timeout=20)

    def works(number: int) -> int:
        begun.wait()
        try:
            while number:
                still_wanted.get()()
                time.sleep(0.005)
        finally:
            ended[number].set()
        return number

    outcomes = in_order([partial(works, n) for n in range(3)], 3)
    assert next(outcomes) == 0
    outcomes.close()
    assert all(event.wait(20) for event in ended)


def test_threads_have_the_callers_context_without_its_ear_for_thoughts() -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")
    mark.set("mine")
    heard: list[str] = []
    before = audience.set(Audience(thought=heard.append, note=heard.append))

    def tells() -> str:
        audience.get().thought("tangle")
        audience.get().note("kept")
        return mark.get()

    try:
        assert list(in_order([tells, tells], 2)) == ["mine", "mine"]
    finally:
        audience.reset(before)
    assert heard == ["kept", "kept"]


# --- many questions ---------------------------------------------------------------------------------------------------


def number_of(messages: Sequence[Message]) -> int:
    return int(str(messages[-1].parts[-1]).partition("Number ")[2].partition("?")[0])


def test_many_questions_are_answered_several_at_a_time_and_told_in_order(scan: Path) -> None:
    """One fails and one is empty: their errors stand in their places. The page is read, and drawn, once."""
    crowd, reads, drawn = Crowd(), [], []

    def says(messages: Sequence[Message]) -> str:
        number = number_of(messages)
        drawn.append(id(messages[-1].parts[0]))
        crowd.visit(number, 0.03 if number % 3 == 0 else 0.005)
        if number == 4:
            raise EngineError("out of memory")
        quotes = [{"page": "p1", "text": "The keeper of the light is Ada Marsh."}]
        return json.dumps({"found": True, "answer": f"{number}.", "quotes": quotes, "confidence": 1, "reason": ""})

    def read(picture: Picture) -> tuple[Line, ...]:
        reads.append(picture)
        time.sleep(0.05)
        return (Line("The keeper of the light is Ada Marsh.", Box(0.1, 0.08, 0.5, 0.1)),)

    engine = FakeEngine(says, at_once=4)
    questions = [f"Number {number}?" if number != 9 else " " for number in range(14)]
    with omni_agent.open(scan, engine=ModelPerception(engine, reader=read)) as doc:
        assert isinstance(doc, Documents)
        results = list(doc.ask_many(questions))
    for number, result in enumerate(results):
        if number in (4, 9):
            assert isinstance(result, EngineError if number == 4 else UsageError)
        else:
            assert isinstance(result, AskResult) and result.answer == f"{number}." and result.citations[0].verified
            assert result.question == f"Number {number}?"
    assert 1 < crowd.most <= 4 and len(reads) == 1 and len(set(drawn)) == 1


def test_pictures_of_many_questions_do_not_overwrite_each_other(scan: Path, tmp_path: Path) -> None:
    quotes = [{"page": "p1", "text": "Ada Marsh"}]
    said = json.dumps({"found": True, "answer": "Ada", "quotes": quotes, "confidence": 1, "reason": ""})
    eyes = ModelPerception(
        FakeEngine(lambda _: said, at_once=2), reader=lambda _: (Line("Ada Marsh", Box(0.1, 0.1, 0.5, 0.2)),)
    )
    with Documents([scan], engine=eyes) as doc:
        found = list(doc.ask_many(["Who?", "Who else?"], highlight=tmp_path / "out"))
    saved = [result.highlights for result in found if isinstance(result, AskResult)]
    assert saved == [(str(tmp_path / "out" / n / "scan-page1.png"),) for n in ("1", "2")]
    assert all(Path(path).is_file() for (path,) in saved)


def test_leaving_the_loop_ends_the_questions_that_run(scan: Path) -> None:
    """An answer that would go on for a minute is closed at its next word."""
    closed: list[int] = []

    class Slow(FakeEngine):
        def stream(self, *call: Any) -> Iterator[Any]:
            number = number_of(call[0])
            try:
                for event in super().stream(*call):
                    time.sleep(0.01 if number else 0)
                    yield event
            finally:
                closed.append(number)

    quick = json.dumps({"found": False, "answer": "", "quotes": [], "confidence": 0, "reason": "not there"})
    engine = Slow(lambda messages: "word " * 6000 if number_of(messages) else quick, at_once=3)
    with Documents([scan], engine=ModelPerception(Wanted(engine), reader=lambda _: ())) as doc:
        results = doc.ask_many(f"Number {n}?" for n in range(50))
        first = next(results)
        assert isinstance(first, AskResult) and not first.found
        del results
        deadline = time.monotonic() + 20
        while len(closed) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert 3 <= len(closed) <= 4 and not isinstance(first, OmniError)
