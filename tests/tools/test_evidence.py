"""Quotes against pages: what the page says is verified, what it does not say is not, however near."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from omni_agent.tools.evidence import check
from omni_agent.types import Box, Line, Picture, Quote, Word


@dataclass
class Sheet:
    """A page of given lines, each word a twentieth of the page wide."""

    texts: tuple[str, ...]
    score: float = 1.0
    file: str = "a.pdf"
    number: int = 1
    key: str | None = "page"

    def lines(self) -> tuple[Line, ...]:
        made = []
        for row, text in enumerate(self.texts):
            y = 0.1 + 0.05 * row
            words = tuple(
                Word(word, Box(0.05 * at, y, 0.05 * at + 0.045, y + 0.02)) for at, word in enumerate(text.split())
            )
            made.append(Line(text, Box(0, y, 1, y + 0.02), self.score, words))
        return tuple(made)

    def printed(self) -> tuple[Line, ...]:
        return self.lines()

    def picture(self, dpi: int = 150) -> Picture:
        raise NotImplementedError


PAGE = Sheet(
    (
        "The firm employs 42 people in three offices and was con-",
        "solidated in 2019. It is eﬃcient, they say, and “lean”.",
        "Net profit was 1,234,567 dollars, up 12 % on the year before.",
    )
)


@pytest.mark.parametrize(
    "quote",
    [
        "The firm employs 42 people",
        "the firm  employs\n42 people",  # spacing, case
        "was consolidated in 2019",  # hyphen at the line end
        'It is efficient, they say, and "lean"',  # ligature, quotation marks
        "Net profit was 1234567 dollars",  # thousands separators
    ],
)
def test_faithful_quotes_are_verified(quote: str) -> None:
    citation = check(Quote("a.pdf", 1, quote), [PAGE])
    assert citation.verified and citation.bbox is not None


@pytest.mark.parametrize(
    "quote",
    [
        "The firm employs 24 people in three offices",  # a number turned round
        "The firm employs 42 people in four offices",  # a word changed
        "The firm does not employ 42 people",  # a negation put in
        "Net profit was 1,234,568 dollars, up 12 % on the year before.",  # the last digit
        "Net profit was 1,234,567 dollars, down 12 % on the year before.",
        "The directors resigned in March",
        "1,234",  # part of a number
        "",
    ],
)
def test_false_quotes_are_not(quote: str) -> None:
    assert not check(Quote("a.pdf", 1, quote), [PAGE]).verified


def test_a_quote_over_two_lines_has_a_box_for_each() -> None:
    citation = check(Quote("a.pdf", 1, "three offices and was consolidated in 2019"), [PAGE])
    assert len(citation.boxes) == 2
    first, second = citation.boxes
    assert first.x0 == pytest.approx(0.3) and second.x0 == pytest.approx(0)  # the seventh word; the first
    assert citation.bbox == first.union(second)


def test_a_quote_from_a_page_that_is_not_there_is_false() -> None:
    assert not check(Quote("a.pdf", 7, "The firm employs 42 people"), [PAGE]).verified
    assert not check(Quote("b.pdf", 1, "The firm employs 42 people"), [PAGE]).verified


def test_slips_of_ocr_are_forgiven_only_on_pages_that_were_read() -> None:
    """'rn' read as 'm' is a slip of reading; in a text layer it would be another word."""
    read = Sheet(("The governrnent employs many people in its offices",), score=0.95)
    exact = Sheet(("The governrnent employs many people in its offices",), score=1.0)
    quote = Quote("a.pdf", 1, "The government employs many people in its offices")
    assert check(quote, [read]).verified
    assert not check(quote, [exact]).verified


@pytest.mark.parametrize("wrong", ["was not consolidated", "47 people", "2018"])
def test_a_long_quote_does_not_hide_a_change(wrong: str) -> None:
    """However much of it is true, one word or digit put in makes it false, on a page that was read as well."""
    true = "The firm employs 42 people in three offices and was consolidated in 2019. It is efficient, they say"
    right = {"was not consolidated": "was consolidated", "47 people": "42 people", "2018": "2019"}[wrong]
    for score in (1.0, 0.9):
        page = Sheet(PAGE.texts, score)
        assert check(Quote("a.pdf", 1, true), [page]).verified
        assert not check(Quote("a.pdf", 1, true.replace(right, wrong)), [page]).verified


def test_boxes_of_the_perception_are_not_believed_elsewhere() -> None:
    """True words with a false place get the place where they stand."""
    wrong = Box(0.5, 0.9, 0.6, 0.95)
    citation = check(Quote("a.pdf", 1, "Net profit was", (wrong,)), [PAGE])
    assert citation.verified and citation.bbox is not None and citation.bbox.y1 < 0.3
