"""What a call of an offered function may look like, as rules of a Lark grammar for llguidance.

The form is that of `tool_calls`, which reads what these rules let through. A function's parameters come in the order of
its schema, each at most once, those that it requires always; what a schema calls a string is free text, or one of its
"enum", and everything else is JSON that fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omni_agent.errors import UsageError
from omni_agent.runtime.tool_calls import NAME, types_of

_SHARED = ("$defs", "definitions")  # where a parameter's schema may point to


def rules(tools: Sequence[Mapping[str, Any]], opening: str, closing: str, white_space: str) -> str:
    """Rules of which `calls` is one call or several. `opening` and `closing` are the marks as Lark terms.

    Raises UsageError for a name that cannot be written in a call.
    """
    functions = [tool.get("function", tool) for tool in tools]
    lines = [
        'calls: call ("\\n" call)*',
        f'call: {opening} "\\n<function=" function "</function>\\n" {closing}',
        "function: " + " | ".join(f"function{number}" for number in range(len(functions))),
        'text[suffix="\\n</parameter>\\n"]: /(?s:.*)/',
    ]
    for number, function in enumerate(functions):
        schema = function.get("parameters") or {}
        required = schema.get("required") or ()
        terms = [_term(_name(function["name"]) + ">\n")]
        for place, (key, value) in enumerate((schema.get("properties") or {}).items()):
            rule = f"parameter{number}_{place}"
            begin = _term(f"<parameter={_name(key)}>\n")
            lines.append(f"{rule}: {begin} {_value(value, schema, white_space)}")
            terms.append(rule if key in required else f"{rule}?")
        lines.append(f"function{number}: " + " ".join(terms))
    return "\n".join(lines) + "\n"


def _value(schema: Any, root: Mapping[str, Any], white_space: str) -> str:
    """A value and what ends it."""
    end = _term("\n</parameter>\n")
    types = types_of(schema, root)
    if not types or "string" in types:
        choices = schema.get("enum") if isinstance(schema, Mapping) else None
        if types == {"string"} and choices:
            return "(" + " | ".join(_term(str(choice)) for choice in choices) + f") {end}"
        return "text"
    shared = {key: root[key] for key in _SHARED if key in root}
    whole = {**shared, **schema, "x-guidance": {"whitespace_pattern": white_space}}
    return f"%json {json.dumps(whole, allow_nan=False)} {end}"


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} cannot be written in a call: no line break, no '>', 200 characters at most")
    return name


def _term(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
