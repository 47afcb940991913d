"""The resident engine's protocol, its queue and its end, driven through real processes with known answers."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omni_agent import errors
from omni_agent.perception.audience import Audience, audience
from omni_agent.perception.resident import address, start
from omni_agent.perception.resident.client import ResidentPerception
from omni_agent.perception.resident.lines import Lines
from omni_agent.perception.resident.values import Nonsense, packed, unpacked
from omni_agent.perception.resident.wire import HEAD, MAX_JSON, Wire
from omni_agent.settings import Settings, load
from omni_agent.types import (
    Box,
    Candidate,
    Exchange,
    Frame,
    Line,
    Picture,
    Quote,
    Reply,
    Segment,
    Sighting,
    Sound,
    SpokenWord,
    Usage,
    Word,
)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets, log and remembered answer of this test alone; a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="omni") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setenv("XDG_STATE_HOME", f"{folder}/state")
        yield


class Probe:
    """The process of resident_probe.py, and what it noted."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self.settings = settings
        self.path = address.socket_path(settings, "fake")
        mark = address.fingerprint(settings, "fake")
        script = Path(__file__).with_name("resident_probe.py")
        self._said = self.path.with_suffix(".err")
        with self._said.open("w") as stderr:
            self.process = subprocess.Popen([sys.executable, str(script), str(self.path), mark, kind], stderr=stderr)
        until(lambda: start.status(self.path) is not None, 60)

    @property
    def notes(self) -> list[str]:
        log = self.path.with_suffix(".log")
        return log.read_text().splitlines() if log.exists() else []

    def client(self) -> ResidentPerception:
        return ResidentPerception(self.settings, "fake")

    def end(self) -> str:
        """Kill it; what it had said on standard error."""
        self.process.kill()
        self.process.wait()
        return self._said.read_text()


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until it is true, at most so long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def probe(own_folders: None) -> Iterator[Probe]:
    running = Probe(load(), "shares")
    yield running
    running.end()


class Sheet:
    """A page of a few lines; `asks` is called when it is read."""

    def __init__(self, number: int, asks: Callable[[], tuple[Line, ...]] | None = None, key: str | None = None) -> None:
        self.file, self.number, self._asks, self.key = "a.pdf", number, asks, key

    def lines(self) -> tuple[Line, ...]:
        return self._asks() if self._asks else (Line(f"line {self.number}", Box(0, 0, 1, 1)),)

    def printed(self) -> tuple[Line, ...]:
        return (Line(f"printed {self.number}", Box(0, 0, 1, 1)),)

    def picture(self, dpi: int = 150) -> Picture:
        return Picture(np.full((2, 3, 3), dpi + self.number, np.uint8))


class Film:
    """A clip of 10 s that shows two pictures, 5 s each."""

    duration = 10.0

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        shown = [Picture(np.full((4, 4, 3), value, np.uint8)) for value in (1, 2)]
        for step in range(int((self.duration - start) / every) + 1):
            yield Frame(start + step * every, shown[start + step * every >= 5.0])

    def sound(self) -> Sound | None:
        return None


# --- values -----------------------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    None,
    True,
    0,
    -1.5,
    1e-300,
    float("inf"),
    "a \u2028 \ud83d\ude00 \x00 text",
    [1, (2, ("x",)), []],
    (),
    {"a": [1, None], "": {"b": (1,)}},
    Box(0.1, 1 / 3, 0.5, 1.0),
    (
        Line(
            "two words", Box(0, 0, 1, 0.1), 0.9, (Word("two", Box(0, 0, 0.4, 0.1)), Word("words", Box(0.5, 0, 1, 0.1)))
        ),
    ),
    (Line("", Box(0, 0, 0, 0)), Line("b", Box(0.25, 1 / 7, 1, 1), 1.0)),
    Reply(True, "x", (Quote("f", 3, "q", (Box(0, 0, 1, 1),)),), 0.5, "", Usage(1, 2, 3, seconds={"load": 0.1})),
    Sighting(False, (Candidate(Box(0, 0, 1, 1), "OK", 0.4, (0.1, 0.2)),), "two"),
    Segment(1, 0.0, 2.0, "Hi.", (SpokenWord(0.0, 0.5, " Hi.", 0.99),), "A"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_arrives_as_it_was_sent(value: Any) -> None:
    arrays: list[memoryview] = []
    form = packed(value, arrays)
    assert unpacked(form, memoryview(b"".join(arrays))) == value


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16", "bool"])
@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3, 3), (0, 4), ()])
def test_an_array_arrives_bit_by_bit_and_whatever_its_strides(dtype: str, shape: tuple[int, ...]) -> None:
    sent = np.random.default_rng(7).integers(0, 200, shape).astype(dtype)
    for array in (sent, sent.T, sent[::-1] if sent.ndim else sent):
        arrays: list[memoryview] = []
        form = packed([array, "after"], arrays)
        got, after = unpacked(form, memoryview(b"".join(arrays)))
        assert got.dtype == array.dtype and got.shape == array.shape and (got == array).all() and after == "after"


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, np.array([object()]), Path("x"), lambda: None])
def test_what_has_no_form_is_not_sent(value: Any) -> None:
    with pytest.raises(TypeError):
        packed(value, [])


