"""Timed words become sentences: loops cut, times made to fit the speech, breaks where people would put them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from omni_agent.types import Segment, SpokenWord

PAUSE = 1.0  # seconds of silence that end a sentence however it is written
BREATH = 0.2  # and of one that ends it where the recogniser broke too and goes on with a capital
LONG = 20.0  # a run this long is broken at the recogniser's own breaks
LOOP = 4  # a phrase said this often in a row is a loop
_END = re.compile(r"[.?!…。？！]+[\"'”’)\]]*$")
_ABBREVIATION = re.compile(r"^(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|No|(?:[A-Za-z]\.)+[A-Za-z])\.$")


def segments(runs: Iterable[Sequence[SpokenWord]], *, start: float = 0.0) -> tuple[Segment, ...]:
    """The words, run after run as a recogniser gave them, as one segment a sentence; `start` is added to all times."""
    made: list[list[SpokenWord]] = [[]]
    for run in runs:
        for position, word in enumerate(run):
            if made[-1] and _breaks(made[-1], word, new_run=position == 0):
                made.append([])
            made[-1].append(word)
    texts = [(words, "".join(word.word for word in words).strip()) for words in made]
    return tuple(
        Segment(
            id=number,
            start=round(words[0].start + start, 3),
            end=round(words[-1].end + start, 3),
            text=text,
            words=tuple(
                replace(word, start=round(word.start + start, 3), end=round(word.end + start, 3)) for word in words
            ),
        )
        for number, (words, text) in enumerate((words, text) for words, text in texts if text)
    )


def _breaks(said: Sequence[SpokenWord], word: SpokenWord, *, new_run: bool) -> bool:
    """Whether a sentence ends between what was said and the next word."""
    last = said[-1].word.strip()
    if word.start - said[-1].end >= PAUSE:
        return True
    if _END.search(last) and not _ABBREVIATION.match(last):
        return True
    begins = word.word.strip()[:1].isupper() and word.start - said[-1].end >= BREATH
    return new_run and (begins or word.end - said[0].start > LONG)


def unlooped(words: Sequence[SpokenWord]) -> list[SpokenWord]:
    """The words with a phrase that comes LOOP times or more in a row kept once."""
    kept = list(words)
    for size in range(1, 13):
        position = 0
        while position + size * LOOP <= len(kept):
            phrase = _plain(kept[position : position + size])
            times = 1
            while _plain(kept[position + times * size : position + (times + 1) * size]) == phrase:
                times += 1
            if times >= LOOP:
                del kept[position + size : position + times * size]
            position += 1
    return kept


def _plain(words: Sequence[SpokenWord]) -> list[str]:
    return [re.sub(r"\W+", "", word.word).lower() for word in words]


def timed(words: Sequence[SpokenWord], spans: Sequence[tuple[float, float]]) -> list[SpokenWord]:
    """The words with times that never run backwards and that lie inside the stretches of speech."""
    fitted: list[SpokenWord] = []
    for word in words:
        middle = (word.start + word.end) / 2
        low, high = min(spans, key=lambda span: max(span[0] - middle, middle - span[1], 0.0))
        low = max(low, fitted[-1].end if fitted else 0.0)
        start = min(max(word.start, low), max(high, low))
        fitted.append(replace(word, start=start, end=min(max(word.end, start), max(high, start))))
    return fitted
