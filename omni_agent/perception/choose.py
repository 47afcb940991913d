"""Which perception answers: the best that can run on this machine, or the one that was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from omni_agent.engines import local, server
from omni_agent.engines.base import Engine, Options
from omni_agent.engines.wanted import Wanted
from omni_agent.errors import Unavailable
from omni_agent.perception.audience import audience
from omni_agent.perception.base import Perception
from omni_agent.settings import EngineName, Settings, load

# Settings that say how a model should answer, under the same names as the fields of Options.
WISHES = (
    "think",
    "think_budget",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "fps",
    "max_frames",
    "evs",
    "keep",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The perception chosen; `better` says what a better one would need, empty when this is the best there is."""

    perception: Perception
    better: str = ""


@lru_cache(maxsize=2)
def choose(settings: Settings) -> Choice:
    """Pick by `settings.engine`. 'auto' tries local, then lite, and never a server. Raises Unavailable.

    With `settings.resident` "always" it is the same perception in the background process, which is started when it is
    first asked something."""
    choice = _chosen(settings)
    if settings.resident == "always" and choice.perception.name in ("lite", "local"):
        from omni_agent.perception.resident.client import ResidentPerception

        return Choice(ResidentPerception(settings, choice.perception.name, choice.perception.at_once), choice.better)
    return choice


def _chosen(settings: Settings) -> Choice:
    if settings.engine != "auto":
        return Choice(_MAKERS[settings.engine](settings))
    try:
        return Choice(_local(settings))
    except Unavailable as missing:
        better = f"the full model: {missing}" + (f" ({missing.hint})" if missing.hint else "")
    return Choice(_lite(settings), better)


def perceive(engine: EngineName | Perception | None) -> Perception:
    """What a Python caller means by `engine`: a name, None for the settings' own choice, or a perception as it is."""
    if engine is None or isinstance(engine, str):
        return choose(load(engine=engine)).perception
    return engine


def _local(settings: Settings) -> Perception:
    folder = local.check(settings.model_path, settings.device)
    with _one_at_a_time:
        engine = _loaded_once(folder, settings.context, settings.device, settings.cache_dir / "model")
    return _model(engine, settings)


_one_at_a_time = threading.Lock()  # two threads' first calls must not make two engines: there is memory for one


@lru_cache(maxsize=1)
def _loaded_once(folder: Path, context: int, device: Literal["cuda", "cpu"], cache: Path) -> Engine:
    """One engine for all settings that differ only in how it should answer."""
    engine = local.LocalEngine(
        folder, context=context, device=device, cache=cache, note=lambda text: audience.get().note(text)
    )
    return Wanted(engine)


def _model(engine: Engine, settings: Settings) -> Perception:
    """The full model behind `engine`. Where the embedded engine is there, its OCR checks quotes on scans and its voices
    tell speakers apart."""
    from omni_agent.perception.lite import engine as lite
    from omni_agent.perception.model import ModelPerception

    wish = Options(**{name: getattr(settings, name) for name in WISHES})
    try:
        lite.check()
    except Unavailable:
        return ModelPerception(engine, options=wish, context=settings.context)
    embedded = _lite(settings)
    return ModelPerception(
        engine, options=wish, context=settings.context, reader=embedded.read, voices=embedded.tell_apart
    )


def _server(settings: Settings) -> Perception:
    server.check(settings.base_url, settings.api_key, settings.model)
    engine = server.ServerEngine(settings.base_url or "", settings.api_key, settings.model or "")
    return _model(Wanted(engine), settings)


def _lite(settings: Settings) -> Perception:
    from omni_agent.perception.lite.engine import LitePerception

    return LitePerception(settings)


_MAKERS: dict[str, Callable[[Settings], Perception]] = {"local": _local, "server": _server, "lite": _lite}
