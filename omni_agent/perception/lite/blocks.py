"""What belongs together on one screen: the lines of a dialog, the cells of a row, the lines of a paragraph."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from omni_agent.media import layout
from omni_agent.perception.lite import tables
from omni_agent.perception.lite.grid import is_value
from omni_agent.perception.lite.headed import headed
from omni_agent.perception.lite.rows import Cell, Row
from omni_agent.types import Box, Line, Word

PROMPT = re.compile(r"\S{0,40}[$#>❯%](?:\s|$)")
CELL = 30  # characters; shorter text in a table's row is its cell, not a paragraph's line
FULL = 24  # characters of a line that may go on in the next; shorter ones are labels, a list or a title
SLIDE = 0.04  # height, as a share of the picture's, of letters of which few fit on a line
SIDEWAYS = 0.5  # height by width, each as a share of the picture's, for each letter of a text
VALUE = 60  # characters that a value has at most which stands beside or under its label
UNDER = 2.2  # heights of a label within which its value stands under it
FOLLOWING = 8  # lines that are read with the command or heading above them
LARGER = 1.15  # height of letters that stand out, in those of the text beside them
HEADING = 1.3  # and that of a heading's, which no difference between two readings reaches

Seen = tuple[int, Line]  # a line with the number of its track
Cells = tuple[tuple[str, str], ...]  # a table row's cells, each with the head of its column
# Where a value stands, seen from its label; "cell" is under its column's head in its row.
Relation = Literal["", "beside", "under", "over", "after", "cell"]


def by_pane(seen: Sequence[Seen], panes: Sequence[Box]) -> dict[Box | None, list[Seen]]:
    """The lines of each dialog, card and window, and those in none: text before and text behind are not one row."""
    parts: dict[Box | None, list[Seen]] = defaultdict(list)
    for item in seen:
        middle = item[1].box.center
        parts[next((pane for pane in panes if pane.contains(*middle)), None)].append(item)
    return parts


def table_rows(seen: Sequence[Seen]) -> dict[Box, Cells]:
    """The rows of the tables in sight by their boxes: each cell with the head of its column; a head row has empty
    cells."""
    lines = []
    for row in _rows(seen):
        words = [word for _, line in row for word in line.words or (Word(line.text, line.box),)]
        lines.append(
            Line(" ".join(line.text for _, line in row), layout.union([line.box for _, line in row]), 1.0, tuple(words))
        )
    found: dict[Box, Cells] = {}
    for table in tables.split(lines):
        if isinstance(table, tables.Table):
            heads = _first_row_heads(table.rows)
            pairs = max(len(row_.cells) for row_ in table.rows) < 3  # labels with their values, and no heads
            for row_ in table.rows:
                cells = tuple(
                    ("" if pairs else _head(cell.head) or _over(cell.box, heads), cell.text) for cell in row_.cells
                )
                found.update(dict.fromkeys(row_.boxes, cells))
    for line, lined_up in headed(lines):
        if _headless(lined_up) <= _headless(found.get(line.box, (("", ""),) * len(line.words))):
            found[line.box] = lined_up
    return found


def has_heads(cells: Cells) -> bool:
    """Whether these are a table's cells for sure: each under a head of its own, but for the number of the row."""
    heads = [head for head, _ in cells]
    return len(heads) > 2 and len(set(heads)) == len(heads) and all(len(head) <= CELL for head in heads)


def _headless(cells: Cells) -> int:
    return sum(not head for head, _ in cells)


def _first_row_heads(rows: Sequence[Row]) -> Sequence[Cell]:
    """The cells of a first row that is the table's head in all but its looks: no numbers in it, but below it; empty
    where the table has heads of its own or no such row."""
    if len(rows) < 3 or any(cell.head for row in rows for cell in row.cells) or len(rows[0].cells) < 2:
        return ()
    digits = [any(character.isdigit() for character in row.text) for row in rows]
    return rows[0].cells if not digits[0] and sum(digits[1:]) >= 0.6 * (len(rows) - 1) else ()