@pytest.mark.parametrize(
    "form",
    [
        {"array": ["O", [1]]},
        {"array": ["<f8", [2**60]]},
        {"array": ["<f8", [-1]]},
        {"array": ["<f8", ["1"]]},
        {"array": ["no such", [1]]},
        {"lines": [["a", "b"], [[]]]},
        {"Path": ["/etc/passwd"]},
        {"Box": [1]},
        {"Box": [1, 2, 3, 4], "Word": []},
        {},
        {"dict": [1]},
        {"tuple": 3},
    ],
    ids=str,
)
def test_a_form_that_means_nothing_is_refused(form: Any) -> None:
    with pytest.raises(Nonsense):
        unpacked(form, memoryview(bytes(8)))


# --- a call -----------------------------------------------------------------------------------------------------------


def test_every_verb_reaches_the_perception_there_with_its_arguments(probe: Probe) -> None:
    eyes = probe.client()
    picture = Picture(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
    sound = Sound(np.linspace(-1, 1, 16_000, dtype=np.float32) ** 2, start=3.0)
    assert eyes.name == "fake"
    assert eyes.read(picture) == (Line("5 wide", Box(0, 0, 1, 1), float(picture.pixels.mean())),)
    assert eyes.locate("OK", picture).reason == f"OK: uint8 (4, 5, 3) {picture.pixels.sum()}"
    heard = eyes.hear(sound, language="de", prompt="Erna")
    assert heard.language == "de" and heard.segments[0].text == f"{sound.samples.sum():.6f} Erna"
    assert (heard.segments[0].start, heard.segments[0].end) == (3.0, 4.0)
    assert eyes.tell_apart(sound, [Segment(0, 0, 1, "a"), Segment(1, 1, 2, "b")]) == ("a", "b")
    assert eyes.minutes([]).topics == ()
    reply = eyes.answer("lines printed picture", [Sheet(1), Sheet(2)])
    assert reply.text == f"a.pdf:1:line 1|a.pdf:2:line 2 printed 1|printed 2 {18 * 73}|{18 * 74}"
    assert eyes.answer("lines", [Sheet(1)], earlier=[Exchange("Who?", "{}")]).text == "a.pdf:1:line 1 after Who?: {}"


def test_a_clip_a_memory_and_a_picture_that_stays(probe: Probe) -> None:
    memory: dict[str, Any] = {}
    viewing = probe.client().look(Film(), "what?", [], memory=memory)
    assert viewing.text == "10 frames, 2 pictures, 10.0 s, None, before: None"
    assert memory == {"looked": {"times": [0.5 + step for step in range(10)], "deep": [1, [2.5, None, "x"]]}}
    assert "'deep': [1, [2.5, None, 'x']]" in probe.client().look(Film(), "what?", [], memory=memory).text


def test_a_page_that_has_itself_read_while_the_engine_waits_for_it(probe: Probe) -> None:
    """What every scanned page does: the engine asks for its lines, and they are asked of the engine."""
    eyes = probe.client()
    reply = eyes.answer("lines", [Sheet(1, lambda: eyes.read(Picture(np.zeros((6, 7, 3), np.uint8))))])
    assert reply.text == "a.pdf:1:7 wide"
    assert probe.notes == ["begin lines", "read 7x6", "end lines"]


@pytest.mark.parametrize("kind", ["shares", "keeps"])
def test_nested_calls_work_whether_or_not_turns_are_shared(kind: str) -> None:
    probe = Probe(load(), kind)
    try:
        eyes = probe.client()
        inner = lambda: (Line(eyes.answer("picture", [Sheet(3)]).text, Box(0, 0, 1, 1)),)  # noqa: E731
        assert eyes.answer("lines lines", [Sheet(1, inner)]).text == f"a.pdf:1:{18 * 75} a.pdf:1:{18 * 75}"
    finally:
        probe.end()


@pytest.mark.parametrize(
    "expected",
    [
        errors.MediaError("torn", hint="glue it"),
        errors.PasswordError("locked"),
        errors.Unavailable("no card", hint="buy one"),
        errors.MissingExtra("gpu", "the full model"),
        errors.UsageError("not so"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_there_is_the_same_error_here(probe: Probe, expected: errors.OmniError) -> None:
    with pytest.raises(errors.OmniError) as caught:
        probe.client().answer(f"raise={type(expected).__name__}", [])
    assert type(caught.value) is type(expected) and str(caught.value) == str(expected)
    assert vars(caught.value) == vars(expected)


def test_a_bug_there_is_one_sentence_here_and_a_traceback_in_the_log(probe: Probe) -> None:
    with pytest.raises(errors.EngineError, match="ZeroDivisionError: a bug") as caught:
        probe.client().answer("raise=ZeroDivisionError", [])
    assert "engine.log" in caught.value.hint
    assert probe.client().answer("lines", [Sheet(4)]).text == "a.pdf:4:line 4"
    assert "Traceback" in probe.end()


def test_errors_of_pages_and_listeners_come_out_as_without_a_process_between(probe: Probe) -> None:
    def torn() -> tuple[Line, ...]:
        raise errors.MediaError("page 1 is torn", hint="glue it")

    def broken() -> tuple[Line, ...]:
        raise KeyError("a bug of the page's")

    def interrupt(what: str, done: float, total: float | None) -> None:
        raise KeyboardInterrupt

    eyes = probe.client()
    with pytest.raises(errors.MediaError, match="page 1 is torn"):
        eyes.answer("lines", [Sheet(1, torn)])
    with pytest.raises(KeyError, match="a bug of the page's"):
        eyes.answer("lines", [Sheet(1, broken)])
    with pytest.raises(KeyboardInterrupt):
        eyes.answer("tell=1000", [], progress=interrupt)
    assert eyes.answer("lines", [Sheet(2)]).text == "a.pdf:2:line 2"


def test_the_audience_of_whoever_asks_hears_what_is_thought_there(probe: Probe) -> None:
    thoughts: list[str] = []
    notes: list[str] = []
    costs: list[Usage] = []
    token = audience.set(Audience(thoughts.append, notes.append, costs.append))
    try:
        assert probe.client().answer("thinks=hm", []).text == "thinks"
    finally:
        audience.reset(token)
    assert probe.client().answer("thinks=alone", []).text == "thinks"  # asked without an audience
    assert thoughts == ["hm"] and notes == ["about to say hm"]
    assert costs == [Usage(3, 2, 1, seconds={"answer": 0.5})]


def test_progress_is_told_in_order(probe: Probe) -> None:
    told: list[tuple[str, float, float | None]] = []
    probe.client().answer("tell=5", [], progress=lambda *what: told.append(what))
    assert told == [("working", step, 5) for step in range(5)]


def test_what_a_question_brings_along_reaches_the_perception(own_folders: None) -> None:
    settings = load(think=True, seed=7)
    probe = Probe(settings, "keeps")
    try:
        said = probe.client().answer("settings", []).text
        assert "('seed', 7)" in said and "('think', True)" in said and "cache_dir" not in said
        other = ResidentPerception(settings.model_copy(update={"seed": 8}), "fake")
        assert "('seed', 8)" in other.answer("settings", []).text
    finally:
        probe.end()


# --- the queue --------------------------------------------------------------------------------------------------------

CLIENT = """
import sys
from omni_agent.perception.resident.client import ResidentPerception
from omni_agent.settings import load
eyes = ResidentPerception(load(), "fake")
for question in sys.argv[1:]:
    print(eyes.answer(question, []).text, flush=True)
"""


def client(*questions: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *questions], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_one_request_at_a_time_and_clients_take_turns(probe: Probe) -> None:
    """A client with many questions in a row does not keep another one waiting for more than one of them."""
    many = client(*(f"sleep=0.3 many{n}" for n in range(100)))
    until(lambda: len(probe.notes) > 0)
    one = client("sleep=0.01 one")
    assert one.wait(25) == 0
    many.kill()
    many.wait()
    notes = probe.notes[: probe.notes.index("end sleep=0.01 one") + 1]
    assert all(a.replace("begin", "end") == b for a, b in zip(notes[::2], notes[1::2], strict=True)), notes
    begun = [note.split()[-1] for note in notes[::2]]
    assert begun == [*(f"many{n}" for n in range(len(begun) - 1)), "one"]


def test_many_threads_of_one_client_wait_behind_another_client_that_was_served_longer_ago(probe: Probe) -> None:
    eyes = probe.client()
    threads = [threading.Thread(target=eyes.answer, args=(f"sleep=0.4 mine{n}", [])) for n in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: (start.status(probe.path) or {}).get("waiting", 0) == 4)
    other = client("sleep=0.01 other")
    assert other.wait(60) == 0
    for thread in threads:
        thread.join()
    begun = [note.split()[-1] for note in probe.notes if note.startswith("begin")]
    assert begun.index("other") < 5, begun


def test_an_engine_that_answers_several_at_a_time_is_given_several(own_folders: None) -> None:
    """Four clients inside at once and no fifth; one that was not served yet is before those that were."""
    probe = Probe(load(), "four")
    try:
        many = [client(*(f"sleep=0.4 many{n}-{k}" for k in range(2))) for n in range(6)]
        assert all(one.wait(60) == 0 for one in many)
        inside = most = 0
        for note in probe.notes:
            inside += 1 if note.startswith("begin") else -1
            most = max(most, inside)
        assert most == 4 and len(probe.notes) == 24
        begun = [note.split()[-1] for note in probe.notes if note.startswith("begin")]
        assert {name[-1] for name in begun[:6]} == {"0"}, begun
    finally:
        probe.end()


def test_whoever_waits_hears_that_he_does(probe: Probe) -> None:
    busy = client("sleep=1.5")
    until(lambda: len(probe.notes) > 0)
    told: list[str] = []
    assert probe.client().answer("now", [], progress=lambda what, *_: told.append(what)).text == "now"
    assert told == ["waiting for the engine's other work"]
    assert busy.wait(60) == 0


def test_a_page_is_read_once_for_all_questions_and_clients_where_it_may_be_kept(probe: Probe) -> None:
    """Known by its key alone; one without a key, and one on which nothing was read, are asked for every time."""
    reads: list[str] = []

    def page(name: str, key: str | None, *texts: str) -> Sheet:
        def lines() -> tuple[Line, ...]:
            reads.append(name)
            return tuple(Line(text, Box(0, 0, 1, 1)) for text in texts)

        return Sheet(1, lines, key)

    for _ in range(2):
        pages = [
            page("kept", "k1", "one"),
            page("other", "k2", "two"),
            page("secret", None, "three"),
            page("torn", "k3"),
        ]
        assert probe.client().answer("lines", pages).text == "a.pdf:1:one|a.pdf:1:two|a.pdf:1:three"
    assert reads == ["kept", "other", "secret", "torn", "secret", "torn"]


def test_only_so_many_pages_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omni_agent.perception.resident.lines.MOST_WORDS", 30)
    kept, reads = Lines(), []

    def read(name: str) -> tuple[Line, ...]:
        reads.append(name)
        return tuple(Line(name, Box(0, 0, 1, 1)) for _ in range(10))  # a line counts as a word

    for name in ("a", "b", "c", "a", "d", "a", "b"):  # d drives out b, which was not asked for longest
        assert kept.of(name, lambda name=name: read(name))[0].text == name  # type: ignore[misc]
    assert reads == ["a", "b", "c", "d", "b"]


def test_reading_pages_for_one_client_does_not_hold_up_another(probe: Probe) -> None:
    """While the engine waits for a page, somebody else has the turn."""
    answered = threading.Event()

    def slow() -> tuple[Line, ...]:
        assert answered.wait(30), "the other client was not served meanwhile"
        return ()

    def other() -> None:
        eyes = probe.client()
        until(lambda: "begin lines" in probe.notes)
        assert eyes.answer("quick", []).text == "quick"
        answered.set()

    thread = threading.Thread(target=other)
    thread.start()
    probe.client().answer("lines", [Sheet(1, slow)])
    thread.join()
    assert probe.notes == ["begin lines", "begin quick", "end quick", "end lines"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_client_that_goes_takes_its_request_along(probe: Probe, end: signal.Signals) -> None:
    gone = client("tell=3000")  # half a minute
    until(lambda: len(probe.notes) > 0)
    gone.send_signal(end)
    gone.wait(30)
    until(lambda: "end tell=3000" in probe.notes, 5)
    assert probe.client().answer("next", []).text == "next"


def test_a_model_stops_generating_when_its_client_goes(own_folders: None) -> None:
    probe = Probe(load(), "model")
    try:
        gone = client("anything")
        until(lambda: probe.notes == ["begin streaming"])
        gone.kill()
        until(lambda: probe.notes == ["begin streaming", "end streaming"], 5)
    finally:
        probe.end()


def test_a_client_that_goes_while_it_waits_is_never_served(probe: Probe) -> None:
    busy = client("sleep=2 busy")
    until(lambda: len(probe.notes) > 0)
    gone = client("gone")
    until(lambda: (start.status(probe.path) or {}).get("waiting") == 1)
    gone.kill()
    until(lambda: (start.status(probe.path) or {}).get("waiting") == 0, 5)
    assert busy.wait(60) == 0 and "begin gone" not in probe.notes


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_process_that_ends_in_mid_request_is_one_clear_error(probe: Probe) -> None:
    with pytest.raises(errors.EngineError, match="ended in the middle of its work") as caught:
        probe.client().answer("die", [])
    assert "run the command again" in caught.value.hint


def test_sigterm_ends_it_at_once_and_leaves_no_socket(probe: Probe) -> None:
    busy = client("sleep=30")
    until(lambda: len(probe.notes) > 0)
    probe.process.terminate()
    assert probe.process.wait(10) == 0 and not probe.path.exists()
    assert busy.wait(20) != 0 and "ended in the middle of its work" in busy.communicate()[1]


# --- hostile peers ----------------------------------------------------------------------------------------------------


def raw(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    connection.connect(str(path))
    return connection


def dropped(connection: socket.socket) -> bytes:
    """What the server says before it hangs up."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        pass
    connection.close()
    return said


FRAMES = {
    "huge JSON": HEAD.pack(MAX_JSON + 1, 0),
    "huge arrays": HEAD.pack(2, 2**63),
    "no JSON": HEAD.pack(4, 0) + b"{{{{",
    "no UTF-8": HEAD.pack(2, 0) + b"\xff\xfe",
    "no list": HEAD.pack(2, 0) + b"17",
    "an empty message": HEAD.pack(2, 0) + b"[]",
    "no kind": HEAD.pack(3, 0) + b"[1]",
    "an unknown kind": HEAD.pack(7, 0) + b'["fly"]',
    "a hello without a body": HEAD.pack(9, 0) + b'["hello"]',
    "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 100,
    "deep JSON": HEAD.pack(200_000, 0) + b"[" * 200_000,
    "arrays that nothing names": HEAD.pack(10, 4) + b'["status"]' + b"1234",
}


@pytest.mark.parametrize("name", FRAMES)
def test_nonsense_is_answered_with_an_error_and_dropped(probe: Probe, name: str) -> None:
    connection = raw(probe.path)
    connection.sendall(FRAMES[name])
    assert b'"error"' in dropped(connection)
    assert probe.client().answer("still", []).text == "still"


def test_a_truncated_frame_and_a_hang_up_cost_nothing(probe: Probe) -> None:
    for sent in (b"", b"\x00", HEAD.pack(100, 0), HEAD.pack(100, 0) + b"[", HEAD.pack(2, 2**32) + b"[]"):
        connection = raw(probe.path)
        connection.sendall(sent)
        connection.close()
    assert probe.client().answer("still", []).text == "still"
    told = start.status(probe.path)
    assert told is not None and told["memory_mb"] < 300  # nobody made room for the 4 GB that were announced


def test_a_client_of_another_omni_is_not_answered(probe: Probe) -> None:
    wire = Wire(raw(probe.path), 10)
    wire.send("hello", "0" * 32, {})
    kind, values = wire.receive()
    assert kind == "other" and values[0]["pid"] == probe.process.pid


@pytest.mark.parametrize(
    "request_",
    [["answer"], ["__init__", [], {}], ["_log", [], {}], ["name", [], {}], [3, [], {}], ["read", [], []], []],
    ids=str,
)
def test_only_verbs_are_asked(probe: Probe, request_: list[Any]) -> None:
    wire = Wire(raw(probe.path), 10)
    wire.send("hello", address.fingerprint(probe.settings, "fake"), {})
    assert wire.receive()[0] == "welcome"
    wire.send("ask", *request_)
    assert wire.receive()[0] == "error"
    assert probe.client().answer("still", []).text == "still"


def test_random_bytes_after_a_true_greeting_never_stop_the_server(probe: Probe) -> None:
    rng = random.Random(11)
    true = HEAD.pack(0, 0)
    arrays: list[memoryview] = []
    import json

    text = json.dumps(packed(["ask", "answer", ["x", []], {}], arrays)).encode()
    true = HEAD.pack(len(text), 0) + text
    for _ in range(150):
        connection = raw(probe.path)
        wire = Wire(connection, 10)
        wire.send("hello", address.fingerprint(probe.settings, "fake"), {})
        assert wire.receive()[0] == "welcome"
        damaged = bytearray(true)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        connection.sendall(bytes(damaged[: rng.randint(1, len(damaged))]))
        connection.close()
    assert probe.client().answer("still", []).text == "still"
    assert probe.process.poll() is None


def as_nobody(work: Callable[[], str]) -> Callable[[], str]:
    """Run it in a process of another user; call what is returned for what it said."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)

    def said() -> str:
        with os.fdopen(reader) as text:
            all_of_it = text.read()
        os.waitpid(child, 0)
        return all_of_it

    return said


def test_another_user_is_turned_away(probe: Probe) -> None:
    """Even where somebody has opened the folder: the kernel says who it is."""
    probe.path.parent.parent.chmod(0o755)
    probe.path.parent.chmod(0o755)
    probe.path.chmod(0o666)

    def asks() -> str:
        connection = raw(probe.path)
        with suppress(BrokenPipeError):  # turned away already
            connection.sendall(HEAD.pack(10, 0) + b'["status"]')
        return f"got {len(dropped(connection))} bytes"

    assert asks() != "got 0 bytes"
    assert as_nobody(asks)() == "got 0 bytes"
    assert "65534 was turned away" in probe.end()


def test_a_server_of_another_user_is_not_asked(own_folders: None) -> None:
    """Somebody else's process in our place would see our pages; it gets nothing."""
    path = address.socket_path(load(), "fake")
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o777)

    def serves() -> str:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(20)
            return f"got {len(dropped(listener.accept()[0]))} bytes"

    said = as_nobody(serves)
    until(path.exists)
    time.sleep(0.2)  # from its name to its listening
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o700)
    with pytest.raises(errors.EngineError, match="another user"):
        ResidentPerception(load(), "fake").minutes([])
    assert said() == "got 0 bytes"


# --- where it is ------------------------------------------------------------------------------------------------------


def test_the_folder_and_the_socket_are_the_users_alone(probe: Probe) -> None:
    assert probe.path.parent.stat().st_mode & 0o777 == 0o700
    assert probe.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("prepare", ["open", "link", "file"])
def test_a_folder_that_others_can_change_is_refused(tmp_path: Path, prepare: str) -> None:
    place = Path(os.environ["XDG_RUNTIME_DIR"], "omni")
    if prepare == "open":
        place.mkdir()
        place.chmod(0o777)
    elif prepare == "link":
        place.symlink_to(tmp_path)
    else:
        place.write_text("")
    with pytest.raises(errors.Unavailable):
        address.folder()


def test_the_fingerprint_knows_what_matters_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def mark(engine: str = "local", **settings: Any) -> str:
        return address.fingerprint(load(**settings), engine)

    assert mark() == mark() == mark(think=True) == mark(idle_minutes=3.0) == mark(temperature=0.5)
    assert mark() != mark(model_path=tmp_path) and mark() != mark(context=4096) and mark() != mark("lite")
    assert mark("lite") == mark("lite", context=4096) != mark("lite", whisper_model=tmp_path)
    assert mark() != mark(cache_dir=tmp_path / "cache")
    here = mark()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert mark() != here


def test_a_process_that_cannot_start_is_one_clear_error(own_folders: None) -> None:
    with pytest.raises(errors.Unavailable, match="did not start") as caught:
        ResidentPerception(load(), "fake").minutes([])  # no engine of this name can be started
    assert "engine.log" in caught.value.hint
