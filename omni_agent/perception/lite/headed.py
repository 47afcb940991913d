"""Tables as programs and pages draw them: a row of words, and under each word its column's cells.

What `tables` finds by white strips needs numbers; lists of mails, files, tasks or people often have none. Here a head
row is known by what is lined up under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omni_agent.perception.lite.grid import is_value
from omni_agent.types import Box, Line, Word

HEAD = 30  # characters of a column's head at most
APART = 3.5  # heights of a text within which the next row of a table stands
LINED_UP = 1.0  # widths of a letter by which edges that are lined up may differ
ENOUGH = 0.6  # share of a row's cells that must be lined up with heads

Headed = tuple[tuple[str, str], ...]  # a row's cells, each with the head of its column


def headed(rows: Sequence[Line]) -> Iterator[tuple[Line, Headed]]:
    """The rows that stand under a head row, which is given first, with its own texts as the heads of empty cells.
    `rows` from top to bottom, each with its cells as words."""
    at = 0
    while at < len(rows) - 1:
        heads, below = _head(rows, at)
        body = list(_body(heads, rows[below:])) if heads else []
        if len(body) < 2:
            at += 1
            continue
        for row in rows[at:below]:
            yield row, tuple((head.text, "") for head in heads)
        yield from body
        at = rows.index(body[-1][0]) + 1


def _head(rows: Sequence[Line], at: int) -> tuple[Sequence[Word], int]:
    """The heads that begin in this row, and the row after them; none where it is no head row."""
    row, below = rows[at], at + 1
    heads = _named(row.words)
    if not heads:
        return (), below
    while below < len(rows) - 1 and not any(is_value(cell.text) for cell in rows[below].words):
        near, far = rows[below].box.y0 - rows[below - 1].box.y1, rows[below + 1].box.y0 - rows[below].box.y1
        lined = [_column(cell.box, heads) for cell in rows[below].words]
        if near > 0.5 * row.box.height or near > 0.6 * far or None in lined or len(set(lined)) < len(lined):
            break
        heads = _over(heads, rows[below].words)
        below += 1
    return heads, below


def _named(cells: Sequence[Word]) -> Sequence[Word]:
    """The cells as heads: words, not values; a running number may stand before them."""
    if len(cells) > 3 and is_value(cells[0].text):
        cells = cells[1:]
    words = sum(sum(letter.isalpha() for letter in cell.text) > 1 for cell in cells)
    fit = all(len(cell.text) <= HEAD and not cell.text.endswith((":", ".", "?")) for cell in cells)
    values = any(is_value(cell.text) and len(cell.text) > 1 for cell in cells)
    return cells if len(cells) >= 3 and words > 0.6 * len(cells) and fit and not values else ()


def _over(heads: Sequence[Word], more: Sequence[Word]) -> Sequence[Word]:
    """Heads of two lines, put together."""
    found = list(heads)
    for cell in more:
        column = _column(cell.box, heads)
        if column is not None:
            found[column] = Word(f"{found[column].text} {cell.text}", found[column].box.union(cell.box))
    return found


def _body(heads: Sequence[Word], rows: Sequence[Line]) -> Iterator[tuple[Line, Headed]]:
    """The rows below that go with these heads."""
    last = max(head.box.y1 for head in heads)
    for row in rows:
        height = row.box.height
        if row.box.y0 - last > APART * height:
            return
        columns = [_column(cell.box, heads) for cell in row.words]
        if len(columns) == 1:
            if sum(head.box.x0 < row.box.x1 and head.box.x1 > row.box.x0 for head in heads) > 1:
                return  # words that run on over the columns
            last = row.box.y1
            continue
        good = [column for column in columns if column is not None]
        if len(set(good)) < max(2.0, ENOUGH * len(columns)):
            return
        last = row.box.y1
        yield (
            row,
            tuple(
                (heads[column].text if column is not None else "", cell.text)
                for cell, column in zip(row.words, columns, strict=True)
            ),
        )


def _column(box: Box, heads: Sequence[Word]) -> int | None:
    """The head that a cell stands under: the one that it is lined up with, else the only one above it; none where it
    stands under several."""
    over = [i for i, head in enumerate(heads) if min(box.x1, head.box.x1) > max(box.x0, head.box.x0)]
    if len(over) > 1:
        return None
    letter = max(head.box.width / len(head.text) for head in heads)
    edges = [
        min(abs(box.x0 - head.box.x0), abs(box.x1 - head.box.x1), abs(box.center[0] - head.box.center[0]))
        for head in heads
    ]
    best = min(range(len(heads)), key=lambda index: edges[index])
    if edges[best] <= LINED_UP * letter:
        return best
    return over[0] if over else None
