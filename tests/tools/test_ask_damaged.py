"""One page that cannot be read costs that page, not the document."""

from __future__ import annotations

import zlib
from pathlib import Path

import pymupdf
import pytest

from omni_agent import ask
from omni_agent.errors import MediaError

BOMB_MB = 300


def document(path: Path, *pages: str) -> Path:
    """A PDF with these texts; "bomb" is a page whose content unpacks to 300 MB."""
    pdf = pymupdf.open()
    for text in pages:
        page = pdf.new_page()
        page.insert_text((72, 100), text)
        if text == "bomb":
            packer = zlib.compressobj(9)
            packed = b"".join(packer.compress(b"q Q " * 262_144) for _ in range(BOMB_MB)) + packer.flush()
            content = page.get_contents()[0]
            pdf.update_stream(content, zlib.compress(packed, 9), compress=False)
            pdf.xref_set_key(content, "Filter", "[/FlateDecode/FlateDecode]")
    pdf.save(path)
    return path


def test_the_other_pages_still_answer(tmp_path: Path) -> None:
    path = document(tmp_path / "a.pdf", "The ferry to the island leaves at 9:40 every morning.", "bomb")
    result = ask([path], "When does the ferry to the island leave?")
    assert result.found and "9:40" in result.answer and result.citations[0].page == 1
    assert any("left out" in warning and "page 2" in warning for warning in result.warnings)


def test_a_document_of_unreadable_pages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="unpacks to more than"):
        ask([document(tmp_path / "b.pdf", "bomb")], "When does the ferry leave?")


@pytest.mark.soak
def test_two_thousand_pages(tmp_path: Path) -> None:
    """The one sentence that answers is found among 2,000 pages, and cited with its page."""
    texts = [f"Section {n}. The keeper of lighthouse number {n} walks {n % 97 + 3} miles a day." for n in range(2000)]
    texts[1776] = "The harbour master was born in Trondheim and came here as a boy."
    result = ask([document(tmp_path / "long.pdf", *texts)], "Where was the harbour master born?")
    assert result.found and "Trondheim" in result.answer and result.citations[0].page == 1777
