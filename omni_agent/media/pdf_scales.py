"""What a document would take to unpack, found out first: kilobytes can stand for hundreds of gigabytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from omni_agent.errors import MediaError

MAX_CONTENT = 256 * 2**20  # bytes of one stream of drawing instructions or of a font; real ones stay below 50 MB
MAX_IMAGE_PIXELS = 400_000_000  # an image inside a page
MAX_BOOK = 512 * 2**20  # bytes of an EPUB or XPS
EXPANDING = re.compile(r"/(?:Fl|FlateDecode|LZW|LZWDecode|RL|RunLengthDecode)\b")  # filters that unpack to more


class Scales:
    """Weighs the pages of one PDF; what pages share is weighed once."""

    def __init__(self, file: Any) -> None:
        """`file`: PyMuPDF's open document."""
        self._file = file
        self._bearable: set[int] = set()  # numbers of objects

    def weigh(self, page: int, what: str) -> None:
        """Look at everything that a page (an object's number) draws with: contents, forms, fonts, patterns, pictures,
        annotations. Raises MediaError for what would take more than the limits when it is used; `what` names the page.
        """
        waiting = _referred(self._file.xref_object(page, compressed=True) + self._inherited(page))
        try:
            while waiting:
                number = waiting.pop()
                if number in self._bearable or not 0 < number < self._file.xref_length():
                    continue
                text = self._file.xref_object(number, compressed=True)
                if re.search(r"/Type ?/Pages?\b|/EF\b", text):
                    continue  # a link to another page; an attached file, which is not drawn
                self._bearable.add(number)
                waiting += _referred(text)
                if self._file.xref_is_stream(number):
                    self._weigh_stream(number, text, what)
        except MediaError:
            self._bearable.clear()  # another page may lead to the same object
            raise

    def _weigh_stream(self, number: int, text: str, what: str) -> None:
        from pymupdf import mupdf

        file = mupdf.pdf_document_from_fz_document(self._file.this)
        if re.search(r"/Subtype ?/Image\b", text):
            image = mupdf.pdf_load_object(file, number)
            width, height = (int(mupdf.pdf_dict_get_int(image, mupdf.pdf_new_name(key))) for key in ("Width", "Height"))
            if width * height > MAX_IMAGE_PIXELS:
                raise MediaError(f"{what} holds a picture of more than {MAX_IMAGE_PIXELS // 10**6} million pixels")
            if len(EXPANDING.findall(text)) > 1:
                raise MediaError(f"{what} holds a picture that is packed twice over; it is not opened")
        elif mupdf.fz_skip(mupdf.pdf_open_stream_number(file, number), MAX_CONTENT + 1) > MAX_CONTENT:
            raise MediaError(f"{what} unpacks to more than {MAX_CONTENT >> 20} MB; it is not opened")

    def _inherited(self, page: int) -> str:
        """The resources that a page has from the nodes above it in the tree of pages, as PDF text."""
        resources, seen = "", {page}
        kind, value = self._file.xref_get_key(page, "Parent")
        while kind == "xref" and (node := int(value.split()[0])) not in seen:
            seen.add(node)
            resources += self._file.xref_get_key(node, "Resources")[1]
            kind, value = self._file.xref_get_key(node, "Parent")
        return resources


def weigh_book(path: Path, shown: str) -> None:
    """Raise MediaError for a zip archive that claims more than MAX_BOOK; MuPDF unpacks no more than is claimed."""
    try:
        with ZipFile(path) as book:
            size = sum(entry.file_size for entry in book.infolist())
    except BadZipFile as error:
        raise MediaError(f"{shown} is damaged: no page of it can be read") from error
    if size > MAX_BOOK:
        raise MediaError(f"{shown} unpacks to more than {MAX_BOOK >> 20} MB; it is not opened")


def _referred(text: str) -> list[int]:
    """The objects that a PDF object refers to."""
    return [int(number) for number in re.findall(r"\b(\d+) \d+ R\b", text)]
