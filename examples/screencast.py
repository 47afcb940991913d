"""Record real programs on a screen of their own: Xvfb, ffmpeg's x11grab, xdotool, and espeak-ng for the narration.

with Screencast(Path("out.mp4"), seconds=20) as cast:
    cast.start("xterm", "-e", "top")
    cast.at(5.0)
    cast.do("key", "q")
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Screencast:
    """A recording in progress. Times are seconds since the picture's first frame.

    `narration` maps times to sentences. Programs started before `roll()` are on the screen from the first frame on.
    """

    def __init__(
        self,
        out: Path,
        *,
        seconds: float,
        size: tuple[int, int] = (1280, 720),
        rate: int = 15,
        narration: dict[float, str] | None = None,
    ) -> None:
        self.out, self.seconds, self.size, self.rate = out, seconds, size, rate
        self.narration = narration or {}
        self.display = ""
        self._environment = dict(os.environ)
        self._folder = tempfile.TemporaryDirectory(prefix="screencast-", ignore_cleanup_errors=True)
        self._running: list[subprocess.Popen[bytes]] = []
        self._camera: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    def __enter__(self) -> Screencast:
        width, height = self.size
        told, tells = os.pipe()  # Xvfb takes a free number, and writes it once it can be reached
        screen = ["Xvfb", "-displayfd", str(tells), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._running.append(subprocess.Popen(screen, pass_fds=(tells,), **quiet))
        os.close(tells)
        with os.fdopen(told) as number:
            self.display = f":{number.readline().strip()}"
        self._environment["DISPLAY"] = self.display
        return self

    def start(self, *command: str, settle: float = 0.0) -> None:
        """Start a program on the screen, and give it time to draw."""
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._running.append(subprocess.Popen(command, env=self._environment, **quiet))
        time.sleep(settle)

    def browse(self, address: str, settle: float = 6.0) -> None:
        """Show a page in Chromium, without any of the browser's own frame."""
        width, height = self.size
        self.start(
            "chromium", "--no-sandbox", "--disable-gpu", "--no-first-run", "--force-device-scale-factor=1",
            "--disable-features=Translate", f"--user-data-dir={self._folder.name}/browser", "--window-position=0,0",
            f"--window-size={width},{height}", "--kiosk", f"--app={address}",
            settle=settle,
        )  # fmt: skip

    def play(self, *steps: tuple[float | str, ...]) -> None:
        """Steps, each a second of the recording and the xdotool words that are then done."""
        for at, *action in steps:
            self.at(float(at))
            self.do(*map(str, action))

    def roll(self) -> None:
        """Start the camera."""
        width, height = self.size
        picture = self._folder.name + "/picture.mp4"
        grab = ["-f", "x11grab", "-framerate", str(self.rate), "-video_size", f"{width}x{height}", "-i", self.display]
        code = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-t", str(self.seconds)]
        self._camera = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-nostats", "-progress", "pipe:1", "-y", *grab, *code, picture],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert self._camera.stdout is not None
        for line in self._camera.stdout:  # its first report says how much has been recorded by now
            if line.startswith(b"out_time_us=") and line.strip()[12:].isdigit():
                self._began = time.monotonic() - int(line[12:]) / 1e6
                break

    def at(self, second: float) -> None:
        """Wait until this second of the recording."""
        time.sleep(max(0.0, self._began + second - time.monotonic()))

    def do(self, *action: str) -> None:
        """Act as a person would: `do("mousemove", "10", "20", "click", "1")`, `do("type", "hello")`."""
        subprocess.run(["xdotool", *action], env=self._environment, check=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._camera is not None and kind is None:
                self._camera.communicate(timeout=self.seconds * 3 + 60)
                self._finish()
        finally:
            for program in reversed([*self._running, *([self._camera] if self._camera else [])]):
                program.terminate()
                program.wait(timeout=20)
            self._folder.cleanup()

    def _finish(self) -> None:
        """Put picture and narration together, small."""
        folder = Path(self._folder.name)
        inputs, filters = ["-i", str(folder / "picture.mp4")], []
        for number, (when, sentence) in enumerate(sorted(self.narration.items()), 1):
            spoken = folder / f"{number}.wav"
            subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", str(spoken), sentence], check=True)
            inputs += ["-i", str(spoken)]
            filters.append(f"[{number}:a]aresample=24000,adelay={int(when * 1000)}:all=1[a{number}]")
        sound: list[str] = []
        if filters:
            names = "".join(f"[a{number}]" for number in range(1, len(filters) + 1))
            mix = f"{names}amix=inputs={len(filters)}:normalize=0,apad,atrim=0:{self.seconds}[sound]"
            sound = ["-filter_complex", ";".join([*filters, mix]), "-map", "0:v", "-map", "[sound]"]
            sound += ["-c:a", "aac", "-b:a", "40k", "-ac", "1"]
        picture = ["-c:v", "libx264", "-preset", "slow", "-crf", "26", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *inputs, *sound, *picture, str(self.out)], check=True)
