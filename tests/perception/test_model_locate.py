"""Where to click: the code that the model writes is read and never run, and large screens are looked at twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_agent import click
from omni_agent.engines.base import Message
from omni_agent.engines.fake import FakeEngine
from omni_agent.errors import EngineError
from omni_agent.perception.model import ModelPerception
from omni_agent.types import Box, Line, Picture, Sighting

SCREEN = Picture(np.zeros((800, 1000, 3), np.uint8))
UHD = Picture(np.zeros((2160, 3840, 3), np.uint8))


def step(code: str, action: str = "Click the button.") -> str:
    return f"## Action:\n{action}\n\n## Code:\n```python\n{code}\n```"


def sight(*replies: str, picture: Picture = SCREEN) -> Sighting:
    return ModelPerception(FakeEngine(replies)).locate("the button", picture)


def at(*replies: str, picture: Picture = SCREEN) -> tuple[float, float] | None:
    return sight(*replies, picture=picture).candidates[0].point


@pytest.mark.parametrize(
    "code",
    [
        "pyautogui.click(x=0.25, y=0.5)",
        "pyautogui.click(0.25, 0.5)",
        "pyautogui.click((0.25, 0.5))",
        "pyautogui.click(x=250, y=400)",  # above 1: pixels of the picture
        "pyautogui.moveTo(0.25, 0.5, duration=0.3)\npyautogui.click()",
        "import pyautogui\n# the button\npyautogui.doubleClick(x=0.25, y=0.5, interval=0.1)\npyautogui.click(0.9, 0.9)",
        "computer.wait()\npyautogui.rightClick(x=0.25, y=0.5)",
    ],
)
def test_every_way_to_write_a_point_is_understood(code: str) -> None:
    assert at(step(code)) == (0.25, 0.5)


def test_code_is_found_without_a_heading_and_without_a_fence() -> None:
    assert at("```python\npyautogui.click(x=0.25, y=0.5)\n```") == (0.25, 0.5)
    assert at("I click it.\npyautogui.click(x=0.25, y=0.5)") == (0.25, 0.5)


def test_the_prompt_keeps_the_published_contract() -> None:
    """A system turn that sets up the agent; then the picture before the instruction."""
    engine = FakeEngine([step("pyautogui.click(x=0.25, y=0.5)")])
    ModelPerception(engine).locate("Submit {now}", SCREEN)
    system, user = engine.calls[0][0]
    assert system.role == "system" and "pyautogui" in str(system.parts[0])
    assert isinstance(user.parts[0], Picture) and "Submit {now}" in str(user.parts[1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (step('computer.terminate(status="failure", answer="There is no such button.")'), "There is no such button."),
        (step("computer.terminate('failure', 'nothing like it')"), "nothing like it"),
        ("The button is not visible in this screenshot.", "The button is not visible in this screenshot."),
        (step('computer.terminate(status="failure")'), "'the button' is not on the screen"),
    ],
)
def test_what_is_absent_is_not_found_and_says_why(text: str, reason: str) -> None:
    sighting = sight(text)
    assert not sighting.found and sighting.candidates == () and sighting.reason == reason


HOSTILE = [
    "__import__('os').system('touch {file}')",
    "open('{file}', 'w')",
    "pyautogui.click(x=open('{file}', 'w'), y=0.5)",
    "pyautogui.click(x=(lambda: open('{file}', 'w'))(), y=0.5)",
    "pyautogui.typewrite('rm -rf /')",
    "exec(\"open('{file}', 'w')\")",
    "pyautogui.click(x=1e999, y=0.5)",
    "pyautogui.click(x=-0.1, y=0.5)",
    "pyautogui.click(x=5000, y=0.5)",
    "pyautogui.click(x=True, y='0.5')",
    "pyautogui.click(x=0.5)",
    "pyautogui.click(*[0.1, 0.2])",
    "pyautogui.click(**{{'x': 0.1, 'y': 0.2}})",
    "if True:\n    pyautogui.click(0.1, 0.2)",
    "os.click(0.1, 0.2)",
    "pyautogui.click(x=0.5, y=",
    "(" * 3000,
    "x = " + "-" * 3000 + "1",
    "\0",
    "pyautogui.click(x=0.1, y=0.2)  #" + "a" * 100_000,
]


@pytest.mark.parametrize("code", HOSTILE)
def test_code_that_is_no_plain_point_is_asked_for_again_and_nothing_of_it_runs(code: str, tmp_path: Path) -> None:
    file = tmp_path / "ran"
    text = step(code.format(file=file))
    with pytest.raises(EngineError, match="cannot be read"):
        sight(text, text)
    assert not file.exists()
    assert at(text, step("pyautogui.click(x=0.25, y=0.5)")) == (0.25, 0.5)


@given(st.text(), st.floats(), st.integers())
def test_no_reply_crashes(text: str, x: float, y: int) -> None:
    for reply in (text, step(text), step(f"pyautogui.click(x={x}, y={y})")):
        try:
            sighting = sight(reply, reply)
        except EngineError:
            continue
        for candidate in sighting.candidates:
            assert candidate.point is not None and all(0 <= value < 1 for value in candidate.point)


def test_a_large_screen_is_looked_at_twice_and_the_second_point_counts() -> None:
    """The model sees 3840x2160 at 64 %; the second look is a piece of it as it is, and its point is mapped back."""
    engine = FakeEngine([step("pyautogui.click(0.5, 0.5)"), step("pyautogui.click(0.75, 0.25)")])
    sighting = ModelPerception(engine).locate("the button", UHD)
    crop = engine.calls[1][0][1].parts[0]
    assert isinstance(crop, Picture) and (crop.width, crop.height) == (1280, 800)
    left, top = 1920 - 640, 1080 - 400
    assert sighting.candidates[0].point == pytest.approx(((left + 960) / 3840, (top + 200) / 2160))
    once = ModelPerception(FakeEngine([step("pyautogui.click(0.5, 0.5)")])).locate("the button", SCREEN)
    assert sighting.candidates[0].confidence > once.candidates[0].confidence


@pytest.mark.parametrize("second", [["It is not visible here."], ["what?", "what?"]])
def test_a_second_look_that_finds_nothing_leaves_the_first_point_with_less_trust(second: list[str]) -> None:
    sighting = sight(step("pyautogui.click(0.99, 0.01)"), *second, picture=UHD)
    assert sighting.found and sighting.candidates[0].point == (0.99, 0.01)
    assert sighting.candidates[0].confidence <= 0.5


def test_a_dead_engine_in_the_second_look_is_an_error_and_no_doubt() -> None:
    with pytest.raises(EngineError, match="no reply left"):
        sight(step("pyautogui.click(0.5, 0.5)"), picture=UHD)


def test_the_box_is_that_of_the_text_read_around_the_point(examples: Path) -> None:
    """The reader reads a small piece around the point; its boxes are mapped back to the picture."""
    seen: list[tuple[int, int]] = []

    def reader(picture: Picture) -> tuple[Line, ...]:
        seen.append((picture.width, picture.height))
        return (Line("Client", Box(0.25, 0.25, 0.75, 0.75)), Line("elsewhere", Box(0, 0, 0.1, 0.1)))

    eyes = ModelPerception(FakeEngine([step("pyautogui.click(x=440, y=351)")]), reader=reader)
    result = click("Client dropdown", image=examples / "screenshot.png", engine=eyes)
    assert result.found and result.point is not None and result.point.image == (440, 351)
    assert result.label == "Client" and result.box is not None
    width, height = seen[0]
    assert width <= 480 and height <= 96
    x0, y0, x1, y1 = result.box.image
    assert (x1 - x0, y1 - y0) == (width // 2, height // 2) and x0 < 440 < x1 and y0 < 351 < y1


def test_click_end_to_end_on_a_real_picture(examples: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "seen.png"
    eyes = ModelPerception(FakeEngine([step("pyautogui.click(x=0.4, y=0.5)", "Click the Client field.")]))
    result = click("Client dropdown", image=examples / "screenshot.png", engine=eyes, overlay=overlay)
    assert result.found and result.engine == "fake" and result.label == "Click the Client field."
    assert overlay.read_bytes().startswith(b"\x89PNG")

    def absent(messages: Sequence[Message]) -> str:
        return step('computer.terminate(status="failure", answer="No rocket here.")')

    missing = click("Launch the rocket", image=examples / "screenshot.png", engine=ModelPerception(FakeEngine(absent)))
    assert not missing.found and missing.reason == "No rocket here."
