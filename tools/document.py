"""Documents as pages that are read when they are asked for: PDFs, pictures, and what can be laid out like a PDF.

For each page the text layer is used where it is sound; else the page's picture is read. What was read from a picture is
kept by content, so a long scan that is interrupted goes on where it stopped. Nothing is kept of a document that a
password locks: its text would lie open in the cache, and what a model makes of its pages is not less.
"""

from __future__ import annotations

import errno
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from omni_agent.errors import MediaError, UsageError
from omni_agent.media import image, layout
from omni_agent.media.files import opened
from omni_agent.media.pdf import MAX_PAGES, Pdf, TextLayer
from omni_agent.perception.base import Perception
from omni_agent.tools import cache
from omni_agent.tools.drawn import Drawn
from omni_agent.types import Box, Line, Page, Picture, Word

SCAN_DPI = 200  # what pages are read at; beyond it OCR gains little, below 150 small print is lost
SCAN_SHARE = 0.4  # of the page; a picture that covers more may be a scan and the text layer only its stamp
GARBAGE_SHARE = 0.15  # of the characters; more of them that mean nothing, and the font's encoding is broken
PAINTED = {"jpg", "jpeg", "png", "tif", "tiff", "bmp", "gif", "webp", "jp2", "ppm", "pgm", "pbm"}
FLOWING = {"txt": "txt", "text": "txt", "md": "txt", "markdown": "txt", "rst": "txt", "log": "txt", "csv": "txt"}
FLOWING |= {"html": "html", "htm": "html", "xhtml": "html", "epub": "epub", "fb2": "fb2", "mobi": "mobi", "xps": "xps"}
OFFICE = {"docx", "xlsx", "pptx", "doc", "xls", "ppt", "odt", "ods", "odp", "rtf"}


@dataclass(frozen=True, slots=True)
class Document:
    """An open document: the pages asked for, in order, and what its reader should be told about the file."""

    file: str
    pages: Sequence[Page]
    warnings: tuple[str, ...] = ()
    unread: list[MediaError] = field(default_factory=list)  # one for each page that turned out to be unreadable


@contextmanager
def open_document(
    file: str | Path, perception: Perception, *, pages: str | None = None, password: str | None = None
) -> Iterator[Document]:
    """A document whose pages can be read until the context ends; "-" is standard input.

    `pages` is a range such as "1-4,7", counted from 1 and inclusive. Raises UsageError for a file that is not there or
    a page that is not in it, PasswordError, and MediaError for what cannot be read.
    """
    name = str(file)
    with ExitStack() as stack:
        path = stack.enter_context(opened(file))
        shown = "standard input" if name == "-" else name
        kind = _kind(path, shown)
        keep = f"{cache.fingerprint(path)}{'' if kind in ('pdf', 'picture') else kind}" if cache.keeping() else None
        if kind == "picture":
            frames = image.count(path, shown)
            chosen = page_numbers(pages, frames, shown)
            unread: list[MediaError] = []
            painted = [_Painted(name, n, perception, keep, unread, path, shown) for n in chosen]
            yield Document(name, painted, unread=unread)
            return
        pdf = Pdf(path, password=password, kind=kind, shown=shown)
        stack.callback(pdf.close)
        if pages is None and pdf.pages > MAX_PAGES:
            raise UsageError(f"{shown} has {pdf.pages:,} pages", hint="name those to read, for example --pages 1-500")
        chosen = page_numbers(pages, pdf.pages, shown)
        unread, drawn = [], Drawn()
        printed = [_Printed(name, n, perception, None if pdf.locked else keep, unread, pdf, drawn) for n in chosen]
        yield Document(name, printed, _warnings(pdf, kind), unread)


