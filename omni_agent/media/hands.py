"""The mouse of this machine, through pyautogui. Its fail-safe stays on: the pointer in a corner stops everything."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

from omni_agent.errors import OmniError, Unavailable, UsageError
from omni_agent.media import screen


def check() -> None:
    """Raise Unavailable, with the next step, where nothing can be pressed. Presses nothing."""
    _pyautogui()


def press(x: int, y: int) -> None:
    """Press and release the left button at a point of the desktop, in the units that `screen.Monitor` counts in.

    Raises UsageError for a point on no monitor, OmniError when the fail-safe stops it, Unavailable as `check` does.
    """
    hand = _pyautogui()
    if not any(m.left <= x < m.left + m.width and m.top <= y < m.top + m.height for m in screen.monitors()):
        raise UsageError(f"the point {x} {y} is on no screen", hint="omni doctor lists the screens")
    try:
        hand.click(x, y)
    except hand.FailSafeException as error:
        raise OmniError(
            "nothing was pressed: the pointer rests in a corner of the screen, which stops the mouse",
            hint="move the pointer out of the corner",
        ) from error


def _pyautogui() -> ModuleType:
    screen.monitors()  # no display at all is told in its own words, and mss must come before pyautogui
    if os.environ.get("WAYLAND_DISPLAY") and os.environ.get("XDG_SESSION_TYPE") == "wayland":
        raise Unavailable(
            "Wayland does not let programs press the mouse",
            hint="log in to an X11 session, or press with your compositor's own tool (ydotool) at the printed point",
        )
    if sys.platform == "darwin" and not _macos_trusts():
        raise Unavailable(
            "macOS does not let this program press the mouse",
            hint="System Settings > Privacy & Security > Accessibility: allow your terminal, then start it again",
        )
    try:
        with _xauthority(), redirect_stdout(StringIO()):  # python-xlib prints its warnings where results go
            import pyautogui
    except SystemExit as error:  # its helper mouseinfo ends the program when tkinter is missing
        raise Unavailable("pressing needs tkinter, which this Python lacks", hint=_tkinter_line()) from error
    except (ImportError, KeyError, OSError) as error:
        raise Unavailable(f"pressing is not possible here: {error!r}", hint="pip install pyautogui") from error
    return pyautogui


@contextmanager
def _xauthority() -> Iterator[None]:
    """python-xlib fails without an authority file, although a display that asks for none (a container's) needs none."""
    if (
        sys.platform.startswith("linux")
        and "XAUTHORITY" not in os.environ
        and not Path("~/.Xauthority").expanduser().exists()
    ):
        os.environ["XAUTHORITY"] = os.devnull
        try:
            yield
        finally:
            del os.environ["XAUTHORITY"]
    else:
        yield


def _tkinter_line() -> str:
    if sys.platform == "darwin":
        return f"brew install python-tk@{sys.version_info.major}.{sys.version_info.minor}"
    if sys.platform == "win32":
        return "run Python's installer again and choose tcl/tk"
    return "sudo apt-get install python3-tk"


def _macos_trusts() -> bool:
    """AXIsProcessTrusted looks and does not ask."""
    library = ctypes.CDLL("/System/Library/Frameworks/ApplicationServices.framework/ApplicationServices")
    library.AXIsProcessTrusted.restype = ctypes.c_bool
    return bool(library.AXIsProcessTrusted())
