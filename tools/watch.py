"""Answer a question about a video from what it shows and what is said in it, with the moments that prove it.

Perception answers; this owns the file, the sound track (through `transcribe`, which keeps what it heard), the frames
that are saved, and the memory: perception may leave notes about a clip in it, one for each stretch that it has read,
and finds them again with the next question or after an interruption. The memory is the cache, under the content of
the file and the engine's name; perception itself never touches a disk.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_agent.errors import MediaError, OmniError, UsageError
from omni_agent.media import image, video
from omni_agent.media.files import opened, write
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import perceive
from omni_agent.settings import EngineName, load
from omni_agent.tools import cache
from omni_agent.tools.transcribe import printable, transcribe
from omni_agent.types import Moment, Progress, Segment, Usage, no_progress, timestamp, well_formed

FRAME_SIDE = 4096  # a saved frame is not scaled down below this


@dataclass(frozen=True, slots=True)
class WatchedMoment:
    """A stretch of the video that bears on the answer, in seconds. `frame` is the picture saved of it, None where no
    folder was named or it could not be saved (a warning says why). `seen` and `said` are quotes, empty where there is
    nothing."""

    start: float
    end: float
    frame: str | None
    seen: str
    said: str


@dataclass(frozen=True, slots=True)
class WatchResult:
    """An answer about a video. `found` False: neither shown nor said, and `reason` says why in a sentence."""

    found: bool
    answer: str
    moments: tuple[WatchedMoment, ...]
    confidence: float
    engine: str
    reason: str
    duration: float
    warnings: tuple[str, ...]
    usage: Usage
    timings: dict[str, float]
    schema_version: int = 1


def watch(
    source: str | Path,
    question: str,
    *,
    frames_dir: str | Path | None = None,
    engine: EngineName | Perception | None = None,
    progress: Progress = no_progress,
) -> WatchResult:
    """Answer `question` about a video; "-" is standard input. The cited frames are saved as PNG into `frames_dir`.

    What was read and heard is kept in the cache as it is done: Ctrl-C loses at most half a minute of pictures and two
    minutes of sound, and the next question about the same file is answered at once.
    Raises UsageError for an empty question or a file that is not there, MediaError for what is no video.
    """
    if not question.strip():
        raise UsageError("the question is empty", hint='omni watch VIDEO "What does the dialog say?"')
    question = well_formed(question)
    perception = perceive(engine)
    with opened(source) as path:
        shown = "standard input" if str(source) == "-" else str(source)
        clip = video.load(path, shown)
        warnings = [f"{shown} was cut: it ends at {clip.duration:.0f} s of {clip.stated:.0f} s"] if clip.cut else []
        timings: dict[str, float] = {}
        began = time.perf_counter()
        segments = _heard(clip, perception, progress, warnings)
        timings["hear_s"] = time.perf_counter() - began
        memory = _Memory(cache.fingerprint(path), perception.name, *_model())
        viewing = perception.look(clip, question, segments, memory=memory, progress=progress)
        timings["look_s"] = time.perf_counter() - began - timings["hear_s"]
        stem = "frame" if str(source) == "-" else path.stem
        moments = tuple(_watched(moment, clip, frames_dir, stem, warnings) for moment in viewing.moments)
        timings["total_s"] = time.perf_counter() - began
    return WatchResult(
        found=viewing.found,
        answer=printable(viewing.text),
        moments=moments,
        confidence=viewing.confidence,
        engine=perception.name,
        reason=printable(viewing.reason),
        duration=clip.duration,
        warnings=tuple(warnings),
        usage=viewing.usage,
        timings=timings,
    )


def _model() -> tuple[object, ...]:
    """Which full model it is, where there is a choice: another one must not answer from this one's notes."""
    settings = load()
    return settings.model_path, settings.model


class _Memory:
    """Notes about one file, kept in the cache."""

    def __init__(self, *key: object) -> None:
        self._key = key

    def get(self, key: str) -> Any:
        return cache.get("watched", *self._key, key)

    def __setitem__(self, key: str, value: Any) -> None:
        cache.put("watched", *self._key, key, value=value)


def _heard(clip: video.Video, perception: Perception, progress: Progress, warnings: list[str]) -> tuple[Segment, ...]:
    """What is said in the video; a sound track that cannot be read is a warning, the pictures may still answer."""
    if not clip.has_sound:
        return ()
    try:
        result = transcribe(clip.path, engine=perception, progress=progress)
    except MediaError as error:
        warnings.append(f"the sound track is left out: {error}")
        return ()
    if not clip.cut:  # else the same is said already
        warnings.extend(warning.replace(str(clip.path), clip.shown) for warning in result.warnings)
    return result.segments


def _watched(
    moment: Moment, clip: video.Video, folder: str | Path | None, stem: str, warnings: list[str]
) -> WatchedMoment:
    """The moment with its picture saved; one that cannot be saved is a warning: the answer is worth more."""
    saved: str | None = None
    frame = next(clip.frames(every=1.0, max_side=FRAME_SIDE, start=moment.at), None) if folder is not None else None
    if folder is not None and frame is not None:
        path = Path(folder, f"{stem}-{timestamp(moment.at).replace(':', '-')}.{int(moment.at * 10) % 10}.png")
        try:
            write(path, image.png(frame.picture))
            saved = str(path)
        except OmniError as error:
            warnings.append(str(error))
    return WatchedMoment(moment.start, moment.end, saved, printable(moment.seen), printable(moment.said))
