"""`omni click --image` on the shipped screenshot of a real page, and on pictures that are none."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from omni_agent.errors import EngineError, UsageError
from omni_agent.media.coordinates import View
from omni_agent.media.image import load, of_pillow
from omni_agent.media.screen import Monitor, Shot
from omni_agent.perception.lite.locate import seek
from omni_agent.perception.lite.ocr import Reader
from omni_agent.perception.lite.scene import Scene
from omni_agent.tools.click import click, press
from omni_agent.types import Box, Candidate, Line, Picture, Sighting, Word

# Where things stand in examples/screenshot.png, from the browser's own boxes: x0, y0, x1, y1.
PLACES = {
    "Upload in the top right": (1189, 80, 1256, 113),
    "Project name field": (292, 237, 902, 274),
    "Client dropdown": (292, 334, 589, 370),
    "field below 'Start date'": (292, 410, 589, 447),
    "support link": (1165, 424, 1210, 444),
    "Team": (362, 636, 422, 671),
    "moon icon": (1120, 12, 1152, 44),
    "bell icon at the top right": (1154, 12, 1186, 44),  # with a red dot on it, and another bell at the left
    "Add tag field": (292, 730, 902, 767),  # named by its own placeholder
    "remove the Design tag": (416, 738, 428, 760),
}


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "omni_agent", "click", *arguments]
    return subprocess.run(command, capture_output=True, input=stdin, timeout=240)


class Once:
    """The embedded engine's eyes on the screenshot, which is read once for every target."""

    name = "lite"

    def __init__(self, picture: Picture) -> None:
        self.scene = Scene(picture, Reader())

    def locate(self, target: str, picture: Picture) -> Sighting:
        return seek(target, self.scene)


@pytest.fixture(scope="module")
def screenshot() -> Picture:
    return load(Path(__file__).parent.parent.parent / "examples" / "screenshot.png")


@pytest.fixture(scope="module")
def eyes(screenshot: Picture) -> Once:
    return Once(screenshot)


@pytest.mark.parametrize("target", PLACES)
def test_the_point_lies_in_what_was_named(target: str, screenshot: Picture, eyes: Once) -> None:
    answer = click(target, image=screenshot, engine=eyes)  # type: ignore[arg-type]
    assert answer.point is not None, answer.reason
    x, y = answer.point.image
    x0, y0, x1, y1 = PLACES[target]
    assert x0 <= x <= x1 and y0 <= y <= y1


@pytest.mark.parametrize(
    "target", ["shopping cart icon", "Reboot", "Project owner field", "third Upload", "remove tag Mobile"]
)
def test_what_is_not_there_is_not_found_and_says_why(target: str, screenshot: Picture, eyes: Once) -> None:
    answer = click(target, image=screenshot, engine=eyes)  # type: ignore[arg-type]
    assert not answer.found and answer.point is None and answer.box is None and answer.reason


@pytest.mark.parametrize(
    ("target", "elsewhere"), [("Map at the top right", "Map"), ("moon icon at the bottom left", "moon")]
)
def test_what_stands_elsewhere_is_a_near_miss_not_an_answer(
    target: str, elsewhere: str, screenshot: Picture, eyes: Once
) -> None:
    answer = click(target, image=screenshot, engine=eyes)  # type: ignore[arg-type]
    assert not answer.found and elsewhere in answer.alternatives[0].label


def marks(ground: str, ink: str, checked: str) -> tuple[Picture, list[Line]]:
    """Three checkboxes, the second ticked, each with a name in a column further right."""
    canvas = Image.new("RGB", (400, 200), ground)
    pen = ImageDraw.Draw(canvas)
    lines = []
    for row, name in enumerate(("Ada", "Grace", "Edsger")):
        y = 30 + 50 * row
        pen.rounded_rectangle((20, y, 34, y + 14), 2, outline=ink, fill=checked if row == 1 else None)
        if row == 1:
            pen.line((23, y + 7, 26, y + 11, 31, y + 4), fill="white", width=2)
        box = Box.of_pixels(80, y, 80 + 9 * len(name), y + 16, 400, 200)
        lines.append(Line(name, box, 0.99, (Word(name, box),)))
    return Picture(np.asarray(canvas)), lines


