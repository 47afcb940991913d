"""What people call icons, and what the designers of icon fonts call them.

`data/icon-names.txt` has a line for each concept: every name that means the same picture or the same purpose. A name is
looked up whole, so that "arrow left" never finds "arrow right"; a concept's glyphs are those whose name, without its
style, stands in its line.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

# What says that something is done, and not what its picture shows: "insert video", "toggle fullscreen".
_OPENER_WORDS = """\
insert toggle show hide enable disable activate open set change choose enter go jump switch use make view
display turn to the a an your my this current"""
_OPENERS = frozenset(_OPENER_WORDS.split())
# What says where or to what it is done: "previous image", "dark mode", "text color menu".
_CLOSER_WORDS = """\
mode menu tool image selection page panel picker options dialog item file files folder document window view as
action control picture photo song track slide seconds popup message editor settings dropdown list format"""
_CLOSERS = frozenset(_CLOSER_WORDS.split())
# What is done with something, and has a picture of its own whatever that is: "search library", "delete row".
_DEED_WORDS = """\
search find close dismiss delete remove edit copy paste cut save print share download upload play pause stop
add create new previous prev next refresh reload undo redo send reply filter sort bookmark mute record expand
collapse import export lock unlock pin rename"""
_DEEDS = frozenset(_DEED_WORDS.split())


@cache
def concepts() -> tuple[frozenset[str], ...]:
    """Each concept as the set of its names, lower case, words apart by one space."""
    text = (files("omni_agent.perception.lite") / "data" / "icon-names.txt").read_text(encoding="utf-8")
    return tuple(frozenset(name.strip() for name in line.split(",")) for line in text.splitlines())


def names_of(words: str) -> frozenset[str]:
    """Every name of the concepts that these words name; the words alone where no concept has them.

    A name in two concepts means both: "search" with "replace" are told apart by the picture, not by the word.
    """
    said = " ".join(words.casefold().replace("-", " ").replace("_", " ").split())
    forms = (said, said.removesuffix("s"), said.removesuffix(" button"), said.removesuffix(" tool"))
    found = [concept for concept in concepts() if any(form in concept for form in forms)]
    return frozenset({said}).union(*found)


def simpler(words: str, *, deeds: bool) -> str:
    """A name that has a concept, in words that have none as a whole: without those that do not change the picture, and,
    with `deeds`, what is done where the rest has no picture. Empty when nothing known is left."""
    said = re.split(r"[\s/_-]+", words.casefold().strip())
    tries = [said[first:last] for last in range(len(said), 0, -1) for first in range(last)]
    for part in tries:
        first = next(i for i in range(len(said)) if said[i : i + len(part)] == part)
        before, after = said[:first], said[first + len(part) :]
        droppable = all(word in _OPENERS for word in before) and all(w in _CLOSERS or w.isdigit() for w in after)
        if droppable and _known(" ".join(part)):
            return " ".join(part)
    if deeds and len(said) > 1 and said[0] in _DEEDS and _known(said[0]):
        turned = f"{said[0]} {said[-1]}"  # "sort rows descending"
        return turned if len(said) > 2 and _known(turned) else said[0]
    return ""


@cache
def _known(words: str) -> bool:
    return any(words in concept for concept in concepts())
