"""omni: eyes and ears for agents, on your own machine.

    from omni_agent import ask
    answer = ask(["report.pdf"], "How many people work there?")

Importing this touches no device, file or network; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni_agent.tools.ask import AskResult, Documents, ask
    from omni_agent.tools.chat import Chat
    from omni_agent.tools.click import ClickResult, Pressed, click, press
    from omni_agent.tools.doctor import Diagnosis, doctor
    from omni_agent.tools.opened import Film, open
    from omni_agent.tools.recording import Recording
    from omni_agent.tools.transcribe import TranscribeResult, transcribe
    from omni_agent.tools.watch import WatchResult, watch

__version__ = "0.1.0"

__all__ = [
    "AskResult",
    "Chat",
    "ClickResult",
    "Diagnosis",
    "Documents",
    "Film",
    "Pressed",
    "Recording",
    "TranscribeResult",
    "WatchResult",
    "__version__",
    "ask",
    "click",
    "doctor",
    "open",
    "press",
    "transcribe",
    "watch",
]

_HOME = {  # public name -> the module of tools that holds it
    "AskResult": "ask",
    "Chat": "chat",
    "ClickResult": "click",
    "Diagnosis": "doctor",
    "Documents": "ask",
    "Film": "opened",
    "Pressed": "click",
    "Recording": "recording",
    "TranscribeResult": "transcribe",
    "WatchResult": "watch",
    "ask": "ask",
    "click": "click",
    "doctor": "doctor",
    "open": "opened",
    "press": "click",
    "transcribe": "transcribe",
    "watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'omni_agent' has no attribute '{name}'")
    return getattr(import_module(f"omni_agent.tools.{_HOME[name]}"), name)
