"""Sound out of any file that PyAV opens: a recording, a song, the sound track of a video.

What comes out is always the same: mono float32 at 16 kHz, in blocks, so that hours need no more memory than a minute.
Nothing but the named file is opened: a playlist that points elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.errors import MediaError
from omni_agent.media.container import PLAYLISTS, formats, open_container
from omni_agent.types import Sound

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

RATE = 16_000
BLOCK = 30.0  # seconds
TOGETHER = 4  # seconds that are resampled at once
GAP = 0.1  # a jump of the time stamps longer than this is silence that was not recorded
MAX_GAP = 3600.0  # and one longer than this is a wrong time stamp
MAX_HOURS = 48.0  # heard of one file; time stamps can claim years of silence in a few kilobytes


class Track:
    """The first sound track of a file. `duration` is what the container claims, None where it claims nothing.

    After reading to the end, `damage` says what was wrong with the file, or is empty, and `length` is what was read.
    """

    def __init__(self, path: Path, shown: str, duration: float | None) -> None:
        self.path, self.shown, self.duration = path, shown, duration
        self.damage = ""
        self.length = 0.0

    def blocks(self, seconds: float = BLOCK) -> Iterator[Sound]:
        """The whole track as consecutive sounds of `seconds` each (the last one shorter).

        What cannot be decoded is left out and told in `damage`. Raises MediaError when nothing can be decoded.
        """
        import numpy as np

        size, kept, held, sent = int(seconds * RATE), [], 0, 0
        for piece in self._pieces():
            kept.append(piece)
            held += len(piece)
            while held >= size:
                whole = np.concatenate(kept)
                yield Sound(whole[:size], RATE, sent / RATE)
                kept, held, sent = [whole[size:]], held - size, sent + size
        if held:
            yield Sound(np.concatenate(kept), RATE, sent / RATE)
        self.length = (sent + held) / RATE
        if not self.length:
            raise MediaError(f"{self.shown} holds no sound that can be decoded", hint="its length is zero or it is cut")
        missing = (self.duration or 0.0) - self.length
        if missing > max(1.0, 0.02 * self.length) and self.length < MAX_HOURS * 3600:
            self.damage = f"{self.shown} ends at {self.length:.1f} s of the {self.duration:.1f} s that it claims"

    def load(self) -> Sound:
        """The whole track at once: 3.8 MB a minute. Raises as `blocks` does."""
        import numpy as np

        return Sound(np.concatenate([block.samples for block in self.blocks()]), RATE)

    def _pieces(self) -> Iterator[Samples]:
        """The decoded track piece by piece, silence put where the time stamps leave a gap."""
        import numpy as np

        heard = 0.0  # seconds handed out or held back
        with _container(self.path, self.shown) as container:
            origin = (container.start_time or 0) / 1_000_000
            mono = _Mono()
            for frame in self._frames(container):
                gap = (frame.time - origin) - heard if frame.time is not None else 0.0
                if heard > MAX_HOURS * 3600:
                    self.damage = f"{self.shown} goes on after {MAX_HOURS:.0f} hours; the rest is left out"
                    break
                if GAP < gap < MAX_GAP and heard + gap < (self.duration or float("inf")) + GAP:
                    heard += gap
                    yield from mono.rest()
                    for left in range(round(gap * RATE), 0, -RATE):
                        yield np.zeros(min(left, RATE), np.float32)
                heard += frame.samples / frame.sample_rate
                yield from mono.of(frame)
            yield from mono.rest()

    def _frames(self, container: Any) -> Iterator[Any]:
        """Every frame that decodes; packets that do not are skipped, and a container that breaks off ends."""
        import av

        packets = container.demux(container.streams.audio[0])
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError) as error:
                self.damage = f"{self.shown} breaks off: {_why(error)}"
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except (av.error.FFmpegError, ValueError) as error:
                self.damage = f"parts of {self.shown} could not be decoded: {_why(error)}"


def probe(path: Path, shown: str | None = None) -> Track | None:
    """The sound track of a file, or None where it has none (a silent video). Raises MediaError for what is no media."""
    shown = shown or str(path)
    with _container(path, shown) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        claimed = container.duration / 1_000_000 if container.duration else None
        if stream.duration and stream.time_base:
            claimed = float(stream.duration * stream.time_base)
        return Track(path, shown, claimed and claimed * _cut(path))


def load(path: Path, shown: str | None = None) -> Sound:
    """The whole sound of a file. Raises MediaError for what is no media, has no sound track, or holds no sound."""
    track = probe(path, shown)
    if track is None:
        raise MediaError(f"{shown or path} has no sound track")
    return track.load()


class _Mono:
    """Frames of any rate and layout as mono at 16 kHz, some seconds at once: frames alone are too small to be quick."""

    def __init__(self) -> None:
        self._setup: object = None
        self._resampler: Any = None
        self._held: Any = None

    def of(self, frame: Any) -> Iterator[Samples]:
        """The samples that a frame completes. A change of format in the middle is followed."""
        import av

        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup:
            yield from self.rest()
            layout = "mono" if len(frame.layout.channels) == 1 else "stereo"
            self._setup, self._resampler = setup, av.AudioResampler("fltp", layout, RATE)
            self._held = av.AudioFifo()
        frame.pts = None  # gaps are filled by the caller
        self._held.write(frame)
        if self._held.samples >= TOGETHER * frame.sample_rate:
            yield from self._drawn(self._held.read())

    def rest(self) -> Iterator[Samples]:
        """What is still held back. The next frame starts afresh."""
        if self._setup is not None:
            if self._held.samples:
                yield from self._drawn(self._held.read())
            yield from self._drawn(None)
            self._setup = None

    def _drawn(self, frame: Any) -> Iterator[Samples]:
        for done in self._resampler.resample(frame):
            yield _mixed(done.to_ndarray())


def _mixed(channels: Samples) -> Samples:
    """Float samples [channels, n] as one channel: their mean, or the louder one where the mean cancels out (a recording
    whose channels are in opposite phase is silent when mixed)."""
    import numpy as np

    mean = channels.mean(axis=0, dtype=np.float32)
    power = np.square(channels).mean(axis=1)
    loudest = int(power.argmax())
    chosen = channels[loudest] if np.square(mean).mean() < 0.05 * power[loudest] else mean
    return np.nan_to_num(np.clip(chosen, -1.0, 1.0), nan=0.0).astype(np.float32, copy=False)


@contextmanager
def _container(path: Path, shown: str) -> Iterator[Any]:
    import av

    try:
        container = open_container(path)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"{shown} is no recording or video that omni can read: {_why(error)}") from error
    with container:
        if PLAYLISTS & formats(container):
            raise MediaError(f"{shown} is a playlist, not a recording", hint="name the files that it lists")
        yield container


def _cut(path: Path) -> float:
    """How many times longer a WAV file says it is than it is: ffmpeg goes by the file's size and hides a cut."""
    with path.open("rb") as file:
        head = file.read(12)
    size = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or head[8:] != b"WAVE" or size >= 0x7FFFFF00:  # what programs write that do not know it yet
        return 1.0
    return max(1.0, (size + 8) / path.stat().st_size)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
