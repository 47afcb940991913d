"""What is said in a recording: text, who, when; long ones in stretches, so that an interrupted job goes on.

A recording is cut at quiet places into stretches of about two minutes. Each is heard, kept in the cache under the
content of the file and the options, and never heard again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.errors import MediaError
from omni_agent.media import audio
from omni_agent.media.files import opened
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import perceive
from omni_agent.settings import EngineName, load
from omni_agent.tools import cache
from omni_agent.types import Minutes, Progress, Segment, Sound, SpokenWord, no_progress, to_json, well_formed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STRETCH = 120.0  # seconds heard at once: what an interruption can lose
SEARCH = 30.0  # the last seconds of a stretch, where a quiet place is looked for
HUSH = 0.4  # seconds of quiet that make a good cut
SPEAKER_HOURS = 8.0  # voices are told apart over the whole recording at once: 230 MB an hour
SILENCE = 1e-4  # peak amplitude of a silent file with dither (3 steps of 16 bits); nothing is heard in less


@dataclass(frozen=True, slots=True)
class TranscribeResult:
    """A transcript. `found` is False where nobody speaks; `complete` is False where an interruption ended it, and the
    segments are then those before it. Times are seconds; `summary` is None unless it was asked for."""

    found: bool
    text: str
    language: str
    segments: tuple[Segment, ...]
    summary: Minutes | None
    duration: float
    complete: bool
    engine: str
    warnings: tuple[str, ...]
    timings: dict[str, float]
    schema_version: int = 1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a recording was heard; `partial` is what was heard until then. The next call goes on from there."""

    def __init__(self, partial: TranscribeResult) -> None:
        super().__init__("interrupted")
        self.partial = partial


def transcribe(
    source: str | Path,
    *,
    language: str | None = None,
    prompt: str = "",
    speakers: bool = False,
    summary: bool = False,
    engine: EngineName | Perception | None = None,
    progress: Progress = no_progress,
) -> TranscribeResult:
    """What is said in a recording or in a video's sound track; "-" is standard input.

    `language` is an ISO 639-1 code, None to find out; `prompt` holds names and terms to expect; `speakers` tells voices
    apart (approximately); `summary` adds topics, decisions and action items.
    Raises UsageError for a file that is not there, MediaError for what is no recording, Interrupted on Ctrl-C.
    """
    perception = perceive(engine)
    with opened(source) as path:
        track = _track(path, shown="standard input" if str(source) == "-" else str(source))
        job = _Job(perception, track, language=language, prompt=well_formed(prompt))
        try:
            job.hear(progress)
            return job.result(
                speakers=job.label(progress) if speakers else None,
                summary=perception.minutes if summary else None,
            )
        except KeyboardInterrupt as interrupt:
            raise Interrupted(job.result(complete=False)) from interrupt


def _track(path: Path, shown: str) -> audio.Track:
    track = audio.probe(path, shown)
    if track is None:
        raise MediaError(f"{shown} has no sound track, so nothing can be heard in it")
    return track


