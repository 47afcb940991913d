"""The full model on this machine's GPU."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec

from omni_agent.errors import MissingExtra, Unavailable


def check() -> None:
    """Raise Unavailable, with the next step, when the full model cannot run here."""
    cards()
    if any(find_spec(name) is None for name in ("torch", "transformers", "safetensors")):
        raise MissingExtra("gpu", "the full model")
    raise Unavailable(
        "the full model's local runtime is not part of this release",
        hint="use --engine lite; CHANGELOG.md will say when it arrives",
    )


def cards() -> tuple[str, ...]:
    """The NVIDIA cards the driver sees, as "name, memory". Raises Unavailable when there are none."""
    hint = "the full model needs an NVIDIA card with 80 GB; --engine lite runs without one"
    program = shutil.which("nvidia-smi")
    if program is None:
        raise Unavailable("no NVIDIA GPU driver on this machine", hint=hint)
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        seen = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"the NVIDIA driver does not answer ({error})", hint=hint) from error
    found = tuple(line.strip() for line in seen if line.strip())
    if not found:
        raise Unavailable("the NVIDIA driver sees no card", hint=hint)
    return found
