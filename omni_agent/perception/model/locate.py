"""`locate`: a target named in words, asked for as one step of a GUI task; the reply's code says where.

A screen that the model sees smaller than it is (above 3,328 tokens of 32×32 pixels) is looked at a second time, close
around the first point.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from omni_agent.engines.base import Message
from omni_agent.perception.model import code, room
from omni_agent.perception.model.asker import Asker, Misunderstood
from omni_agent.perception.model.reply import Malformed, string
from omni_agent.prompts import prompt
from omni_agent.types import Box, Candidate, Line, Picture, Sighting, Usage

Point = tuple[float, float]  # fractions of a picture
Reader = Callable[[Picture], tuple[Line, ...]]

SEEN_WHOLE = room.MOST * room.PATCH**2  # pixels; a larger picture is scaled down before the model sees it
CLOSE = (1280, 800)  # pixels of the second look
AROUND = (480, 96)  # pixels around a point in which the text that names it is read
SPOT = 24  # pixels: the side of the box around a point about which nothing else is known
# The model tells no probability. What it was once told and seen twice is worth more than what was seen once.
TWICE, ONCE, DOUBTED = 0.9, 0.7, 0.5
_ABSENT = re.compile(
    r"\b(?:not (?:be )?(?:found|visible|present|there|shown|on (?:the|this) screen)|no such|absent|"
    r"(?:can(?:not|'t|’t)|could(?: not|n't|n’t)|does(?: not|n't|n’t)) (?:find|see|locate|exist|appear|show|contain))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One look's outcome: a point in fractions of the picture, or why there is none. `label` is what the model did."""

    at: Point | None
    label: str = ""
    reason: str = ""


def locate(target: str, picture: Picture, asker: Asker, reader: Reader | None) -> Sighting:
    """Where a person would point at when told `target`."""
    seen, usage = _look(target, picture, asker)
    if seen.at is None:
        return Sighting(False, reason=seen.reason or f"{target!r} is not on the screen", usage=usage)
    at, confidence = seen.at, ONCE
    if picture.width * picture.height > SEEN_WHOLE:
        closer, more = _closer(target, picture, at, asker)
        usage = usage + more
        at, confidence = (closer, TWICE) if closer else (at, DOUBTED)
    box, words = _around(picture, at, reader)
    return Sighting(True, (Candidate(box, words or seen.label or target, confidence, at),), usage=usage)


def _look(target: str, picture: Picture, asker: Asker) -> tuple[Seen, Usage]:
    messages = [
        Message("system", (prompt("click-system"),)),
        Message("user", (picture, prompt("click", target=target))),
    ]
    return asker.ask(messages, partial(_parsed, picture=picture))


def _closer(target: str, picture: Picture, at: Point, asker: Asker) -> tuple[Point | None, Usage]:
    """The point as a look at its surroundings finds it; None where it is not found there again."""
    left, top, right, bottom = _window(picture, at, CLOSE)
    try:
        seen, usage = _look(target, Picture(picture.pixels[top:bottom, left:right]), asker)
    except Misunderstood:
        return None, Usage()
    if seen.at is None:
        return None, usage
    x = (left + seen.at[0] * (right - left)) / picture.width
    y = (top + seen.at[1] * (bottom - top)) / picture.height
    return (x, y), usage


def _parsed(text: str, picture: Picture) -> Seen:
    step = code.step(text, picture.width, picture.height)
    if step is not None and step.at is not None:
        return Seen(step.at, _action(text))
    if step is not None and step.ended.startswith("fail"):
        return Seen(None, reason=step.answer)
    words = string(text.partition("## Code:")[0]) if step is None else step.answer
    if _ABSENT.search(words):
        return Seen(None, reason=" ".join(words.split())[:300])
    raise Malformed("it holds no pyautogui call with x and y, and no computer.terminate")


def _action(text: str) -> str:
    """What the model says it does, in a line."""
    _, heading, after = text.partition("## Action:")
    line = next((line.strip() for line in after.partition("##")[0].splitlines() if line.strip()), "") if heading else ""
    return string(line)[:80]


def _around(picture: Picture, at: Point, reader: Reader | None) -> tuple[Box, str]:
    """The line of text that holds the point, else a small box around it."""
    left, top, right, bottom = _window(picture, at, AROUND)
    if reader is not None:
        lines = reader(Picture(picture.pixels[top:bottom, left:right]))
        x, y = (at[0] * picture.width - left) / (right - left), (at[1] * picture.height - top) / (bottom - top)
        here = [line for line in lines if line.box.contains(x, y)]
        if here:
            line = min(here, key=lambda line: line.box.width * line.box.height)
            x0, y0, x1, y1 = line.box.pixels(right - left, bottom - top)
            box = Box.of_pixels(left + x0, top + y0, left + x1, top + y1, picture.width, picture.height)
            return box, line.text
    left, top, right, bottom = _window(picture, at, (SPOT, SPOT))
    return Box.of_pixels(left, top, right, bottom, picture.width, picture.height), ""


def _window(picture: Picture, at: Point, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels: a rectangle of that size around the point, moved to lie in the picture."""
    width, height = min(size[0], picture.width), min(size[1], picture.height)
    left = min(max(0, round(at[0] * picture.width - width / 2)), picture.width - width)
    top = min(max(0, round(at[1] * picture.height - height / 2)), picture.height - height)
    return left, top, left + width, top + height
