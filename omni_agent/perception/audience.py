"""Who is told what while a model works: reasoning as it is thought, what is about to be sent, what each call cost.

It belongs to whoever asked, not to the perception, which may be shared: the command that runs sets it, the perception
tells it, and a resident engine passes it on to the command that waits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from omni_agent.types import Usage


def _silent(told: object) -> None:
    """What nobody hears."""


@dataclass(frozen=True, slots=True)
class Audience:
    """`thought`: a piece of reasoning; `note`: a sentence before a long run; `spent`: what a call cost."""

    thought: Callable[[str], None] = _silent
    note: Callable[[str], None] = _silent
    spent: Callable[[Usage], None] = _silent


NOBODY = Audience()
audience: ContextVar[Audience] = ContextVar("audience", default=NOBODY)
"""Of the code that runs; threads that it starts begin with nobody."""
