"""Saved web pages, made ready for MuPDF."""

from __future__ import annotations

import re

_PICTURE = re.compile(rb"<img\b[^<>]*>", re.IGNORECASE)  # ends at the next "<", so a hostile page costs no more
_ALTERNATIVE = re.compile(rb"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


def without_pictures(page: bytes) -> bytes:
    """The page with each picture's own text in its place, as a browser shows it that loads none.

    MuPDF loads none either, and writes "[image]" there: words that the page does not say.
    """
    return _PICTURE.sub(_said, page)


def _said(picture: re.Match[bytes]) -> bytes:
    found = _ALTERNATIVE.search(picture[0])
    return b" " + (found[1] or found[2] or b"" if found else b"") + b" "
