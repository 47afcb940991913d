"""Where to click: a target named in words, found on a screen or in a picture of one; and, only when told to, the click.

Finding never acts. `press` acts on what was found, once, and looks whether anything happened.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from omni_agent.errors import EngineError, OmniError, UsageError
from omni_agent.media import files, hands, image, screen
from omni_agent.media.coordinates import View, pixel
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import perceive
from omni_agent.settings import EngineName
from omni_agent.types import Box, Candidate, Picture, Progress, Sighting, no_progress, well_formed

EQUAL = 0.05  # two screens whose confidences differ by less hold the target equally well
SETTLE_SECONDS = 0.6  # after a press, before the screen is looked at again


@dataclass(frozen=True, slots=True)
class ClickPoint:
    """One point in three spaces: pixels of the picture, fractions of it, units of the desktop (None: no screen)."""

    image: tuple[int, int]
    norm: tuple[float, float]
    screen: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ClickBox:
    """The rectangle around the target in pixels of the picture."""

    image: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another place that the target may mean, or, where nothing was found, a near miss."""

    point: ClickPoint
    box: ClickBox
    label: str
    confidence: float
    screen: int | None


@dataclass(frozen=True, slots=True)
class ClickResult:
    """Where the target is. Not found: `point` and `box` are None and `reason` says why.

    `screen` is the number of the screen that was looked at (None: a picture), `size` that of its picture in pixels,
    `scale` how many of them make one unit of the desktop. `seen` is what the box showed; it is no part of the JSON.
    """

    found: bool
    point: ClickPoint | None
    box: ClickBox | None
    label: str
    confidence: float
    alternatives: tuple[Alternative, ...]
    reason: str
    engine: str
    screen: int | None
    size: tuple[int, int]
    scale: float
    target: str
    seen: Picture | None = field(compare=False, repr=False, metadata={"json": False})
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a press did: where, and whether anything on that screen looked different afterwards."""

    point: tuple[int, int]
    changed: bool
    schema_version: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A picture that was searched, and where it lies on the desktop (None: it is no live screen)."""

    picture: Picture
    view: View | None = None
    screen: int | None = None


def click(
    target: str,
    *,
    image: str | Path | Picture | None = None,
    screen: int | None = None,
    overlay: Path | None = None,
    engine: EngineName | Perception | None = None,
    progress: Progress = no_progress,
) -> ClickResult:
    """Find what `target` names, in a picture ("-": standard input), on one screen (from 1), or on every screen.

    Coordinates only; nothing is pressed. `overlay` names a PNG that shows what was found. Raises UsageError for an
    empty target or both `image` and `screen`, MediaError for what is no picture, Unavailable without a screen to see.
    """
    if not target.strip():
        raise UsageError("the target is empty", hint='omni click "Submit button"')
    if image is not None and screen is not None:
        raise UsageError("a picture or a screen, not both", hint="leave out --image or --screen")
    target = well_formed(target)
    perception = perceive(engine)
    looks = _looks(image, screen)
    sightings = []
    for index, look in enumerate(looks):
        progress("looking", index, len(looks))
        sightings.append(perception.locate(target, look.picture))
    progress("looking", len(looks), len(looks))
    result, shown = _result(target, looks, sightings, perception.name)
    if overlay is not None:
        files.write(overlay, draw(looks[shown].picture, result))
    return result


def press(result: ClickResult, *, engine: EngineName | Perception | None = None) -> Pressed:
    """Press the left button at the point of a result that was found on a screen.

    Where the box looks different by now, the screen is searched once more, and only what is still there is pressed.
    Raises UsageError for a result without a point on a screen, Unavailable where nothing can be pressed, OmniError when
    the target is no longer there or the fail-safe stops it.
    """
    if result.point is None or result.point.screen is None:
        raise UsageError("there is nothing to press: the target was not found on a screen")
    x, y = result.point.screen
    hands.check()
    before = screen.grab(result.screen)[0].picture
    if not _as_seen(result, before):
        again = click(result.target, screen=result.screen, engine=engine)
        before = screen.grab(result.screen)[0].picture
        if not (_same_place(result, again) and _as_seen(again, before)):
            raise OmniError(
                f"nothing was pressed: {result.target!r} is no longer where it was seen",
                hint="the screen changed; run it again",
            )
    hands.press(x, y)
    time.sleep(SETTLE_SECONDS)
    after = screen.grab(result.screen)[0].picture
    return Pressed((x, y), _differ(before, after))


