"""A transcript in every format people feed to something else, all from one result.

txt, srt, vtt and tsv are what whisper and whisperX write; json is the result itself; md is for people.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from omni_agent.media.files import keep_other, write
from omni_agent.tools.transcribe import TranscribeResult
from omni_agent.types import MinutesItem, Segment, SpokenWord, to_json

# Subtitles as broadcasters set them (BBC and Netflix guides agree within a letter or two).
LINE = 42  # characters
LINES = 2
CUE = 7.0  # seconds
PARAGRAPH = 2.0  # seconds of silence that start a new paragraph
MONOLOGUE = 60.0  # and seconds after which one starts anyway


def render(result: TranscribeResult, form: str, title: str = "") -> str:
    """The transcript in one of FORMATS. `title` heads the formats that have a head."""
    return FORMATS[form](result, title)


class Saved(NamedTuple):
    """A file that was written, and where what stood there before is kept, if it was something else."""

    path: Path
    before: Path | None


def save(result: TranscribeResult, forms: Sequence[str], folder: Path, stem: str) -> list[Saved]:
    """Write `<stem>.<format>` into the folder for each format, each whole or not at all.

    A transcript may have been corrected by hand: one that says something else is kept beside the new one. Raises
    OmniError when a file cannot be written.
    """
    saved = []
    for form in forms:
        path, text = folder / f"{stem}.{form}", render(result, form, stem)
        saved.append(Saved(path, keep_other(path, partial(_same, form, text))))
        write(path, text)
    return saved


def _same(form: str, text: str, before: bytes) -> bool:
    """Whether a file says the same already; how long it took to hear it does not matter."""
    if before == text.encode() or form != "json":
        return before == text.encode()
    try:
        values = [json.loads(one) for one in (text, before)]
    except ValueError:
        return False
    was, now = ({**value, "timings": None} if isinstance(value, dict) else value for value in values)
    return bool(was == now)


def clock(seconds: float, mark: str = ".", digits: int = 3) -> str:
    """hh:mm:ss, with milliseconds behind `mark` unless `digits` is 0."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, rest = divmod(rest, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}" + (f"{mark}{rest:03d}" if digits else "")


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen at once."""

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str | None


def cues(segments: Sequence[Segment]) -> Iterator[Cue]:
    """Segments as subtitles of at most LINES lines of LINE characters and CUE seconds, cut between words."""
    for segment in segments:
        if not segment.words:
            yield Cue(segment.start, segment.end, tuple(textwrap.wrap(segment.text, LINE)), segment.speaker)
            continue
        held: list[SpokenWord] = []
        for word in segment.words:
            if held and (len(_wrapped([*held, word])) > LINES or word.end - held[0].start > CUE):
                yield _cue(held, segment.speaker)
                held = []
            held.append(word)
        yield _cue(held, segment.speaker)


def _cue(words: Sequence[SpokenWord], speaker: str | None) -> Cue:
    # A subtitle shown for no time at all is not shown by players.
    end = max(words[-1].end, words[0].start + 0.1)
    return Cue(words[0].start, end, tuple(_wrapped(words)), speaker)


def _wrapped(words: Sequence[SpokenWord]) -> list[str]:
    return textwrap.wrap("".join(word.word for word in words).strip(), LINE, break_on_hyphens=False)


def _txt(result: TranscribeResult, title: str) -> str:
    lines = (f"{segment.speaker}: {segment.text}" if segment.speaker else segment.text for segment in result.segments)
    return "".join(f"{line}\n" for line in lines)


def _srt(result: TranscribeResult, title: str) -> str:
    return "".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_named(cue)}\n\n"
        for number, cue in enumerate(cues(result.segments), 1)
    )


def _named(cue: Cue) -> str:
    text = "\n".join(cue.lines).replace("-->", "->")  # as whisper does: an arrow would end the cue
    return f"[{cue.speaker}]: {text}" if cue.speaker else text


def _vtt(result: TranscribeResult, title: str) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{clock(cue.start)} --> {clock(cue.end)}\n{_voice(cue)}\n\n" for cue in cues(result.segments)
    )


def _voice(cue: Cue) -> str:
    text = "\n".join(cue.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<v {cue.speaker}>{text}" if cue.speaker else text


def _tsv(result: TranscribeResult, title: str) -> str:
    rows = (
        f"{round(1000 * s.start)}\t{round(1000 * s.end)}\t{f'[{s.speaker}]: ' if s.speaker else ''}"
        + s.text.replace("\t", " ")
        for s in result.segments
    )
    return "start\tend\ttext\n" + "".join(f"{row}\n" for row in rows)


def _json(result: TranscribeResult, title: str) -> str:
    return json.dumps(to_json(result), ensure_ascii=True) + "\n"


def _md(result: TranscribeResult, title: str) -> str:
    head = [f"# {title or 'Transcript'}", _facts(result)]
    return "\n\n".join([*head, *minutes_md(result), *_paragraphs(result.segments)]) + "\n"


def _facts(result: TranscribeResult) -> str:
    facts = [f"{clock(result.duration, digits=0)} long", f"language {result.language}" if result.language else ""]
    facts.append(f"heard by {result.engine}")
    facts += [*result.warnings, *([] if result.complete else ["interrupted: not the whole recording"])]
    return "*" + "; ".join(fact for fact in facts if fact) + "*"


def minutes_md(result: TranscribeResult) -> Iterator[str]:
    """The minutes as Markdown blocks, each line with its time; nothing where they were not asked for."""
    if result.summary is None:
        return
    parts = (
        ("Topics", result.summary.topics),
        ("Decisions", result.summary.decisions),
        ("Action items", result.summary.actions),
    )
    for name, items in parts:
        yield f"## {name}"
        yield "\n".join(f"- {line(item)}" for item in items) or "None was heard."
    yield "## Transcript"


def line(item: MinutesItem) -> str:
    """One line of the minutes: its time, who says it, what, and whom it binds until when."""
    bound = [f"{name} {value}" for name, value in (("owner:", item.owner), ("due:", item.due)) if value]
    said = f"{item.speaker}: " if item.speaker else ""
    return f"[{clock(item.start, digits=0)}] {said}{item.text}" + (f" ({', '.join(bound)})" if bound else "")


def _paragraphs(segments: Sequence[Segment]) -> Iterator[str]:
    held: list[Segment] = []
    for segment in segments:
        turn = held and segment.speaker != held[-1].speaker
        if turn or (held and (segment.start - held[-1].end > PARAGRAPH or segment.end - held[0].start > MONOLOGUE)):
            yield _paragraph(held)
            held = []
        held.append(segment)
    if held:
        yield _paragraph(held)


def _paragraph(held: Sequence[Segment]) -> str:
    who = f"**{held[0].speaker}** " if held[0].speaker else ""
    return f"{who}[{clock(held[0].start, digits=0)}] " + " ".join(segment.text for segment in held)


FORMATS: dict[str, Callable[[TranscribeResult, str], str]] = {
    "txt": _txt,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _tsv,
    "json": _json,
    "md": _md,
}
