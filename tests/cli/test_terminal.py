"""omni on a terminal: bars and questions are for the person, what is redirected gets the result alone."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymupdf
import pytest

pytestmark = pytest.mark.timeout(600)
QUESTION = "For how many minutes does the vault open?"
Terminal = Callable[..., Any]


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A folder with two PDFs of different passwords."""
    for name, password in (("a.pdf", "swordfish"), ("b.pdf", "haddock")):
        pdf = pymupdf.open()
        pdf.new_page().insert_text((72, 100), "The vault opens at 07:15 every morning for 30 minutes.")
        pdf.save(tmp_path / name, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw=password, owner_pw="boss")
    return tmp_path


def test_bars_are_drawn_and_the_redirected_result_is_whole(terminal: Terminal, examples: Path, tmp_path: Path) -> None:
    """rich sends stdout to the terminal while it draws, unless it is told not to: a file stayed empty."""
    done = terminal("ask", "--each", *[str(examples / "report.pdf")] * 2, "Who is the director?", cwd=tmp_path)
    assert done.code == 3
    assert [json.loads(line)["found"] for line in done.out.splitlines()] == [False, False]
    assert "file 1 of 2: reading" in done.shown and "file 2 of 2: searching" in done.shown
    assert '"found"' not in done.shown


def test_no_color_draws_bars_without_colour(terminal: Terminal, examples: Path, tmp_path: Path) -> None:
    picture = str(examples / "screenshot.png")
    colour = re.compile(r"\x1b\[[0-9;]*[349][0-7][;m]")
    plain = terminal("click", "Client dropdown", "--image", picture, cwd=tmp_path, NO_COLOR="1")
    assert plain.code == 0 and plain.out == "440 351\n"
    assert "looking" in plain.shown and not colour.search(plain.shown)
    assert colour.search(terminal("click", "Client dropdown", "--image", picture, cwd=tmp_path).shown)


def test_quiet_draws_nothing(terminal: Terminal, examples: Path, tmp_path: Path) -> None:
    done = terminal(
        "click", "-q", "Client dropdown", "--image", str(examples / "screenshot.png"), cwd=tmp_path
    )  # fmt: skip
    assert done.shown == "" and done.out == "440 351\n"


def test_the_password_is_asked_for_below_the_bars_and_never_shown(terminal: Terminal, locked: Path) -> None:
    done = terminal("ask", "a.pdf", QUESTION, answers=[("Password: ", "swordfish\n")], cwd=locked)
    assert done.code == 0 and "30 minutes" in done.out
    assert "swordfish" not in done.shown + done.out
    asked = next(line for line in done.shown.splitlines() if "Password: " in line)
    assert re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", asked).split("\r")[-1].startswith("a.pdf is protected by a password")


def test_a_wrong_password_is_asked_for_once(terminal: Terminal, locked: Path) -> None:
    done = terminal("ask", "a.pdf", QUESTION, answers=[("Password: ", "sesame\n")], cwd=locked)
    assert done.code == 1 and done.out == "" and "does not open a.pdf" in done.shown
    assert done.shown.count("Password: ") == 1 and "sesame" not in done.shown


def test_each_file_may_have_its_own_password(terminal: Terminal, locked: Path) -> None:
    answers = [("a.pdf is protected by a password. Password: ", "swordfish\n"), ("open b.pdf. Password: ", "haddock\n")]
    done = terminal("ask", "--each", "a.pdf", "b.pdf", QUESTION, answers=answers, cwd=locked)
    assert done.code == 0 and [json.loads(line)["found"] for line in done.out.splitlines()] == [True, True]


def test_ctrl_c_at_the_password_ends_it(terminal: Terminal, locked: Path) -> None:
    done = terminal("ask", "a.pdf", QUESTION, answers=[("Password: ", "\x03")], cwd=locked)
    assert done.code == 130 and "interrupted" in done.shown and "Traceback" not in done.shown and done.out == ""


def test_ctrl_c_in_a_batch_keeps_what_was_answered(terminal: Terminal, examples: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The vault opens at 07:15 every morning for 30 minutes.\n")
    scan = str(examples / "report-scan.pdf")
    done = terminal("ask", "--each", "note.txt", scan, QUESTION, answers=[("file 2 of 2: ", "\x03")], cwd=tmp_path)
    assert done.code == 130 and "goes on from there" in done.shown and "Traceback" not in done.shown
    (line,) = done.out.splitlines()
    assert json.loads(line)["found"] and "30 minutes" in json.loads(line)["answer"]


def test_ctrl_c_while_voices_are_told_apart_keeps_the_words(terminal: Terminal, examples: Path, tmp_path: Path) -> None:
    """The transcript so far is printed without its labels; the next run hears nothing again."""
    call = str(examples / "call.ogg")
    done = terminal("transcribe", "--speakers", call, answers=[("telling voices apart", "\x03")], cwd=tmp_path)
    assert done.code == 130 and "spring release" in done.out and "Speaker" not in done.out
    assert "interrupted" in done.shown and "Traceback" not in done.shown
    again = terminal("transcribe", "--speakers", "--json", call, cwd=tmp_path)
    value = json.loads(again.out)
    assert again.code == 0 and value["timings"]["reused_s"] > 50 and value["segments"][0]["speaker"]


def test_what_a_locked_document_says_is_not_kept(terminal: Terminal, examples: Path, tmp_path: Path) -> None:
    """Words read on its scanned page would lie open in the cache, which outlives the password."""
    pdf = pymupdf.open(examples / "report-scan.pdf")
    pdf[0].set_cropbox(pymupdf.Rect(0, 0, 400, 140))
    pdf.save(tmp_path / "a.pdf", encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="swordfish", owner_pw="boss")
    arguments = ("--json", "-q", "a.pdf", "What is shown here by sex and age?")
    terminal("ask", *arguments, cwd=tmp_path, OMNI_PDF_PASSWORD="swordfish")
    assert not list(Path(os.environ["OMNI_CACHE_DIR"]).rglob("*.json"))
    pdf.save(tmp_path / "a.pdf")
    terminal("ask", *arguments, cwd=tmp_path)
    assert len(list(Path(os.environ["OMNI_CACHE_DIR"]).rglob("page/**/*.json"))) == 1
