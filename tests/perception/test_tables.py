"""Tables on pages that were set here, so that what stands where is known: cells with their heads and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pymupdf
import pytest

from omni_agent import ask
from omni_agent.media import layout
from omni_agent.media.pdf import Pdf
from omni_agent.perception.lite import tables

Said = dict[tuple[str, str], str]  # a cell's text by its row's label and its column's head


def read(sheet: pymupdf.Page, path: Path) -> list[tables.Table]:
    sheet.parent.save(path)
    pdf = Pdf(path)
    found = [part for part in tables.split(layout.arrange(pdf.text(1).lines)) if isinstance(part, tables.Table)]
    pdf.close()
    return found


def said(*found: tables.Table) -> Said:
    return {
        (row.cells[0].text, cell.head): cell.text for table in found for row in table.rows for cell in row.cells[1:]
    }


def console(lines: str) -> pymupdf.Page:
    """A page as a terminal prints it: one space may be all that stands between two columns, or two heads."""
    sheet = pymupdf.open().new_page()
    for number, line in enumerate(lines.strip("\n").splitlines()):
        sheet.insert_text((72, 100 + 12 * number), line, fontname="cour", fontsize=9)
    return sheet


def printed(rows: Sequence[Sequence[tuple[float, str]]], *, centred: bool = False) -> pymupdf.Page:
    """A page with texts at these places: labels begin there, values end there, heads are centred there (in rows that
    begin with None's stand-in, an empty text)."""
    sheet = pymupdf.open().new_page()
    for number, row in enumerate(rows):
        for x, text in row:
            width = pymupdf.get_text_length(text, fontsize=10)
            head = row[0][1] == "" or centred
            left = x if x < 200 else x - width / 2 if head else x - width
            sheet.insert_text((left, 100 + 15 * number), text, fontsize=10)
    return sheet


def test_heads_a_space_apart_go_over_the_columns_that_they_end_with(tmp_path: Path) -> None:
    table = """
           Estimate Std. Error t value Pr(>|t|)
(Height)    37.2271     1.5988   23.29  < 2e-16 ***
weight      -3.8778     0.6327   -6.13 1.12e-06 ***
power       -0.0318     0.0090   -3.52  0.00145 **
"""
    cells = said(*read(console(table), tmp_path / "a.pdf"))
    assert cells["weight", "Estimate"] == "-3.8778" and cells["weight", "Std. Error"] == "0.6327"
    assert cells["power", "t value"] == "-3.52" and cells["power", "Pr(>|t|)"].startswith("0.00145")


def test_tables_right_below_each_other_keep_their_own_heads(tmp_path: Path) -> None:
    table = """
Response length :
            Df Sum Sq Mean Sq F value
feed         4    503   125.7    5.95
Residuals  145   3061    21.1
Response depth :
            Df Sum Sq Mean Sq F value
feed         4    230    57.5    2.45
Residuals  145   3405    23.5
"""
    first, second = read(console(table), tmp_path / "a.pdf")
    assert said(first)["feed", "F value"] == "5.95" and said(second)["feed", "F value"] == "2.45"
    assert said(second)["Residuals", "Sum Sq"] == "3405"
    assert "length" in first.caption and "depth" in second.caption


def test_a_head_over_several_columns_counts_for_each(tmp_path: Path) -> None:
    rows = [
        [(72.0, ""), (335.0, "Men"), (475.0, "Women")],
        [(72.0, ""), (300.0, "under 18"), (370.0, "older"), (440.0, "under 18"), (510.0, "older")],
        *([(72.0, name), *zip((310.0, 380.0, 450.0, 520.0), values, strict=True)] for name, *values in PRISON),
    ]
    cells = said(*read(printed(rows), tmp_path / "a.pdf"))
    assert cells["Fraud", "Men older"] == "95.0" and cells["Fraud", "Women under 18"] == "1.8"


PRISON = [
    ("Robbery", "22.9", "67.1", "2.5", "9.5"),
    ("Fraud", "3.3", "95.0", "1.8", "73.5"),
    ("Arson", "3.7", "4.4", "0.6", "1.1"),
]


def test_rows_know_the_row_or_line_that_they_are_indented_under(tmp_path: Path) -> None:
    rows = [
        [(72.0, ""), (300.0, "2019"), (400.0, "2020")],
        [(72.0, "Exports")],
        [(84.0, "Grain"), (310.0, "120"), (410.0, "140")],
        [(84.0, "Wine"), (310.0, "35"), (410.0, "31")],
        [(72.0, "Imports"), (310.0, "240"), (410.0, "260")],
        [(84.0, "Grain"), (310.0, "12"), (410.0, "9")],
        [(72.0, "Balance"), (310.0, "15"), (410.0, "11")],
    ]
    (table,) = read(printed(rows), tmp_path / "a.pdf")
    under = [(row.section, row.cells[0].text) for row in table.rows]
    assert under[0] == ("Exports", "Grain") and under[3] == ("Imports", "Grain")
    assert under[2] == ("", "Imports") and under[4] == ("", "Balance")


def test_a_row_without_a_label_belongs_to_the_label_above(tmp_path: Path) -> None:
    table = """
              Model A  Model B
age             0.165    0.218
              (0.006)  (0.020)
income          0.248    0.305
              (0.018)  (0.049)
"""
    (found,) = read(console(table), tmp_path / "a.pdf")
    rows = [[cell.text for cell in row.cells] for row in found.rows]
    assert rows[1] == ["age", "(0.006)", "(0.020)"] and rows[3] == ["income", "(0.018)", "(0.049)"]


def test_numbers_under_heads_alone_have_no_label(tmp_path: Path) -> None:
    table = """
     North     South
      30.4      69.8
"""
    assert said(*read(console(table), tmp_path / "a.pdf")) == {("", "North"): "30.4", ("", "South"): "69.8"}


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("Rent         $ 1,200    $   900", ["Rent", "$ 1,200", "$ 900"]),
        ("Error        2.1 ± 0.3  1.9 ± 0.4", ["Error", "2.1 ± 0.3", "1.9 ± 0.4"]),
        ("Share          12.5 %     13.0 %", ["Share", "12.5 %", "13.0 %"]),
        ("Route 66         14.1       9.7", ["Route 66", "14.1", "9.7"]),
    ],
)
def test_signs_and_units_stay_with_their_numbers(tmp_path: Path, row: str, cells: list[str]) -> None:
    table = f"""
             Spring     Autumn
Food             310        295
{row}
Travel           120         80
"""
    (found,) = read(console(table), tmp_path / "a.pdf")
    assert [cell.text for cell in found.rows[1].cells] == cells
    assert [cell.head for cell in found.rows[1].cells[1:]] == ["Spring", "Autumn"]


