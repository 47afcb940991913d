"""A stretch of a video as a clip of its own, whose frames keep the times of the whole video."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from omni_agent.types import Clip, Frame, Sound


@dataclass(frozen=True, slots=True)
class Window:
    """From `begin` to `end` seconds of a video, with what sounds there.

    `frames` starts at the window's begin; every frame's time is that of the whole video, as its caption must say it.
    """

    clip: Clip
    begin: float
    end: float
    track: Sound | None

    @property
    def duration(self) -> float:
        return self.end - self.begin

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        shown = self.clip.frames(every=every, max_side=max_side, start=self.begin + start)
        for number, frame in enumerate(shown):
            if number and frame.time >= self.end:  # a video of a single frame has no length, and that frame
                return
            yield frame

    def sound(self) -> Sound | None:
        """The sound of this stretch, or None where the video has none there."""
        if self.track is None:
            return None
        low, high = (max(0, round((time - self.track.start) * self.track.rate)) for time in (self.begin, self.end))
        samples = self.track.samples[low:high]
        start = self.track.start + low / self.track.rate
        return replace(self.track, samples=samples, start=start) if len(samples) else None


def windows(clip: Clip, longest: float, track: Sound | None) -> list[Window]:
    """The whole clip as windows of equal length, none longer than `longest` seconds."""
    count = max(1, math.ceil(clip.duration / longest))
    edges = [clip.duration * number / count for number in range(count + 1)]
    return [Window(clip, begin, end, track) for begin, end in pairwise(edges)]
