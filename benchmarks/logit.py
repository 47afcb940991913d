"""A conditional logit with an outside option: weights that make the right candidate, or "none of them", most likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

VARIANCE = 2.0  # of the Gaussian that each weight is expected to come from
STEPS = 600

Vector = npt.NDArray[np.float64]
Choice = tuple[Vector, npt.NDArray[np.bool_]]  # the candidates' figures [n, figures], and which are right [n]


def fitted(choices: Sequence[Choice], signs: Sequence[int] | None = None, variance: float = VARIANCE) -> Vector:
    """The weights, and last the worth of "none", which is right where no candidate is: Adam on the whole, which
    converges as the loss is convex but for choices with several right candidates. `signs` keeps a weight from being
    negative (1) or positive (-1), where what a figure says is known beforehand; 0 leaves it free."""
    count = choices[0][0].shape[1]
    most = max(len(figures) for figures, _ in choices)
    given, right = np.zeros((len(choices), most + 1, count + 1)), np.zeros((len(choices), most + 1), dtype=bool)
    barred = np.full((len(choices), most + 1), -np.inf)
    for row, (figures, good) in enumerate(choices):
        given[row, : len(figures), :count], right[row, : len(figures)] = figures, good
        given[row, most, count], right[row, most] = 1.0, not good.any()
        barred[row, [*range(len(figures)), most]] = 0.0
    kept = np.append(np.zeros(count) if signs is None else np.array(signs), 0)
    prior = np.append(np.full(count, 1 / variance), 0.0)
    weights = np.zeros(count + 1)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        worths = given @ weights + barred
        likely = np.exp(worths - worths.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        goal = likely * right
        wrong = likely - goal / goal.sum(axis=1, keepdims=True)
        gradient = (prior * weights + np.einsum("cn,cnf->f", wrong, given)) / len(choices)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        weights -= 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        weights[kept * weights < 0] = 0.0
    return weights
