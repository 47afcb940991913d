"""What can run here, and why not the rest. Looks, never installs, never asks for a permission."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from omni_agent.engines import local, server
from omni_agent.errors import OmniError, Unavailable
from omni_agent.media import hands, microphone, screen
from omni_agent.perception.lite import embed, glyphs, ocr, rerank, whisper
from omni_agent.perception.lite import engine as lite
from omni_agent.perception.resident.start import running
from omni_agent.settings import config_file, load


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


def _settings() -> str:
    load()
    return f"{config_file()}" if config_file().exists() else f"no {config_file()}; every setting has its default"


def _local() -> str:
    settings = load()
    return f"can run here: {local.check(settings.model_path, settings.device)}"


def _server() -> str:
    settings = load()
    server.check(settings.base_url, settings.api_key, settings.model)
    return f"{settings.model} at {server.place(settings.base_url or '')}, asked only when it is named"


def _memory() -> str:
    page = os.sysconf("SC_PAGE_SIZE")
    free, total = (os.sysconf(name) * page / 2**30 for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    return f"{free:.1f} of {total:.1f} GiB free, {os.cpu_count()} cores"


def _press() -> str:
    hands.check()
    return "can press; the pointer in a corner of the screen stops it"


def _speech() -> str:
    lite.check()
    settings = load()
    return whisper.describe(settings.whisper_model, cache=settings.cache_dir)


def _resident() -> str:
    found = running()
    if not found:
        raise Unavailable("none runs", hint="omni engine start keeps one loaded between commands")
    return "; ".join(f"{told['engine']} runs, process {told['pid']}, {told['memory_mb']:.0f} MB" for told in found)


_CHECKS: dict[str, Callable[[], str]] = {
    "engine lite": _engine(lite.check),
    "engine local": _local,
    "engine server": _server,
    "settings": _settings,
    "resident engine": _resident,
    "memory": _memory,
    "gpu": lambda: "; ".join(local.cards()),
    "screen": screen.describe,
    "mouse": _press,
    "speech": _speech,
    "reading": ocr.weights,
    "meaning": embed.weights,
    "answers": rerank.weights,
    "icons": glyphs.weights,
    "microphone": microphone.describe,
}