class Read:
    """A reader that has read already, and, as the real one does, takes an empty checkbox for a sign."""

    def __init__(self, lines: list[Line]) -> None:
        box = Box.of_pixels(19, 29, 36, 46, 400, 200)
        self.lines = (*lines, Line("□", box, 0.7, (Word("□", box),)))

    def read(self, picture: Picture) -> tuple[Line, ...]:
        return self.lines


@pytest.mark.parametrize("colors", [("white", "#777", "#1a73e8"), ("#1e1e24", "#999", "#8ab4f8")])
@pytest.mark.parametrize(
    ("target", "row"), [("checkbox next to Edsger", 2), ("second checkbox", 1), ("Grace checkbox", 1)]
)
def test_checkboxes_by_row_and_by_order(colors: tuple[str, str, str], target: str, row: int) -> None:
    """Empty and ticked, on a light and on a dark ground."""
    picture, lines = marks(*colors)
    found = seek(target, Scene(picture, Read(lines)))  # type: ignore[arg-type]
    assert found.found, found.reason
    x, y = found.candidates[0].box.center
    assert 20 <= x * 400 <= 35 and 30 + 50 * row <= y * 200 <= 45 + 50 * row


class Blind:
    """A reader that sees these lines and nothing else."""

    def __init__(self, *lines: Line) -> None:
        self.lines = lines

    def read(self, picture: Picture) -> tuple[Line, ...]:
        return self.lines


def line(text: str, box: tuple[int, int, int, int], size: tuple[int, int]) -> Line:
    place = Box.of_pixels(*box, *size)
    return Line(text, place, 0.99, (Word(text, place),))


def pressed(target: str, canvas: Image.Image, *lines: Line) -> tuple[float, float] | None:
    """Where the embedded engine would press, in pixels."""
    picture = Picture(np.asarray(canvas))
    seen = seek(target, Scene(picture, Blind(*lines)))  # type: ignore[arg-type]
    if not seen.found:
        return None
    x, y = seen.candidates[0].point or seen.candidates[0].box.center
    return x * picture.width, y * picture.height


@pytest.fixture(scope="module")
def player() -> Image.Image:
    """A dark bar between a black film and a white page, and round buttons that nearly touch on a grey ground."""
    big = Image.new("RGB", (4 * 640, 4 * 400), "white")
    pen = ImageDraw.Draw(big)
    pen.rectangle((0, 0, 4 * 640, 4 * 280), fill="black")
    pen.rectangle((0, 4 * 280, 4 * 640, 4 * 310), fill="#1c232b")
    pen.polygon([(4 * 22, 4 * 288), (4 * 22, 4 * 302), (4 * 33, 4 * 295)], fill="white")  # play
    for n in range(3):
        pen.rectangle((4 * 600, 4 * (289 + 5 * n), 4 * 614, 4 * (289 + 5 * n) + 7), fill="white")  # menu
    pen.rectangle((0, 4 * 330, 4 * 640, 4 * 400), fill="#808080")
    for n in range(3):
        pen.ellipse((4 * (100 + 25 * n), 4 * 350, 4 * (124 + 25 * n), 4 * 374), fill="#3f3f3f")
    pen.rectangle((4 * 107, 4 * 361, 4 * 117, 4 * 363), fill="white")  # plus
    pen.rectangle((4 * 111, 4 * 357, 4 * 113, 4 * 367), fill="white")
    pen.line((4 * 140, 4 * 357, 4 * 134, 4 * 362, 4 * 140, 4 * 367), fill="white", width=9)  # back
    return big.resize((640, 400), Image.Resampling.BOX)


@pytest.mark.parametrize(
    ("target", "box"),
    [
        ("play icon", (20, 286, 35, 304)),
        ("menu icon", (598, 286, 617, 304)),
        ("plus icon", (100, 350, 124, 374)),
        ("previous image icon", (125, 350, 149, 374)),  # what it is done to is not in the picture
    ],
)
def test_icons_in_narrow_bars_and_round_buttons(
    target: str, box: tuple[int, int, int, int], player: Image.Image
) -> None:
    heading = line("Lesson 4: Volcanoes", (8, 2, 300, 34), player.size)  # one large line makes no sharper picture
    point = pressed(target, player, heading)
    assert point is not None
    assert box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


