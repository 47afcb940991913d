"""English words that say nothing about what a talk is about: function words, and those every call is full of."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def stopwords() -> frozenset[str]:
    """The words, in lower case, with straight apostrophes."""
    listed = files("omni_agent.perception.lite").joinpath("data/stopwords-en.txt")
    return frozenset(listed.read_text(encoding="utf-8").split())
