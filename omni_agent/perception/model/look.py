"""`look`: a video with its sound and what is said in it, a question, and the moments that answer it.

A long video is looked at in windows, each as long as its frames still tell what goes on; what was found in them is kept
in the memory as it comes and put together at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from omni_agent.engines.base import Message, Part
from omni_agent.errors import MediaError
from omni_agent.perception.model import room
from omni_agent.perception.model.asker import Asker
from omni_agent.perception.model.material import material
from omni_agent.perception.model.reply import (
    FLAG,
    NUMBER,
    TEXT,
    Malformed,
    flag,
    json_object,
    listing,
    objects,
    schema,
    seconds,
    share,
    string,
    strings,
    text_of,
)
from omni_agent.perception.model.window import Window, windows
from omni_agent.prompts import prompt
from omni_agent.types import Clip, Memory, Moment, Progress, Segment, Sound, Usage, Viewing, timestamp, to_json

SLOWEST = 0.5  # frames a second below which too much goes unseen; a longer video is looked at in windows
MOMENTS = 5  # that one reply may name
SPEECH = 0.25  # share of the room that the transcript may take
MOMENT = schema(start=NUMBER, end=NUMBER, at=NUMBER, seen=TEXT, said=TEXT)
REPLY = schema(found=FLAG, answer=TEXT, moments=listing(MOMENT), confidence=NUMBER, reason=TEXT)
TOGETHER = schema(found=FLAG, answer=TEXT, moments=listing(TEXT), confidence=NUMBER, reason=TEXT)


def look(
    clip: Clip, question: str, segments: Sequence[Segment], asker: Asker, memory: Memory, progress: Progress
) -> Viewing:
    """Answer about a clip from what it shows, what is heard, and `segments`, what is said in it."""
    frames = _frames(asker)
    parts = windows(clip, frames / min(SLOWEST, asker.options.fps), _track(clip))
    count = f"{len(parts)} parts" if len(parts) > 1 else "one part"
    asker.note(
        f"{timestamp(clip.duration)} of video in {count}, at most {frames} frames each: "
        f"about {_size(parts[0], frames, asker):,} of {asker.context:,} tokens at a time"
    )
    views: list[Viewing] = []
    for part in parts:
        progress("watching", part.begin, clip.duration)
        views.append(_kept(part, question, segments, asker, memory, frames, alone=len(parts) == 1))
    progress("watching", clip.duration, clip.duration)
    return views[0] if len(views) == 1 else _together(parts, views, question, asker)


def _frames(asker: Asker) -> int:
    """How many frames of a window the engine has room for."""
    return max(2, min(asker.options.max_frames, int(asker.room * (1 - SPEECH) * 0.8) // room.FRAME))


def _size(window: Window, frames: int, asker: Asker) -> int:
    shown = min(frames, max(1, int(window.duration * asker.options.fps)))
    return shown * room.FRAME + (room.of_sound(window.duration) if window.track is not None else 0)


def _track(clip: Clip) -> Sound | None:
    """The clip's sound; one that cannot be read is left out, the pictures may still answer."""
    try:
        return clip.sound()
    except MediaError:
        return None


# --- one window -------------------------------------------------------------------------------------------------------


def _kept(
    window: Window,
    question: str,
    segments: Sequence[Segment],
    asker: Asker,
    memory: Memory,
    frames: int,
    *,
    alone: bool,
) -> Viewing:
    """What a window shows about the question, from the memory where it was looked at before for one of several."""
    key = _key(window, question, segments, asker)
    kept = None if alone else _from_memory(memory.get(key))
    if kept is not None:
        return kept
    view = _viewed(window, question, segments, asker, frames)
    if not alone:
        memory[key] = {**to_json(view), "usage": None}
    return view


def _viewed(window: Window, question: str, segments: Sequence[Segment], asker: Asker, frames: int) -> Viewing:
    said = [segment for segment in segments if segment.end > window.begin and segment.start < window.end]
    sound = window.sound()
    asked = prompt(
        "watch",
        question=question,
        start=f"{window.begin:.2f}",
        end=f"{window.end:.2f}",
        speech=material(room.cut(_speech(said), int(asker.room * SPEECH))) if said else "Nobody speaks.",
    )
    media: tuple[Part, ...] = (window, sound) if sound is not None else (window,)
    parse = partial(_parsed, window=window, said=said)
    view, usage = asker.ask([Message("user", (*media, asked))], parse, schema=REPLY, max_frames=frames)
    return replace(view, usage=usage)