def page_numbers(ranges: str | None, count: int, shown: str) -> list[int]:
    """The pages that a range such as "1-4,7" names; every page for None. Raises UsageError."""
    if ranges is None:
        return list(range(1, count + 1))
    chosen: list[int] = []
    for part in ranges.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})?\s*)?", part)
        if match is None:
            raise UsageError(f"--pages {ranges!r} is not a page range", hint="for example 1-4,7 (counted from 1)")
        first = int(match[1])
        last = int(match[2]) if match[2] else count if "-" in part else first
        if not 1 <= first <= last:
            raise UsageError(f"--pages {part.strip()} is no range of pages", hint="for example 1-4,7 (counted from 1)")
        if last > count:
            have = f"{count:,} pages" if count > 1 else "1 page"
            raise UsageError(f"{shown} has {have}; --pages {part.strip()} is outside", hint=f"name pages in 1-{count}")
        chosen.extend(number for number in range(first, last + 1) if number not in chosen)
    return chosen


def _kind(path: Path, shown: str) -> str:
    """What a file is by its first bytes, and only where they say nothing, by its name: "picture" or MuPDF's name."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:  # no longer there, a broken disk, more files than a process may hold open
        hint = "--each asks one file after the other" if error.errno == errno.EMFILE else ""
        raise MediaError(f"{shown} could not be opened: {error.strerror or error}", hint=hint) from error
    ending = path.suffix.lower().lstrip(".")
    if b"%PDF-" in head:
        return "pdf"
    if image.is_picture(head):
        return "picture"
    if ending in OFFICE or (head[:4] == b"PK\x03\x04" and b"word/" in head):
        raise MediaError(f"{shown} is an office file, which omni does not read", hint="save it as PDF first")
    if ending in ("epub", "xps") and head[:4] == b"PK\x03\x04":
        return ending
    if _is_text(head):
        return FLOWING.get(ending, "html" if re.match(rb"\s*<(!doctype html|html)", head, re.IGNORECASE) else "txt")
    if ending == "pdf":
        raise MediaError(f"{shown} is not a PDF, whatever its name says", hint="open it with the program that made it")
    if ending in PAINTED:
        raise MediaError(f"{shown} is not a picture, whatever its name says")
    raise MediaError(f"{shown} is not a kind of document that omni reads", hint="PDF, a picture, text, HTML or EPUB")


def _is_text(head: bytes) -> bool:
    """Whether these bytes are text in UTF-8 (cut anywhere), Latin-1 or UTF-16; BEL, BS and ESC are a terminal's."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return not any(byte < 7 or 13 < byte < 27 or 27 < byte < 32 for byte in head)


def _warnings(pdf: Pdf, kind: str) -> tuple[str, ...]:
    if kind != "pdf":
        return ()
    if pdf.pages < pdf.claimed:
        return (f"{pdf.shown} claims {pdf.claimed:,} pages and holds {pdf.pages:,}; those were read",)
    if pdf.damaged:
        return (f"{pdf.shown} is damaged; what could be recovered ({pdf.pages:,} pages) was read",)
    return ()


# --- pages ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Remembered(ABC):
    """A page that is read once. One that cannot be read has no lines, is told in `unread`, and costs only itself.

    `fingerprint` is what the words read on its picture are kept under; None: they are not kept.
    """

    file: str
    number: int
    perception: Perception
    fingerprint: str | None
    unread: list[MediaError]
    _lines: tuple[Line, ...] | None = field(default=None, init=False)
    _reading: threading.Lock = field(default_factory=threading.Lock, init=False)  # once, whoever else asks meanwhile

    @property
    def key(self) -> str | None:
        return None if self.fingerprint is None else f"{self.fingerprint} {self.number} {self.perception.name}"

    def lines(self) -> tuple[Line, ...]:
        with self._reading:
            if self._lines is None:
                try:
                    self._lines = layout.arrange(self._found())
                except MediaError as error:
                    self.unread.append(error)
                    self._lines = ()
            return self._lines

    def printed(self) -> tuple[Line, ...]:
        try:
            return layout.arrange(self._layer() or ())
        except MediaError:
            return ()  # `lines` tells it

    @abstractmethod
    def picture(self, dpi: int = 150) -> Picture: ...

    def _layer(self) -> tuple[Line, ...] | None:
        """The lines of a sound text layer, before they are arranged; None where the picture must be read."""
        return None

    def _found(self) -> tuple[Line, ...]:
        """The lines as they were found on the page, before they are arranged."""
        layer = self._layer()
        return _read(self, self.perception, self.fingerprint) if layer is None else layer


