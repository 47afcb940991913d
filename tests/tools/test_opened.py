"""Files held open for several questions: each page is read once, and what cannot be meant is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pymupdf
import pytest

import omni_agent
from omni_agent.engines.base import Message
from omni_agent.engines.fake import FakeEngine
from omni_agent.errors import MediaError, UsageError
from omni_agent.perception.model import ModelPerception
from omni_agent.tools.opened import Film
from omni_agent.types import Box, Line, Picture


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A page that is only a picture, so that its text must be read by somebody."""
    with pymupdf.open() as text, pymupdf.open() as document:
        page = text.new_page()
        page.insert_text((72, 72), "The keeper of the light is Ada Marsh.")
        document.new_page().insert_image(page.rect, pixmap=page.get_pixmap(dpi=100))
        document.save(tmp_path / "scan.pdf")
    return tmp_path / "scan.pdf"


def reply(messages: object) -> str:
    quotes = [{"page": "p1", "text": "The keeper of the light is Ada Marsh."}]
    return json.dumps({"found": True, "answer": "Ada Marsh", "quotes": quotes, "confidence": 0.9, "reason": ""})


def test_many_questions_read_a_page_once(scan: Path) -> None:
    seen: list[Picture] = []

    def read(picture: Picture) -> tuple[Line, ...]:
        seen.append(picture)
        return (Line("The keeper of the light is Ada Marsh.", Box(0.1, 0.08, 0.5, 0.1)),)

    engine = FakeEngine(reply)
    with omni_agent.open(scan, engine=ModelPerception(engine, reader=read)) as doc:
        assert not isinstance(doc, Film)
        answers = [doc.ask(question) for question in ("Who keeps the light?", "Who is the keeper?")]
    assert [answer.answer for answer in answers] == ["Ada Marsh"] * 2
    assert all(answer.citations[0].verified for answer in answers)
    assert len(seen) == 1 and len(engine.calls) == 2
    asked: list[Message] = [messages[-1] for messages, _ in engine.calls]
    assert "Who keeps the light?" in str(asked[0].parts) and "Who is the keeper?" in str(asked[1].parts)


def test_an_empty_question_leaves_the_files_open(scan: Path) -> None:
    with omni_agent.open(scan, engine=ModelPerception(FakeEngine(reply))) as doc:
        with pytest.raises(UsageError, match="question is empty"):
            doc.ask("  ")
        assert doc.ask("Who?").found


def test_what_cannot_be_opened_says_so_at_once(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    with pytest.raises(MediaError):
        omni_agent.open(tmp_path / "torn.pdf", engine=ModelPerception(FakeEngine([])))
    with pytest.raises(UsageError, match="no file"):
        omni_agent.open()
    with pytest.raises(UsageError, match="is not there"):
        omni_agent.open(tmp_path / "none.mp4")
    with pytest.raises(UsageError, match="asked by itself"):
        omni_agent.open(examples / "demo.mp4", examples / "report.pdf")


@pytest.mark.usefixtures("shared_cache")
def test_a_video_is_asked_twice(examples: Path) -> None:
    with omni_agent.open(examples / "demo.mp4", engine="lite") as film:
        assert "409" in film.ask("What error message appears?").answer
        assert not film.ask("What colour is the header?").found
