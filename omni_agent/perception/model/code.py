"""Where a block of pyautogui calls would point, read with `ast` and never run.

The model answers a GUI task with calls whose coordinates are floats from 0 to 1, fractions of the screenshot; values
above 1 are pixels of it. That is the convention of the model's published computer-use agent.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from omni_agent.perception.model.reply import Malformed, number, string

POINTING = {"click", "leftClick", "rightClick", "middleClick", "doubleClick", "tripleClick"}
POINTING |= {"moveTo", "dragTo", "mouseDown", "mouseUp"}
LONGEST = 4000  # characters of code that are read; a step has some dozens
_FENCED = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_CALLS = re.compile(r"^[ \t]*((?:pyautogui|computer)\.\w+\(.*\))[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """What a block does first that matters here: it points (`at`, in fractions) or it ends the task (`ended`: success
    or failure, with `answer` as the model's words)."""

    at: tuple[float, float] | None = None
    ended: str = ""
    answer: str = ""


def step(text: str, width: int, height: int) -> Step | None:
    """The first pointing or ending call in a reply about a picture of that size in pixels; None for a reply without.

    Raises Malformed for code that is no Python and for a point outside the picture.
    """
    source = _code(text)
    if source is None:
        return None
    for call in _calls(source):
        match call.func:
            case ast.Attribute(value=ast.Name(id="pyautogui"), attr=name) if name in POINTING:
                at = _point(call, width, height)
                if at is not None:
                    return Step(at)
            case ast.Attribute(value=ast.Name(id="computer"), attr="terminate"):
                given = _literals(call, ("status", "answer"))
                return Step(None, string(given.get("status")).casefold() or "success", string(given.get("answer")))
    return None


def _code(text: str) -> str | None:
    """The code of a reply: the last block under "## Code:", else any block, else the lines that are calls."""
    _, heading, after = text.rpartition("## Code:")
    fenced = _FENCED.search(after if heading else text)
    if fenced is not None:
        return fenced[1]
    bare = _CALLS.findall(text)
    return "\n".join(bare) if bare else None


def _calls(source: str) -> list[ast.Call]:
    """The calls that stand as statements of their own, in order."""
    if len(source) > LONGEST:
        raise Malformed("its code is far too long")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Malformed("its code block is no Python") from error
    return [node.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]


def _point(call: ast.Call, width: int, height: int) -> tuple[float, float] | None:
    """The point of a call in fractions; None for a call without one (a click where the pointer is)."""
    given = _literals(call, ("x", "y"))
    pair = given.get("x")
    if isinstance(pair, list) and len(pair) == 2:
        given = {"x": pair[0], "y": pair[1]}
    if given.get("x") is None and given.get("y") is None:
        return None
    x, y = number(given.get("x")), number(given.get("y"))
    if x is None or y is None:
        raise Malformed("x and y of its call must be two plain numbers")
    across, down = (x / width if x > 1 else x), (y / height if y > 1 else y)
    if not (0 <= across <= 1 and 0 <= down <= 1):
        raise Malformed(f"the point ({x:g}, {y:g}) is outside the picture; x and y are fractions from 0 to 1")
    return min(across, 1 - 0.5 / width), min(down, 1 - 0.5 / height)  # 1.0 is the last pixel


def _literals(call: ast.Call, names: tuple[str, ...]) -> dict[str, object]:
    """The arguments as plain values, positional ones by these names; what is no literal is None."""
    given = dict(zip(names, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    return {name: _literal(node) for name, node in given.items()}


def _literal(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=str() | int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [_literal(part) for part in parts]
    return None
