"""What every test gets: settings of its own, and a skip that CI turns into a failure."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("omni", deadline=None)  # nothing here is timed: the machine may be busy
settings.load_profile("omni")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # handed down by a shell's background: Ctrl-C would do nothing
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packaged weights are put together: once for the whole run, since they are large."""
    return tmp_path_factory.mktemp("omni-weights")


@pytest.fixture(autouse=True)
def own_settings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, weights_folder: Path
) -> None:
    """No test reads the config, environment or cache of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("OMNI_") and name != "OMNI_TEST_ALL"]:
        monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("omni-home")
    (folder / "cache").mkdir()
    (folder / "cache" / "weights").symlink_to(weights_folder)
    monkeypatch.setenv("OMNI_CONFIG", str(folder / "config.toml"))
    monkeypatch.setenv("OMNI_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("OMNI_OFFLINE", "1")
    monkeypatch.setenv("OMNI_RESIDENT", "never")


@pytest.fixture
def shared_cache(
    own_settings: None, tmp_path_factory: pytest.TempPathFactory, weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For tests that look at what is answered and not at how it is cached: what was read and heard once is kept."""
    folder = tmp_path_factory.getbasetemp() / "shared-cache"
    folder.mkdir(exist_ok=True)
    if not (folder / "weights").exists():
        (folder / "weights").symlink_to(weights_folder)
    monkeypatch.setenv("OMNI_CACHE_DIR", str(folder))


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """`require("ffmpeg")`: skip unless these programs are installed; in CI (OMNI_TEST_ALL=1) their absence fails."""

    def check(*programs: str) -> None:
        missing = [program for program in programs if shutil.which(program) is None]
        if missing and os.environ.get("OMNI_TEST_ALL"):
            pytest.fail(f"missing: {', '.join(missing)}")
        if missing:
            pytest.skip(f"needs {', '.join(missing)} (see `make system-packages`)")

    return check


@pytest.fixture(scope="session")
def examples() -> Path:
    """The shipped example files."""
    return Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Session:
    """What a command did on a terminal: its exit code, what the terminal showed (stderr), what went to stdout."""

    code: int
    shown: str
    out: str


Terminal = Callable[..., Session]


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """`terminal("ask", "a.pdf", "…", answers=[("Password: ", "secret\\n")])`: omni with stdin and stderr on a terminal.

    Each answer is typed when its prompt has appeared; "\\x03" is Ctrl-C. stdout is a file, as in `omni … > file`.
    """

    def run(*arguments: str, answers: Sequence[tuple[str, str]] = (), cwd: Path, **environment: str) -> Session:
        ours, theirs = pty.openpty()
        waiting, shown, result = list(answers), b"", tmp_path_factory.mktemp("terminal") / "stdout"
        with result.open("wb") as stdout:
            running = subprocess.Popen(
                # setsid makes the terminal the one that Ctrl-C and getpass belong to, once it is opened
                [sys.executable, "-c", "import fcntl, runpy, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
                 "runpy.run_module('omni_agent', run_name='__main__', alter_sys=True)", *arguments],
                stdin=theirs, stdout=stdout, stderr=theirs, cwd=cwd, start_new_session=True,
                env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
            )  # fmt: skip
        os.close(theirs)
        end = time.monotonic() + 280
        while time.monotonic() < end:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if waiting and waiting[0][0].encode() in shown:
                os.write(ours, waiting.pop(0)[1].encode())
        os.close(ours)
        if running.poll() is None and time.monotonic() >= end:
            running.kill()
        code = running.wait(20)
        assert not waiting, f"never asked {waiting[0][0]!r}: {shown[-300:]!r}"
        return Session(code, shown.decode(errors="replace"), result.read_text(encoding="utf-8"))

    return run


Film = Callable[..., Path]


@pytest.fixture(scope="session")
def film() -> Film:
    """`film(path, [(0.0, "Hello"), (2.5, "Bye")], 4.0)`: a small video that shows each text from its time on.

    It holds one frame a text, at its time (a variable frame rate), or `rate` frames a second where that is given.
    """

    def make(path: Path, shows: list[tuple[float, str]], seconds: float, *, rate: int = 0, beep: bool = False) -> Path:
        import av
        import numpy as np
        from PIL import Image, ImageDraw, ImageFont

        font = ImageFont.load_default(36)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate or 10)
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            sound = container.add_stream("aac", rate=16_000) if beep else None
            ends = [*(at for at, _ in shows[1:]), seconds]
            for (at, text), end in zip(shows, ends, strict=True):
                image = Image.new("RGB", (640, 360), "white")
                ImageDraw.Draw(image).multiline_text((30, 60), text, fill="black", font=font)
                frame = av.VideoFrame.from_image(image)
                times = np.arange(at, end, 1 / rate) if rate else [at] if end < seconds else [at, seconds - 0.1]
                for time in times:
                    frame.pts, frame.time_base = round(float(time) * 1000), Fraction(1, 1000)
                    container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if sound is not None:
                tone = np.sin(np.arange(int(seconds * 16_000)) / 5).astype(np.float32)[None] * 0.2
                audio = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
                audio.rate, audio.pts = 16_000, 0
                container.mux(sound.encode(audio))
                container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A page that is only a picture, so that its text must be read by somebody."""
    import pymupdf

    with pymupdf.open() as text, pymupdf.open() as document:
        page = text.new_page()
        page.insert_text((72, 72), "The keeper of the light is Ada Marsh.")
        document.new_page().insert_image(page.rect, pixmap=page.get_pixmap(dpi=100))
        document.save(tmp_path / "scan.pdf")
    return tmp_path / "scan.pdf"
