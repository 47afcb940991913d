"""Watching videos: the shipped demo, whose script says what is shown and said when, and videos made here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz import fuzz

from examples.make_demo_video import NARRATION, STEPS
from omni_agent.errors import MediaError, UsageError
from omni_agent.media import image
from omni_agent.perception.lite.ocr import Reader
from omni_agent.tools.watch import WatchResult, watch
from omni_agent.types import Clip, Heard, Memory, Moment, Progress, Segment, Sound, Viewing, no_progress, timestamp

Film = Callable[..., Path]
NEAR = 1.5  # seconds: two looks a second, and the time that a page needs to draw


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Path:
    """One cache for all questions about the demo: it is read and heard once."""
    folder = tmp_path_factory.mktemp("demo-cache")
    (folder / "weights").symlink_to(weights_folder)
    return folder


@pytest.fixture
def demo(examples: Path, demo_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMNI_CACHE_DIR", str(demo_cache))
    return examples / "demo.mp4"


def ask(source: Path, question: str, frames: Path | None = None) -> WatchResult:
    return watch(source, question, frames_dir=frames, engine="lite")


def test_when_something_appears(demo: Path) -> None:
    result = ask(demo, "When does the dialog 'Add a group' appear?")
    assert result.found and result.moments[0].start == pytest.approx(STEPS["Add a group"], abs=NEAR)
    assert timestamp(result.moments[0].start) in result.answer


def test_an_error_message_with_its_time_and_its_picture(demo: Path, tmp_path: Path) -> None:
    result = ask(demo, "What error message appears?", tmp_path)
    assert result.found and "The museum is closed on Mondays" in result.answer
    moment = result.moments[0]
    assert moment.start == pytest.approx(STEPS["The museum is closed on Mondays"], abs=NEAR)
    assert "Mondays are for the cleaners" in moment.said or "cleaners" in moment.said
    assert moment.frame is not None
    read = " ".join(line.text for line in Reader().read(image.load(Path(moment.frame))))
    assert fuzz.partial_ratio(moment.seen, read) > 90, "the saved frame shows what is quoted"


def test_what_is_said(demo: Path) -> None:
    result = ask(demo, "What does the narrator say about the teacher?")
    assert result.found and "entrance code" in result.answer
    said_at = next(at for at, text in NARRATION.items() if "teacher" in text)
    assert result.moments[0].start == pytest.approx(said_at, abs=NEAR)
    assert "entrance code" in result.moments[0].said


def test_a_click_is_where_the_button_leaves(demo: Path) -> None:
    result = ask(demo, "When is Save clicked?")
    assert result.found and result.moments[0].end == pytest.approx(STEPS["Booking HM-2047 saved"], abs=NEAR)


def test_a_row_of_a_table(demo: Path) -> None:
    result = ask(demo, "How much does the Ferry crew pay?")
    assert result.found and "72.00" in result.answer


def test_a_cell_by_its_column_though_a_dialog_lies_over_the_table_later(demo: Path) -> None:
    result = ask(demo, "How many visitors does the ferry crew have?")
    assert result.found and result.answer == "Ferry crew: 8 (Visitors)"
    assert result.moments[0].start == 0.0 and "72.00 EUR" in result.moments[0].seen


def test_what_a_dialog_holds_without_what_lies_behind_it(demo: Path) -> None:
    result = ask(demo, "What does the dialog titled Add a group say?")
    assert result.found and "Visitors" in result.answer and "Ferry crew" not in result.answer


def test_pictures_are_not_understood_and_it_says_so(demo: Path) -> None:
    result = ask(demo, "What colour is the New booking button?")
    assert not result.found and result.answer == "" and "does not understand pictures" in result.reason


def test_what_is_not_there_is_not_claimed(demo: Path) -> None:
    for question in ("What is the phone number of the museum?", "Who is the director of the aquarium?"):
        result = ask(demo, question)
        assert not result.found and result.reason and not result.moments


def test_the_second_question_reads_nothing_again(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(demo, "What error message appears?")

    def read(self: Reader, picture: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(Reader, "read", read)
    assert ask(demo, "Which booking was saved?").found


def test_a_video_without_sound(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "silent.mp4", [(0.0, "Opening hours: 9 to 17"), (2.0, "Tickets: 12 EUR")], 4.0)
    result = ask(path, "How much are the tickets?", tmp_path / "frames")
    assert result.found and "12 EUR" in result.answer and result.moments[0].said == ""
    assert result.moments[0].start == pytest.approx(2.0, abs=0.6)
    assert [Path(m.frame).parent for m in result.moments if m.frame] == [tmp_path / "frames"] * len(result.moments)


def test_a_setting_and_what_stands_around_it(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "Repeat delay:     500 ms\nBlink delay:     1200 ms")], 2.0)
    result = ask(path, "What is the blink delay set to?")
    assert "1200" in result.answer and "500" not in result.answer
    assert "1200" in result.moments[0].seen and "Repeat delay" in result.moments[0].seen


def test_what_a_command_printed(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "$ id -u nobody\n65534\n$ id -u daemon\n1")], 2.0)
    assert "65534" in ask(path, "What is the user id of nobody?").answer


def test_what_a_program_says_in_a_silent_video_is_printed(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "$ cksum disc.iso\ncksum: disc.iso: No such file"), (1.5, "$ date")], 3.0)
    assert "No such file" in ask(path, "What does cksum say about disc.iso?").answer
    assert not ask(path, "What does the narrator say about disc.iso?").found


def test_the_version_of_a_package_is_in_its_record(tmp_path: Path, film: Film) -> None:
    record = "Package: mc\nStatus: install ok installed\nSection: utils\nVersion: 4.8.29"
    path = film(tmp_path / "v.mp4", [(0.0, record)], 2.0)
    assert "4.8.29" in ask(path, "Which version of mc is installed?").answer


def test_the_address_that_a_mail_came_from(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "Your order was sent\nMail from: help@example.org")], 2.0)
    assert "help@example.org" in ask(path, "Which address did the mail about the order come from?").answer


def test_when_may_name_a_condition(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "Exit codes\n2 is returned for wrong options\n1 is returned else")], 2.0)
    assert "2" in ask(path, "Which code is returned when somebody mistypes options?").answer


def test_what_is_there_from_the_start_does_not_appear(tmp_path: Path, film: Film) -> None:
    menu = "Customers     Invoices     Settings"
    path = film(tmp_path / "v.mp4", [(0.0, menu), (2.5, f"{menu}\n\nInvoices of May")], 4.5)
    for question in ("When do the invoices appear?", "When does the list of invoices open?"):
        assert ask(path, question).moments[0].start == pytest.approx(2.5, abs=0.6)
    other = film(tmp_path / "other.mp4", [(0.0, "Customers of May"), (1.5, "Harbour")], 3.0)
    assert ask(other, "When do the customers appear?").moments[0].start == 0.0, "where nothing later matches"


def test_a_program_fails_where_it_prints_an_error(tmp_path: Path, film: Film) -> None:
    command = "$ make pump\ncc -o valve valve.c"
    stars = "make: *** No rule to make target 'pump'. Stop."
    path = film(tmp_path / "v.mp4", [(0.0, "$ date"), (1.5, command), (3.0, f"{command}\n{stars}")], 4.5)
    result = ask(path, "When does make fail?")
    assert result.found and result.moments[0].start == pytest.approx(3.0, abs=0.6) and "No rule" in result.answer
    built = film(tmp_path / "built.mp4", [(0.0, "$ date"), (1.5, command)], 3.0)
    assert not ask(built, "When does make fail?").found


def test_the_number_of_an_order_is_a_code(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "Order number: HB-20931\nOrder total: 244.11\nItems: 3")], 2.0)
    assert "HB-20931" in ask(path, "What is the order number?").answer


def test_before_may_name_what_a_dialog_asks_about(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "Painting"), (1.5, "Delete this task permanently?\nNo    Yes")], 3.0)
    assert "permanently" in ask(path, "What is the user asked before a task is deleted?").answer


def test_a_date_a_price_or_a_code_is_no_telephone_number(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "Ethan James\nVAT number FRB1235476\nSince 2/10/2014")], 2.0)
    assert not ask(path, "What is the phone number of Ethan James?").found


def test_a_tone_is_not_speech_and_the_pictures_still_answer(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "tone.mp4", [(0.0, "Platform 7"), (1.5, "Platform 9")], 3.0, rate=10, beep=True)
    result = ask(path, "Which platform is shown last?")
    assert result.found and "9" in result.answer and all(moment.said == "" for moment in result.moments)


def test_text_of_videos_is_data(tmp_path: Path, film: Film) -> None:
    """Markup in the picture is quoted as it stands."""
    path = film(tmp_path / "v.mp4", [(0.0, "Warning: [/x] [red]disk full[/red]")], 2.0)
    assert "[/x]" in ask(path, "What warning is shown?").answer


def test_nothing_to_read_and_nobody_speaks(tmp_path: Path, film: Film) -> None:
    result = ask(film(tmp_path / "v.mp4", [(0.0, "")], 2.0), "What is the title?")
    assert not result.found and "no text can be read" in result.reason


def test_a_cut_video_says_so_and_answers_from_the_rest(examples: Path, tmp_path: Path) -> None:
    whole = (examples / "demo.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 4])
    result = ask(cut, "What is the price of the Ferry crew?")
    assert result.found and "72.00" in result.answer
    assert any("was cut" in warning for warning in result.warnings)


def test_an_empty_question_and_a_missing_file(examples: Path) -> None:
    with pytest.raises(UsageError, match="question is empty"):
        ask(examples / "demo.mp4", "  ")
    with pytest.raises(UsageError, match="no such file"):
        ask(examples / "demos.mp4", "What is shown?")
    with pytest.raises(MediaError, match="not a video"):
        ask(Path(__file__), "What is shown?")


class Scripted:
    """A perception that answers from a script, with the teeth that a model's text may have."""

    name = "scripted"

    def __init__(self) -> None:
        self.memory: list[object] = []

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        return Heard((Segment(0, sound.start + 1.0, sound.start + 2.0, "It says \x1b[31mred\x07."),), "en")

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        assert memory is not None
        self.memory.append(memory.get("visits"))
        memory["visits"] = len(self.memory)
        moment = Moment(1.0, 2.0, 1.5, "A\x1b]0;owned\x07B\u202e", segments[0].text)
        return Viewing(True, "yes\x1b[2J", (moment,), 0.9)


def test_any_perception_may_answer_and_its_text_has_no_teeth(examples: Path, tmp_path: Path) -> None:
    scripted = Scripted()
    results = [watch(examples / "demo.mp4", "?", frames_dir=tmp_path, engine=scripted) for _ in range(2)]  # type: ignore[arg-type]
    assert scripted.memory == [None, 1], "notes are found again with the next question"
    for text in (results[0].answer, results[0].moments[0].seen, results[0].moments[0].said):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", text)
    frame = results[0].moments[0].frame
    assert frame is not None and image.load(Path(frame)).pixels.shape == (720, 1280, 3)
    assert np.any(image.load(Path(frame)).pixels)
