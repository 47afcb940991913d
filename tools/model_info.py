"""What a checkpoint is and what it needs, from its headers alone: no weight is read and no torch is needed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from omni_agent.engines import local
from omni_agent.errors import Unavailable
from omni_agent.runtime.config import ModelConfig, read_config
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.shards import read_entries
from omni_agent.runtime.sizes import WORK_BYTES, cache_bytes, has_media, parameters, part_of

CONTEXTS = (8_192, 32_768, 131_072)
ITEM = 2  # bytes of a number on the card: BF16, whatever the files hold


@dataclass(frozen=True, slots=True)
class PartSize:
    """A part of the model and what the files hold of it."""

    name: str
    parameters: int
    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Need:
    """Memory for a conversation of `context` tokens: what it keeps, and everything on the card together."""

    context: int
    cache_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Card:
    """A card of this machine; `context` is what fits beside the weights, 0 where they do not fit themselves."""

    name: str
    bytes: int
    context: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """`assumed`: what the files leave open and omni takes for granted. `no_cards` says why `cards` is empty."""

    folder: str
    architecture: str
    blocks: str
    parameters: int
    tensors: int
    bytes: int
    dtypes: dict[str, int]
    parts: tuple[PartSize, ...]
    weights_bytes: int
    work_bytes: int
    needs: tuple[Need, ...]
    cards: tuple[Card, ...]
    no_cards: str
    assumed: tuple[str, ...]
    schema_version: int = 1


def info(folder: Path) -> ModelInfo:
    """Read the headers and add up. Raises CheckpointError for a folder that is no sound checkpoint."""
    config = read_config(folder)
    entries = read_entries(folder)
    by_part: dict[str, list[str]] = {}
    for name in entries:
        by_part.setdefault(part_of(name, config.text), []).append(name)
    weights = ITEM * parameters(entries)
    cards, no_cards = _cards(config, weights)
    return ModelInfo(
        folder=str(folder),
        architecture=config.architecture,
        blocks=config.text.pattern,
        parameters=parameters(entries),
        tensors=len(entries),
        bytes=sum(entry.size for entry in entries.values()),
        dtypes=dict(Counter(entry.dtype for entry in entries.values()).most_common()),
        parts=tuple(
            PartSize(
                part,
                parameters({name: entries[name] for name in names}),
                len(names),
                sum(entries[name].size for name in names),
            )
            for part, names in by_part.items()
        ),
        weights_bytes=weights,
        work_bytes=WORK_BYTES,
        needs=tuple(_need(config, weights, context) for context in _contexts(config.text.max_positions)),
        cards=cards,
        no_cards=no_cards,
        assumed=_assumed(config),
    )


def _contexts(most: int) -> list[int]:
    return [*(context for context in CONTEXTS if context < most), most]


def _assumed(config: ModelConfig) -> tuple[str, ...]:
    if not has_media(config):
        return ()
    vision, sound = VisionConfig.read(config.raw), SoundConfig.read(config.raw)
    return (*vision.assumed, *(sound.assumed if sound else ()))


def _need(config: ModelConfig, weights: int, context: int) -> Need:
    cache = cache_bytes(config.text, context, ITEM)
    return Need(context, cache, weights + cache + WORK_BYTES)


def _cards(config: ModelConfig, weights: int) -> tuple[tuple[Card, ...], str]:
    """The cards of this machine with what fits on each, and why there are none."""
    try:
        seen = local.cards()
    except Unavailable as error:
        return (), str(error)
    made = []
    constant = cache_bytes(config.text, 0, ITEM)
    per_token = cache_bytes(config.text, 1, ITEM) - constant
    for line in seen:
        name, _, memory = line.rpartition(", ")
        found = re.match(r"(\d+) MiB", memory)
        size = int(found[1]) << 20 if found else 0
        fits = (size - weights - WORK_BYTES - constant) // per_token
        made.append(Card(name, size, max(0, min(fits, config.text.max_positions))))
    return tuple(made), ""
