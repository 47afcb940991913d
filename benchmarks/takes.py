"""What several recordings of `benchmarks.videos` share: slides with a machine's voice, lines typed in a terminal."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.screencast import Screencast


def narrated(
    out: Path,
    packed: Path,
    speech: Mapping[int, str],
    *,
    seconds: float,
    dpi: int,
    voice: tuple[str, str],
    pause: float,
) -> None:
    """Pages of a gzipped PDF, `seconds` each, while what is said about each begins `pause` seconds after it is shown.
    `voice` is espeak-ng's voice and its words a minute."""
    import pymupdf

    stills = out.with_name("stills")
    stills.mkdir(exist_ok=True)
    slides = subprocess.run(["gzip", "-dc", packed], capture_output=True, check=True).stdout
    sounds, delayed = [], ""
    with pymupdf.open(stream=slides, filetype="pdf") as document:
        for number, (page, sentence) in enumerate(speech.items()):
            document[page - 1].get_pixmap(dpi=dpi).save(stills / f"{number:02}.png")
            spoken = stills / f"{number:02}.wav"
            subprocess.run(["espeak-ng", "-v", voice[0], "-s", voice[1], "-w", str(spoken), sentence], check=True)
            sounds += ["-i", str(spoken)]
            delayed += f"[{number + 1}:a]adelay={int(1000 * (seconds * number + pause))}:all=1[a{number}];"
    size = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:(ow-iw)/2:(oh-ih)/2:black,format=yuv420p"
    names = "".join(f"[a{number}]" for number in range(len(speech)))
    mixed = f"{delayed}{names}amix=inputs={len(speech)}:normalize=0,apad[a];[0:v]{size}[v]"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-framerate", f"1/{seconds:g}", "-i", str(stills / "%02d.png"), *sounds,
         "-filter_complex", mixed, "-map", "[v]", "-map", "[a]", "-r", "10", "-t", f"{seconds * len(speech):g}",
         "-c:v", "libx264", "-crf", "24", "-c:a", "aac", "-b:a", "64k", str(out)],
        check=True,
    )  # fmt: skip
    shutil.rmtree(stills)


def typed(cast: Screencast, folder: Path, lines: Sequence[str], *, first: float, every: float, delay: int) -> None:
    """Record the terminal in front while these lines are typed in a folder: the first at second `first`, then one
    `every` so many, `delay` milliseconds a key."""
    cast.do("mousemove", "400", "300", "click", "1", "type", f"cd {folder}; clear")
    cast.do("key", "Return", "sleep", "1")
    cast.roll()
    for number, line in enumerate(lines):
        cast.at(first + every * number)
        cast.do("type", "--delay", str(delay), line)
        cast.do("key", "Return")
