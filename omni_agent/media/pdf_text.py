"""Plain text as the pages that MuPDF lays it out on, piece by piece: for each page it goes through all of a text."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Any

PIECE = 128 * 2**10  # bytes laid out as one document; a page more begins after each


class Text:
    """The part of PyMuPDF's `Document` that `Pdf` uses, for a plain text. Raises what PyMuPDF raises."""

    is_pdf, needs_pass, is_repaired = False, False, False

    def __init__(self, data: bytes) -> None:
        """`data`: text in UTF-8, UTF-16 with its mark, or what MuPDF takes for another encoding."""
        import pymupdf

        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data = data.decode("utf-16", "replace").encode()
        # MuPDF drops the last letter of a text that does not end in a newline.
        self._parts: list[Any] = [pymupdf.open(stream=part + b"\n", filetype="txt") for part in _pieces(data)]
        self._ends = list(accumulate(part.page_count for part in self._parts))
        self.page_count = self._ends[-1]

    def load_page(self, index: int) -> Any:
        """A page, from 0."""
        if not 0 <= index < self.page_count:
            raise IndexError(f"page {index} not in document")
        part = bisect_right(self._ends, index)
        return self._parts[part].load_page(index - (self._ends[part - 1] if part else 0))

    def close(self) -> None:
        """Let go of it."""
        for part in self._parts:
            part.close()


def _pieces(data: bytes) -> list[bytes]:
    """The text cut at the ends of paragraphs, of lines where those are too long, or between words."""
    found, start = [], 0
    while len(data) - start > PIECE:
        ends = (data.rfind(mark, start + PIECE // 2, start + PIECE) for mark in (b"\n\n", b"\n", b" "))
        end = next((end for end in ends if end >= 0), start + PIECE - 1) + 1
        found.append(data[start:end])
        start = end
    return [*found, data[start:]]