def draw(picture: Picture, result: ClickResult) -> bytes:
    """The picture as PNG with the found box in red, its point as a cross, and the alternatives in blue."""
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(picture.pixels)
    pen = ImageDraw.Draw(canvas)
    for other in result.alternatives:
        if other.screen == result.screen:
            pen.rectangle(other.box.image, outline=(30, 90, 255), width=1)
    if result.box is not None and result.point is not None:
        x0, y0, x1, y1 = result.box.image
        pen.rectangle((x0 - 2, y0 - 2, x1 + 1, y1 + 1), outline=(230, 0, 40), width=2)
        x, y = result.point.image
        pen.line((x - 8, y, x + 8, y), fill=(230, 0, 40))
        pen.line((x, y - 8, x, y + 8), fill=(230, 0, 40))
    buffer = BytesIO()
    canvas.save(buffer, "png")
    return buffer.getvalue()


def _looks(picture: str | Path | Picture | None, number: int | None) -> list[Look]:
    if isinstance(picture, Picture):
        return [Look(picture)]
    if picture is not None:
        shown = "standard input" if str(picture) == "-" else str(picture)
        with files.opened(picture) as path:
            return [Look(image.load(path, shown))]
    return [Look(shot.picture, shot.view, shot.monitor.number) for shot in screen.grab(number)]


def _result(target: str, looks: Sequence[Look], sightings: Sequence[Sighting], engine: str) -> tuple[ClickResult, int]:
    """One result from what was seen on each screen, and the index of the screen it speaks of."""

    def best(index: int) -> float:
        return sightings[index].candidates[0].confidence if sightings[index].candidates else 0.0

    order = sorted(range(len(looks)), key=lambda index: (not sightings[index].found, -best(index)))
    first = order[0]
    look, sighting = looks[first], sightings[first]
    rivals = [i for i in order[1:] if sightings[i].found and sighting.found and best(i) > best(first) - EQUAL]
    candidates = [(candidate, look) for candidate in sighting.candidates]
    candidates += [(candidate, looks[i]) for i in order[1:] for candidate in sightings[i].candidates]
    found, reason = sighting.found, sighting.reason
    if rivals:
        numbers = ", ".join(str(looks[i].screen) for i in (first, *rivals))
        found, reason = False, f"screens {numbers} show {target!r} equally well; say which with --screen"
    others = candidates[1:] if found else candidates
    chosen = _alternative(*candidates[0]) if found else None
    result = ClickResult(
        found=found,
        point=chosen.point if chosen else None,
        box=chosen.box if chosen else None,
        label=chosen.label if chosen else "",
        confidence=chosen.confidence if chosen else 0.0,
        alternatives=tuple(_alternative(*other) for other in others),
        reason=reason,
        engine=engine,
        screen=look.screen,
        size=(look.picture.width, look.picture.height),
        scale=look.view.scale if look.view else 1.0,
        target=target,
        seen=_part(look.picture, chosen.box) if chosen else None,
    )
    return result, first


def _alternative(candidate: Candidate, look: Look) -> Alternative:
    at = candidate.point or candidate.box.center
    try:
        spot = pixel(at, look.picture.width, look.picture.height)
        desktop = look.view.screen(at) if look.view else None
    except UsageError as error:
        raise EngineError(f"the engine pointed outside the picture ({at[0]:g} {at[1]:g})") from error
    return Alternative(
        point=ClickPoint(image=spot, norm=at, screen=desktop),
        box=ClickBox(_whole_pixels(candidate.box, look.picture)),
        label=candidate.label,
        confidence=candidate.confidence,
        screen=look.screen,
    )


def _whole_pixels(box: Box, picture: Picture) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(value) for value in box.pixels(picture.width, picture.height))
    return x0, y0, x1, y1


def _part(picture: Picture, box: ClickBox) -> Picture:
    x0, y0, x1, y1 = (max(0, value) for value in box.image)
    return Picture(picture.pixels[y0:y1, x0:x1].copy())


def _as_seen(result: ClickResult, now: Picture) -> bool:
    """Whether the box of a result shows what it showed when it was found."""
    assert result.box is not None and result.seen is not None
    return not _differ(result.seen, _part(now, result.box))


def _same_place(result: ClickResult, again: ClickResult) -> bool:
    if result.box is None or again.point is None:
        return False
    x0, y0, x1, y1 = result.box.image
    x, y = again.point.image
    return x0 <= x < x1 and y0 <= y < y1


def _differ(before: Picture, after: Picture) -> bool:
    """Whether more changed than a pointer and a blinking cursor would."""
    import numpy as np

    if before.pixels.shape != after.pixels.shape:
        return True
    changed = np.abs(before.pixels.astype(np.int16) - after.pixels).max(axis=2) > 24
    return bool(changed.sum() > min(40, changed.size / 10))