@pytest.mark.parametrize("target", ["printer icon", "shopping cart icon", "star icon", "envelope icon"])
def test_icons_that_are_not_drawn_are_not_found(target: str, player: Image.Image) -> None:
    assert pressed(target, player) is None


def test_a_field_with_round_ends_is_pressed_and_not_its_label() -> None:
    canvas = Image.new("RGB", (500, 200), "white")
    pen = ImageDraw.Draw(canvas)
    pen.rounded_rectangle((40, 60, 240, 96), 18, outline="#e3e3e3", fill="white")
    pen.rounded_rectangle((260, 60, 460, 96), 18, fill="#e3e3e3")
    names = [line("User name", (40, 38, 110, 54), canvas.size), line("Company", (260, 38, 330, 54), canvas.size)]
    for target, left in (("User name field", 40), ("Company field", 260)):
        point = pressed(target, canvas, *names)
        assert point is not None and left < point[0] < left + 200 and 60 < point[1] < 96


def test_in_a_grid_of_properties_the_value_is_pressed_and_not_the_cell_of_its_label() -> None:
    canvas = Image.new("RGB", (400, 200), "#cccccc")
    pen = ImageDraw.Draw(canvas)
    for y in (40, 71):
        pen.rectangle((20, y, 129, y + 29), fill="#eeece7")
        pen.rectangle((130, y, 299, y + 29), fill="#ffffff")
    names = [line("Width", (80, 46, 124, 62), canvas.size), line("Unit", (92, 77, 124, 93), canvas.size)]
    for target, top in (("Width field", 40), ("Unit dropdown", 71)):
        point = pressed(target, canvas, *names, line("12", (138, 46, 156, 62), canvas.size))
        assert point is not None and 130 < point[0] < 300 and top < point[1] < top + 30


def test_a_field_with_a_button_at_its_end_keeps_its_place() -> None:
    canvas = Image.new("RGB", (500, 120), "#cccccc")
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((20, 40, 299, 69), fill="white")
    pen.rectangle((300, 40, 379, 69), fill="#2266dd")
    words = [line("Your address", (28, 46, 120, 62), canvas.size), line("Join", (325, 46, 355, 62), canvas.size)]
    point = pressed("Your address field", canvas, *words)
    assert point is not None and 20 < point[0] < 300


def test_a_bar_that_holds_several_dropdowns_is_none_of_them() -> None:
    canvas = Image.new("RGB", (700, 200), "#cccccc")
    ImageDraw.Draw(canvas).rectangle((20, 40, 679, 75), fill="white")
    places = {"Formats": (40, 96), "Font": (300, 330), "Size": (560, 590)}
    names = [line(name, (x0, 50, x1, 66), canvas.size) for name, (x0, x1) in places.items()]
    for name, (x0, x1) in places.items():
        point = pressed(f"{name} dropdown", canvas, *names)
        assert point is not None and x0 <= point[0] <= x1


@pytest.mark.parametrize("target", ["Fonts checkbox", "checkbox next to Fonts"])
def test_round_cornered_checkboxes_in_a_column_far_right_of_their_names(target: str) -> None:
    canvas = Image.new("RGB", (500, 200), "white")
    pen = ImageDraw.Draw(canvas)
    names = []
    for row, name in enumerate(("Logs", "Fonts", "Trash")):
        pen.rounded_rectangle((400, 31 + 23 * row, 415, 46 + 23 * row), 3, outline="#aaaaaa")
        names.append(line(name, (40, 28 + 23 * row, 80, 49 + 23 * row), canvas.size))
    point = pressed(target, canvas, *names)
    assert point is not None and 400 <= point[0] <= 415 and 54 <= point[1] <= 69


