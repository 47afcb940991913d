"""omni in float32 along the answers that vLLM 0.26 gave in float32: same tiny checkpoint, same conversations and media.

The answers were recorded once on a GPU by `benchmarks.peer_vllm.theirs`; checkpoint and media are made again here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare_vllm import Ours, compare, others
from benchmarks.peer_vllm.cases import media, write_checkpoint

RECORDED = json.loads((Path(__file__).parent / "data" / "vllm-answers.json").read_text())["runs"]
ANSWERS = [(run["evs"], name, answer) for run in RECORDED for name, answer in run["cases"].items()]
CLOSE = 1e-4  # of a log-probability; 1e-5 was seen, and above 1 where the media are others


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    return Ours(write_checkpoint(tmp_path_factory.mktemp("peer")).parent / "ours", "float32", "cpu")


@pytest.mark.parametrize(("evs", "name", "answer"), ANSWERS, ids=[f"{name}, {evs:g}" for evs, name, _ in ANSWERS])
def test_same_greedy_tokens(ours: Ours, evs: float, name: str, answer: dict[str, Any]) -> None:
    found = compare(ours, name, answer, evs, media())
    assert found["same_prompt"] and not found["parted"]
    assert found["largest_difference"] < CLOSE


@pytest.mark.parametrize("name", ["picture", "sound"])
def test_other_media_are_noticed(ours: Ours, name: str) -> None:
    found = compare(ours, name, RECORDED[0]["cases"][name], 0.0, others(media()))
    assert found["same_prompt"] and found["largest_difference"] > 1000 * CLOSE
