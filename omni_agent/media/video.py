"""Video files as frames in order and a sound track, through PyAV.

Frames are decoded as they are asked for and forgotten, so an hour of video needs no more memory than a second. Times
count from the start of the file as players do, and come from timestamps, never from counting frames, so a variable
frame rate is nothing special.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.errors import MediaError
from omni_agent.media.container import PLAYLISTS, formats, open_container
from omni_agent.types import Frame, Picture, Sound

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt

MAX_PIXELS = 64_000_000  # of one frame; an 8K film has 33 million
MAX_HOURS = 48.0
CUT_S = 1.5  # a file that ends this much before the length it states was cut
SKIP_RATE = 12.0  # frames a second from which those that no other frame needs may be left out: at most 0.2 s is lost
NOT_VIDEO = PLAYLISTS | {"tty", "image2"}  # also the formats that draw any text as video, or take files by a pattern


@dataclass(frozen=True, slots=True)
class Video:
    """A video file that was looked into; nothing stays open. `duration` is how long it really goes on, in seconds;
    `stated` is what its header says, the longer of the two where the file was cut."""

    path: Path
    shown: str
    duration: float
    stated: float
    has_sound: bool

    @property
    def cut(self) -> bool:
        """Whether the file ends before the length that it states."""
        return self.stated - self.duration > CUT_S

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        """What is shown at `start`, `start + every`, …, in order, upright, the longer side at most `max_side`.

        A picture that stays is the same object again, so that whoever compares can see so at no cost. Frames that
        cannot be decoded are left out. Raises MediaError when none can.
        """
        showing: av.VideoFrame | None = None
        picture: Picture | None = None  # of `showing`, made when it is first due
        count, at = 0, 0.0
        with _opened(self.path, self.shown) as container:
            for frame, at in _decoded(container, start):
                while showing is not None and at > start + count * every:
                    picture = picture or _upright(showing, max_side)
                    yield Frame(start + count * every, picture)
                    count += 1
                showing, picture = frame, None
        if showing is None:
            if start > 0.0:
                return
            raise MediaError(f"{self.shown} has no frame that can be decoded", hint="play it to see what is left of it")
        picture = picture or _upright(showing, max_side)
        while count == 0 or start + count * every < max(self.duration, at):
            yield Frame(start + count * every, picture)
            count += 1

    def sound(self) -> Sound | None:
        """The whole sound track as mono at 16 kHz, or None where there is none."""
        if not self.has_sound:
            return None
        from omni_agent.media import audio

        return audio.load(self.path, self.shown)


def load(path: Path, shown: str | None = None) -> Video:
    """Look into a video file: its length, and whether it has pictures and sound.

    Raises MediaError for what is no video, has no pictures, or claims a size or a length that no video has.
    """
    shown = shown or str(path)
    with _opened(path, shown) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec.width * codec.height > MAX_PIXELS:
            raise MediaError(f"{shown} claims frames of {codec.width}x{codec.height}, more than omni decodes")
        stated, whole = _length(stream.duration, stream.time_base), _length(container.duration, 1 / 1_000_000)
        ends = _ends(container, stated)
        if max(ends, stated, whole) > MAX_HOURS * 3600:
            raise MediaError(f"{shown} claims to last more than {MAX_HOURS:.0f} hours; its times are damaged")
        cut = stated - ends > CUT_S
        duration = ends if cut else max(ends, whole)
        return Video(path, shown, duration, stated if cut else duration, bool(container.streams.audio))


@contextmanager
def _opened(path: Path, shown: str) -> Iterator[av.container.InputContainer]:
    """The file opened, with at least one stream of pictures. Only local files: a playlist inside may name anything."""
    import av

    try:
        container = open_container(path)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"{shown} is not a video that omni can read", hint=_why_not(path)) from error
    with container:
        if NOT_VIDEO & formats(container):
            raise MediaError(f"{shown} is not a video that omni can read", hint=_why_not(path))
        if not _pictures(container):
            kind = "sound but no pictures" if container.streams.audio else "no pictures"
            hint = "omni transcribe reads recordings" if container.streams.audio else ""
            raise MediaError(f"{shown} has {kind}", hint=hint)
        yield container


def _pictures(container: av.container.InputContainer) -> bool:
    """Whether the first stream of pictures is a film and not the cover of a record."""
    from av.stream import Disposition

    video = container.streams.video
    return bool(video) and not video[0].disposition & Disposition.attached_pic and video[0].codec_context is not None


def _why_not(path: Path) -> str:
    head = path.open("rb").read(64)
    if b"ftyp" in head[:16]:
        return "it begins as an mp4, but its index is missing: it was cut off, or its recording never ended"
    if head.startswith(b"%PDF"):
        return "it is a PDF: omni ask reads those"
    return "it may be damaged, or another kind of file with a video's name"


def _decoded(container: Any, start: float) -> Iterator[tuple[av.VideoFrame, float]]:
    """The frames from the one shown at `start` on, each with its time, as far as they can be decoded."""
    import av

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    if (stream.average_rate or 0) >= SKIP_RATE:
        stream.codec_context.skip_frame = "NONREF"
    zero = _zero(container)
    if start > 0.0:
        _seek(container, stream, start + zero)
    before: tuple[av.VideoFrame, float] | None = None  # the frame that may still stand at `start`
    previous = -1e9
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue  # a damaged stretch: what follows it may be whole
        for frame in frames:
            at = frame.time - zero if frame.time is not None else previous + 0.04
            if at <= previous or not 0 < frame.width * frame.height <= MAX_PIXELS:
                continue
            previous = at
            if at <= start:
                before = (frame, at)
                continue
            if before is not None:
                yield before
                before = None
            yield frame, at
    if before is not None:
        yield before


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets up to the end of the file, or to where it breaks off."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _seek(container: Any, stream: Any, seconds: float) -> None:
    import av

    try:
        container.seek(int(seconds / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return  # a file without an index is read from where it stands


def _zero(container: Any) -> float:
    """The time in the file that players show as 0:00."""
    return float(container.start_time / 1_000_000) if container.start_time else 0.0


def _length(duration: int | None, unit: Any) -> float:
    return float(duration * unit) if duration and duration > 0 else 0.0


def _ends(container: Any, stated: float) -> float:
    """When the last picture ends. Reads the file's last packets, and all of them where its end is not where it says."""
    stream = container.streams.video[0]
    zero = _zero(container)

    def last() -> float:
        return max(
            (
                float((packet.pts + (packet.duration or 0)) * stream.time_base) - zero
                for packet in _packets(container, stream)
                if packet.pts is not None and packet.size
            ),
            default=0.0,
        )

    if stated > 60.0:
        _seek(container, stream, stated + zero)
        ends = last()
        if ends > stated - CUT_S:
            return ends
        _seek(container, stream, 0.0)
    return last()


def _upright(frame: Any, max_side: int) -> Picture:
    """The frame as a person sees it: square pixels, scaled down to `max_side`, turned as the file says."""
    import numpy as np

    ratio = frame.sample_aspect_ratio if hasattr(frame, "sample_aspect_ratio") else None
    width, height = float(frame.width), float(frame.height)
    if ratio:
        width *= float(ratio)
    scale = min(1.0, max_side / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = frame.reformat(width=size[0], height=size[1], format="rgb24", interpolation="AREA").to_ndarray()
    return Picture(np.ascontiguousarray(_turned(pixels, frame)))


def _turned(pixels: npt.NDArray[np.uint8], frame: Any) -> npt.NDArray[np.uint8]:
    """Apply the frame's display matrix (ISO/IEC 14496-12: x' = ax + cy, y' = bx + dy, y downwards), quarter turns and
    mirrorings only; nothing else is found in recordings."""
    import numpy as np

    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(data), dtype="<i4")[:5].tolist()
    across, down = a, d
    if abs(b) > abs(a):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    if across < 0:
        pixels = pixels[:, ::-1]
    if down < 0:
        pixels = pixels[::-1]
    return pixels