def test_words_about_a_table_are_no_rows_of_it(tmp_path: Path) -> None:
    table = """
Coefficients:
            Estimate Std. Error t value
Latitude    -0.02581    0.01368   -1.89
Year         0.00828    0.01897    0.44

Residual standard error: 0.799 on 10 degrees of freedom
Multiple R-squared: 0.439, Adjusted R-squared: 0.326
"""
    sheet = console(table)
    (found,) = read(sheet, tmp_path / "a.pdf")
    assert said(found)["Year", "t value"] == "0.44" and len(found.rows) == 2
    assert ask([tmp_path / "a.pdf"], "What is the adjusted R-squared?").answer.endswith("0.326")


def test_names_that_end_in_a_year_make_no_table_of_values(tmp_path: Path) -> None:
    table = """
Afghanistan        Herat North
Alaska             North American 1927
Argentina          Campo Inchauspe, South American 1969
Austria            European 1950, 1979
Bangladesh         Indian
"""
    (found,) = read(console(table), tmp_path / "a.pdf")
    assert said(found)["Austria", ""] == "European 1950, 1979" and said(found)["Afghanistan", ""] == "Herat North"


def test_two_columns_of_labels_have_a_head_each(tmp_path: Path) -> None:
    (table,) = read(printed(MODELS), tmp_path / "a.pdf")
    assert [cell.head for cell in table.rows[0].cells[1:]] == ["Loss", "Accuracy"]


def test_a_label_at_the_middle_of_its_rows_stands_for_each_of_them(tmp_path: Path) -> None:
    cells = said(*read(printed(MODELS), tmp_path / "a.pdf"))
    assert cells["Small Face", "Loss"] == "0.39" and cells["Small Both", "Accuracy"] == "86.7"
    assert cells["Large Face", "Loss"] == "0.26" and cells["Large Both", "Accuracy"] == "90.9"


