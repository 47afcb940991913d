"""Forms that were filled in: numbered fields, what was entered standing below each field's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from omni_agent.media import layout
from omni_agent.perception.lite import grid
from omni_agent.perception.lite.rows import Cell, Row
from omni_agent.types import Box, Line

_FIELD = re.compile(r"\(?\d{1,2}[a-z]?[.)] ?[A-Z]")
FIELDS = 3  # lines with several fields side by side make a page a form
LONGEST = 10  # words of an entry, and of a field's name


def is_form(lines: Sequence[Line]) -> bool:
    """Whether a page is laid out in numbered fields."""
    return sum(len(names) > 1 for names in map(_names, lines)) >= FIELDS


def filled(lines: Sequence[Line], at: int) -> Row | None:
    """The fields that this line names with what the line below holds for each, as one row; None where it names none or
    nothing was entered."""
    names = _names(lines[at])
    if not names or at + 1 == len(lines):
        return None
    below = lines[at + 1]
    entries = layout.cells(below)
    near = 0 <= below.box.y0 - lines[at].box.y0 < 2.5 * lines[at].box.height
    if not near or len(entries) > len(names) or any(len(entry) > LONGEST for entry in entries):
        return None
    if any(_FIELD.match(grid.text_of(entry)) or (len(entry) > 1 and entry[0].text[:1].islower()) for entry in entries):
        return None
    lefts = [x0 for x0, _ in names]
    cells = [Cell("", "", Box(below.box.x0, below.box.y0, below.box.x0, below.box.y1))]
    for entry in entries:
        x0 = entry[0].box.x0 + 0.01
        field = max((i for i, left in enumerate(lefts) if left <= x0), default=0)
        cells.append(Cell(grid.text_of(entry), names[field][1], grid.box_of(entry)))
    return Row(f"{lines[at].text} {below.text}", (lines[at].box, below.box), tuple(cells))


def _names(line: Line) -> list[tuple[float, str]]:
    """The fields that a line names and where each begins; empty where it holds anything else."""
    cells = layout.cells(line)
    texts = [grid.text_of(cell) for cell in cells]
    found: list[tuple[float, str]] = []
    for cell, text in zip(cells, texts, strict=True):
        if _FIELD.match(text):
            found.append((cell[0].box.x0, text))
        elif found and len(text.split()) <= 2:  # "* Required"
            found[-1] = (found[-1][0], f"{found[-1][1]} {text}")
        else:
            return []
    named = [(x0, re.sub(r"^\(?\d{1,2}[a-z]?[.)] ?|\s*[*§].*$", "", text)) for x0, text in found]
    return named if all(len(name.split()) <= LONGEST for _, name in named) else []