def test_the_only_checkbox_of_a_screen_is_found_when_it_is_ticked() -> None:
    canvas = Image.new("RGB", (400, 120), "white")
    pen = ImageDraw.Draw(canvas)
    pen.rounded_rectangle((120, 40, 133, 53), 2, fill="#0075ff")
    pen.line((123, 47, 126, 50, 130, 43), fill="white", width=2)
    names = [line("visible", (40, 38, 100, 56), canvas.size)]
    point = pressed("checkbox next to visible", canvas, *names)
    assert point is not None and 120 <= point[0] <= 133 and 40 <= point[1] <= 53
    pen.rectangle((110, 30, 140, 60), fill="white")
    assert pressed("checkbox next to visible", canvas, *names) is None


def test_the_field_with_the_magnifier_is_the_search_field() -> None:
    def bar(field: bool) -> Image.Image:
        big = Image.new("RGB", (4 * 500, 4 * 120), "#3883fa")
        pen = ImageDraw.Draw(big)
        if field:
            pen.rectangle((4 * 200, 4 * 40, 4 * 400, 4 * 68), fill="white")
        ink = "#808080" if field else "white"
        pen.ellipse((4 * 208, 4 * 46, 4 * 219, 4 * 57), outline=ink, width=8)
        pen.line((4 * 217, 4 * 55, 4 * 223, 4 * 61), fill=ink, width=9)
        return big.resize((500, 120), Image.Resampling.BOX)

    point = pressed("search field", bar(True))
    assert point is not None and 200 < point[0] < 400 and 40 < point[1] < 68
    assert pressed("search field", bar(False)) is None  # a magnifier alone is a button


def test_the_page_number_is_the_field_before_the_number_of_pages() -> None:
    canvas = Image.new("RGB", (400, 120), "#eeeeee")
    ImageDraw.Draw(canvas).rectangle((100, 40, 155, 67), fill="white", outline="black")
    number, count = line("3", (140, 46, 150, 62), canvas.size), line("of 12", (162, 46, 198, 62), canvas.size)
    point = pressed("page number field", canvas, number, count)
    assert point is not None and 100 < point[0] < 156 and 40 < point[1] < 68
    assert pressed("page number field", canvas, number) is None


def test_of_two_labels_the_one_in_the_same_case_is_meant() -> None:
    canvas = Image.new("RGB", (500, 200), "white")
    names = [
        line("DASHBOARD", (20, 20, 120, 36), canvas.size),
        line("Dashboard", (300, 120, 390, 136), canvas.size),
    ]
    point = pressed("Dashboard", canvas, *names)
    assert point is not None and point[1] > 100
    assert pressed("dashboard", canvas, *names) is None  # which of them is not said


def test_the_plain_output_is_two_numbers_and_the_overlay_shows_them(examples: Path, tmp_path: Path) -> None:
    """So that `xdotool mousemove $(omni click …)` works."""
    shown = tmp_path / "shown.png"
    done = run(
        "Client dropdown", "--image", "-", "--overlay", str(shown), stdin=(examples / "screenshot.png").read_bytes()
    )
    assert done.returncode == 0
    x, y = map(int, done.stdout.split())
    assert done.stdout == f"{x} {y}\n".encode()
    with Image.open(shown) as drawn:
        assert drawn.size == (1280, 800)
        assert drawn.convert("RGB").getpixel((x, y)) == (230, 0, 40)


def test_json_keeps_its_contract(examples: Path) -> None:
    done = run("Validation", "--json", "--image", str(examples / "screenshot.png"))
    answer = json.loads(done.stdout)
    assert {"found", "point", "box", "label", "confidence", "alternatives", "reason", "engine"} <= set(answer)
    assert answer["schema_version"] == 1 and answer["engine"] == "lite"
    assert answer["found"] and done.returncode == 0
    point, box = answer["point"], answer["box"]["image"]
    assert point["screen"] is None
    assert point["norm"] == [
        pytest.approx(point["image"][0] / 1280, abs=0.001),
        pytest.approx(point["image"][1] / 800, abs=0.002),
    ]
    assert box[0] <= point["image"][0] <= box[2] and box[1] <= point["image"][1] <= box[3]
    assert [other["label"] for other in answer["alternatives"]] == ["Validation"]  # the menu has it too