MODELS = [
    [(72.0, "Model"), (150.0, "Source"), (310.0, "Loss"), (410.0, "Accuracy")],
    [(150.0, "Face"), (310.0, "0.39"), (410.0, "93.6")],
    [(72.0, "Small"), (150.0, "Hands"), (310.0, "0.34"), (410.0, "89.5")],
    [(150.0, "Both"), (310.0, "0.82"), (410.0, "86.7")],
    [(150.0, "Face"), (310.0, "0.26"), (410.0, "95.2")],
    [(72.0, "Large"), (150.0, "Hands"), (310.0, "0.29"), (410.0, "91.6")],
    [(150.0, "Both"), (310.0, "0.44"), (410.0, "90.9")],
]


def test_numbers_set_narrower_than_their_heads_keep_them(tmp_path: Path) -> None:
    table = """
     state ratio.1 ratio.2 ratio.3
[1,]     1    1738    1642    1794
[2,]     2    1364    1408    1597
     ratio.4 ratio.5
[1,]    2234    2032
[2,]    1675    1470
"""
    first, second = read(console(table), tmp_path / "a.pdf")
    assert [(cell.text, cell.head) for cell in first.rows[1].cells[1:3]] == [("2", "state"), ("1364", "ratio.1")]
    assert said(second)["[2,]", "ratio.5"] == "1470"


def test_items_behind_bullets_are_prose(tmp_path: Path) -> None:
    sheet = pymupdf.open().new_page()
    y = 100
    for item in (
        "The transmission must be begun by a person other",
        "The provider must not choose who receives it when",
    ):
        sheet.insert_text((72, y), "!", fontsize=10)
        sheet.insert_text((100, y), item, fontsize=10)
        sheet.insert_text((100, y + 14), "than the provider, and no copy of it may be kept.", fontsize=10)
        y += 28
    assert read(sheet, tmp_path / "a.pdf") == []


def test_the_last_column_of_a_print_that_was_too_wide_has_its_head(tmp_path: Path) -> None:
    table = """
           coef se(coef) robust z
treat   -1.0722   0.2619   -3.438
steroid -0.7726   0.5169   -1.648
               p
treat   0.000585
steroid 0.099310
"""
    cells = said(*read(console(table), tmp_path / "a.pdf"))
    assert cells["treat", "coef"] == "-1.0722" and cells["treat", "p"] == "0.000585"


def test_what_was_entered_in_a_form_goes_with_the_name_of_its_field(tmp_path: Path) -> None:
    rows = [
        [(72.0, "1. Legal name *")],
        [(72.0, "Timber Farms Inc.")],
        [(72.0, "2. City *"), (260.0, "3. State *"), (400.0, "4. Postal code *")],
        [(72.0, "Granville"), (260.0, "OH"), (400.0, "43023")],
        [(72.0, "5. Country *"), (260.0, "6. Province")],
        [(72.0, "United States of America"), (260.0, "N/A")],
        [(72.0, "7. Telephone number *"), (260.0, "8. Extension")],
        [(72.0, "740-555-0178"), (260.0, "N/A")],
    ]
    sheet = pymupdf.open().new_page()
    for number, row in enumerate(rows):
        for x, text in row:
            sheet.insert_text((x, 100 + 14 * number), text, fontsize=10)
    cells = {head: text for (_, head), text in said(*read(sheet, tmp_path / "a.pdf")).items()}
    assert cells["Legal name"] == "Timber Farms Inc" and cells["City"] == "Granville"
    assert cells["Postal code"] == "43023" and cells["Telephone number"] == "740-555-0178"
    assert ask([tmp_path / "a.pdf"], "In which city is the farm?").answer.startswith("Granville")


def test_authors_head_the_places_where_they_work(tmp_path: Path) -> None:
    rows = [
        [(72.0, "Anna Berger"), (230.0, "Carl de Witt"), (400.0, "Eva Fischer")],
        [(72.0, "University of Basel"), (230.0, "Leiden University"), (400.0, "Uppsala University")],
    ]
    sheet = pymupdf.open().new_page()
    sheet.insert_text((72, 60), "Counting Birds in Winter", fontsize=18)
    for number, row in enumerate(rows):
        for x, text in row:
            sheet.insert_text((x, 100 + 14 * number), text, fontsize=10)
    sheet.insert_text((72, 180), "We count birds in winter and compare what was seen with earlier years.", fontsize=10)
    cells = said(*read(sheet, tmp_path / "a.pdf"))
    assert cells["", "Carl de Witt"] == "Leiden University"
    assert "Leiden" in ask([tmp_path / "a.pdf"], "At which university does Carl de Witt work?").answer
