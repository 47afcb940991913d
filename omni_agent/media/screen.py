"""The monitors of this machine and pictures of them, through mss."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_agent.errors import Unavailable, UsageError
from omni_agent.media.coordinates import View
from omni_agent.types import Picture

if TYPE_CHECKING:
    from mss import MSS


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor, counted from 1, and its place on the virtual desktop in the units of mouse events."""

    number: int
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """What a monitor showed, and how its pixels lie on the desktop."""

    monitor: Monitor
    picture: Picture
    view: View


def monitors() -> tuple[Monitor, ...]:
    """Every monitor, the order mss gives. Raises Unavailable, with the next step, where there is no screen to see."""
    with _camera() as camera:
        return _monitors(camera)


def grab(number: int | None = None) -> tuple[Shot, ...]:
    """Pictures of the monitor `number` (from 1), or of every monitor.

    Raises UsageError for a number that no monitor has, Unavailable where the screen cannot be seen.
    """
    import numpy as np

    with _camera() as camera:
        found = _monitors(camera)
        wanted = [monitor for monitor in found if number in (None, monitor.number)]
        if not wanted:
            raise UsageError(f"there is no screen {number}", hint=f"screens here: 1 to {len(found)}")
        shots = []
        for monitor in wanted:
            place = {"left": monitor.left, "top": monitor.top, "width": monitor.width, "height": monitor.height}
            taken = camera.grab(place)
            bgra = np.frombuffer(taken.raw, np.uint8).reshape(taken.height, taken.width, 4)
            picture = Picture(np.ascontiguousarray(bgra[:, :, 2::-1]))
            view = View(taken.width, taken.height, monitor.left, monitor.top, monitor.width, monitor.height)
            shots.append(Shot(monitor, picture, view))
    if _wayland() and all(int(shot.picture.pixels.max()) == int(shot.picture.pixels.min()) for shot in shots):
        raise _wayland_refusal()
    return tuple(shots)


def describe() -> str:
    """The monitors in words, for a diagnosis. Raises as `monitors` does."""
    found = monitors()
    places = ", ".join(f"{m.number}: {m.width}x{m.height} at {m.left},{m.top}" for m in found)
    return f"{len(found)} screen{'s' * (len(found) > 1)} ({places})"


def _monitors(camera: MSS) -> tuple[Monitor, ...]:
    listed = camera.monitors[1:]  # the first is all of them together
    return tuple(Monitor(i, m["left"], m["top"], m["width"], m["height"]) for i, m in enumerate(listed, 1))


@contextmanager
def _camera() -> Iterator[MSS]:
    # mss before pyautogui, always: on Windows whichever comes first decides how the process counts pixels.
    from mss import MSS, ScreenShotError

    if sys.platform == "darwin" and not _macos_allows():
        raise Unavailable(
            "macOS does not let this program see the screen",
            hint="System Settings > Privacy & Security > Screen Recording: allow your terminal, then start it again",
        )
    if _wayland() and not os.environ.get("DISPLAY"):
        raise _wayland_refusal()
    try:
        with MSS() as camera:
            yield camera
    except ScreenShotError as error:
        if not os.environ.get("DISPLAY") and sys.platform.startswith("linux"):
            raise Unavailable(
                "there is no screen here (DISPLAY is not set)",
                hint="run it in a desktop session, under `xvfb-run`, or give a picture with --image",
            ) from error
        raise Unavailable(
            f"the screen cannot be seen: {error}", hint="check DISPLAY and its permission (xhost, XAUTHORITY)"
        ) from error


def _wayland() -> bool:
    return bool(os.environ.get("WAYLAND_DISPLAY")) or os.environ.get("XDG_SESSION_TYPE") == "wayland"


def _wayland_refusal() -> Unavailable:
    return Unavailable(
        "Wayland does not let programs see or press what is on the screen",
        hint="log in to an X11 session, or hand over a picture: grim - | omni click TARGET --image -",
    )


def _macos_allows() -> bool:
    """CGPreflightScreenCaptureAccess (macOS 10.15 and later) looks and does not ask."""
    library = ctypes.CDLL("/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics")
    allowed = getattr(library, "CGPreflightScreenCaptureAccess", None)
    if allowed is None:
        return True
    allowed.restype = ctypes.c_bool
    return bool(allowed())
