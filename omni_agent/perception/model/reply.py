"""What a model writes, into values: nothing in it is trusted, nothing in it is run, and no form of it may crash."""

from __future__ import annotations

import json
import math
import re
from typing import Any

STARTS = 64  # braces at which an object may begin; hostile replies hold thousands
LONGEST = 20_000  # characters of one field

Schema = dict[str, Any]


class Malformed(ValueError):
    """A reply of another form than was asked for; the text says what is wrong with it, for the model to mend."""


def json_object(text: str) -> dict[str, Any]:
    """The first JSON object in a reply, whatever stands around it. Raises Malformed when there is none."""
    decoder = json.JSONDecoder(parse_constant=_no_number)
    start = text.find("{")
    for _ in range(STARTS):
        if start < 0:
            break
        try:
            value, _end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):  # also of an integer with more digits than Python reads
            start = text.find("{", start + 1)
            continue
        assert isinstance(value, dict)
        return value
    raise Malformed("it holds no complete JSON object" if "{" in text else "it holds no JSON object")


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def string(value: object) -> str:
    """A field's text without what surrounds it; empty for what is no text. Half characters become "?"."""
    if not isinstance(value, str):
        return ""
    return value[:LONGEST].encode("utf-8", "replace").decode("utf-8").strip()


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def share(value: object) -> float:
    """A number as 0 to 1; 0 for what is none."""
    return min(1.0, max(0.0, number(value) or 0.0))


def seconds(value: object) -> float | None:
    """A time as seconds: 38, "38.5", "38.5 s", "00:38" or "1:02:03"; None for what is none."""
    if not isinstance(value, str):
        return number(value)
    if not (match := _TIME.fullmatch(value.strip())):
        return None
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


_TIME = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,4}):)?(\d{1,7}(?:\.\d{1,9})?)\s*(?:s|sec|seconds)?")


def flag(fields: dict[str, Any], name: str) -> bool:
    """A field that must be true or false."""
    value = fields.get(name)
    if not isinstance(value, bool):
        raise Malformed(f'"{name}" must be true or false')
    return value


def objects(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a field that must be a list (or absent); what else is in it is left out."""
    value = fields.get(name) or []
    if not isinstance(value, list):
        raise Malformed(f'"{name}" must be a list')
    return [item for item in value if isinstance(item, dict)]


def strings(value: object) -> list[str]:
    """The texts of a list of labels, numbers among them written out; empty for what is no list."""
    if not isinstance(value, list):
        return []
    return [str(item) for item in value if isinstance(item, str | int) and not isinstance(item, bool)]


def text_of(fields: dict[str, Any], name: str) -> str:
    """A field that must be a text."""
    if not isinstance(fields.get(name), str):
        raise Malformed(f'"{name}" must be a text')
    return string(fields[name])


def schema(**properties: Schema) -> Schema:
    """The JSON schema of an object that has exactly these fields."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def listing(items: Schema) -> Schema:
    return {"type": "array", "items": items}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
