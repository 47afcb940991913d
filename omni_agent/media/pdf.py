"""Documents through PyMuPDF, the one module that names it: only omni's own values leave it.

Files are hostile until proven otherwise: page counts, page sizes and stream lengths are claims, checked before they are
believed. Besides PDF, MuPDF lays out EPUB, HTML and plain text as pages; they come through the same door.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Any, ParamSpec, TypeVar

from omni_agent.errors import MediaError, PasswordError
from omni_agent.media.pdf_calls import Calls
from omni_agent.media.pdf_scales import Scales, weigh_book
from omni_agent.media.pdf_text import Text
from omni_agent.media.web_page import without_pictures
from omni_agent.types import Box, Line, Picture, Word, well_formed

MAX_PAGES = 20_000  # beyond this a page count is taken for a claim, not for a document
MAX_PIXELS = 24_000_000  # a rendered page: A3 at 300 dpi is 17 million
MAX_SIDE = 12_000
INVISIBLE = 8 | 16  # MuPDF's char_flags: filled, stroked; text that is neither cannot be seen


P = ParamSpec("P")
R = TypeVar("R")
_MUPDF = RLock()


def _alone(function: Callable[P, R]) -> Callable[P, R]:
    """One thread at a time in PyMuPDF, which supports no more (its documentation, "Multithreading"); agents call tools
    from threads. A decorator, so that the pages a call made are also freed before the next thread enters."""

    @wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with _MUPDF:
            return function(*args, **kwargs)

    return locked


@dataclass(frozen=True, slots=True)
class TextLayer:
    """The text that a page carries beside its picture. `lines` are what the file draws visibly, `hidden` what it draws
    invisibly (as OCR programs do under a scan); `image` is the share of the page that pictures cover, `images` where
    they lie; `drawings` says whether lines or shapes are drawn."""

    lines: tuple[Line, ...]
    hidden: tuple[Line, ...]
    image: float
    images: tuple[Box, ...]
    drawings: bool


class Pdf:
    """An open document. Pages count from 1; `locked` says whether it opens with a password alone."""

    @_alone
    def __init__(self, path: Path, *, password: str | None = None, kind: str = "pdf", shown: str | None = None) -> None:
        """Open it. Raises PasswordError, or MediaError for what is damaged beyond repair or has no page."""
        import pymupdf

        self.shown = shown or str(path)
        pymupdf.TOOLS.mupdf_display_errors(False)
        pymupdf.TOOLS.mupdf_display_warnings(False)
        if kind in ("epub", "xps"):
            weigh_book(path, self.shown)
        try:
            self._file: Any = _opened(path, kind)
        except _failures(OSError) as error:
            raise MediaError(f"{self.shown} is damaged: no page of it can be read") from error
        self._scales, self._calls = Scales(self._file), Calls(self._file)
        self._pictured = kind != "txt"
        self.locked = bool(self._file.needs_pass)
        if self.locked and not self._file.authenticate(well_formed(password or "")):
            self._file.close()
            raise _password_error(self.shown, password)
        try:
            self.claimed = int(self._file.page_count)
        except _failures() as error:  # MuPDF: more pages than the file has objects
            self._file.close()
            raise MediaError(f"{self.shown} claims more pages than it can hold; it is not opened") from error
        self.pages = self._true_count()
        self.damaged = self.pages < self.claimed or bool(self._file.is_repaired)
        if not self.pages:
            self._file.close()
            raise MediaError(f"{self.shown} is damaged: no page of it can be read")

    @_alone
    def close(self) -> None:
        self._file.close()

    @_alone
    def text(self, number: int) -> TextLayer:
        """The text layer of a page, its boxes in fractions of the page as it is shown (rotated and cropped)."""
        import pymupdf

        page = self._page(number)
        width, height = page.rect.width, page.rect.height
        a, b, c, d, e, f = page.rotation_matrix

        def box(rect: Sequence[float]) -> Box:  # by hand: PyMuPDF's rectangles take most of the time of a page of text
            x0, y0, x1, y1 = rect
            xs = sorted(((a * x0 + c * y0 + e) / width, (a * x1 + c * y1 + e) / width))
            ys = sorted(((b * x0 + d * y0 + f) / height, (b * x1 + d * y1 + f) / height))
            return Box(*(min(1.0, max(0.0, float(side))) for side in (xs[0], ys[0], xs[1], ys[1])))

        with _mapped(f"page {number} of {self.shown}"):
            content = page.get_textpage(flags=pymupdf.TEXTFLAGS_WORDS)
            images = tuple(box(placed["bbox"]) for placed in page.get_image_info()) if self._pictured else ()
            blocks = page.get_text("dict", textpage=content)["blocks"]
            words = page.get_text("words", textpage=content)
            drawings = not words and bool(page.get_cdrawings())
        spans = [span for block in blocks for line in block.get("lines", ()) for span in line["spans"]]
        unseen = [box(span["bbox"]) for span in spans if not span.get("char_flags", 8) & INVISIBLE or span["size"] < 1]
        shown: dict[tuple[int, int], list[Word]] = {}
        hidden: dict[tuple[int, int], list[Word]] = {}
        for x0, y0, x1, y1, text, block, line, _ in words:
            word = Word(text, box((x0, y0, x1, y1)))
            if word.box.width <= 0 or word.box.height <= 0:
                continue  # outside the part of the page that is shown
            pile = hidden if any(area.contains(*word.box.center) for area in unseen) else shown
            pile.setdefault((block, line), []).append(word)
        covered = sum(area.width * area.height for area in images)
        return TextLayer(_lines(shown), _lines(hidden), min(1.0, covered), images, drawings)

    @_alone
    def picture(self, number: int, dpi: int) -> Picture:
        """The page as a person sees it, at this resolution or the highest that MAX_PIXELS and MAX_SIDE allow."""
        import numpy as np
        import pymupdf

        page = self._page(number)
        width, height = page.rect.width / 72, page.rect.height / 72
        scale = min(dpi, MAX_SIDE / max(width, height), (MAX_PIXELS / (width * height)) ** 0.5) / 72
        with _mapped(f"page {number} of {self.shown}"):
            drawn = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), colorspace=pymupdf.csRGB, alpha=False)
        pixels = np.frombuffer(drawn.samples, dtype=np.uint8).reshape(drawn.height, drawn.stride)
        return Picture(pixels[:, : drawn.width * 3].reshape(drawn.height, drawn.width, 3).copy())

    def _page(self, number: int) -> Any:
        """A page whose content is of bearable size. Raises MediaError."""
        what = f"page {number} of {self.shown}"
        with _mapped(what):
            page = self._file.load_page(number - 1)
            if self._file.is_pdf:
                self._scales.weigh(page.xref, what)
                self._calls.weigh(page.xref, what)
        return page

    def _true_count(self) -> int:
        """How many pages are there, which may be fewer than the file claims: the last is looked for by halving."""
        known, absent = 0, self.claimed + 1
        probe = self.claimed
        while known + 1 < absent:
            if self._exists(probe):
                known = probe
            else:
                absent = probe
            probe = (known + absent) // 2
        return known

    def _exists(self, number: int) -> bool:
        try:
            self._file.load_page(number - 1)
        except _failures():
            return False
        return True


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    """MuPDF's errors as ours."""
    try:
        yield
    except _failures(MemoryError) as error:
        detail = re.sub(r"^code=\d+: ", "", str(error))
        raise MediaError(f"{what} cannot be read: {detail or 'it is damaged'}") from error


