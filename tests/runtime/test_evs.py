"""Efficient video sampling: vLLM's recorded masks, a derivation in numpy, and what must hold for every video."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record_vllm import OUT, evs_tokens
from omni_agent.runtime import evs

VECTORS = json.loads(OUT.read_text())["evs"]


def test_counts_as_vllm_computes_them() -> None:
    assert len(VECTORS["counts"]) == 120
    for places, tubelets, rate, kept in VECTORS["counts"]:
        assert evs.kept_tokens(tubelets, places, rate) == kept


def test_masks_as_vllm_computes_them() -> None:
    """Oblong grids, a single tubelet, a rate that leaves only the first; still places tie and the earlier one stays."""
    assert len(VECTORS["masks"]) == 5
    for case in VECTORS["masks"]:
        t, h, w = case["thw"]
        mask = evs.keep_mask(evs_tokens(case["seed"], t, h * w, 16), case["rate"])
        assert mask.flatten().nonzero().flatten().tolist() == case["kept"], case["thw"]


def derived(tokens: np.ndarray, rate: float) -> set[tuple[int, int]]:
    """The rule in float64 numpy: (tubelet, place) of what stays."""
    tubelets, places, _ = tokens.shape
    unit = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
    change = np.concatenate([np.full((1, places), 255.0), 1 - (unit[1:] * unit[:-1]).sum(-1)])
    keep = max(places, int(tubelets * places * (1 - rate)))
    ranked = sorted(range(tubelets * places), key=lambda n: (-change.flat[n], n))
    return {divmod(n, places) for n in ranked[:keep]}


@given(st.integers(1, 12), st.integers(1, 30), st.floats(0, 0.95), st.integers(0, 1000))
def test_the_rule_in_another_arithmetic(tubelets: int, places: int, rate: float, seed: int) -> None:
    tokens = np.random.RandomState(seed).randn(tubelets, places, 8)
    mask = evs.keep_mask(torch.from_numpy(tokens), rate)
    assert {tuple(place) for place in mask.nonzero().tolist()} == derived(tokens, rate)


@given(st.integers(1, 80), st.integers(1, 20), st.floats(0, 0.95))
def test_the_first_tubelet_stays_whole_and_the_count_is_known_beforehand(
    tubelets: int, places: int, rate: float
) -> None:
    tokens = torch.randn(tubelets, places, 4, generator=torch.Generator().manual_seed(tubelets))
    mask = evs.keep_mask(tokens, rate)
    assert mask[0].all() and int(mask.sum()) == evs.kept_tokens(tubelets, places, rate)


def test_kept_tokens_stay_in_order_and_the_saving_is_told() -> None:
    tokens = evs_tokens(7, 6, 10, 8)
    kept, saving = evs.sample(tokens, 0.5)
    mask = evs.keep_mask(tokens, 0.5)
    assert torch.equal(torch.cat(kept), tokens[mask])
    assert [len(part) for part in kept] == mask.sum(1).tolist()
    assert saving == evs.Saving(before=60, after=30)


def test_a_rate_of_zero_keeps_everything() -> None:
    tokens = evs_tokens(8, 4, 6, 8)
    kept, saving = evs.sample(tokens, 0.0)
    assert torch.equal(torch.stack(kept), tokens) and saving == evs.Saving(24, 24)


def test_a_still_video_keeps_its_beginning() -> None:
    """All changes are equal, so what stays is what came first; later tubelets are left with nothing."""
    kept, _ = evs.sample(torch.ones(8, 5, 4), 0.75)
    assert [len(part) for part in kept] == [5, 5, 0, 0, 0, 0, 0, 0]


def test_small_changes_count_even_in_bfloat16() -> None:
    """Ranked in bfloat16 itself a turn by 2 degrees would tie with none at all."""
    tokens = torch.ones(4, 1, 2)
    angle = np.deg2rad(47)
    tokens[3, 0] = torch.tensor([np.cos(angle), np.sin(angle)]) * 2**0.5
    assert evs.keep_mask(tokens.bfloat16(), 0.5)[:, 0].tolist() == [True, False, False, True]


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_a_senseless_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="pruning rate"):
        evs.kept_tokens(4, 4, rate)
