"""Which candidate is the answer, and whether any is: figures weighed by what the tuning questions taught.

A conditional logit with an outside option: each candidate's worth is a weighted sum of its figures, "not there" has a
worth of its own, and the best candidate is the answer where it comes near enough to that: refusing what is there is
the worse mistake, since the quote shows what an answer rests on. The weights are in data/decision.json, written by
`python -m benchmarks.fit_ask`, which also says how well they do on documents that they were not fitted to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from omni_agent.perception.lite.candidates import FIGURES


def worth(figures: Sequence[float]) -> float:
    """How much more a candidate is worth than "not there", in logits. `figures` as in FIGURES."""
    weights = _kept()["weights"]
    return sum(weights[name] * figure for name, figure in zip(FIGURES, figures, strict=True)) - float(
        _kept()["not there"]
    )


def answers(worth: float) -> bool:
    """Whether a candidate of this worth is given as the answer."""
    return worth > float(_kept()["answers above"])


def confidence(worth: float) -> float:
    """The worth as a probability against "not there"."""
    return 1 / (1 + math.exp(-worth))


@cache
def _kept() -> dict[str, Any]:
    text = (files("omni_agent.perception.lite") / "data" / "decision.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
