"""Reading pictures, on pictures drawn here and on pictures that are hard to open."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from omni_agent.media.image import of_pillow
from omni_agent.perception.lite.ocr import REMEMBERED, Reader
from omni_agent.types import Picture


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader()


def drawn(*texts: tuple[int, int, str], size: tuple[int, int] = (800, 400), font: int = 28) -> Image.Image:
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for x, y, text in texts:
        pen.text((x, y), text, fill="black", font=ImageFont.load_default(font))
    return image


def test_text_comes_in_reading_order_with_true_places(reader: Reader) -> None:
    """Two cells of one row stand side by side; the line below them comes last."""
    image = drawn((60, 60, "Net revenue"), (500, 62, "12,345"), (60, 200, "Staff at year end"))
    lines = reader.read(of_pillow(image))
    assert [line.text for line in lines] == ["Net revenue", "12,345", "Staff at year end"]
    x, y = lines[1].box.center
    assert 500 / 800 < x < 600 / 800 and 60 / 400 < y < 100 / 400


def test_words_have_boxes_of_their_own(reader: Reader) -> None:
    """The box of a word lies on that word's ink, within half a letter."""
    image = drawn((100, 100, "alpha beta gamma delta"))
    font = ImageFont.load_default(28)
    (line,) = reader.read(of_pillow(image))
    assert [word.text for word in line.words] == ["alpha", "beta", "gamma", "delta"]
    start = 100 + font.getlength("alpha beta ")
    end = start + font.getlength("gamma")
    gamma = line.words[2].box
    assert abs(gamma.x0 * 800 - start) < 10 and abs(gamma.x1 * 800 - end) < 10


def test_a_picture_that_was_just_read_is_not_read_again(reader: Reader) -> None:
    """By its pixels, whoever holds them; one pixel more is another picture, and old ones are forgotten."""
    pixels = of_pillow(drawn((60, 60, "Net revenue"))).pixels
    lines = reader.read(Picture(pixels))
    assert reader.read(Picture(pixels.copy())) is lines
    changed = pixels.copy()
    changed[0, 0] = 0
    assert reader.read(Picture(changed)) is not lines
    assert reader.read(Picture(pixels)) is lines
    for shade in range(REMEMBERED):
        reader.read(Picture(np.full((5, 5, 3), shade, np.uint8)))
    assert reader.read(Picture(pixels)) is not lines


def test_upside_down_text_is_read(reader: Reader) -> None:
    lines = reader.read(of_pillow(drawn((100, 100, "Annual report of the board")).rotate(180)))
    assert [line.text for line in lines] == ["Annual report of the board"]


@pytest.mark.parametrize("shape", [(1, 1), (3, 4000), (64, 64), (900, 7)])
def test_pictures_without_text_give_nothing(reader: Reader, shape: tuple[int, int]) -> None:
    assert reader.read(Picture(np.full((*shape, 3), 255, np.uint8))) == ()


def test_a_huge_picture_is_scaled_down_and_places_stay(reader: Reader) -> None:
    image = drawn((300, 300, "Total 4711"), size=(9000, 3000), font=200)
    (line,) = reader.read(of_pillow(image))
    assert line.text == "Total 4711"
    assert line.box.x0 == pytest.approx(300 / 9000, abs=0.01)
