"""What a talk's first screen tells about the talk: by where and how a line stands, since no word of it is asked for."""

from __future__ import annotations

import pytest

from omni_agent.perception.lite.screen_text import Passage, Period
from omni_agent.perception.lite.title_slide import told
from omni_agent.perception.lite.video_question import understand
from omni_agent.types import Box

SLIDE = {  # each line with its upper edge
    "Mapping Old Harbour Walls": 0.2,
    "Ingrid Solberg": 0.4,
    "Dept. of Coastal Engineering": 0.5,
    "14 March 2023": 0.6,
    "Licence: CC BY 4.0": 0.8,
}


def line(text: str, top: float, screen: int = 0) -> Passage:
    start = 10.0 * screen
    return Passage(
        text, (Period(start, start + 10, start + 1),), box=Box(0.2, top, 0.8, top + 0.05), size=0.05,
        screens=frozenset({screen}),
    )  # fmt: skip


PASSAGES = (
    *(line(text, top) for text, top in SLIDE.items()),
    line("Rafael Duarte", 0.4, 1),
    line("1 May 1901", 0.6, 1),
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who gives the talk?", "Ingrid Solberg"),
        ("Who is the author of the slides?", "Ingrid Solberg"),
        ("What is the date of the presentation?", "14 March 2023"),
        ("Which department does the speaker belong to?", "Dept. of Coastal Engineering"),
        ("Under which license are the slides published?", "Licence: CC BY 4.0"),
    ],
)
def test_a_title_slide_tells(question: str, answer: str) -> None:
    found = told(understand(question), PASSAGES)
    assert found is not None and found.text == answer


@pytest.mark.parametrize(
    "question",
    [
        "Who built the wall?",  # nothing about the talk
        "Which university does the speaker work for?",
        "Who is thanked by the speaker?",
        "What is the date of the storm on the slide about Bergen?",
        "What is the e-mail address of the speaker?",
    ],
)
def test_what_it_does_not_tell_is_left_to_others(question: str) -> None:
    assert told(understand(question), PASSAGES) is None


def test_a_title_is_no_name() -> None:
    assert told(understand("Who gives the talk?"), [line("Harbour Walls Today", 0.3)]) is None
