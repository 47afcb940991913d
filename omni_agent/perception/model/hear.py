"""`hear`: a stretch of sound, cut at quiet places into short pieces, each transcribed by itself.

Times are right to the piece, and where the model gives times of words, to the word. Silence is never sent: a model
that is asked to transcribe nothing invents something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from omni_agent.engines.base import Message
from omni_agent.errors import Unavailable
from omni_agent.perception.model.asker import Asker, Cut
from omni_agent.perception.model.material import material
from omni_agent.perception.model.reply import Malformed, json_object, objects, seconds, string
from omni_agent.prompts import prompt
from omni_agent.types import Heard, Segment, Sound, SpokenWord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LONGEST = 20.0  # seconds of a piece: below the encoder's own 30, so that subtitles without word times stay readable
SEARCH = 12.0  # the last seconds of a piece, where a quiet place is looked for
SHORTEST = 4.0  # seconds of a piece below which one that cannot be transcribed is not cut again
STEP = 0.02  # seconds over which loudness is measured
HUSH = 0.3  # seconds of quiet that make a good cut
SILENT = 1e-3  # -60 dB: the loudest STEP of a piece in which nobody speaks
MARGIN = 0.2  # seconds kept on both sides of what is loud enough
LATE = 1.0  # seconds after a piece's end that a word's time may lie and still be meant
# As the model card says it is asked to transcribe. A schema would forbid the plain text that it answers with.
CARD: dict[str, Any] = {"think": False, "temperature": 1.0, "top_k": 1, "top_p": None, "schema": None}
_NOTHING = re.compile(r"[\[(<]?(?:no speech|silence|inaudible|music|blank(?: audio)?|none)[\])>]?[.]?", re.IGNORECASE)


def hear(sound: Sound, asker: Asker, *, language: str | None, names: str) -> Heard:
    """What is said in a stretch of at most some minutes. Raises Unavailable for a language other than English."""
    if language and language.casefold().split("-")[0] not in ("en", "english"):
        raise Unavailable(
            f"the full model hears English only, not {language!r}", hint="--engine lite hears other languages"
        )
    segments: list[Segment] = []
    for piece in pieces(sound):
        segments += _transcribed(piece, asker, names)
    numbered = tuple(replace(segment, id=number) for number, segment in enumerate(segments))
    return Heard(numbered, "en" if language and numbered else "")


def _transcribed(piece: Sound, asker: Asker, names: str) -> list[Segment]:
    """The segments of one piece, asked for as the model card says: thinking off, one token after the other."""
    expected = prompt("transcribe-names", names=material(names)) if names.strip() else ""
    message = Message("user", (piece, f"{prompt('transcribe')}\n{expected}".strip()))
    try:
        (text, words), _ = asker.ask([message], partial(_parsed, piece=piece), whole=True, **CARD)
    except Cut:  # it went round in circles; less at once breaks the circle
        if piece.duration < SHORTEST:
            return [Segment(0, piece.start, piece.end, "[inaudible]")]
        return [segment for half in pieces(piece, piece.duration / 2) for segment in _transcribed(half, asker, names)]
    if words:
        return [_segment(sentence) for sentence in _sentences(words)]
    return [Segment(0, piece.start, piece.end, text)] if text else []


# --- cutting ----------------------------------------------------------------------------------------------------------


def pieces(sound: Sound, longest: float = LONGEST) -> Iterator[Sound]:
    """The parts of a sound in which something can be heard, at most `longest` each, without the silence around them."""
    import numpy as np

    loudness = _loudness(sound)
    step = round(STEP * sound.rate)
    first, most, width = 0, round(longest / STEP), round(HUSH / STEP)
    while first < len(loudness):
        last = len(loudness)
        if last - first > most:
            begin = first + most - min(most // 2, round(SEARCH / STEP))
            quiet = np.convolve(loudness[begin : first + most], np.ones(width), mode="valid")
            last = begin + int(quiet.argmin()) + width // 2
        loud = np.flatnonzero(loudness[first:last] > SILENT)
        if len(loud):
            margin = round(MARGIN / STEP)
            low = max(first, first + int(loud[0]) - margin) * step
            high = min(last, first + int(loud[-1]) + 1 + margin) * step
            yield replace(sound, samples=sound.samples[low:high], start=sound.start + low / sound.rate)
        first = last


def _loudness(sound: Sound) -> npt.NDArray[np.float64]:
    """The root mean square of each STEP, the last one padded with silence."""
    import numpy as np

    step = round(STEP * sound.rate)
    samples = np.pad(sound.samples.astype(np.float64), (0, -len(sound.samples) % step))
    return np.sqrt(np.square(samples).reshape(-1, step).mean(axis=1))


# --- the reply --------------------------------------------------------------------------------------------------------


def _parsed(text: str, piece: Sound) -> tuple[str, list[SpokenWord]]:
    """The words of a reply: plain text, or JSON with a text and, where the model tells them, times of words."""
    plain = re.sub(r"^```\w*\n|\n?```$", "", text.strip())
    if not plain.startswith(("{", "[")) or _NOTHING.fullmatch(plain):
        said = " ".join(string(plain).split())
        return ("" if _NOTHING.fullmatch(said) else said), []
    fields = json_object(plain if plain.startswith("{") else f'{{"words": {plain}}}')
    listed = next((name for name in ("words", "segments", "chunks") if fields.get(name)), "words")
    entries = objects(fields, listed)
    words = _timed(entries, piece)
    said = string(next((fields[n] for n in ("text", "transcript", "transcription") if n in fields), None))
    if not said and not entries and "text" not in fields:
        raise Malformed('it holds neither a "text" nor words')
    said = said or " ".join(string(_word(entry)) for entry in entries)
    return " ".join(said.split()), words


def _timed(entries: Sequence[dict[str, Any]], piece: Sound) -> list[SpokenWord]:
    """Words with times inside the piece; none at all where any time is missing, runs backwards or lies elsewhere."""
    words: list[SpokenWord] = []
    before = 0.0
    for entry in entries:
        start, end = _span(entry)
        if start is None or end is None or not before <= start <= end <= piece.duration + LATE:
            return []
        before = start
        for text in string(_word(entry)).split()[:1]:
            low, high = (piece.start + min(time, piece.duration) for time in (start, end))
            words.append(SpokenWord(low, high, f" {text}", 1.0))
        if len(string(_word(entry)).split()) != 1:
            return []  # phrases, not words
    return words


def _word(entry: dict[str, Any]) -> object:
    return entry.get("word", entry.get("text"))


def _span(entry: dict[str, Any]) -> tuple[float | None, float | None]:
    both = entry.get("timestamp", entry.get("timestamps"))
    if isinstance(both, list) and len(both) == 2:
        return seconds(both[0]), seconds(both[1])
    start = next((entry[name] for name in ("start", "start_time", "begin", "start_offset") if name in entry), None)
    end = next((entry[name] for name in ("end", "end_time", "stop", "end_offset") if name in entry), None)
    return seconds(start), seconds(end)


def _sentences(words: Sequence[SpokenWord]) -> Iterator[list[SpokenWord]]:
    held: list[SpokenWord] = []
    for word in words:
        held.append(word)
        if word.word.endswith((".", "?", "!")):
            yield held
            held = []
    if held:
        yield held


def _segment(words: Sequence[SpokenWord]) -> Segment:
    return Segment(0, words[0].start, words[-1].end, "".join(word.word for word in words).strip(), tuple(words))