def _over(box: Box, heads: Sequence[Cell]) -> str:
    """The head that stands over a cell; none for the head itself."""
    above = [head for head in heads if head.box != box and min(head.box.x1, box.x1) > max(head.box.x0, box.x0)]
    return above[0].text if len(above) == 1 else ""


def _head(text: str) -> str:
    """A column's head; none where it is long and holds a value, which is a row of the table taken for its head."""
    words = text.split()
    return "" if len(words) > 3 and any(map(is_value, words)) else text


def groups(seen: Sequence[Seen], tabled: Container[Box]) -> Iterator[list[Seen]]:
    """Each line, each row of several, and each paragraph; `tabled` are the rows of tables."""
    level = [item for item in seen if not _sideways(item[1])]
    yield from ([item] for item in seen)
    yield from (row for row in _rows(level) if len(row) > 1)
    yield from _paragraphs(level, tabled)


def statements(seen: Sequence[Seen], rows: Mapping[Box, Cells]) -> Iterator[tuple[Relation, list[Seen], list[Seen]]]:
    """Each label with what may be its value, and where that stands: beside it, under it, over it where the value stands
    out, or after it: the lines that follow a heading, an announcement or a command. Which of them are meant is decided
    with a question. In a table with heads (`rows`) what stands beside or under a cell is another, not its value."""
    level = [item for item in seen if not _sideways(item[1]) and re.search(r"\w\w|\d", item[1].text)]
    tabled = [box for box, cells in rows.items() if has_heads(cells)]
    level = [item for item in level if not any(box.contains(*item[1].box.center) for box in tabled)]
    beside = [pair for row in _rows(level) for pair in pairwise(row)]
    yield from (("beside", [label], [value]) for label, value in beside)
    served = {label[0] for label, _ in beside if label[1].text.endswith(":")}  # such labels have their values
    for item in level:
        below = _below(item, level)
        if below is not None and not _complete(below[1].text):
            if not _complete(item[1].text) and item[0] not in served and len(below[1].text) <= VALUE:
                yield "under", [item], [below]
            larger = item[1].box.height > LARGER * below[1].box.height
            if larger or (re.search(r"\d", item[1].text) and not re.search(r"\d", below[1].text)):
                yield "over", [below], [item]
        if item[0] not in served and (following := _following(item, level)):
            yield "after", [item], following


def _complete(text: str) -> bool:
    """Whether a line has its own label and value ("Order: 4F3"), and so names no other."""
    return re.match(r"[^\W\d][^:]{0,40}:\s?\S", text) is not None


def _below(above: Seen, seen: Sequence[Seen]) -> Seen | None:
    """The next line under this one that begins or is centred where it is, or stands within its width."""
    box = above[1].box
    under = [
        item
        for item in seen
        if box.center[1] < item[1].box.center[1] - 0.5 * box.height
        and item[1].box.y0 - box.y1 < UNDER * max(box.height, item[1].box.height)
        and min(box.x1, item[1].box.x1) - max(box.x0, item[1].box.x0) > 0
    ]
    return min(under, key=lambda item: (round(item[1].box.y0, 2), abs(item[1].box.x0 - box.x0)), default=None)


def _following(head: Seen, seen: Sequence[Seen]) -> list[Seen]:
    """What a command prints, an announcement announces, or a heading heads: the lines below it, up to the next prompt
    or the next line as large."""
    box, text = head[1].box, head[1].text
    command = PROMPT.match(text) is not None
    found: list[Seen] = []
    last = box
    for item in sorted(seen, key=lambda item: (item[1].box.y0, item[1].box.x0)):
        here = item[1].box
        if here.center[1] <= box.y1 or (not command and here.x1 <= box.x0) or here.x0 >= max(box.x1, box.x0 + 0.5):
            continue
        apart = here.y0 - last.y1 > 3 * max(box.height, here.height)
        if PROMPT.match(item[1].text) or apart or len(found) == FOLLOWING:
            break
        if not command and found and here.height * LARGER > box.height and not text.endswith(":"):
            break
        if not found and not command and not text.endswith(":") and here.height * LARGER > box.height:
            break
        found.append(item)
        last = here
    return found


