"""Questions to small pages that were set here, so that the right answer is known: tables, units, what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pymupdf
import pytest

from omni_agent import ask
from omni_agent.perception.lite.kinds import Kind, fit
from omni_agent.perception.lite.words import stem

COLUMNS = (72, 220, 290, 360, 430)


def page(path: Path, lines: Sequence[Sequence[str] | str]) -> Path:
    """A PDF of one page: a text is a line of prose, several are a row of cells, the values set flush right."""
    pdf = pymupdf.open()
    sheet = pdf.new_page()
    for number, line in enumerate(lines):
        y = 90 + 18 * number
        for at, text in zip(COLUMNS, [line] if isinstance(line, str) else line, strict=False):
            width = pymupdf.get_text_length(text, fontsize=10)
            sheet.insert_text((at if at == COLUMNS[0] else at + 40 - width, y), text, fontsize=10)
    pdf.save(path)
    return path


@pytest.fixture
def cars(tmp_path: Path) -> Path:
    rows = [
        ("", "mpg", "hp", "wt", "disp"),
        ("Alder Nine", "21.0", "110", "2.62", "160.0"),
        ("Birch Sport", "22.8", "93", "2.32", "108.0"),
        ("Cedar Estate", "18.7", "175", "3.44", "360.0"),
        ("Elm Coupe", "14.3", "245", "3.57", "301.0"),
    ]
    return page(tmp_path / "cars.pdf", ["Road tests of five cars", *rows])


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    rows = [
        ("Region", "2019", "2020", "2021"),
        ("North", "12.5", "13.1", "14.8"),
        ("South", "8.4", "7.9", "9.6"),
        ("West", "20.2", "21.7", "19.3"),
    ]
    return page(tmp_path / "sales.pdf", ["Bicycles sold by region", "[In thousands. Year ending December 31.]", *rows])


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How many miles per gallon does the Birch Sport do?", "22.8"),
        ("What is the horsepower of the Cedar Estate?", "175"),
        ("What is the displacement of the Elm Coupe?", "301.0"),
    ],
)
def test_short_column_heads_are_understood(cars: Path, question: str, value: str) -> None:
    result = ask([cars], question)
    assert result.found and value in result.answer
    assert result.citations[0].page == 1 and result.citations[0].verified


def test_what_the_table_counts_in_is_said_with_the_number(sales: Path) -> None:
    assert "7.9 thousand" in ask([sales], "How many bicycles were sold in the South in 2020?").answer


@pytest.mark.parametrize("question", ["How many bicycles were sold in the South in 1997?", "Who founded the company?"])
def test_a_year_or_a_kind_of_value_that_is_not_there_is_not_answered(sales: Path, question: str) -> None:
    result = ask([sales], question)
    assert not result.found and result.reason


def test_irregular_forms_have_one_stem() -> None:
    assert stem("wrote") == stem("written") == stem("writing")
    assert stem("women") == stem("female") != stem("men") == stem("males")


def test_names_and_money_beyond_english() -> None:
    assert fit(Kind.PERSON, "led by Łukasz Żółkiewski") == 1 and fit(Kind.PERSON, "led by a committee") == 0
    assert fit(Kind.MONEY, "It costs 300 crowns") == fit(Kind.MONEY, "for 40 ₹") == 1 > fit(Kind.MONEY, "for nothing")


def test_a_month_cut_short_does_not_end_a_sentence(tmp_path: Path) -> None:
    lines = [
        "The bridge over the river was closed for three years.",
        "It was opened to traffic again on Oct. 14, 2016, by the mayor of the town.",
        "The old toll house beside it is a museum today.",
    ]
    result = ask([page(tmp_path / "bridge.pdf", lines)], "When was the bridge opened to traffic again?", engine="lite")
    assert result.found and "Oct. 14, 2016" in result.answer


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How tall is the tallest player?", "185"),
        ("What does the lightest player weigh?", "62.3"),
        ("What is the age of the youngest player?", "18"),
    ],
)
def test_superlatives_ask_for_the_maximum_or_the_minimum(tmp_path: Path, question: str, value: str) -> None:
    rows = [
        ["", "Mean", "Minimum", "Maximum"],
        ["Age of the players", "24.2", "18", "32"],
        ["Height of the players", "173", "162", "185"],
        ["Weight of the players", "67.9", "62.3", "77.7"],
    ]
    assert f" {value} (" in ask([page(tmp_path / "a.pdf", rows)], question).answer


def test_initials_in_a_head_stand_for_words_of_the_question(tmp_path: Path) -> None:
    rows = [
        ["", "PIP", "Post Mean", "Post SD"],
        ["raises", "0.167", "0.011", "0.084"],
        ["learning", "0.406", "0.096", "0.151"],
    ]
    file = page(tmp_path / "a.pdf", rows)
    assert "0.406" in ask([file], "What is the posterior inclusion probability of learning?").answer
    assert "0.084" in ask([file], "What is the posterior standard deviation of raises?").answer