def _failures(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What MuPDF raises for files it cannot make sense of, and others."""
    from pymupdf import mupdf

    base: type[Exception] = mupdf.FzErrorBase
    return base, RuntimeError, ValueError, IndexError, *others


def _lines(groups: dict[tuple[int, int], list[Word]]) -> tuple[Line, ...]:
    lines = []
    for words in groups.values():
        box = words[0].box
        for word in words[1:]:
            box = box.union(word.box)
        lines.append(Line(" ".join(word.text for word in words), box, 1.0, tuple(words)))
    return tuple(lines)


def _opened(path: Path, kind: str) -> Any:
    """The document; MuPDF opens by its name only a file whose name is UTF-8."""
    import pymupdf

    if kind == "txt":
        return Text(path.read_bytes())
    if kind == "html":
        return pymupdf.open(stream=without_pictures(path.read_bytes()), filetype=kind)
    named = str(path) == well_formed(str(path))
    return pymupdf.open(path if named else None, stream=None if named else path.read_bytes(), filetype=kind)


def _password_error(shown: str, password: str | None) -> PasswordError:
    if password:
        return PasswordError(f"the password does not open {shown}", hint="--pdf-password, or OMNI_PDF_PASSWORD")
    return PasswordError(
        f"{shown} is protected by a password", hint="--pdf-password PASSWORD, or OMNI_PDF_PASSWORD in the environment"
    )
