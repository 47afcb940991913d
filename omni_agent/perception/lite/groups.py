"""Labels that stand once for several rows of a table, in a column of their own: at their middle or at their top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omni_agent.perception.lite import grid
from omni_agent.perception.lite.grid import Cells, Column
from omni_agent.types import Line

OFF = 0.4  # of a line's height, between a label and the middle of its rows


@dataclass(frozen=True, slots=True)
class Groups:
    """The rows' labels with those of their groups before them, by number; the lines that hold a group's label alone;
    how many columns the labels take."""

    labels: dict[int, str]
    alone: frozenset[int]
    columns: int


NONE = Groups({}, frozenset(), 0)


def groups(lines: Sequence[Line], rows: Sequence[Cells], among: Sequence[Column]) -> Groups:
    """The groups of these rows (`rows` are the lines' pieces, `among` their columns); none where no column left of the
    rows' labels holds labels that fit whole numbers of rows."""
    count = _label_columns(rows, among)
    labels = [[run for run in row if grid.column_of(grid.box_of(run), among) < count] for row in rows]
    pairs = [runs for runs, row in zip(labels, rows, strict=True) if len(runs) == 2 and len(row) > 2]
    if not pairs or any(grid.is_value(grid.text_of(run)) for runs in pairs for run in runs):
        return NONE
    inner, outer = min(runs[1][0].box.x0 for runs in pairs), max(runs[0][-1].box.x1 for runs in pairs)
    alone = frozenset(
        i
        for i, (runs, row) in enumerate(zip(labels, rows, strict=True))
        if len(row) == 1 == len(runs) and runs[0][-1].box.x1 < inner
    )
    named = [i for i, runs in enumerate(labels) if i in alone or (len(runs) == 2 and runs[0][-1].box.x1 < inner)]
    inside = [
        i for i, runs in enumerate(labels) if i not in alone and runs and (i in named or runs[0][0].box.x0 > outer)
    ]
    if outer >= inner or len(inside) <= len(named):
        return NONE
    spans = _from_the_top(inside, named) if inside[0] == named[0] else _centred(lines, inside, named)
    return Groups(
        {
            i: " ".join(grid.text_of(run) for run in (labels[own][0], *labels[i][i in named :]))
            for own, members in spans
            for i in members
        },
        alone if spans else frozenset(),
        count,
    )


def _label_columns(rows: Sequence[Cells], among: Sequence[Column]) -> int:
    """How many of the first columns hold words."""
    for index in range(len(among)):
        inside = [run for row in rows for run in row if grid.column_of(grid.box_of(run), among) == index]
        if sum(grid.is_value(grid.text_of(run)) for run in inside) > 0.5 * len(inside):
            return index
    return 0


def _from_the_top(inside: Sequence[int], named: Sequence[int]) -> list[tuple[int, list[int]]]:
    ends = [*named[1:], inside[-1] + 1]
    return [(own, [i for i in inside if own <= i < end]) for own, end in zip(named, ends, strict=True)]


def _centred(lines: Sequence[Line], inside: Sequence[int], named: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Groups one after the other, each with its label at the middle of its rows; none where they do not work out."""
    middles = [line.box.center[1] for line in lines]
    found, at = list[tuple[int, list[int]]](), 0
    for own in named:
        slack, top = OFF * lines[own].box.height, middles[inside[at]] if at < len(inside) else 0.0
        fitting = (j for j in range(at, len(inside)) if abs((top + middles[inside[j]]) / 2 - middles[own]) < slack)
        end = next(fitting, None)
        if end is None:
            return []
        found.append((own, list(inside[at : end + 1])))
        at = end + 1
    return found
