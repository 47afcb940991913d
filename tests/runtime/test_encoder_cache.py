"""Kept encoder outputs: the same vectors, found by content alone, and nothing kept where it must not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omni_agent.runtime.encoder_cache import EncoderCache
from omni_agent.runtime.encoders import Encoders, Film
from omni_agent.runtime.images import Grid
from omni_agent.runtime.loading import load
from omni_agent.runtime.store import open_store
from omni_agent.runtime.tiers import Limits, Tiers

CPU, PLENTY = torch.device("cpu"), 1 << 30
DRAW = np.random.default_rng(3)
PAGES = [DRAW.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(2)]
GRIDS = [Grid(4, 6)] * 2
SOUND = DRAW.normal(0, 0.1, 16_000).astype(np.float32)


@pytest.fixture(scope="module")
def towers(folder: Path) -> Encoders:
    encoders = load(folder, device="cpu", dtype=torch.float32, media=True).encoders
    assert encoders is not None
    return encoders


def film(seed: int = 0) -> Film:
    draw = np.random.default_rng(seed)
    frames = (draw.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(6))
    return Film(frames, 96, 64, range(6), 30.0)


class Counting:
    """Encoders that count what they are given."""

    def __init__(self, encoders: Encoders) -> None:
        self.encoders, self.vision, self.sound, self.calls = encoders, encoders.vision, encoders.sound, 0

    def __getattr__(self, name: str) -> Any:
        def called(*arguments: Any) -> Any:
            self.calls += 1
            return getattr(self.encoders, name)(*arguments)

        return called


def opened(encoders: Any, folder: Path, root: str = "model") -> EncoderCache:
    return EncoderCache(encoders, Tiers(CPU, Limits(device=PLENTY), open_store(folder, PLENTY, pytest.fail)), root)


def test_nothing_is_encoded_twice_within_and_across_processes(towers: Encoders, tmp_path: Path) -> None:
    counting = Counting(towers)
    first = opened(counting, tmp_path)
    pages, heard = first.pictures(PAGES, GRIDS), first.recordings([SOUND])
    tubelets, saving, key = first.film(film(), 0.5)
    assert counting.calls == 4
    expected = [*(towers.pictures([page], [grid])[0] for page, grid in zip(PAGES, GRIDS, strict=True))]
    assert all(torch.equal(page.tokens, tokens) for page, tokens in zip(pages, expected, strict=True))
    assert torch.equal(heard[0].tokens, towers.recordings([SOUND])[0])
    assert all(map(torch.equal, tubelets, towers.film(film(), 0.5)[0])) and saving == towers.film(film(), 0.5)[1]
    first.tiers.flush()  # type: ignore[union-attr]
    for again in (first, opened(counting, tmp_path)):
        found = [*again.pictures(PAGES[::-1], GRIDS)[::-1], *again.recordings([SOUND.copy()])]
        assert [one.key for one in found] == [one.key for one in (*pages, *heard)]
        assert all(torch.equal(one.tokens, other.tokens) for one, other in zip(found, (*pages, *heard), strict=True))
        same, _, name = again.film(film(), 0.5)
        assert name == key and all(map(torch.equal, same, tubelets))
        whole, all_of_it, name = again.film(film())
        assert name != key and all_of_it.after == all_of_it.before
        assert all(map(torch.equal, whole, towers.film(film())[0]))
    assert counting.calls == 4


def test_what_was_not_encoded_because_nothing_changed_is_told(towers: Encoders, tmp_path: Path) -> None:
    """By the run that encodes; where the film's tokens are kept, no pair is encoded at all."""
    one, other, *_ = film().frames
    shown = Film([one, other, one, other, other, one], 96, 64, range(6), 30.0)
    cache = opened(towers, tmp_path)
    assert [cache.film(shown, 0.5)[1].unchanged for _ in range(2)] == [1, 0]


def test_other_content_grids_and_models_have_other_names(towers: Encoders, tmp_path: Path) -> None:
    cache = opened(towers, tmp_path)
    page = PAGES[0].copy()
    page[5, 5, 1] ^= 1
    keys = [cache.pictures([pixels], [grid])[0].key for pixels, grid in ((PAGES[0], GRIDS[0]), (page, GRIDS[0]))]
    keys.append(cache.pictures([PAGES[0]], [Grid(2, 4)])[0].key)
    keys.append(cache.pictures([PAGES[0].reshape(96, 64, 3)], [GRIDS[0]])[0].key)
    keys.append(opened(towers, tmp_path, "other model").pictures([PAGES[0]], [GRIDS[0]])[0].key)
    keys += [cache.film(film(0))[2], cache.film(film(1))[2], cache.film(film(0), 0.5)[2]]
    assert len(set(keys)) == len(keys)


def test_nothing_is_kept_of_what_must_not_be(towers: Encoders, tmp_path: Path) -> None:
    counting = Counting(towers)
    cache = opened(counting, tmp_path)
    for _ in range(2):
        cache.pictures(PAGES, GRIDS, keep=False)
        cache.recordings([SOUND], keep=False)
        cache.film(film(), keep=False)
    assert counting.calls == 8
    cache.tiers.flush()  # type: ignore[union-attr]
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_film_too_large_to_hold_is_encoded_as_it_comes(
    towers: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omni_agent.runtime.encoder_cache.FILM_BYTES", 1000)
    tubelets, _, key = opened(towers, tmp_path).film(film())
    assert key == "" and all(map(torch.equal, tubelets, towers.film(film())[0]))
