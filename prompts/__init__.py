"""Prompts as files: one Markdown file a prompt, its variables written {like_this}."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_VARIABLE = re.compile(r"\{([a-z_]+)\}")


@cache
def _text(name: str) -> str:
    return (files(__name__) / f"{name}.md").read_text(encoding="utf-8").strip()


def prompt(name: str, **variables: str) -> str:
    """The prompt `name` with its variables filled in, all at once: a value is never searched for variables.

    Raises KeyError that names every variable missing, and every one given that the prompt does not have.
    """
    text = _text(name)
    wanted = set(_VARIABLE.findall(text))
    if wanted != set(variables):
        raise KeyError(
            f"prompt {name}: missing {sorted(wanted - set(variables))}, unknown {sorted(set(variables) - wanted)}"
        )
    return _VARIABLE.sub(lambda match: variables[match[1]], text)
