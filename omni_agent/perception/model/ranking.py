"""Which texts bear on a question, by its words: BM25 (Robertson and Zaragoza, 2009)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

K1, B = 1.5, 0.75  # the usual values


def ranked(question: str, texts: Sequence[str]) -> list[int]:
    """Indices of the texts, the most relevant first; equal ones in their order."""
    counts = [Counter(_words(text)) for text in texts]
    mean = sum(count.total() for count in counts) / max(1, len(counts)) or 1.0
    scores = [0.0] * len(texts)
    for word in set(_words(question)):
        holding = sum(word in count for count in counts)
        weight = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for index, count in enumerate(counts):
            often = count[word]
            scores[index] += weight * often * (K1 + 1) / (often + K1 * (1 - B + B * count.total() / mean))
    return sorted(range(len(texts)), key=lambda index: -scores[index])


def _words(text: str) -> list[str]:
    return [word.removesuffix("s") for word in re.findall(r"\w+", text.casefold())]
