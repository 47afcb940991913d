"""The same line of text followed from screen to screen."""

from __future__ import annotations

import re

from rapidfuzz import fuzz

from omni_agent.perception.lite.screens import Screen
from omni_agent.types import Line

ALIKE = 86  # rapidfuzz ratio above which two readings in a row are the same line, numbers being equal
RECENT = 3  # screens back in which an unlike reading of the same line is looked for


class Tracks:
    """Lines followed over time. A track's text is the reading that was there longest."""

    def __init__(self) -> None:
        self._exact: dict[str, int] = {}
        self._readings: list[dict[str, float]] = []
        self._recent: list[list[tuple[int, Line]]] = []

    def follow(self, screen: Screen, seconds: float) -> list[tuple[int, Line]]:
        """The track of each line of a screen; new ones where nothing like it was there before."""
        seen = []
        for line in screen.lines:
            track = self._exact.get(line.text)
            if track is None:
                track = self._like(line)
            if track is None:
                track = len(self._readings)
                self._readings.append({})
            self._exact[line.text] = track
            readings = self._readings[track]
            readings[line.text] = readings.get(line.text, 0.0) + line.score * max(0.1, seconds)
            seen.append((track, line))
        self._recent = [*self._recent[1 - RECENT :], seen]
        return seen

    def text(self, track: int) -> str:
        readings = self._readings[track]
        return max(readings, key=lambda text: readings[text])

    def _like(self, line: Line) -> int | None:
        """A recent line that this is another reading of: alike letter by letter, or begun before and now longer."""
        for seen in reversed(self._recent):
            for track, old in seen:
                here = abs(old.box.x0 - line.box.x0) < 0.01 and abs(old.box.center[1] - line.box.center[1]) < 0.01
                if here and len(old.text) >= 3 and line.text.startswith(old.text):
                    self._readings[track] = {line.text: 0.0}  # typed on: the longer text is the line
                    return track
                long = min(len(old.text), len(line.text)) >= 5 and _digits(old.text) == _digits(line.text)
                if long and fuzz.ratio(old.text, line.text, score_cutoff=ALIKE):
                    return track
        return None


def _digits(text: str) -> list[str]:
    return re.findall(r"\d+", text)
