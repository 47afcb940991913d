"""The full model's prompts and parsers, driven through the engine that ships for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from omni_agent.engines.base import Done, Options, Text, Thought
from omni_agent.engines.fake import FakeEngine
from omni_agent.errors import EngineError, MissingExtra, OmniError, Unavailable, UsageError
from omni_agent.perception.base import Perception
from omni_agent.perception.model import MAX_PAGES, ModelPerception
from omni_agent.prompts import prompt
from omni_agent.types import Line, Picture, Sound


@dataclass
class BlankPage:
    file: str = "report.pdf"
    number: int = 7

    def lines(self) -> tuple[Line, ...]:
        return ()

    def picture(self, dpi: int = 150) -> Picture:
        return Picture(np.full((20, 10, 3), 255, np.uint8))


def reply(**changes: object) -> str:
    fields = {
        "found": True,
        "answer": "Forty-two.",
        "quotes": [{"page": "p1", "text": "the answer is 42"}],
        "confidence": 0.9,
        "reason": "",
    }
    return json.dumps({**fields, **changes})


def test_an_answer_names_the_page_it_was_shown() -> None:
    """The model speaks of labels; the reply speaks of files and pages."""
    engine = FakeEngine([reply(quotes=[{"page": "p2", "text": "the answer is 42"}])])
    eyes: Perception = ModelPerception(engine)
    said = eyes.answer("What is it?", [BlankPage(), BlankPage("other.pdf", 3)])
    assert said.found and said.text == "Forty-two." and said.confidence == 0.9
    assert [(quote.file, quote.page, quote.text) for quote in said.quotes] == [("other.pdf", 3, "the answer is 42")]


def test_pictures_come_before_the_question_and_the_answer_has_a_schema() -> None:
    engine = FakeEngine([reply()])
    ModelPerception(engine).answer("What is it?", [BlankPage()])
    messages, options = engine.calls[0]
    parts = messages[0].parts
    assert isinstance(parts[0], Picture)
    assert "p1" in str(parts[1]) and "page 7 of report.pdf" in str(parts[1])
    assert "What is it?" in str(parts[-1])
    assert options.schema is not None and "quotes" in options.schema["properties"]


@pytest.mark.parametrize(
    "text",
    [
        reply(),
        "```json\n" + reply() + "\n```",
        "Here it is: " + reply() + " I hope this helps {sincerely}.",
        "<think>They ask for { braces }</think>" + reply(),
    ],
)
def test_a_reply_is_understood_whatever_stands_around_it(text: str) -> None:
    assert ModelPerception(FakeEngine([text])).answer("q", [BlankPage()]).text == "Forty-two."


@pytest.mark.parametrize("text", ["", "I don't know.", "[1, 2]", '{"answer": 1', '{"found": "yes"}', "{" * 5000])
def test_a_reply_of_another_form_is_an_engine_error(text: str) -> None:
    with pytest.raises(EngineError):
        ModelPerception(FakeEngine([text])).answer("q", [BlankPage()])


def test_a_quote_from_a_page_that_was_not_shown_is_dropped() -> None:
    text = reply(quotes=[{"page": "p9", "text": "made up"}, {"page": "p1", "text": "real"}, "nonsense"])
    assert [quote.text for quote in ModelPerception(FakeEngine([text])).answer("q", [BlankPage()]).quotes] == ["real"]


def test_not_found_keeps_its_reason_and_no_quotes() -> None:
    text = reply(found=False, answer="maybe", reason="no such figure")
    said = ModelPerception(FakeEngine([text])).answer("q", [BlankPage()])
    assert not said.found and said.text == "" and said.quotes == () and said.reason == "no such figure"


def test_more_pages_than_the_model_holds_is_said_before_anything_is_sent() -> None:
    engine = FakeEngine([reply()])
    with pytest.raises(UsageError, match="more than the model holds"):
        ModelPerception(engine).answer("q", [BlankPage()] * (MAX_PAGES + 1))
    assert engine.calls == []


def test_what_it_cannot_do_yet_is_unavailable_not_wrong() -> None:
    eyes = ModelPerception(FakeEngine([]))
    with pytest.raises(Unavailable, match="cannot transcribe yet"):
        eyes.hear(Sound(np.zeros(16000, np.float32)))
    with pytest.raises(MissingExtra):
        eyes.read(BlankPage().picture())


def test_the_fake_engine_streams_thoughts_apart_and_ends_with_done() -> None:
    events = list(FakeEngine(["<think>first this</think>then that"]).stream([], Options()))
    assert "".join(event.text for event in events if isinstance(event, Thought)).split() == ["first", "this"]
    assert "".join(event.text for event in events if isinstance(event, Text)) == "then that"
    assert isinstance(events[-1], Done) and sum(isinstance(event, Done) for event in events) == 1


def test_the_fake_engine_says_when_its_replies_are_used_up() -> None:
    with pytest.raises(OmniError, match="no reply left"):
        list(FakeEngine([]).stream([], Options()))


def test_a_prompt_names_what_is_missing_and_never_searches_a_value_for_variables() -> None:
    with pytest.raises(KeyError, match="question"):
        prompt("ask")
    with pytest.raises(KeyError, match="colour"):
        prompt("ask", question="q", colour="red")
    assert "{question}?" in prompt("ask", question="what is {question}?")