def test_what_is_not_there_is_exit_3(examples: Path) -> None:
    done = run("Delete account button", "--image", str(examples / "screenshot.png"))
    assert done.returncode == 3 and done.stdout == b"" and b"not found" in done.stderr


def test_a_tiny_picture_holds_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    assert run("Submit", "--image", str(tmp_path / "one.png")).returncode == 3


def test_a_gigantic_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    done = run("Submit", "--image", str(tmp_path / "huge.png"))
    assert done.returncode == 1 and b"30000x30000" in done.stderr and b"Traceback" not in done.stderr


def test_files_that_are_no_pictures(examples: Path, tmp_path: Path) -> None:
    whole = (examples / "screenshot.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "renamed.png").write_bytes(b"%PDF-1.7 not a picture at all")
    (tmp_path / "empty.png").touch()
    for name, code in (("cut.png", 1), ("renamed.png", 1), ("empty.png", 1), ("missing.png", 2), ("", 2)):
        done = run("Submit", "--image", str(tmp_path / name))
        assert done.returncode == code and done.stdout == b"", (name, done.stderr)
        assert b"Traceback" not in done.stderr and done.stderr.count(b"\n") <= 4


def test_wrong_calls(examples: Path) -> None:
    picture = str(examples / "screenshot.png")
    for arguments in (
        ["", "--image", picture],
        ["X", "--image", picture, "--screen", "1"],
        ["X", "--do", "--image", picture],
    ):
        done = run(*arguments)
        assert done.returncode == 2 and done.stdout == b"", done.stderr


class Pointing:
    """A perception that points where it is told to and reads what it is told to."""

    name = "fake"

    def __init__(self, *candidates: Candidate, found: bool = True) -> None:
        self.sighting = Sighting(found, candidates, "" if found else "nowhere")

    def locate(self, target: str, picture: Picture) -> Sighting:
        return self.sighting


def blank(width: int = 100, height: int = 50) -> Picture:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "png")
    return of_pillow(Image.open(buffer))


def test_a_point_outside_the_picture_is_an_error_not_a_click_at_its_edge() -> None:
    wrong = Pointing(Candidate(Box(0.9, 0.9, 1.0, 1.0), "x", 0.9, point=(1.2, 0.5)))
    with pytest.raises(EngineError, match="outside"):
        click("x", image=blank(), engine=wrong)  # type: ignore[arg-type]


def test_a_picture_cannot_be_pressed() -> None:
    seen = click("x", image=blank(), engine=Pointing(Candidate(Box(0.1, 0.1, 0.3, 0.3), "x", 0.9)))  # type: ignore[arg-type]
    assert seen.found
    with pytest.raises(UsageError, match="nothing to press"):
        press(seen)


def test_the_same_thing_on_two_screens_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retina beside a usual screen that lies left of it: desktop points, and no guess between equals."""
    shots = (
        Shot(Monitor(1, 0, 0, 50, 25), blank(), View(100, 50, 0, 0, 50, 25)),
        Shot(Monitor(2, -100, 10, 100, 50), blank(), View(100, 50, -100, 10, 100, 50)),
    )
    monkeypatch.setattr("omni_agent.media.screen.grab", lambda number=None: shots)
    both = click("x", engine=Pointing(Candidate(Box(0.2, 0.2, 0.4, 0.4), "x", 0.9)))  # type: ignore[arg-type]
    assert not both.found and "--screen" in both.reason
    assert [other.point.screen for other in both.alternatives] == [(15, 7), (-70, 25)]


def test_control_characters_on_the_screen_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from omni_agent.cli.click import _print

    near = Candidate(Box(0.2, 0.2, 0.4, 0.4), "Sub\x1b[31mmit\u202e\x07", 0.4)
    _print(click("x", image=blank(), engine=Pointing(near, found=False)), json=False)  # type: ignore[arg-type]
    told = capsys.readouterr()
    assert told.out == "" and "Submit" in told.err and "\x1b" not in told.err and "\u202e" not in told.err
