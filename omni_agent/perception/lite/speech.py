"""Speech to text: Whisper base on faster-whisper, led by Silero's voice detector.

Whisper writes sentences for silence, noise and music too. What it writes is kept only where the detector hears a voice,
where the model itself is fairly sure, and where it is not caught in a loop.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.errors import EngineError, UsageError
from omni_agent.perception.lite import sentences, whisper
from omni_agent.types import Heard, Sound, SpokenWord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE = 16_000
BEAM = 5
MIN_SILENCE_MS = 700  # shorter pauses stay inside a stretch of speech: Whisper needs them as sentence marks
PAD_MS = 300
MIN_SPEECH_MS = 200
UNSURE = -1.0  # mean log-probability of a segment's tokens below which Whisper itself counts it as failed
NO_SPEECH = 0.6  # and the probability of "no speech" above which it counts as silence; both are Whisper's own defaults
DOUBTFUL = -0.7  # together with NO_SPEECH: fluent nonsense over music scores here
SEED = 20  # the fallback decoding samples; the same sound must give the same text


class Listener:
    """Hears what is said. `model` is a folder of weights to use instead of Whisper base; nothing is fetched when
    `offline`; `cache` is where the packaged weights are put together."""

    def __init__(self, *, model: Path | None, offline: bool, cache: Path) -> None:
        self._model, self._offline, self._cache = model, offline, cache

    @cached_property
    def _whisper(self) -> Any:
        import ctranslate2
        from faster_whisper import WhisperModel

        folder = whisper.find(self._model, offline=self._offline, cache=self._cache)
        threads = 0 if "OMP_NUM_THREADS" in os.environ else min(8, os.cpu_count() or 4)
        ctranslate2.set_random_seed(SEED)
        try:
            return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"the speech model in {folder} could not be loaded: {error}") from error

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        """What is said in the sound: one segment a sentence, every word timed. Nothing where nobody speaks."""
        spans = voiced(sound.samples)
        if not spans:
            return Heard((), language or "")
        runs, spoken = self._runs(sound, spans, language, prompt)
        segments = sentences.segments(runs, start=sound.start)
        return Heard(segments, spoken if segments else language or "")

    def _runs(
        self, sound: Sound, spans: list[tuple[float, float]], language: str | None, prompt: str
    ) -> tuple[list[list[SpokenWord]], str]:
        """The words of each of Whisper's segments that are to be believed, timed from the start of the sound."""
        try:
            segments, info = self._whisper.transcribe(
                sound.samples,
                language=language.lower().split("-")[0] if language else None,
                beam_size=BEAM,
                word_timestamps=True,
                condition_on_previous_text=False,  # what is misheard once must not be repeated
                hotwords=prompt or None,
                language_detection_segments=4,
                vad_filter=True,
                vad_parameters=_detector(),
            )
        except ValueError as error:
            raise UsageError(f"no language that Whisper knows: {language}", hint="a code such as en, de, zh") from error
        runs = []
        for segment in segments:
            sure = segment.avg_logprob >= UNSURE
            silent = segment.no_speech_prob > NO_SPEECH and segment.avg_logprob < DOUBTFUL
            if sure and not silent and segment.words:
                words = [SpokenWord(w.start, w.end, w.word, w.probability) for w in segment.words]
                looping = segment.compression_ratio > 2.4  # Whisper's own threshold
                runs.append(sentences.timed(sentences.unlooped(words) if looping else words, spans))
        return runs, info.language


def voiced(samples: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Where somebody speaks, as (start, end) in seconds; `samples` are mono at 16 kHz."""
    from faster_whisper.vad import get_speech_timestamps

    found = get_speech_timestamps(samples, _detector())
    return [(span["start"] / RATE, span["end"] / RATE) for span in found]


def _detector() -> Any:
    from faster_whisper.vad import VadOptions

    return VadOptions(
        min_speech_duration_ms=MIN_SPEECH_MS, min_silence_duration_ms=MIN_SILENCE_MS, speech_pad_ms=PAD_MS
    )
