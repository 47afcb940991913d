"""Messages as the runtime's turns: media by their numbers, videos as frames with their times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from omni_agent.engines.base import Message, Options
from omni_agent.engines.clock import Clock
from omni_agent.errors import EngineError
from omni_agent.types import Clip, Frame, Picture, Sound

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.runtime.conversation import Part as RuntimePart
    from omni_agent.runtime.conversation import Turn
    from omni_agent.runtime.encoders import Film

FRAME_SIDE = 1920  # longer sides are scaled down first: the encoder makes 672x384 of a frame, whatever it gets


def turn(message: Message, options: Options, clock: Clock) -> Turn:
    """The message with its media as the runtime takes them. A video's frames are decoded when they are encoded."""
    from omni_agent.runtime.conversation import Turn

    parts: list[RuntimePart] = []
    for part in message.parts:
        if isinstance(part, Picture):
            parts.append(part.pixels)
        elif isinstance(part, Sound):
            parts.append(part.samples)
        elif isinstance(part, str):
            parts.append(part)
        else:
            parts.append(_film(part, options, clock))
    calls = tuple((call.name, call.arguments) for call in message.calls)
    return Turn(message.role, tuple(parts), message.thought, calls)


def _film(clip: Clip, options: Options, clock: Clock) -> Film:
    """The clip's frames evenly spread over it, told apart by whole milliseconds as a source of 1000 frames a second:
    so the captions say the true times, whatever the file's own rate."""
    from omni_agent.runtime.encoders import Film

    every = max(1 / options.fps, clip.duration / options.max_frames)
    milliseconds: list[int] = []
    frames = itertools.islice(clip.frames(every=every, max_side=FRAME_SIDE), options.max_frames)
    first = next(frames, None)
    if first is None:
        raise EngineError("the video has no frame to look at")

    def pixels() -> Iterator[npt.NDArray[np.uint8]]:
        frame: Frame | None = first
        while frame is not None:
            milliseconds.append(round(frame.time * 1000))
            yield frame.picture.pixels
            with clock.runs("media"):
                frame = next(frames, None)

    height, width = first.picture.pixels.shape[:2]
    return Film(pixels(), width, height, milliseconds, 1000.0)
