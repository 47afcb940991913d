"""Watching videos: the shipped demo, whose script says what is shown and said when, and files broken in real ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from omni_agent.tools.watch import WatchResult, watch


@pytest.fixture(scope="session")
def demo(examples: Path) -> Path:
    return examples / "demo.mp4"


def ask(video: Path, question: str, frames: Path | None = None) -> WatchResult:
    return watch(video, question, frames_dir=frames, engine="lite")
