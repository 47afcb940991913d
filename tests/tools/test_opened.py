"""Files held open for several questions: each page is read once, and what cannot be meant is one sentence."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest

import omni_agent
from omni_agent.engines.base import Message
from omni_agent.engines.fake import FakeEngine
from omni_agent.errors import MediaError, UsageError
from omni_agent.perception.model import ModelPerception
from omni_agent.tools.ask import Documents
from omni_agent.tools.recording import Recording
from omni_agent.types import Box, Exchange, Heard, Line, Picture, Segment, Sound


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
        assert isinstance(doc, Documents)
        answers = [doc.ask(question) for question in ("Who keeps the light?", "Who is the keeper?")]
    assert [answer.answer for answer in answers] == ["Ada Marsh"] * 2
    assert all(answer.citations[0].verified for answer in answers)
    assert len(seen) == 1 and len(engine.calls) == 2
    asked: list[Message] = [messages[-1] for messages, _ in engine.calls]
    assert "Who keeps the light?" in str(asked[0].parts) and "Who is the keeper?" in str(asked[1].parts)


def test_a_question_of_a_conversation_comes_after_the_turns_before_it(scan: Path) -> None:
    """The pages are shown once, at the beginning, so that what is new comes last; an error is no turn."""
    eyes = ModelPerception(FakeEngine(reply), reader=lambda picture: (Line("Ada Marsh", Box(0.1, 0.1, 0.5, 0.2)),))
    engine = eyes._asker.engine
    assert isinstance(engine, FakeEngine)
    with omni_agent.open(scan, engine=eyes) as doc:
        assert isinstance(doc, Documents)
        chat = doc.chat()
        assert chat.ask("Who keeps the light?").answer == "Ada Marsh"
        with pytest.raises(UsageError, match="question is empty"):
            chat.ask(" ")
        assert chat.ask("And since when?").found
        doc.ask("Who else?")
        again = doc.chat(earlier=chat.earlier)
        again.ask("And before?")
    first, second, alone, third = (messages for messages, _ in engine.calls)
    assert [message.role for message in second] == ["user", "assistant", "user"]
    assert second[0].parts[1:] == first[0].parts[1:] and isinstance(second[0].parts[0], Picture)
    assert second[1].parts == (reply(()),) and "And since when?" in str(second[2].parts)
    assert not any(isinstance(part, Picture) for message in second[1:] for part in message.parts)
    assert len(alone) == 1 and "Who else?" in str(alone[0].parts)
    assert [message.parts[1:] for message in third[:2]] == [message.parts[1:] for message in second[:2]]
    assert len(third) == 5
    assert [turn.question for turn in again.earlier] == ["Who keeps the light?", "And since when?", "And before?"]
    assert [options.goes_on for _, options in engine.calls] == [False, True, False, True]


def test_turns_that_have_no_room_are_left_out_oldest_first(scan: Path) -> None:
    eyes = ModelPerception(FakeEngine(reply), context=9_000)
    turns = [Exchange(f"Question {number}?", "word " * 600) for number in range(5)]
    with omni_agent.open(scan, engine=eyes) as doc:
        assert isinstance(doc, Documents)
        doc.chat(earlier=turns).ask("And now?")
    engine = eyes._asker.engine
    assert isinstance(engine, FakeEngine)
    said = str(engine.calls[-1][0])
    assert "Question 4?" in said and "Question 3?" in said and "Question 0?" not in said


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
    with pytest.raises(UsageError, match="is a recording, which is asked by itself"):
        omni_agent.open(examples / "report.pdf", examples / "call.ogg")


class Ears(ModelPerception):
    """Hears two known sentences, and counts how often it had to."""

    heard = 0

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        self.heard += 1
        told = ("I will call the supplier on Tuesday.", "Maria sends the letter.")
        return Heard(tuple(Segment(n, 10.0 * n, 10.0 * n + 4, text) for n, text in enumerate(told)), "en")


def test_a_recording_is_heard_once_and_its_quotes_become_moments(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the full model as well, which is shown the words alone. A quote that nobody said is no moment."""
    monkeypatch.setenv("OMNI_KEEP", "false")  # not from the cache either: it is heard once because it is held
    quotes = [{"page": "p1", "text": "Maria sends the letter."}, {"page": "p1", "text": "Maria burns the letter."}]
    said = json.dumps({"found": True, "answer": "Maria", "quotes": quotes, "confidence": 0.9, "reason": ""})
    engine = FakeEngine(lambda _: said)
    ears = Ears(engine)
    with omni_agent.open(examples / "call.ogg", engine=ears) as call:
        assert isinstance(call, Recording)
        answers = [call.ask(question) for question in ("Who sends it?", "Who writes?")]
        assert call.transcript().text == "I will call the supplier on Tuesday. Maria sends the letter."
    assert ears.heard == 1
    for answer in answers:
        assert answer.found and answer.answer == "Maria" and answer.confidence == 0.9
        assert [(moment.start, moment.end, moment.said) for moment in answer.moments] == [
            (10.0, 14.0, "Maria sends the letter.")
        ]
    parts = engine.calls[0][0][-1].parts
    assert all(isinstance(part, str) for part in parts) and "call the supplier" in str(parts)


@pytest.mark.usefixtures("shared_cache")
def test_a_call_is_asked_and_has_minutes(examples: Path) -> None:
    with omni_agent.open(examples / "call.ogg", engine="lite") as call:
        assert isinstance(call, Recording)
        answer = call.ask("When will the supplier be called?")
        assert answer.found and "Tuesday" in answer.answer
        (moment,) = answer.moments
        assert 30 < moment.start < 40 and "supplier" in moment.said and moment.frame is None
        assert not call.ask("Who is the president of France?").found
        assert any("supplier" in action.text for action in call.minutes().actions)
        with pytest.raises(UsageError, match="question is empty"):
            call.ask(" ")


def test_silence_answers_nothing(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "silent.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(64_000))
    with omni_agent.open(tmp_path / "silent.wav", engine="lite") as silence:
        answer = silence.ask("Who speaks?")
    assert not answer.found and "nobody speaks" in answer.reason


@pytest.mark.usefixtures("shared_cache")
def test_a_video_is_asked_twice(examples: Path) -> None:
    with omni_agent.open(examples / "demo.mp4", engine="lite") as film:
        assert "409" in film.ask("What error message appears?").answer
        assert not film.ask("What colour is the header?").found
