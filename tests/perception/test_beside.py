"""A label on a screen and the value that belongs to it, from screens written here."""

from __future__ import annotations

import pytest

from omni_agent.perception.lite.beside import with_value
from omni_agent.perception.lite.screen_text import shown
from omni_agent.perception.lite.screens import Screen
from omni_agent.perception.lite.video_question import understand
from omni_agent.perception.lite.video_search import Hit
from omni_agent.types import Box, Line


def line(text: str, x: float, y: float) -> Line:
    return Line(text, Box(x, y, x + 0.01 * len(text), y + 0.03))


CARD = (
    line("Lucas Harper", 0.1, 0.10),
    line("Company: Stone Tech", 0.1, 0.15),
    line("lucas@stone.com", 0.1, 0.20),
    line("Ethan James", 0.1, 0.40),
    line("Company: Fiber Notion", 0.1, 0.45),
    line("ethan@fiber.com", 0.1, 0.50),
)
LIST = (
    line("Netflix", 0.1, 0.1),
    line("- $ 2,500", 0.8, 0.1),
    line("Apple", 0.1, 0.2),
    line("+ $ 2,000", 0.8, 0.2),
)


def answered(lines: tuple[Line, ...], label: str, question: str) -> str:
    passages = shown([Screen(0.0, 0.0, lines)], 5.0)
    found = next(passage for passage in passages if passage.text == label)
    return with_value(Hit(found, 1.0, 0.5, 1.0, 1.0), understand(question), passages).text


@pytest.mark.parametrize(("name", "address"), [("Lucas Harper", "lucas@stone.com"), ("Ethan James", "ethan@fiber.com")])
def test_an_address_stands_lines_below_its_name(name: str, address: str) -> None:
    """Though the name of the question is a part of the address itself."""
    assert answered(CARD, name, f"What is the e-mail address of {name}?") == f"{name}: {address}"


@pytest.mark.parametrize(("label", "sum_"), [("Netflix", "- $ 2,500"), ("Apple", "+ $ 2,000")])
def test_a_sum_stands_at_the_other_end_of_the_line(label: str, sum_: str) -> None:
    assert answered(LIST, label, f"How much was paid to {label}?").endswith(sum_)
    assert (
        len([word for word in ("2,500", "2,000") if word in answered(LIST, label, f"How much was paid to {label}?")])
        == 1
    )


def test_a_label_without_a_value_stays_alone() -> None:
    assert answered(CARD, "Lucas Harper", "What is the phone number of Lucas Harper?") == "Lucas Harper"
