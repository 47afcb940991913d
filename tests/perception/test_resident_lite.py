"""The embedded engine as a resident process: the same answers, one process, a new one after every kind of end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omni_agent.errors import EngineError
from omni_agent.media import audio, image
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import choose
from omni_agent.perception.resident import address, start
from omni_agent.perception.resident.client import ResidentPerception
from omni_agent.settings import Settings, load
from omni_agent.tools.ask import ask
from omni_agent.tools.watch import watch
from omni_agent.types import Picture


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets and log of this test alone; whatever it started ends with it."""
    with tempfile.TemporaryDirectory(prefix="omni") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setenv("XDG_STATE_HOME", f"{folder}/state")
        yield
        for told in start.running():
            os.kill(told["pid"], signal.SIGKILL)


@pytest.fixture
def eyes() -> ResidentPerception:
    chosen = choose(load(engine="lite", resident="always")).perception
    assert isinstance(chosen, ResidentPerception)
    return chosen


def pid(settings: Settings) -> int | None:
    told = start.status(address.socket_path(settings, "lite"))
    return None if told is None else int(told["pid"])


def words(text: str) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", (420, 90), "white")
    ImageDraw.Draw(canvas).text((20, 20), text, fill="black", font=ImageFont.load_default(36))
    return Picture(np.asarray(canvas))


def read(perception: Perception, text: str) -> str:
    return " ".join(line.text for line in perception.read(words(text)))


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_the_same_answers_as_without_a_process_between(
    eyes: ResidentPerception, examples: Path, film: Callable[..., Path], tmp_path: Path
) -> None:
    """Every verb on real input, to the last digit."""
    plain = choose(load(engine="lite", resident="never")).perception
    question = "How many arrests for robbery were of females in 2009?"
    here, there = (ask([examples / "report.pdf"], question, engine=who) for who in (plain, eyes))
    assert there.found and replace(here, timings={}) == replace(there, timings={})
    screen = image.load(examples / "screenshot.png", "screenshot.png")
    part = Picture(screen.pixels[250:450, 250:650])
    assert plain.read(part) == eyes.read(part) != ()
    assert plain.locate("Client dropdown", part) == eyes.locate("Client dropdown", part)
    sound = audio.load(examples / "speech.flac", "speech.flac")
    heard = plain.hear(sound)
    assert heard.segments and heard == eyes.hear(sound)
    assert plain.tell_apart(sound, heard.segments) == eyes.tell_apart(sound, heard.segments)
    assert plain.minutes(heard.segments) == eyes.minutes(heard.segments)
    video = film(tmp_path / "a.mp4", [(0.0, "Error 17: no paper"), (3.0, "All is well")], 6.0)
    seen = [watch(video, "What is the error?", frames_dir=None, engine=who) for who in (eyes, plain)]
    assert seen[0].found and replace(seen[0], timings={}) == replace(seen[1], timings={})


def test_it_is_started_once_and_kept(eyes: ResidentPerception) -> None:
    assert read(eyes, "Hello there") == "Hello there"
    first = pid(load())
    assert first is not None and read(eyes, "Good bye") == "Good bye" and pid(load()) == first
    assert os.getsid(first) == first  # Ctrl-C on our terminal is not for it
    log = address.log_path()
    assert log.stat().st_mode & 0o777 == 0o600
    assert "listening" in log.read_text() and "Hello" not in log.read_text()


MINUTES = """
from omni_agent.perception.choose import choose
from omni_agent.settings import load
print(choose(load(engine="lite", resident="always")).perception.minutes([]).topics)
"""


def test_many_starts_at_once_make_one_process() -> None:
    clients = [
        subprocess.Popen([sys.executable, "-c", MINUTES], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for client in clients:
        assert client.communicate(timeout=100) == ("()\n", "")
    (told,) = start.running()
    assert told["requests"] == 6
    assert address.log_path().read_text().count("listening") == 1


def test_the_client_loads_nothing_of_the_engine() -> None:
    code = MINUTES + (
        "import sys\n"
        "heavy = {'onnxruntime','rapidocr','faster_whisper','ctranslate2','tokenizers','torch','transformers','cv2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "()\n[]\n", done.stderr


def test_it_leaves_when_nobody_asks_and_the_next_call_starts_another() -> None:
    eyes = ResidentPerception(load(idle_minutes=0.02), "lite")
    eyes.minutes([])
    first = pid(load())
    until(lambda: pid(load()) is None)
    assert not address.socket_path(load(), "lite").exists()
    eyes.minutes([])
    assert pid(load()) not in (None, first)


def test_it_does_not_leave_in_the_middle_of_a_request(examples: Path) -> None:
    eyes = ResidentPerception(load(idle_minutes=0.01), "lite")
    assert eyes.hear(audio.load(examples / "speech.flac", "speech.flac")).segments  # takes longer than 0.6 s to load


def test_other_settings_get_another_process_and_an_idle_one_makes_room(tmp_path: Path) -> None:
    one, two = load(), load(cache_dir=tmp_path / "cache")
    ResidentPerception(one, "lite").minutes([])
    first = pid(one)
    ResidentPerception(two, "lite").minutes([])
    assert pid(two) not in (None, first) and pid(one) is None


def test_a_socket_that_was_left_behind_is_replaced(eyes: ResidentPerception) -> None:
    eyes.minutes([])
    killed = pid(load())
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: pid(load()) is None)
    assert address.socket_path(load(), "lite").exists()
    eyes.minutes([])
    assert pid(load()) not in (None, killed)


def test_a_file_in_the_sockets_place_is_replaced(eyes: ResidentPerception) -> None:
    address.socket_path(load(), "lite").write_text("not a socket")
    assert eyes.minutes([]).topics == ()


def killed_at_random(eyes: ResidentPerception, times: int, seed: int) -> tuple[int, int]:
    """Kill the process while it is started, idle or at work; how many calls were right and how many an error."""
    rng = random.Random(seed)
    right = failed = 0
    for attempt in range(times):
        done = threading.Event()

        def kill(done: threading.Event = done, after: float = rng.expovariate(1 / 0.7)) -> None:
            done.wait(after)
            running = pid(load())
            if running is not None:
                os.kill(running, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            assert read(eyes, f"Number {attempt + 10}") == f"Number {attempt + 10}"
            right += 1
        except EngineError as error:
            assert "ended in the middle of its work" in str(error)
            failed += 1
        finally:
            done.set()
            killer.join()
        if rng.random() < 0.3:  # the next command starts a new one
            assert read(eyes, "and again") == "and again"
    return right, failed


def test_kill_9_gives_the_right_answer_or_one_clear_error(eyes: ResidentPerception) -> None:
    right, failed = killed_at_random(eyes, 4, seed=3)
    assert right + failed == 4
    assert read(eyes, "The end") == "The end"


@pytest.mark.soak
def test_kill_9_fifty_times(eyes: ResidentPerception) -> None:
    right, failed = killed_at_random(eyes, 50, seed=5)
    assert right + failed == 50 and right and failed
    assert read(eyes, "The end") == "The end"
