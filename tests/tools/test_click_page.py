"""`omni click` on a page as style sheets draw it, read by the real reader: entries of one bar, marks before and between
names, switches, fields without a closed outline, links that every row of a table has."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from omni_agent.perception.lite.locate import seek
from omni_agent.perception.lite.ocr import Reader
from omni_agent.perception.lite.parts import parted
from omni_agent.perception.lite.scene import Scene
from omni_agent.types import Box, Line, Picture, Word

SIZE = (960, 560)
FONT = ImageFont.truetype("DejaVuSans.ttf", 14)
SMALL = ImageFont.truetype("DejaVuSans.ttf", 11)
BAR = {"Vehicles": (20, 77), "Drivers": (93, 143), "Fuel cards": (159, 230)}
ROWS = ("Ingrid Solberg", "Rafael Duarte", "Chiara Conti")


def page() -> Image.Image:
    canvas = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((0, 0, SIZE[0], 40), "#0d6efd")
    for name, (x, _) in BAR.items():
        pen.text((x, 11), name, "white", FONT)
    pen.text((600, 11), "No filter", "white", FONT)  # a dropdown without an outline, in the bar
    for row, name in enumerate(ROWS):
        y = 70 + 40 * row
        pen.text((20, y), name, "#222222", FONT)
        pen.text((560, y), "Message", "#1677ff", FONT)
        pen.text((632, y), "Decline", "#1677ff", FONT)
        pen.line((10, y + 27, 700, y + 27), "#e5e5e5")
    for x, name, ticked in ((20, "Fragile", True), (110, "Insured", False)):  # the gaps are those of a space
        pen.rounded_rectangle((x, 203, x + 15, 218), 3, *(("#0d6efd",) * 2 if ticked else ("white", "#bbb")))
        if ticked:
            pen.line((x + 3, 211, x + 6, 214, x + 12, 207), "white", 2)
        pen.text((x + 20, 201), name, "#222222", FONT)
    pen.rounded_rectangle((20, 240, 68, 259), 10, "#f0f0f0")  # a switch with a pale ground
    pen.ellipse((20, 240, 39, 259), "white", "#c9c9c9")
    pen.text((84, 241), "Reminder mails", "#222222", FONT)
    pen.text((20, 300), "Delivery note", "#222222", FONT)  # its field at the right, a button right below
    pen.rectangle((300, 292, 560, 324), "white", "#cccccc")
    pen.rounded_rectangle((20, 334, 150, 366), 4, "#0d6efd")
    pen.text((42, 342), "Print now", "white", FONT)
    pen.rectangle((20, 410, 260, 450), "white", "#9e9e9e")  # a label that stands in a gap of its field's border
    pen.rectangle((32, 409, 84, 411), "white")
    pen.text((36, 403), "Deposit", "#555555", SMALL)
    pen.text((290, 425), "Mooring", "#777777", FONT)  # a label on a line to write on
    pen.line((290, 450, 520, 450), "#888888")
    pen.rectangle((560, 410, 800, 450), "white", "#9e9e9e")  # another field to the right of both
    pen.text((572, 421), "Boat type", "#777777", FONT)
    for y, name, value in ((490, "Shader", False), (513, "Opacity", True)):  # a grid of properties
        pen.rectangle((20, y, 129, y + 22), "#f0f0f2", "#d5d5d8")
        if value:
            pen.rectangle((130, y, 330, y + 22), "white", "#d5d5d8")
        pen.text((26, y + 3), name, "#222222", FONT)
    pen.text((136, 493), "Lambert", "#222222", FONT)
    pen.text((420, 493), "VAT number", "#222222", FONT)  # a line to write on behind its label
    pen.line((540, 512, 760, 512), "#888888")
    pen.text((720, 60), "Copies", "#222222", FONT)  # a field between two buttons
    pen.rectangle((720, 84, 870, 116), "white", "#d0d0d0")
    pen.rectangle((721, 85, 750, 115), "#f5f7fa")
    pen.line((751, 84, 751, 116), "#d0d0d0")
    pen.text((790, 91), "2", "#222222", FONT)
    pen.rectangle((620, 170, 790, 196), "white", "#777777")  # what is searched for, and the button behind it
    pen.rectangle((796, 170, 915, 196), "#efefef", "#777777")
    pen.text((805, 174), "Harbour search", "#111111", FONT)
    pen.text((720, 222), "Calibri", "#111111", FONT)  # a dropdown without an outline, above a cell of a sheet
    pen.polygon(((777, 229), (787, 229), (782, 234)), "#333333")
    pen.rectangle((700, 262, 900, 286), "white", "#cccccc")
    pen.text((620, 336), "Sheet", "#222222", FONT)  # a field that ends in a minus and a plus
    pen.rectangle((690, 328, 800, 362), "white", "#b0b0b0")
    pen.text((698, 336), "1", "#222222", FONT)
    for x in (730, 765):
        pen.line((x, 328, x, 362), "#b0b0b0")
        pen.line((x + 12, 345, x + 23, 345), "#555555", 2)
    pen.line((782, 339, 782, 351), "#555555", 2)
    return canvas


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(Picture(np.asarray(page())), Reader())


@pytest.mark.parametrize(
    ("target", "where"),
    [
        *((name, (x0, 8, x1, 32)) for name, (x0, x1) in BAR.items()),
        *((f"Decline in the row of {name}", (632, 66 + 40 * n, 684, 94 + 40 * n)) for n, name in enumerate(ROWS)),
        ("Message for Rafael Duarte", (560, 106, 620, 134)),
        ("Message next to Chiara Conti", (560, 146, 620, 174)),
        ("Fragile checkbox", (20, 203, 36, 219)),
        ("Insured checkbox", (110, 203, 126, 219)),
        ("checkbox next to Insured", (110, 203, 126, 219)),
        ("Reminder mails switch", (20, 240, 69, 260)),
        ("Delivery note field", (300, 292, 561, 325)),
        ("Deposit field", (20, 410, 261, 451)),
        ("Mooring field", (290, 420, 521, 451)),
        ("Boat type dropdown", (560, 410, 801, 451)),
        ("No filter dropdown at the top right", (598, 8, 666, 32)),
        ("VAT number field", (540, 486, 761, 513)),
        ("Copies field", (720, 84, 871, 117)),
        ("Shader dropdown", (130, 490, 331, 513)),
        ("search field", (620, 170, 791, 197)),
        ("Harbour search button", (796, 170, 916, 197)),
        ("Calibri dropdown", (716, 218, 790, 244)),
        ("Sheet field", (690, 328, 730, 363)),
    ],
)
def test_what_was_named_is_pressed(target: str, where: tuple[int, int, int, int], scene: Scene) -> None:
    seen = seek(target, scene)
    assert seen.found, seen.reason
    x, y = seen.candidates[0].point or seen.candidates[0].box.center
    assert where[0] <= x * SIZE[0] <= where[2] and where[1] <= y * SIZE[1] <= where[3], seen.candidates[0]


@pytest.mark.parametrize("target", ["Message for Ada", "third Insured checkbox", "Fuel Drivers", "Signature checkbox"])
def test_what_is_not_there_is_not_found(target: str, scene: Scene) -> None:
    assert not seek(target, scene).found


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"])
def test_a_sentence_stays_one_line(font: str) -> None:
    """Neither the wide space of a typewriter nor that after a full stop parts a line."""
    text = "Drag an object here. Recent scenes are kept for a week"
    canvas = Image.new("RGB", (700, 60), "white")
    pen, face = ImageDraw.Draw(canvas), ImageFont.truetype(font, 14)
    pen.text((20, 20), text, "#333333", face)
    words, at = [], 20.0
    for word in text.split():
        end = at + pen.textlength(word, face)
        words.append(Word(word, Box.of_pixels(at, 16, end, 40, *canvas.size)))
        at = end + pen.textlength(" ", face)
    line = Line(text, Box.of_pixels(18, 16, end + 2, 40, *canvas.size), 1.0, tuple(words))
    assert parted([line], Picture(np.asarray(canvas))) == (line,)
