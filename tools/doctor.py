"""What can run here, and why not the rest. Looks, never installs, never asks for a permission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from omni_agent.engines import local, server
from omni_agent.errors import OmniError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing omni can use: `ok`, what was seen, and the next step where it is not ok."""

    part: str
    ok: bool
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every finding, in the order a person would read them."""

    findings: tuple[Finding, ...]
    schema_version: int = 1


def doctor() -> Diagnosis:
    """Look at the engines and at the parts that they use."""
    return Diagnosis(findings=tuple(_look(part, check) for part, check in _CHECKS.items()))


def _look(part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(part, True, check())
    except OmniError as error:
        return Finding(part, False, str(error), error.hint)


def _engine(check: Callable[[], None]) -> Callable[[], str]:
    def look() -> str:
        check()
        return "can run here"

    return look


_CHECKS: dict[str, Callable[[], str]] = {
    "engine local": _engine(local.check),
    "engine server": _engine(server.check),
}