def heading_of(group: Sequence[Seen], seen: Sequence[Seen]) -> int | None:
    """The track of the nearest larger line above a group that begins no further right than it, or stands over it."""
    box = layout.union([line.box for _, line in group])
    height = max(line.box.height for _, line in group)
    over = [
        (track, line)
        for track, line in seen
        if line.box.y1 <= box.y0 + 0.3 * height and line.box.height > HEADING * height and line.box.x0 < box.x1
    ]
    return max(over, key=lambda item: item[1].box.y1, default=(None, None))[0]


def around(group: Sequence[Seen], seen: Sequence[Seen]) -> list[int]:
    """The tracks of a group with what stands in its row and right above and under it, in reading order."""
    box = layout.union([line.box for _, line in group])
    height = max(line.box.height for _, line in group)
    own = {track for track, _ in group}

    def close(line: Line) -> bool:
        if box.y0 < line.box.center[1] < box.y1:
            return True
        reach = UNDER * max(height, line.box.height)
        over = min(box.x1, line.box.x1) > max(box.x0, line.box.x0)
        return over and max(line.box.y0 - box.y1, box.y0 - line.box.y1) < reach

    return [track for row in _rows(seen) for track, line in row if track in own or close(line)]


def _rows(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Lines that stand side by side, left to right; rows from top to bottom."""
    rows: list[list[Seen]] = []
    for item in sorted(seen, key=lambda item: item[1].box.center[1]):
        box = item[1].box
        row = next(
            (
                r
                for r in reversed(rows[-3:])
                if abs(r[-1][1].box.center[1] - box.center[1]) < 0.4 * min(r[-1][1].box.height, box.height)
            ),
            None,
        )
        if row is None:
            rows.append([item])
        else:
            row.append(item)
    return [sorted(row, key=lambda item: item[1].box.x0) for row in rows]


def _paragraphs(seen: Sequence[Seen], tabled: Container[Box]) -> Iterator[list[Seen]]:
    """Lines of one size that stand close under each other, flush left or centred, at most eight."""
    rows = [row for row in _rows(seen) if len(row) > 1 and layout.union([line.box for _, line in row]) in tabled]
    cells = {id(item[1]) for row in rows for item in row if len(item[1].text) < CELL}
    left = [item for item in seen if id(item[1]) not in cells]
    left.sort(key=lambda item: (item[1].box.y0, item[1].box.x0))
    taken: set[int] = set()
    for index, item in enumerate(left):
        if index in taken:
            continue
        group = [item]
        for other, below in enumerate(left[index + 1 :], index + 1):
            if other in taken or len(group) == 8 or _complete(group[-1][1].text) or _complete(below[1].text):
                continue
            short = len(group[-1][1].text) < FULL and group[-1][1].box.height < SLIDE
            if not short and _goes_on(group[-1][1].box, below[1].box):
                group.append(below)
                taken.add(other)
        if len(group) > 1:
            yield group


def _goes_on(above: Box, below: Box) -> bool:
    """Whether a line goes on in the one below: close, aligned and as large; right below it, it may be emphasised."""
    low, high = sorted((above.height, below.height))
    aside = min(abs(above.x0 - below.x0), abs(above.center[0] - below.center[0]))
    if 0 < below.y0 - above.y1 < 0.5 * low and low > 0.5 * high and aside < 0.4 * low:
        return True
    return low > 0.7 * high and 0 < below.center[1] - above.center[1] < 1.9 * high and aside < 1.2 * high


def _sideways(line: Line) -> bool:
    """Whether a text runs up or down: it belongs to no row."""
    return len(line.text) > 3 and line.box.height > SIDEWAYS * len(line.text) * line.box.width