class _Job:
    """One recording on its way to a transcript."""

    def __init__(self, perception: Perception, track: audio.Track, *, language: str | None, prompt: str) -> None:
        self._perception, self._track, self._prompt = perception, track, prompt
        self._language = language
        self._segments: list[Segment] = []
        self._warnings: list[str] = []
        self._began = time.perf_counter()
        self._timings = {"reused_s": 0.0}
        self._file = cache.fingerprint(track.path)

    def hear(self, progress: Progress) -> None:
        """Hear stretch after stretch; the language found in the first that has speech holds for the rest."""
        total = self._track.duration
        for stretch in stretches(self._track.blocks()):
            progress("hearing", stretch.start, total)
            found, language = self._heard(stretch)
            for segment in found:
                words = tuple(replace(word, word=printable(word.word)) for word in segment.words)
                text = printable(segment.text).strip()
                self._segments.append(replace(segment, id=len(self._segments), text=text, words=words))
            if found and self._language is None:
                self._language = language
        progress("hearing", self._track.length, self._track.length)

    def _heard(self, stretch: Sound) -> tuple[Sequence[Segment], str]:
        import numpy as np

        if float(np.abs(stretch.samples).max(initial=0.0)) < SILENCE:
            return (), ""
        key = (self._file, round(stretch.start, 3), len(stretch.samples), self._language, self._prompt, *self._ears())
        kept = cache.get("heard", *key)
        if kept is not None:
            self._timings["reused_s"] += stretch.duration
            return [segment_of(value) for value in kept["segments"]], kept["language"]
        heard = self._perception.hear(stretch, language=self._language, prompt=self._prompt)
        cache.put("heard", *key, value={"segments": to_json(heard.segments), "language": heard.language})
        return heard.segments, heard.language

    def label(self, progress: Progress) -> list[str]:
        """One speaker a segment, told apart over the whole recording; none where that is too long."""
        if not self._segments:
            return []
        if self._track.length > SPEAKER_HOURS * 3600:
            self._warnings.append(f"speakers are told apart in at most {SPEAKER_HOURS:.0f} hours; they are left out")
            return []
        progress("telling voices apart", 0, None)
        began = time.perf_counter()
        key = (self._file, [(s.start, s.end) for s in self._segments], *self._ears())
        kept = cache.get("voices", *key)
        if kept is None:
            kept = list(self._perception.tell_apart(self._track.load(), self._segments))
            cache.put("voices", *key, value=kept)
        self._timings["speakers_s"] = time.perf_counter() - began
        return [str(name) for name in kept]

    def result(self, *, complete: bool = True, speakers: Any = None, summary: Any = None) -> TranscribeResult:
        segments = tuple(
            replace(segment, speaker=name)
            for segment, name in zip(self._segments, speakers or [None] * len(self._segments), strict=True)
        )
        warnings = [*filter(None, [self._track.damage]), *self._warnings]
        if speakers:
            warnings.append("speaker labels are approximate")
        minutes = summary(segments) if summary is not None else None
        self._timings["total_s"] = time.perf_counter() - self._began
        return TranscribeResult(
            found=bool(segments),
            text=joined(segments),
            language=self._language or "",
            segments=segments,
            summary=minutes,
            duration=self._track.length or self._track.duration or 0.0,
            complete=complete,
            engine=self._perception.name,
            warnings=tuple(warnings),
            timings=self._timings,
        )

    def _ears(self) -> tuple[str, ...]:
        """What heard it: another model must not be answered from this one's cache."""
        settings = load()
        return tuple(
            str(v) for v in (self._perception.name, settings.whisper_model, settings.model_path, settings.model)
        )


def stretches(blocks: Iterator[Sound]) -> Iterator[Sound]:
    """The same sound cut at quiet places into stretches of at most STRETCH seconds."""
    import numpy as np

    held: Sound | None = None
    for block in blocks:
        held = block if held is None else replace(held, samples=np.concatenate([held.samples, block.samples]))
        while held.duration >= STRETCH:
            size = round(STRETCH * held.rate)
            cut = size - round(SEARCH * held.rate)
            cut += _quietest(held.samples[cut:size], held.rate)
            yield replace(held, samples=held.samples[:cut])
            held = replace(held, samples=held.samples[cut:], start=held.start + cut / held.rate)
    if held is not None and len(held.samples):
        yield held


def _quietest(samples: npt.NDArray[np.float32], rate: int) -> int:
    """The sample in the middle of the quietest HUSH seconds."""
    import numpy as np

    step = rate // 50
    power = np.square(samples[: len(samples) // step * step]).reshape(-1, step).mean(axis=1)
    width = round(HUSH * rate / step)
    hush = np.convolve(power, np.ones(width), mode="valid")
    return (int(hush.argmin()) + width // 2) * step


def segment_of(value: dict[str, Any]) -> Segment:
    """A segment from its JSON form."""
    return Segment(**{**value, "words": tuple(SpokenWord(**word) for word in value["words"])})


def joined(segments: Sequence[Segment]) -> str:
    """All that was said as running text; no spaces between sentences of scripts that have none."""
    spaced = any(word.word.startswith(" ") for segment in segments for word in segment.words)
    glue = " " if spaced or not any(segment.words for segment in segments) else ""
    return glue.join(segment.text for segment in segments)


def printable(text: str) -> str:
    """The text without control characters and marks that reorder it; the joiners that scripts need stay."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\u200c\u200d")
