"""What the ten questions show: pictures that are drawn, a clip of plain colours, a sentence by a synthetic voice."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.errors import MediaError
from omni_agent.types import Frame, Picture, Sound

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = {"red": (220, 30, 30), "green": (20, 150, 40), "blue": (30, 60, 220), "yellow": (245, 215, 20)}


class Scenes:
    """A clip of plain colours, two seconds each."""

    def __init__(self, colours: list[str]) -> None:
        self._pictures = [picture_of(canvas(640, 360, COLOURS[name])[0]) for name in colours]
        self.duration = 2.0 * len(colours)

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        time = start
        while time < self.duration:
            yield Frame(time, self._pictures[int(time / 2)])
            time += every

    def sound(self) -> Sound | None:
        return None


def spoken(sentence: str) -> tuple[Sound | None, str]:
    """The sentence by a synthetic voice, or why there is none."""
    program = shutil.which("espeak-ng")
    if program is None:
        return None, "no voice at hand: espeak-ng is not installed"
    from omni_agent.media import audio

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        line = [program, "-v", "en-us", "-s", "140", "-w", str(path), sentence]
        try:
            subprocess.run(line, check=True, capture_output=True, timeout=60)
            return audio.load(path), ""
        except (OSError, subprocess.SubprocessError, MediaError) as error:
            return None, f"the voice failed: {error}"


def canvas(wide: int, high: int, colour: Any = "white") -> tuple[Image, Any]:
    """A picture and the pen to draw in it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (wide, high), colour)
    return image, ImageDraw.Draw(image)


def font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def picture_of(image: Image) -> Picture:
    import numpy as np

    return Picture(np.asarray(image))
