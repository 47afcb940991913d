"""Values as JSON and raw arrays. Nothing in them can run code, and nothing that arrives is trusted.

Text, numbers, truth values, None and lists are themselves; everything else is an object with one key that names what it
is. The dataclasses are those of `omni_agent.types`, by name, their fields in order: both sides are the same omni, which
the greeting makes sure of.
"""

from __future__ import annotations

import dataclasses
import math
from array import array
from dataclasses import dataclass
from typing import Any

from omni_agent import errors, types
from omni_agent.errors import EngineError, OmniError
from omni_agent.types import Box, Line, Word

MAX_DEPTH = 40


class Nonsense(EngineError):
    """What arrived is no frame, or not one that belongs here."""


@dataclass(frozen=True, slots=True)
class Ref:
    """An object that stays on the other side: what it is, its number, and the facts that are known of it at once."""

    kind: str
    number: int
    facts: tuple[Any, ...] = ()


_CLASSES: dict[str, type] = {"Ref": Ref} | {
    name: value for name, value in vars(types).items() if isinstance(value, type) and dataclasses.is_dataclass(value)
}
_FIELDS = {name: [field.name for field in dataclasses.fields(kind)] for name, kind in _CLASSES.items()}
_ERRORS: dict[str, type[OmniError]] = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, OmniError)
}


def packed(value: Any, arrays: list[memoryview], depth: int = 0) -> Any:
    """A value in its JSON form; the bytes of its arrays are appended to `arrays`. Raises TypeError for other values."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if depth > MAX_DEPTH:
        raise TypeError("a value that is nested too deeply to be sent")
    if isinstance(value, list):
        return [packed(item, arrays, depth + 1) for item in value]
    if isinstance(value, tuple):
        if value and all(type(item) is Line for item in value):
            return {"lines": _lines_packed(value, arrays)}
        return {"tuple": [packed(item, arrays, depth + 1) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[str(key), packed(item, arrays, depth + 1)] for key, item in value.items()]}
    name = type(value).__name__
    if _CLASSES.get(name) is type(value):
        return {name: [packed(getattr(value, field), arrays, depth + 1) for field in _FIELDS[name]]}
    if hasattr(value, "__array__"):
        return {"array": _array_packed(value, arrays)}
    raise TypeError(f"{name} cannot be sent to or from the resident engine")


def unpacked(form: Any, arrays: memoryview) -> Any:
    """The value of a JSON form whose arrays lie back to back in `arrays`. Raises Nonsense."""
    cursor = _Cursor(arrays)
    try:
        value = _unpacked(form, cursor)
    except Nonsense:
        raise
    except (TypeError, ValueError, KeyError, IndexError, RecursionError, OverflowError) as error:
        raise Nonsense(f"a value that means nothing ({type(error).__name__}: {error})") from error
    if cursor.at != len(arrays):
        raise Nonsense(f"{len(arrays) - cursor.at} bytes that belong to no array")
    return value


class _Cursor:
    """Arrays taken one after the other."""

    def __init__(self, arrays: memoryview) -> None:
        self._arrays, self.at = arrays, 0

    def take(self, size: int) -> memoryview:
        if not 0 <= size <= len(self._arrays) - self.at:
            raise Nonsense(f"an array of {size} bytes where {len(self._arrays) - self.at} are left")
        self.at += size
        return self._arrays[self.at - size : self.at]


def _unpacked(form: Any, arrays: _Cursor) -> Any:
    if isinstance(form, list):
        return [_unpacked(item, arrays) for item in form]
    if not isinstance(form, dict):
        return form
    ((name, inner),) = form.items()
    if name == "tuple":
        return tuple(_unpacked(item, arrays) for item in inner)
    if name == "lines":
        return _lines_of(arrays, *inner)
    if name == "dict":
        return {str(key): _unpacked(item, arrays) for key, item in inner}
    if name == "array":
        return _array_of(arrays, *inner)
    return _CLASSES[name](*(_unpacked(item, arrays) for item in inner))


def _array_packed(value: Any, arrays: list[memoryview]) -> list[Any]:
    import numpy as np

    whole = np.ascontiguousarray(value)
    if whole.dtype.kind not in "biuf":
        raise TypeError(f"an array of {whole.dtype} cannot be sent")
    arrays.append(memoryview(whole.reshape(-1).view(np.uint8).data))
    return [whole.dtype.str, list(np.shape(value))]


def _array_of(arrays: _Cursor, dtype: str, shape: list[int]) -> Any:
    import numpy as np

    kind = np.dtype(dtype)
    if kind.kind not in "biuf" or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise Nonsense(f"an array of {dtype} with the shape {shape}")
    return np.frombuffer(arrays.take(kind.itemsize * math.prod(shape)), kind).reshape(shape)


def _lines_packed(lines: tuple[Line, ...], arrays: list[memoryview]) -> list[Any]:
    """Lines as their texts, their words' texts, and one array of numbers: a dense page has thousands of boxes."""
    numbers = array("d")
    for line in lines:
        box = line.box
        numbers.extend((line.score, box.x0, box.y0, box.x1, box.y1))
        for word in line.words:
            box = word.box
            numbers.extend((box.x0, box.y0, box.x1, box.y1))
    arrays.append(memoryview(numbers).cast("B"))
    return [[line.text for line in lines], [[word.text for word in line.words] for line in lines]]


def _lines_of(arrays: _Cursor, texts: list[str], words: list[list[str]]) -> tuple[Line, ...]:
    numbers = array("d")
    numbers.frombytes(arrays.take(8 * (5 * len(texts) + 4 * sum(map(len, words)))))
    each = iter(numbers)

    def box() -> Box:
        return Box(next(each), next(each), next(each), next(each))

    return tuple(
        Line(text, score=next(each), box=box(), words=tuple(Word(word, box()) for word in row))
        for text, row in zip(texts, words, strict=True)
    )


def error_packed(error: OmniError) -> list[Any]:
    """An error of ours as its class, its sentence and its fields; its note is the hint once more."""
    fields = {key: str(value) for key, value in vars(error).items() if key != "__notes__"}
    return [type(error).__name__, str(error), fields]


def error_of(form: Any) -> OmniError:
    """The same error on the other side; a class that only the other side knows becomes an EngineError."""
    try:
        name, message, fields = form
        kind = _ERRORS.get(name, EngineError)
        error = kind.__new__(kind, str(message))
        vars(error).update({"hint": ""} | {str(key): str(value) for key, value in fields.items()})
        if error.hint:
            error.add_note(error.hint)
    except (TypeError, ValueError, AttributeError) as wrong:
        raise Nonsense("an error without a class and a message") from wrong
    return error
