"""The values that travel between rooms: geometry, pictures, sound, text with places, and what perception says.

Nothing here opens a file or knows a library; numpy is named for types only, so importing this module is free.

Conventions: a `Box` is in fractions of its page or picture, 0–1 from the top left, unless a name says pixels; times are
seconds from the start of the recording; pages count from 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Progress = Callable[[str, float, float | None], None]
"""`progress(what, done, total)`: called often, cheap; total None when it is not known yet."""


def no_progress(what: str, done: float, total: float | None) -> None:
    """The progress that nobody watches."""


# --- places -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions (0–1) of its page or picture, origin top left, x0 ≤ x1 and y0 ≤ y1."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    def union(self, other: Box) -> Box:
        return Box(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def contains(self, x: float, y: float) -> bool:
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1

    def pixels(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The same rectangle in pixels of a picture of that size."""
        return self.x0 * width, self.y0 * height, self.x1 * width, self.y1 * height

    @staticmethod
    def of_pixels(x0: float, y0: float, x1: float, y1: float, width: int, height: int) -> Box:
        return Box(x0 / width, y0 / height, x1 / width, y1 / height)


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text on one line. `words` may be empty when the reader gives no finer places; score 0–1 is the reader's
    own trust in it (1 for a text layer)."""

    text: str
    box: Box
    score: float = 1.0
    words: tuple[Word, ...] = ()


# --- media ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """RGB pixels, uint8 [height, width, 3]."""

    pixels: npt.NDArray[np.uint8]

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Mono samples, float32 [n] in -1…1 at `rate` Hz, beginning `start` seconds into the recording."""

    samples: npt.NDArray[np.float32]
    rate: int = 16_000
    start: float = 0.0

    @property
    def duration(self) -> float:
        return len(self.samples) / self.rate

    @property
    def end(self) -> float:
        return self.start + self.duration


class Page(Protocol):
    """A page of a document, read when it is asked for and remembered."""

    @property
    def file(self) -> str:
        """The file as the caller named it."""
        ...

    @property
    def number(self) -> int:
        """Counted from 1."""
        ...

    @property
    def key(self) -> str | None:
        """What the page is known by wherever something made of it is kept, the same for the same content; None: nothing
        of it may be kept."""
        ...

    def lines(self) -> tuple[Line, ...]:
        """The page's text in reading order, from its text layer where that is sound, else read from its picture."""
        ...

    def printed(self) -> tuple[Line, ...]:
        """The same from its text layer alone, at no cost: empty for a page that would have to be read."""
        ...

    def picture(self, dpi: int = 150) -> Picture:
        """The page as a person sees it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture and the time it is shown at."""

    time: float
    picture: Picture


class Clip(Protocol):
    """A video, decoded when it is asked for."""

    @property
    def duration(self) -> float: ...

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        """One frame every `every` seconds from `start` on, in order, upright, its longer side at most `max_side`
        pixels. A picture that stays is the same object again."""
        ...

    def sound(self) -> Sound | None:
        """The sound track, or None where there is none."""
        ...


class Memory(Protocol):
    """Notes that a perception keeps about one file between calls: JSON values by name. A dict is one."""

    def get(self, key: str, /) -> Any:
        """What was kept under this name, or None."""
        ...

    def __setitem__(self, key: str, value: Any, /) -> None: ...


def timestamp(seconds: float) -> str:
    """mm:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


# --- speech -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word with its times; probability 0–1."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech, usually a sentence; `speaker` only where voices were told apart."""

    id: int
    start: float
    end: float
    text: str
    words: tuple[SpokenWord, ...] = ()
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said in a stretch of sound; no segments where nobody spoke. `language` is an ISO 639-1 code or empty."""

    segments: tuple[Segment, ...]
    language: str = ""


@dataclass(frozen=True, slots=True)
class MinutesItem:
    """A line of the minutes with the place in the recording that it rests on."""

    text: str
    start: float
    end: float
    speaker: str | None = None
    owner: str | None = None
    due: str | None = None


@dataclass(frozen=True, slots=True)
class Minutes:
    """What a meeting was about, what it decided, and who does what."""

    topics: tuple[MinutesItem, ...] = ()
    decisions: tuple[MinutesItem, ...] = ()
    actions: tuple[MinutesItem, ...] = ()


# --- what perception says ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that perception says stand on a page. Tools check it; perception may be wrong. `boxes` are the places it
    already knows (in any number), empty when it only knows the words."""

    file: str
    page: int
    text: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost; zeros where an engine does not count. The prompt's tokens hold those of its media.

    `video_tokens` are those of clips that were read, `video_tokens_before` what they were before sampling left some
    out; `unchanged_pairs` are pairs of their frames that equal the pair before and were not encoded again.
    `cached_tokens` are those of the prompt that were not computed again. `seconds` tells where the time went: load,
    media (decoding files), encode, prefill, think, answer.
    """

    prompt_tokens: int = 0
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    video_tokens: int = 0
    video_tokens_before: int = 0
    unchanged_pairs: int = 0
    cached_tokens: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: Usage) -> Usage:
        names = [f.name for f in dataclasses.fields(self) if f.name != "seconds"]
        parts = {**self.seconds}
        for name, value in other.seconds.items():
            parts[name] = parts.get(name, 0.0) + value
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in names}, seconds=parts)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer about pages. `found` False means: honestly not there; `reason` then says why, in a sentence."""

    found: bool
    text: str
    quotes: tuple[Quote, ...] = ()
    confidence: float = 0.0
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    written: str = ""  # word for word, by a model; what a question that follows it is read after


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question about pages and what a model wrote in reply: an earlier turn of a conversation about them."""

    question: str
    written: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place in a picture that may be the target."""

    box: Box
    label: str
    confidence: float
    point: tuple[float, float] | None = None  # where to press, in fractions; None means the middle of the box


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a target was seen, best first. `found` False: absent or ambiguous; candidates are then the near misses."""

    found: bool
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of a video that bears on the question: what was seen and said there. `at` is the frame to show."""

    start: float
    end: float
    at: float
    seen: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Viewing:
    """An answer about a video."""

    found: bool
    text: str
    moments: tuple[Moment, ...] = ()
    confidence: float = 0.0
    reason: str = ""
    usage: Usage = field(default_factory=Usage)


# --- text -------------------------------------------------------------------------------------------------------------


def well_formed(text: str) -> str:
    """The text with U+FFFD for half a surrogate pair, which no encoder takes: it is what Python makes of a shell's
    argument or a file's name in another encoding than the terminal's."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- JSON -------------------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """A result as plain dicts, lists, strings and numbers, floats rounded to 6 places; keys are the field names.

    A field with the metadata {"json": False} is left out. Raises TypeError for a value that has no JSON form (a
    picture, a sound).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Picture | Sound):
            raise TypeError(f"{type(value).__name__} has no JSON form")
        if isinstance(value, Box):
            return [round(v, 6) for v in (value.x0, value.y0, value.x1, value.y1)]
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value) if f.metadata.get("json", 1)}
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Sequence):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")