def _speech(segments: Sequence[Segment]) -> str:
    return "\n".join(
        f"[{s.start:.1f} to {s.end:.1f} seconds] {f'{s.speaker}: ' if s.speaker else ''}{s.text}" for s in segments
    )


def _parsed(text: str, window: Window, said: Sequence[Segment]) -> Viewing:
    fields = json_object(text)
    found, answer = flag(fields, "found"), text_of(fields, "answer")
    moments = [moment for item in objects(fields, "moments") if (moment := _moment(item, window, said))]
    return _viewing(found and bool(answer), answer, moments[:MOMENTS], fields)


def _viewing(found: bool, answer: str, moments: Sequence[Moment], fields: dict[str, Any]) -> Viewing:
    return Viewing(
        found=found,
        text=answer if found else "",
        moments=tuple(moments) if found else (),
        confidence=share(fields.get("confidence")),
        reason=string(fields.get("reason")) or ("" if found else "the video does not answer the question"),
    )


def _moment(item: dict[str, Any], window: Window, said: Sequence[Segment]) -> Moment | None:
    """A moment inside the window; None where the model gave no time. What is said there is the transcript's where the
    model quotes nothing."""
    start, end, at = (_within(seconds(item.get(name)), window) for name in ("start", "end", "at"))
    known = [time for time in (start, end, at) if time is not None]
    if not known:
        return None
    low, high = (
        min(max(time, window.begin), window.end)
        for time in sorted((known[0] if start is None else start, known[-1] if end is None else end))
    )
    spoken = " ".join(s.text for s in said if s.end > low and s.start < high)
    last_frame = max(low, min(high, window.end - 0.05))  # no frame is shown at the very end
    return Moment(
        low,
        high,
        min(max(low if at is None else at, low), last_frame),
        seen=string(item.get("seen")),
        said=string(item.get("said")) or spoken,
    )


def _within(time: float | None, window: Window) -> float | None:
    """A time of the whole video. One from before the window counts from its begin, as a server's captions do."""
    if time is not None and time < window.begin and time <= window.duration:
        return window.begin + time
    return time


# --- memory -----------------------------------------------------------------------------------------------------------


def _key(window: Window, question: str, segments: Sequence[Segment], asker: Asker) -> str:
    """The name of a window's note: another question, other options or another transcript is another note."""
    asked = repr((question, asker.options, asker.context, [(s.start, s.text) for s in segments]))
    return f"window {window.begin:.2f} {window.end:.2f} {hashlib.sha256(asked.encode()).hexdigest()[:16]}"


def _from_memory(kept: Any) -> Viewing | None:
    """A viewing from its JSON form; None for what is none, as a damaged note is."""
    try:
        moments = tuple(Moment(**moment) for moment in kept["moments"])
        return Viewing(kept["found"], kept["text"], moments, kept["confidence"], kept["reason"])
    except (TypeError, KeyError):
        return None


# --- several windows --------------------------------------------------------------------------------------------------


def _together(parts: Sequence[Window], views: Sequence[Viewing], question: str, asker: Asker) -> Viewing:
    """One answer from what was found window by window. Its moments are among those that were found."""
    spent = sum((view.usage for view in views), Usage())
    moments = {f"m{n}": m for n, m in enumerate((m for view in views for m in view.moments), 1)}
    names = iter(moments)
    notes = []
    for part, view in zip(parts, views, strict=True):
        notes.append(f"[{timestamp(part.begin)} to {timestamp(part.end)}] {view.text or f'nothing: {view.reason}'}")
        notes += [f"  {next(names)}, {timestamp(m.start)}: {m.seen} | said: {m.said}"[:400] for m in view.moments]
    asked = prompt("watch-together", question=question, notes=material(room.cut("\n".join(notes), asker.room - 500)))

    def parsed(text: str) -> Viewing:
        fields = json_object(text)
        found, answer = flag(fields, "found"), text_of(fields, "answer")
        chosen = [moments[name] for name in dict.fromkeys(strings(fields.get("moments"))) if name in moments]
        if found and answer and moments and not chosen:
            raise Malformed('"moments" names none of the moments in the notes, such as m1')
        return _viewing(found and bool(answer), answer, chosen[:MOMENTS], fields)

    view, usage = asker.ask([Message("user", (asked,))], parsed, schema=TOGETHER)
    return replace(view, usage=spent + usage)
