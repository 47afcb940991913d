"""The full model on this machine's GPU."""

from __future__ import annotations

from importlib.util import find_spec

from omni_agent.errors import MissingExtra, Unavailable


def check() -> None:
    """Raise Unavailable, with the next step, when the full model cannot run here; cheapest check first."""
    if any(find_spec(name) is None for name in ("torch", "transformers", "safetensors")):
        raise MissingExtra("gpu", "the full model")
    raise Unavailable(
        "the full model's local runtime is not part of this release",
        hint="use --engine lite; CHANGELOG.md will say when it arrives",
    )
