"""Videos: what is sent, times that stay inside, long ones in windows that are remembered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_agent import watch
from omni_agent.engines.base import Message, Options
from omni_agent.engines.fake import FakeEngine
from omni_agent.errors import EngineError
from omni_agent.perception.model import ModelPerception
from omni_agent.types import Clip, Frame, Picture, Segment, Sound, Viewing


@dataclass
class Blank:
    """A clip without content; a tone of its own length where `loud`."""

    duration: float
    loud: bool = True

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        time = start
        while time < self.duration:
            yield Frame(time, Picture(np.zeros((36, 64, 3), np.uint8)))
            time += every

    def sound(self) -> Sound | None:
        return Sound(np.zeros(round(self.duration * 100), np.float32), 100) if self.loud else None


SAID = (Segment(0, 1.0, 4.0, "We open on Monday."), Segment(1, 8.0, 9.5, "Then we leave."))


def reply(**changes: object) -> str:
    moment = {"start": 2, "end": 3.5, "at": 2.5, "seen": "a red door", "said": ""}
    fields = {"found": True, "answer": "Red.", "moments": [moment], "confidence": 0.8, "reason": ""}
    return json.dumps({**fields, **changes})


def view(*replies: str, clip: Clip | None = None, **more: Any) -> Viewing:
    return ModelPerception(FakeEngine(replies), **more).look(clip or Blank(10.0), "Which colour?", SAID)


def test_the_sound_comes_right_after_the_video_and_the_question_last() -> None:
    engine = FakeEngine([reply()])
    ModelPerception(engine, options=Options(fps=1.0, evs=0.7)).look(Blank(10.0), "Which colour?", SAID)
    messages, options = engine.calls[0]
    clip, sound, text = messages[0].parts
    assert not isinstance(clip, str | Sound | Picture) and isinstance(sound, Sound) and sound.duration == 10.0
    assert "Which colour?" in str(text) and "[1.0 to 4.0 seconds] We open on Monday." in str(text)
    assert options.fps == 1.0 and options.evs == 0.7 and options.schema is not None
    silent = FakeEngine([reply()])
    ModelPerception(silent).look(Blank(10.0, loud=False), "q", ())
    assert len(silent.calls[0][0][0].parts) == 2


def test_a_moment_without_words_gets_those_of_the_transcript() -> None:
    said = view(reply()).moments[0]
    assert (said.start, said.end, said.at, said.seen) == (2.0, 3.5, 2.5, "a red door")
    assert said.said == "We open on Monday."
    assert view(reply(moments=[{"start": 5, "end": 6, "said": "own words"}])).moments[0].said == "own words"


@pytest.mark.parametrize(
    ("moment", "times"),
    [
        ({"start": -5, "end": 1e9, "at": 1e308}, (0.0, 10.0)),
        ({"start": 9, "end": 2, "at": 5}, (2.0, 9.0)),
        ({"start": "00:02", "end": "3.5 s"}, (2.0, 3.5)),
        ({"at": 4}, (4.0, 4.0)),
        ({"start": 3}, (3.0, 3.0)),
        ({"start": 99, "end": 99}, (10.0, 10.0)),
    ],
)
def test_times_stay_inside_the_video(moment: dict[str, object], times: tuple[float, float]) -> None:
    (found,) = view(reply(moments=[moment])).moments
    assert (found.start, found.end) == times and 0 <= found.at <= 10.0


def test_a_moment_without_a_time_is_left_out_and_not_found_has_none() -> None:
    assert view(reply(moments=[{"seen": "somewhere"}, {"start": None, "end": True, "at": "later"}])).moments == ()
    missing = view(reply(found=False, reason="no door is shown"))
    assert not missing.found and missing.moments == () and missing.text == "" and missing.reason == "no door is shown"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["start", "end", "at", "seen", "said"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"found": st.just(True), "answer": st.just("x"), "moments": JSON, "confidence": JSON}))
def test_no_reply_crashes(fields: dict[str, object]) -> None:
    text = json.dumps(fields)
    try:
        said = view(text, text)
    except EngineError:
        return
    for moment in said.moments:
        assert 0 <= moment.start <= moment.at <= moment.end <= 10.0 or moment.at == pytest.approx(moment.start, abs=0.1)


# --- long videos ------------------------------------------------------------------------------------------------------

HOUR = Blank(3600.0)


def observer(found_at: float) -> Callable[[Sequence[Message]], str]:
    """Finds a moment in the window that holds `found_at`, and puts notes together by naming the first moment."""

    def script(messages: Sequence[Message]) -> str:
        text = str(messages[-1].parts[-1])
        if "notes on a long video" in text:
            return reply(answer="Together.", moments=["m99", *re.findall(r"\b(m\d+),", text)[:1]])
        low, high = (float(time) for time in re.findall(r"from ([\d.]+) to ([\d.]+) seconds", text)[0])
        if not low <= found_at < high:
            return reply(found=False, answer="", moments=[], reason="nothing here")
        return reply(moments=[{"start": found_at, "end": found_at + 2, "at": found_at, "seen": "it", "said": "x"}])

    return script


def test_a_long_video_goes_in_windows_whose_frames_have_their_true_times() -> None:
    engine, notes = FakeEngine(observer(2000.0)), list[str]()
    said = ModelPerception(engine, note=notes.append).look(HOUR, "When?", ())
    assert said.found and said.text == "Together." and [moment.start for moment in said.moments] == [2000.0]
    *watched, together = engine.calls
    edges = []
    for messages, options in watched:
        clip, sound, _ = messages[0].parts
        assert not isinstance(clip, str | Sound | Picture) and isinstance(sound, Sound)
        times = [frame.time for frame in clip.frames(every=10.0)]
        assert clip.duration * 0.5 <= options.max_frames + 1e-6  # half a frame a second at least
        assert sound.start == pytest.approx(times[0], abs=0.01) and times[-1] < times[0] + clip.duration
        edges.append((times[0], clip.duration))
    assert edges[0][0] == 0.0 and sum(length for _, length in edges) == pytest.approx(3600.0)
    assert len(together[0][0].parts) == 1  # text alone
    assert f"{len(watched)} parts" in notes[0] and "1:00:00" in notes[0]


def test_times_that_count_from_a_windows_begin_are_understood() -> None:
    """A server's own decoder captions every file from zero; later windows begin after their own length."""
    find = observer(2000.0)

    def relative(messages: Sequence[Message]) -> str:
        text = str(messages[-1].parts[-1])
        low = float((re.findall(r"from ([\d.]+) to", text) or ["0"])[0])
        made = json.loads(find(messages))
        for moment in made["moments"]:
            if isinstance(moment, dict):
                moment.update({name: moment[name] - low for name in ("start", "end", "at")})
        return json.dumps(made)

    said = ModelPerception(FakeEngine(relative)).look(HOUR, "When?", ())
    assert [(moment.start, moment.at, moment.end) for moment in said.moments] == [(2000.0, 2000.0, 2002.0)]


