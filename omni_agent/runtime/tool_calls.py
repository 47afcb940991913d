"""Tool calls in the model's own form, taken out of its answer as it streams.

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

One rule for everything else: what is not exactly a call of a function that was offered, with values that its schema can
hold, stays text. A call that was cut off, names a function nobody offered or passes "five" as an integer is then seen
as the model wrote it, nothing is lost, nothing is guessed at, and a stream that went well so far does not end in an
error. Values are data: JSON where the schema asks for something other than a string, never evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

OPEN, CLOSE = "<tool_call>", "</tool_call>"
LONGEST_CALL = 1 << 18  # characters; the card's longest answer, 20,480 tokens, is a third of it

NAME = re.compile(r"[^>\n]{1,200}")  # of a function or a parameter
_FUNCTION = re.compile(rf"\s*<function=({NAME.pattern})>(.*)</function>\s*", re.DOTALL)
# A value may hold "</parameter>" itself: the one that ends it is followed by another parameter or by nothing.
_PARAMETER = re.compile(rf"\s*<parameter=({NAME.pattern})>\n?(.*?)\n?</parameter>\s*(?=<parameter=|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an offered function; `arguments` are plain data under the schema's names."""

    name: str
    arguments: dict[str, Any]


class ToolCalls:
    """Fed with an answer's text in pieces of any size, gives text and calls in their order.

    `tools` are functions in OpenAI's form: {"type": "function", "function": {"name": …, "parameters": schema}}.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        functions = [tool.get("function", tool) for tool in tools]
        self._schemas: dict[str, Mapping[str, Any]] = {
            str(function["name"]): function.get("parameters") or {} for function in functions
        }
        self._held = ""  # in text: what may be the beginning of OPEN; in a call: the call so far, OPEN included
        self._inside = False
        self._after_call = False  # white space between calls belongs to their form

    def feed(self, piece: str) -> Iterator[str | Call]:
        """What is certain after this piece. Text is held back only where it may be the beginning of a call."""
        searched = max(0, len(self._held) - len(CLOSE)) if self._inside else 0
        self._held += piece
        while self._held:
            if not self._inside:
                yield from self._text()
                if not self._inside:
                    return
                searched = 0
            end = self._held.find(CLOSE, searched)
            if end < 0 and len(self._held) <= LONGEST_CALL:
                return
            end = end + len(CLOSE) if end >= 0 else len(self._held)
            whole, self._held, self._inside = self._held[:end], self._held[end:], False
            yield self._call(whole)

    def close(self) -> Iterator[str | Call]:
        """What is left when the answer has ended: a call without its end is text."""
        rest, self._held, self._inside = self._held, "", False
        if self._after_call:
            rest = rest.lstrip()
        if rest:
            yield rest

    def _text(self) -> Iterator[str]:
        """Give the text before a call, and go into the call where one begins."""
        if self._after_call:
            self._held = self._held.lstrip()
        start = self._held.find(OPEN)
        self._inside = start >= 0
        if start < 0:
            start = len(self._held) - _overlap(self._held, OPEN)
        text, self._held = self._held[:start], self._held[start:]
        if text:
            self._after_call = False
            yield text

    def _call(self, whole: str) -> str | Call:
        try:
            call = self._read(whole.removeprefix(OPEN).removesuffix(CLOSE))
        except (ValueError, RecursionError):
            self._after_call = False
            return whole
        self._after_call = True
        return call

    def _read(self, body: str) -> Call:
        """Raises ValueError where the body is not what it should be."""
        function = _FUNCTION.fullmatch(body)
        if function is None or function[1] not in self._schemas:
            raise ValueError("no call of a function that was offered")
        schema = self._schemas[function[1]]
        properties, rest = schema.get("properties") or {}, function[2]
        arguments: dict[str, Any] = {}
        at = 0
        while at < len(rest.rstrip()):
            found = _PARAMETER.match(rest, at)
            if found is None or found[1] in arguments:
                raise ValueError("no parameter, or one twice")
            arguments[found[1]] = decode(found[2], properties.get(found[1], {}), schema)
            at = found.end()
        return Call(function[1], arguments)


def decode(text: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """The value that `text` writes under its schema; `root` is where "#/…" references begin.

    A string stays as it is, and so does what the schema gives no type. Where several types are allowed, a string is
    the last that is tried. Raises ValueError when the text is of none of them.
    """
    types = types_of(schema, root)
    if not types or types == {"string"}:
        return text
    # The chat template writes Python's words for these three, so the model may have learnt both.
    word = {"True": "true", "False": "false", "None": "null"}.get(text.strip(), text)
    try:
        value = json.loads(word, parse_constant=_no_number)
        if isinstance(value, float) and value.is_integer() and "number" not in types:
            value = int(value)
        if not isinstance(value, str) and types & _fitting(value):
            return value
    except (ValueError, RecursionError):
        pass
    if "string" in types:
        return text
    raise ValueError(f"{text[:80]!r} is no {' or '.join(sorted(types))}")


def types_of(schema: Any, root: Mapping[str, Any]) -> set[str]:
    """JSON types that a parameter's schema allows; empty: it does not say. `root` is where "#/…" references begin."""
    return _types(schema, root, set())


def _types(schema: Any, root: Mapping[str, Any], seen: set[str]) -> set[str]:
    """JSON types that a schema allows, as far as it says; empty: it does not say. `seen`: references followed so far,
    each once, so that a schema that names itself ends."""
    if not isinstance(schema, Mapping):
        return set()
    if "type" in schema:
        named = schema["type"]
        return set(map(str, named)) if isinstance(named, list) else {str(named)}
    if "$ref" in schema:
        reference = str(schema["$ref"])
        known = reference in seen
        seen.add(reference)
        return set() if known else _types(_resolve(reference, root), root, seen)
    if "enum" in schema or "const" in schema:
        return {_name_of(value) for value in schema.get("enum", [schema.get("const")])}
    options = [schema.get(key) for key in ("anyOf", "oneOf", "allOf")]
    return {
        name for option in options if isinstance(option, list) for one in option for name in _types(one, root, seen)
    }


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """A reference within the schema ("#/$defs/Place"); None where it leads nowhere."""
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _name_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    names = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _fitting(value: Any) -> set[str]:
    """A whole number is a number, too."""
    name = _name_of(value)
    return {name, "number"} if name == "integer" else {name}


def _overlap(text: str, marker: str) -> int:
    """How many characters at the end of the text are the beginning of the marker."""
    return next((size for size in range(len(marker) - 1, 0, -1) if text.endswith(marker[:size])), 0)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
