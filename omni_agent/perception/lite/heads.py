"""What stands over the columns of a table: the words of a line dealt out to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from omni_agent.media import layout
from omni_agent.perception.lite.grid import Column
from omni_agent.types import Line

BREAK = 0.15  # what it costs to part two words a space apart
JOIN = 0.8  # for each letter's width beyond a space, to take two words together
SPAN = 0.12  # for each further column that a head stands over
OTHER = 0.4  # for a head that is set another way than its line
BARE = 0.25  # for a column without a head
UNDER = 1.0  # and where a word of the line stands right over it
GOOD = 1.0  # mean cost of a head at most, in widths of a letter
PARTED = 3.0  # and of heads that wide gaps part already


@dataclass(frozen=True, slots=True)
class Heads:
    """A line read as heads: for each column the text above it, and how badly they fit, in widths of a letter a head."""

    texts: tuple[str, ...]
    cost: float
    groups: int


def heads(line: Line, among: Sequence[Column], wide: float) -> Heads:
    """The cheapest way to deal the words of a line out to the columns: in order, each group of words over one column or
    over several neighbours, flush left, flush right or centred as tables are set: one way for a whole line, mostly."""
    return min((_dealt(line, among, wide, way) for way in range(3)), key=lambda found: found.cost)


def _dealt(line: Line, among: Sequence[Column], wide: float, way: int) -> Heads:
    words = [word for word in layout.words_of(line) if not layout.LEADER.fullmatch(word.text)]

    def joined(start: int, end: int) -> float:
        gaps = [(words[i].box.x0 - words[i - 1].box.x1) / wide for i in range(start + 1, end)]
        return sum(max(0.0, gap - 1.0) * JOIN for gap in gaps)

    def placed(start: int, end: int, first: int, last: int) -> float:
        x0, x1 = words[start].box.x0, words[end - 1].box.x1
        left, right = among[first].left if first else among[0].x0, among[last].right
        if x1 < among[first].x0 - wide or x0 > (among[last].x1 + wide if first else among[1].x0):
            return float("inf")
        ways = (x0 - left) / wide, (x1 - right) / wide, ((x0 + x1) - (left + right)) / 2 / wide
        off = min(map(abs, ways))
        if first == last:
            off = min(abs(ways[way]), off + OTHER) if first else min(off, GOOD)  # labels are headed anyhow
        else:  # over several: centred, seldom flush left
            off = min(0.5 * abs(ways[2]), abs(ways[0]) + 2 * OTHER)
        beyond = max(0.0, left - x0, x1 - right) / wide  # a head may be wider than its column, not by any amount
        # As many words as columns are a head each, most likely.
        dear = SPAN if end - start <= last - first else 8 * SPAN
        return off + 0.05 * beyond + 0.25 * max(0.0, beyond - 5) + dear * (last - first)

    def is_under(column: Column) -> bool:
        overlaps = (min(word.box.x1, column.x1) - max(word.box.x0, column.x0) for word in words)
        return max(overlaps, default=0.0) > 0.5 * (column.x1 - column.x0)

    bares = [0.0, *(UNDER if is_under(column) else BARE for column in among[1:])]

    @cache
    def best(start: int, column: int) -> tuple[float, tuple[tuple[int, int, int, int], ...]]:
        if start == len(words):
            return sum(bares[column:]), ()
        found: tuple[float, tuple[tuple[int, int, int, int], ...]] = (float("inf"), ())
        for end in range(start + 1, min(len(words), start + 8) + 1):
            together = joined(start, end)
            if together > 4:
                break
            parted = 0.0
            if end < len(words):
                parted = BREAK * (words[end].box.x0 - words[end - 1].box.x1 < 1.3 * wide)
            for first in range(column, len(among)):
                if among[first].x0 > words[end - 1].box.x1 + wide:
                    break
                bare = sum(bares[column:first])
                for last in range(first, len(among) if first else 1):
                    cost = placed(start, end, first, last)
                    if cost > 6:
                        if among[first].left + among[last].right > words[start].box.x0 + words[end - 1].box.x1:
                            break  # past the middle: further columns only cost more
                        continue
                    rest, groups = best(end, last + 1 if first else 0)  # labels may stand in columns of their own
                    total = together + parted + bare + cost + rest
                    if total < found[0]:
                        found = total, ((start, end, first, last), *groups)
        return found

    if not words or len(words) > 40:
        return Heads(("",) * len(among), float("inf"), 0)
    cost, groups = best(0, 0)
    texts = [""] * len(among)
    for start, end, first, last in groups:
        for index in range(first, last + 1):
            texts[index] = f"{texts[index]} {' '.join(word.text for word in words[start:end])}".strip()
    bare = sum(cost for cost, text in zip(bares, texts, strict=True) if not text)
    return Heads(tuple(texts), (cost - bare) / max(1, len(groups)), len(groups))
