"""The full model behind an OpenAI-compatible server that the user names."""

from __future__ import annotations

from omni_agent.errors import Unavailable


def check() -> None:
    """Raise Unavailable, with the next step, when no server can be used."""
    raise Unavailable(
        "answers from a server are not part of this release",
        hint="use --engine lite; CHANGELOG.md will say when they arrive",
    )
