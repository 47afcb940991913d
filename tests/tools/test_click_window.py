"""`omni click` on a window as toolkits draw it, read by the real reader: what is glued together when it is read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from omni_agent.perception.lite.locate import seek
from omni_agent.perception.lite.ocr import Reader
from omni_agent.perception.lite.scene import Scene
from omni_agent.types import Picture

LABELS = {"Display line numbers": True, "Display grid pattern": False, "Highlight brackets": True}
GREY = {"light": ("#f6f5f4", "#2e3436", "white"), "dark": ("#2b2b2b", "#eeeeec", "#3a3a3a")}


def window(look: str) -> Picture:
    """A dialog: a menu bar with underlined letters, checkboxes close before their labels, buttons, a time."""
    ground, ink, face = GREY[look]
    canvas = Image.new("RGB", (640, 400), ground)
    pen, font = ImageDraw.Draw(canvas), ImageFont.truetype("DejaVuSans.ttf", 13)
    for x, name in ((12, "File"), (58, "Edit"), (106, "View"), (160, "Help")):
        pen.text((x, 6), name, ink, font)
        pen.line((x, 20, x + pen.textlength(name[0], font) - 1, 20), ink)
    for row, (label, ticked) in enumerate(LABELS.items()):
        y = 60 + 30 * row
        pen.rounded_rectangle((40, y, 54, y + 14), 3, "#3584e4" if ticked else face, "#1b6acb" if ticked else "#999999")
        if ticked:
            pen.line((43, y + 7, 46, y + 10, 51, y + 4), "white", 2)
        pen.text((58, y - 1), label, ink, font)
    for x, name in ((380, "Cancel"), (500, "Apply")):
        pen.rounded_rectangle((x, 340, x + 99, 366), 4, face, "#999999")
        pen.text((x + 50 - pen.textlength(name, font) / 2, 345), name, ink, font)
    pen.line((500, 80, 505, 86, 514, 72), "#2a8a2a", 3)  # a tick, as an icon that means "apply" too
    pen.text((40, 300), "12:30 / 48:15", ink, font)
    for y, name in ((180, "Username:"), (220, "Find:")):
        pen.text((40, y + 4), name, ink, font)
        pen.rectangle((140, y, 339, y + 25), face, "#999999")
    for x, name in ((260, "Close"), (380, "Find all"), (500, "Find")):
        pen.rounded_rectangle((x, 260, x + 99, 286), 4, face, "#999999")
        pen.text((x + 50 - pen.textlength(name, font) / 2, 265), name, ink, font)
    return Picture(np.asarray(canvas))


@pytest.fixture(scope="module", params=GREY)
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(window(request.param), Reader())


def pressed(target: str, scene: Scene) -> tuple[float, float]:
    seen = seek(target, scene)
    assert seen.found, seen.reason
    x, y = seen.candidates[0].point or seen.candidates[0].box.center
    return x * 640, y * 400


@pytest.mark.parametrize("label", LABELS)
def test_a_checkbox_close_before_its_label_is_pressed_and_not_the_label(label: str, scene: Scene) -> None:
    top = 60 + 30 * list(LABELS).index(label)
    for target in (f"{label} checkbox", f"checkbox next to {label}"):
        x, y = pressed(target, scene)
        assert 39 <= x <= 55 and top - 1 <= y <= top + 15, target


@pytest.mark.parametrize(("name", "left", "right"), [("File", 12, 36), ("Edit", 58, 82), ("Help", 160, 190)])
def test_an_underlined_letter_is_no_other_letter(name: str, left: int, right: int, scene: Scene) -> None:
    for target in (f"{name} menu", f"{name} in the menu bar"):
        x, y = pressed(target, scene)
        assert left <= x <= right and y < 26, target


def test_a_button_with_the_text_comes_before_an_icon_of_that_name(scene: Scene) -> None:
    x, y = pressed("Apply button", scene)
    assert 500 <= x <= 600 and 340 <= y <= 367


def test_a_button_beside_another_one_without_its_name(scene: Scene) -> None:
    x, y = pressed("the button to the left of Apply", scene)
    assert 380 <= x <= 480 and 340 <= y <= 367


@pytest.mark.parametrize(("target", "top"), [("Username field", 180), ("Find field", 220)])
def test_a_field_is_named_by_the_label_before_it_and_not_by_a_button(target: str, top: int, scene: Scene) -> None:
    x, y = pressed(target, scene)
    assert 140 <= x <= 340 and top <= y <= top + 26


def test_what_stands_beside_something_stands_beside_what_is_called_so_alone(scene: Scene) -> None:
    """And not beside what only has that word in its name."""
    x, y = pressed("the button to the left of Find", scene)
    assert 380 <= x <= 480 and 260 <= y <= 287


def test_signs_between_numbers_are_no_digits(scene: Scene) -> None:
    x, y = pressed("12:30 / 48:15", scene)
    assert 40 <= x <= 140 and 298 <= y <= 320
    assert not seek("12:30 / 48:16", scene).found
