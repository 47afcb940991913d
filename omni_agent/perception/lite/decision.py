"""Which candidate is the answer, and whether any is: figures weighed by what questions with known answers taught.

A conditional logit with an outside option: each candidate's worth is a weighted sum of its figures, and "not there" has
a worth of its own. In videos the best candidate is the answer where it comes near enough to that. In documents other
weights of the best one's figures tell whether the question can be answered at all: which sentence is the best and
whether it is good enough are not the same question. Refusing what is there is the worse mistake there, since the quote
shows what an answer rests on. The weights are in data/, written by `python -m benchmarks.fit_ask` and
`benchmarks.fit_watch`, which also say how well they do on files that they were not fitted to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

from omni_agent.perception.lite.figures import FIGURES


class Decision:
    """Weights for figures of these names, from a file in data/."""

    def __init__(self, file: str, names: Sequence[str]) -> None:
        self._file, self._names = file, names

    def worth(self, figures: Sequence[float]) -> float:
        """How much more a candidate is worth than "not there", in logits. `figures` in the order of the names."""
        weights = self._kept["weights"]
        total = sum(weights[name] * figure for name, figure in zip(self._names, figures, strict=True))
        return float(total - self._kept["not there"])

    def answers(self, worth: float) -> bool:
        """Whether a candidate of this worth is given as the answer."""
        return worth > float(self._kept["answers above"])

    def there(self, worths: Sequence[float], figures: Sequence[float]) -> float:
        """How likely it is that the question can be answered, as a logit above the limit at which it is. `worths` are
        those of all candidates, `figures` the best one's."""
        weights = self._kept["there"]
        names = (*COMPARED, *self._names)
        given = (*compared(worths), *figures)
        return float(sum(weights[name] * figure for name, figure in zip(names, given, strict=True)) - weights["limit"])

    @cached_property
    def _kept(self) -> dict[str, Any]:
        text = (files("omni_agent.perception.lite") / "data" / self._file).read_text(encoding="utf-8")
        return dict(json.loads(text))


COMPARED = ("worth", "lead", "worth of all")


def compared(worths: Sequence[float]) -> tuple[float, float, float]:
    """The best worth, how far it lies above the second (5 where there is none), and the worth of all taken together."""
    best, second = (*sorted(worths, reverse=True), min(worths) - 5)[:2]
    return best, best - second, best + math.log(sum(math.exp(worth - best) for worth in worths))


def confidence(worth: float) -> float:
    """The worth as a probability against "not there"."""
    return 1 / (1 + math.exp(-worth))


DOCUMENTS = Decision("decision.json", FIGURES)
