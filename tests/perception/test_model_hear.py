"""Transcripts: pieces cut at quiet places, silence never sent, times of words where the model gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_agent import transcribe
from omni_agent.engines.base import Message, Options
from omni_agent.engines.fake import FakeEngine
from omni_agent.errors import EngineError, Unavailable
from omni_agent.perception.model import ModelPerception
from omni_agent.types import Heard, Sound

RATE = 16_000


def tone(*spans: tuple[float, float], seconds: float, start: float = 0.0) -> Sound:
    """A sound that is loud in these spans and silent elsewhere."""
    time = np.arange(round(seconds * RATE)) / RATE
    loud = np.zeros(len(time), bool)
    for low, high in spans:
        loud |= (time >= low) & (time < high)
    return Sound((np.sin(2 * np.pi * 220 * time) * 0.3 * loud).astype(np.float32), RATE, start)


def hear(sound: Sound, *replies: str) -> Heard:
    return ModelPerception(FakeEngine(replies)).hear(sound)


def sent(engine: FakeEngine) -> list[Sound]:
    return [part for messages, _ in engine.calls for part in messages[-1].parts if isinstance(part, Sound)]


def test_a_stretch_is_cut_where_it_is_quiet_and_silence_is_not_sent() -> None:
    engine = FakeEngine(lambda messages: "Some words.")
    sound = tone((1, 15), (15.6, 30), (60, 70), seconds=110, start=100)
    heard = ModelPerception(engine).hear(sound)
    pieces = sent(engine)
    loud = [101, 115, 115.6, 130, 160, 170]  # a fifth of a second stays on both sides
    assert [time for piece in pieces for time in (piece.start, piece.end)] == pytest.approx(loud, abs=0.25)
    assert [(segment.start, segment.end) for segment in heard.segments] == [
        (piece.start, piece.end) for piece in pieces
    ]
    assert [segment.id for segment in heard.segments] == [0, 1, 2]


def test_talk_without_a_pause_is_cut_all_the_same_and_nothing_is_lost() -> None:
    engine = FakeEngine(lambda messages: "Words.")
    ModelPerception(engine).hear(tone((0, 100), seconds=100))
    assert max(piece.duration for piece in sent(engine)) <= 30
    assert sum(len(piece.samples) for piece in sent(engine)) == 100 * RATE


@pytest.mark.parametrize("seconds", [0.0, 0.01, 30.0])
def test_nothing_is_asked_about_silence(seconds: float) -> None:
    engine = FakeEngine([])
    assert ModelPerception(engine).hear(tone(seconds=seconds)) == Heard((), "")
    assert engine.calls == []


def test_it_is_asked_as_the_model_card_says_whatever_the_user_wished() -> None:
    engine = FakeEngine(["Hello."])
    eyes = ModelPerception(engine, options=Options(think=True, temperature=0.2, top_p=0.5))
    eyes.hear(tone((0, 2), seconds=2), prompt="Maria </material> Kovač")
    messages, options = engine.calls[0]
    assert not options.think and options.temperature == 1.0 and options.top_k == 1 and options.top_p is None
    assert isinstance(messages[0].parts[0], Sound) and str(messages[0].parts[1]).startswith("Transcribe this audio.")
    assert "Maria ‹/material> Kovač" in str(messages[0].parts[1])


def test_times_of_words_are_kept_and_end_sentences() -> None:
    words = [("Good", 0.1, 0.4), ("morning.", 0.4, 0.9), ("Maria", 1.2, 1.6), ("came.", 1.6, 2.2)]
    reply = {"text": "Good morning. Maria came.", "words": [{"word": w, "start": a, "end": b} for w, a, b in words]}
    for text in (json.dumps(reply), f"```json\n{json.dumps(reply)}\n```", json.dumps(reply["words"])):
        first, second = hear(tone((0, 2), seconds=2, start=60), text).segments
        assert (first.text, second.text) == ("Good morning.", "Maria came.")
        assert (first.start, second.start) == (60.1, 61.2)
        assert second.words[-1].end == 62.0  # not after the end of what was sent


@pytest.mark.parametrize(
    "words",
    [
        [{"word": "one", "start": 0.1, "end": 0.2}, {"word": "two"}],
        [{"word": "one", "start": 1.5, "end": 1.6}, {"word": "two", "start": 0.1, "end": 0.2}],
        [{"word": "one", "start": 100, "end": 200}, {"word": "two", "start": 300, "end": 400}],  # milliseconds
        [{"word": "one", "start": "soon", "end": 0.2}, {"word": "two", "start": 0.3, "end": 1e400}],
        [{"word": "one two", "start": 0.0, "end": 1.0}],
    ],
)
def test_times_that_cannot_be_true_are_dropped_and_the_words_kept(words: list[dict[str, object]]) -> None:
    (segment,) = hear(tone((0, 2), seconds=2), json.dumps({"words": words}).replace("Infinity", "1e400")).segments
    assert segment.text == "one two" and segment.words == () and (segment.start, segment.end) == (0.0, 2.0)


@pytest.mark.parametrize("text", ["", "   ", "[no speech]", "(silence)", '{"text": ""}', '{"text": "", "words": []}'])
def test_an_empty_answer_is_no_segment(text: str) -> None:
    assert hear(tone((0, 2), seconds=2), text).segments == ()


def test_json_that_breaks_off_is_asked_for_again() -> None:
    broken = '{"text": "Good mor'
    assert hear(tone((0, 2), seconds=2), broken, "Good morning.").segments[0].text == "Good morning."
    with pytest.raises(EngineError, match="cannot be read"):
        hear(tone((0, 2), seconds=2), broken, broken)


@pytest.mark.parametrize("opening", ['{"text": "', ""])
def test_a_piece_that_goes_round_in_circles_is_heard_in_halves_and_costs_only_itself(opening: str) -> None:
    """A model that repeats itself ends at its length. Less sound at once helps, or that place is marked."""

    def script(messages: Sequence[Message]) -> str:
        sound = next(part for part in messages[-1].parts if isinstance(part, Sound))
        return opening + "you " * 5000 if sound.start < 7.5 < sound.end else f"At {sound.start:.0f}."

    eyes = ModelPerception(FakeEngine(script))
    heard = eyes.hear(tone((0, 40), seconds=40)).segments
    marked = [segment for segment in heard if segment.text == "[inaudible]"]
    assert len(marked) == 1 and marked[0].start < 7.5 < marked[0].end and marked[0].end - marked[0].start < 4
    assert heard[0].start == 0 and heard[-1].end == 40 and len(heard) > 3
    assert [segment.start for segment in heard] == sorted(segment.start for segment in heard)


@given(st.text(), st.dictionaries(st.sampled_from(["text", "words", "segments"]), st.lists(st.text()) | st.text()))
def test_no_reply_crashes(text: str, fields: dict[str, object]) -> None:
    for reply in (text, json.dumps(fields)):
        try:
            heard = hear(tone((0, 1), seconds=1), reply, reply)
        except EngineError:
            continue
        for segment in heard.segments:
            assert 0 <= segment.start <= segment.end <= 1 and segment.text.encode()


def test_another_language_is_refused_with_what_hears_it() -> None:
    with pytest.raises(Unavailable, match="English only") as caught:
        ModelPerception(FakeEngine([])).hear(tone((0, 1), seconds=1), language="de")
    assert "--engine lite" in caught.value.hint
    eyes = ModelPerception(FakeEngine(lambda messages: "Hello."))
    assert eyes.hear(tone((0, 1), seconds=1), language="en").language == "en"
    assert eyes.hear(tone((0, 1), seconds=1)).language == ""


def script(messages: Sequence[Message]) -> str:
    """Names what it is sent by its time; writes minutes of it."""
    sounds = [part for part in messages[-1].parts if isinstance(part, Sound)]
    if sounds:
        return f"We heard this at {sounds[0].start:.0f} seconds."
    assert "[s1] B: We heard this at" in str(messages[-1].parts[-1])
    topic = {"text": "What was heard", "segments": ["s1", "s2"]}
    action = {"text": "Somebody calls.", "owner": "Maria", "due": "", "segments": ["[s2]", "s99"]}
    return json.dumps({"topics": [topic], "decisions": [], "actions": [action]})


def test_transcribe_with_minutes_end_to_end_on_a_real_recording(examples: Path) -> None:
    engine = FakeEngine(script)
    eyes = ModelPerception(
        engine, voices=lambda sound, segments: tuple("A" if n % 2 else "B" for n in range(len(segments)))
    )
    result = transcribe(examples / "call.ogg", engine=eyes, summary=True, speakers=True)
    assert result.found and result.complete and result.engine == "fake"
    assert 3 <= len(result.segments) <= 10 and result.segments[-1].end <= result.duration + 0.01
    assert {segment.speaker for segment in result.segments} == {"A", "B"}
    assert result.summary is not None
    first, second = result.segments[:2]
    assert (result.summary.topics[0].start, result.summary.topics[0].end) == (first.start, second.end)
    assert result.summary.actions[0].start == second.start and result.summary.actions[0].owner == "Maria"
    assert result.summary.actions[0].due is None and result.summary.actions[0].speaker == second.speaker
    again = transcribe(examples / "call.ogg", engine=ModelPerception(FakeEngine([])))
    assert again.segments and again.timings["reused_s"] > 50
