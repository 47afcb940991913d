"""What people call icons, and what the designers of icon fonts call them.

`data/icon-names.txt` has a line for each concept: every name that means the same picture or the same purpose. A name is
looked up whole, so that "arrow left" never finds "arrow right"; a concept's glyphs are those whose name, without its
style, stands in its line.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def concepts() -> tuple[frozenset[str], ...]:
    """Each concept as the set of its names, lower case, words apart by one space."""
    text = (files("omni_agent.perception.lite") / "data" / "icon-names.txt").read_text(encoding="utf-8")
    return tuple(frozenset(name.strip() for name in line.split(",")) for line in text.splitlines())


def names_of(words: str) -> frozenset[str]:
    """Every name of the concept that these words name; the words alone where no concept has them.

    A name in two concepts means both: "search" with "replace" are told apart by the picture, not by the word.
    """
    said = " ".join(words.casefold().replace("-", " ").replace("_", " ").split())
    forms = (said, said.removesuffix("s"), said.removesuffix(" button"), said.removesuffix(" tool"))
    found = [concept for concept in concepts() if any(form in concept for form in forms)]
    return frozenset({said}).union(*found)