def test_an_interrupted_look_goes_on_where_it_was() -> None:
    memory: dict[str, Any] = {}
    find = observer(2000.0)
    calls = 0

    def breaks(messages: Sequence[Message]) -> str:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return find(messages)

    with pytest.raises(KeyboardInterrupt):
        ModelPerception(FakeEngine(breaks)).look(HOUR, "When?", (), memory=memory)
    assert len(memory) == 3
    json.dumps(memory)  # notes are plain JSON
    rest = FakeEngine(find)
    said = ModelPerception(rest).look(HOUR, "When?", (), memory=memory)
    whole = FakeEngine(find)
    assert said == ModelPerception(whole).look(HOUR, "When?", ()) or said.moments
    assert len(rest.calls) == len(whole.calls) - 3
    other = FakeEngine(find)
    ModelPerception(other).look(HOUR, "Another question?", (), memory=memory)
    assert len(other.calls) == len(whole.calls)  # notes belong to their question


def test_a_damaged_note_is_looked_at_again() -> None:
    memory: dict[str, Any] = {}
    find = observer(2000.0)
    ModelPerception(FakeEngine(find)).look(HOUR, "When?", (), memory=memory)
    for key in memory:
        memory[key] = {"moments": "none"}
    assert ModelPerception(FakeEngine(find)).look(HOUR, "When?", (), memory=memory).found


def test_a_video_of_a_single_frame_is_shown(film: Callable[..., Path], tmp_path: Path) -> None:
    def script(messages: Sequence[Message]) -> str:
        clip = messages[0].parts[0]
        assert not isinstance(clip, str | Sound | Picture) and len(list(clip.frames(every=0.5))) >= 1
        return reply(moments=[{"at": 0}])

    made = film(tmp_path / "one.mp4", [(0.0, "Hello")], 0.1)
    result = watch(made, "What?", engine=ModelPerception(FakeEngine(script)))
    assert result.found and result.moments[0].start == 0.0
    still = Still()
    assert ModelPerception(FakeEngine(script)).look(still, "What?", ()).found


class Still(Blank):
    """One frame and no length, as some recorders write it."""

    def __init__(self) -> None:
        super().__init__(0.0, loud=False)

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        yield Frame(start, Picture(np.zeros((36, 64, 3), np.uint8)))


def test_an_engine_with_little_room_is_sent_fewer_frames() -> None:
    engine = FakeEngine(observer(5.0))
    ModelPerception(engine, context=16_000).look(Blank(200.0), "When?", ())
    assert all(options.max_frames < 100 for _, options in engine.calls[:-1])


def test_watch_end_to_end_on_a_real_video(examples: Path, tmp_path: Path) -> None:
    """Heard piece by piece, then looked at once, with the frame of its moment saved."""

    def script(messages: Sequence[Message]) -> str:
        parts = messages[-1].parts
        if isinstance(parts[0], Sound):
            return f"Something is said at {parts[0].start:.0f}."
        assert not isinstance(parts[0], str | Picture)
        frames = list(parts[0].frames(every=5.0, max_side=320))
        assert [frame.time for frame in frames][:3] == [0.0, 5.0, 10.0] and frames[0].picture.width == 320
        return reply(answer="An error.", moments=[{"start": 38, "end": 45, "at": 39, "seen": "Error 409", "said": ""}])

    result = watch(
        examples / "demo.mp4", "What error?", frames_dir=tmp_path, engine=ModelPerception(FakeEngine(script))
    )
    assert result.found and result.answer == "An error." and result.engine == "fake"
    moment = result.moments[0]
    assert (moment.start, moment.end, moment.seen) == (38, 45, "Error 409") and "Something is said" in moment.said
    assert moment.frame is not None and Path(moment.frame).read_bytes().startswith(b"\x89PNG")