@dataclass(slots=True)
class _Printed(_Remembered):
    """A page of a file that MuPDF opens."""

    pdf: Pdf
    drawn: Drawn

    def _layer(self) -> tuple[Line, ...] | None:
        return sound_text(self.pdf.text(self.number))

    def picture(self, dpi: int = 150) -> Picture:
        return self.drawn.picture(self.number, dpi, self.pdf.picture)


@dataclass(slots=True)
class _Painted(_Remembered):
    """A picture file as a page, or one page of a multi-page TIFF."""

    path: Path
    shown: str

    def picture(self, dpi: int = 150) -> Picture:
        """The picture as it is: it has pixels, and no size on paper to relate them to."""
        return image.load(self.path, self.shown, frame=self.number - 1)


def _read(page: Page, perception: Perception, fingerprint: str | None) -> tuple[Line, ...]:
    """What perception reads on a page's picture, from the cache where it was read before."""
    if fingerprint is None:
        return perception.read(page.picture(SCAN_DPI))
    key = (fingerprint, page.number, SCAN_DPI, perception.name)
    kept = cache.get("page", *key)
    if kept is not None:
        return tuple(_from_kept(line) for line in kept)
    lines = perception.read(page.picture(SCAN_DPI))
    cache.put("page", *key, value=[_to_keep(line) for line in lines])
    return lines


def _to_keep(line: Line) -> list[object]:
    return [line.text, _sides(line.box), round(line.score, 3), [[word.text, _sides(word.box)] for word in line.words]]


def _sides(box: Box) -> list[float]:
    return [round(side, 5) for side in (box.x0, box.y0, box.x1, box.y1)]


def _from_kept(kept: list[object]) -> Line:
    text, box, score, words = kept
    return Line(text, Box(*box), score, tuple(Word(w, Box(*b)) for w, b in words))  # type: ignore[arg-type,misc,attr-defined]


# --- is the text layer the page? --------------------------------------------------------------------------------------


def sound_text(layer: TextLayer) -> tuple[Line, ...] | None:
    """The text layer's lines where they are what a person sees on the page, or None where its picture must be read."""
    if _broken(layer.lines):
        return None
    if layer.image < SCAN_SHARE:
        return layer.lines if layer.lines or not (layer.drawings or layer.images) else None
    # A picture covers much of the page. Text that lies over it, printed or as an OCR program's hidden layer, has to
    # look like a page's worth; a header, a stamp or a page number does not.
    over = [line for line in (*layer.lines, *layer.hidden) if any(a.contains(*line.box.center) for a in layer.images)]
    if _characters(over) >= 300 and not _broken(over):
        return (*layer.lines, *(line for line in layer.hidden if line in over))
    beside = [line for line in layer.lines if line not in over]
    return layer.lines if layer.image < 0.75 and _characters(beside) >= 300 else None


def _characters(lines: Sequence[Line]) -> int:
    return sum(len(line.text) for line in lines)


def _broken(lines: Sequence[Line]) -> bool:
    """Whether the characters are not what is drawn: no mapping to Unicode, or a shifted one that spells no words."""
    text = "".join(line.text for line in lines)
    solid = [character for character in text if not character.isspace()]
    if len(solid) < 20:
        return False
    senseless = sum(_senseless(character) for character in solid)
    words = re.findall(r"[A-Za-z]{4,}", " ".join(line.text for line in lines))
    voiceless = sum(not re.search(r"[aeiouyAEIOUY]", word) for word in words)
    signs = sum(not (c.isalnum() or c in ".,-–—_=:;()[]/%'\"“”’*•·…<>|+$€£&#@") for c in solid)
    return (
        senseless > GARBAGE_SHARE * len(solid)
        or (len(words) >= 10 and voiceless > 0.3 * len(words))
        or signs > 0.4 * len(solid)
    )


def _senseless(character: str) -> bool:
    code = ord(character)
    return code == 0xFFFD or 0xE000 <= code <= 0xF8FF or code < 32 or 0x80 <= code < 0xA0
