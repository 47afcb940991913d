"""`omni ask` as a user runs it, on the shipped report, its scan, and on everything that is wrong with a call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pymupdf
import pytest
from PIL import Image

pytestmark = pytest.mark.timeout(600)  # a busy machine reads a scanned page in minutes instead of seconds
QUESTION = "How many arrests for robbery were of females in 2009?"


def omni(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "omni_agent", "ask", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        timeout=500,
    )


def test_the_answer_comes_with_page_quote_and_picture(examples: Path, tmp_path: Path) -> None:
    """12.1 thousand stands in the row Robbery under Female, Total."""
    done = omni(examples / "report.pdf", QUESTION, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer, _, quote, *_, highlighted = done.stdout.splitlines()
    assert "12.1" in answer and "Robbery" in answer
    assert quote.startswith('page 1: "Robbery 102.1') and quote.endswith("(verified)")
    picture = tmp_path / highlighted.removeprefix("highlighted: ")
    assert picture.parent == tmp_path / "omni-out"
    with Image.open(picture) as image:
        assert image.width > 600
    assert "engine: lite" in done.stderr and "engine" not in done.stdout


def test_json_keeps_its_contract(examples: Path, tmp_path: Path) -> None:
    done = omni("--json", "-q", examples / "report.pdf", QUESTION, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert {"found", "answer", "citations", "confidence", "engine", "usage", "timings"} <= set(result)
    assert result["schema_version"] == 1 and result["found"] is True and result["engine"] == "lite"
    citation = result["citations"][0]
    assert {"file", "page", "bbox", "quote", "verified"} <= set(citation)
    assert citation["page"] == 1 and citation["verified"] is True
    x0, y0, x1, y1 = citation["bbox"]
    assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
    page = pymupdf.open(examples / "report.pdf")[0]
    robbery = page.search_for("Robbery")[0]  # MuPDF's own search as the judge of the place
    assert y0 <= (robbery.y0 + robbery.y1) / 2 / page.rect.height <= y1
    assert done.stderr == "" and not (tmp_path / "omni-out").exists()


def test_a_scan_is_answered_and_read_once(examples: Path, tmp_path: Path) -> None:
    """The second question about a scan costs no reading: its pages are kept."""
    cache = {"OMNI_CACHE_DIR": str(tmp_path / "cache")}
    first = omni("--json", "-q", examples / "report-scan.pdf", QUESTION, cwd=tmp_path, **cache)
    result = json.loads(first.stdout)
    assert result["found"] and "12.1" in result["answer"] and result["citations"][0]["verified"]
    kept = list((tmp_path / "cache" / "page").rglob("*.json"))
    assert len(kept) == 1
    stamp = kept[0].stat().st_mtime_ns
    second = omni(
        "-q", examples / "report-scan.pdf", "How many arrests for burglary were there in total?", cwd=tmp_path, **cache
    )
    assert "240.9" in second.stdout and kept[0].stat().st_mtime_ns == stamp


def test_what_is_not_there_is_said_and_exits_3(examples: Path, tmp_path: Path) -> None:
    done = omni(examples / "report.pdf", "Who is the chief executive of Canonical?", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == "" and "not found: " in done.stderr


def test_several_files_are_one_question(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The canteen opens at seven. Lunch costs 8 euros and dinner costs 11 euros.")
    done = omni(
        "--json", "-q", examples / "report.pdf", tmp_path / "notes.txt", "What does lunch cost in euros?", cwd=tmp_path
    )
    result = json.loads(done.stdout)
    assert "8 euros" in result["answer"]
    assert result["citations"][0]["file"].endswith("notes.txt")


def test_each_asks_every_file_and_reports_the_broken_ones(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.pdf").touch()
    done = omni("--each", examples / "report.pdf", tmp_path / "empty.pdf", QUESTION, cwd=tmp_path)
    assert done.returncode == 4
    good, bad = map(json.loads, done.stdout.splitlines())
    assert good["found"] and good["file"].endswith("report.pdf")
    assert bad["file"].endswith("empty.pdf") and "empty" in bad["error"]


def test_c_asks_the_files_of_the_last_question(examples: Path, tmp_path: Path) -> None:
    """From another folder, with the same pages; what failed or came from standard input is not remembered."""
    one_sentence(omni("-c", "And now?", cwd=tmp_path), 2, "no last question")
    assert omni("report.pdf", QUESTION, "--pages", "1", "--json", cwd=examples).returncode == 0
    one_sentence(omni("missing.pdf", "Who?", cwd=tmp_path), 2, "missing.pdf")
    done = omni("-c", "--json", QUESTION, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {Path(citation["file"]) for citation in json.loads(done.stdout)["citations"]} == {examples / "report.pdf"}
    one_sentence(omni("-c", "report.pdf", QUESTION, cwd=examples), 2, "only a new one")
    assert (
        omni(
            "report.pdf", QUESTION, "--no-cache", "--json", cwd=examples, OMNI_CACHE_DIR=str(tmp_path / "x")
        ).returncode
        == 0
    )
    one_sentence(omni("-c", "And?", cwd=tmp_path, OMNI_CACHE_DIR=str(tmp_path / "x")), 2, "no last question")


def test_a_file_of_questions_gives_a_line_for_each_in_order(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The canteen opens at seven. Lunch costs 8 euros and dinner costs 11 euros.")
    (tmp_path / "asked.txt").write_text(f"{QUESTION}\n\n  What does lunch cost in euros?\r\n", encoding="utf-8-sig")
    report = examples / "report.pdf"
    done = omni(report, "notes.txt", "--questions", "asked.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["question"], second["question"]) == (QUESTION, "What does lunch cost in euros?")
    assert "12.1" in first["answer"] and "8 euros" in second["answer"] and "file" not in first
    (tmp_path / "empty.pdf").touch()
    done = omni(report, "empty.pdf", "notes.txt", "--each", "--questions", "asked.txt", cwd=tmp_path)
    assert done.returncode == 4
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(line["file"]).name for line in told] == ["report.pdf"] * 2 + ["empty.pdf"] * 2 + ["notes.txt"] * 2
    assert [line["question"] for line in told[::2]] == [QUESTION] * 3
    assert "12.1" in told[0]["answer"] and "8 euros" in told[5]["answer"]
    assert all("is empty" in line["error"] for line in told[2:4])


def test_questions_that_cannot_be_asked(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    report = examples / "report.pdf"
    one_sentence(omni(report, "--questions", "gone.txt", cwd=tmp_path), 2, "gone.txt cannot be read")
    one_sentence(omni(report, "--questions", "/dev/zero", cwd=tmp_path), 2, "/dev/zero cannot be read")
    one_sentence(omni(report, "--questions", "blank.txt", cwd=tmp_path), 2, "no question in blank.txt")
    one_sentence(omni(report, "--questions", "binary.txt", cwd=tmp_path), 2, "not text in UTF-8")
    one_sentence(omni("-", "--questions", "-", cwd=tmp_path), 2, "no question in -")
    one_sentence(omni("--questions", "blank.txt", cwd=tmp_path), 2, "no question in blank.txt")
    one_sentence(omni(cwd=tmp_path), 2, "there is no question")


def test_standard_input(examples: Path, tmp_path: Path) -> None:
    with (examples / "report.pdf").open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "omni_agent", "ask", "-q", "-", QUESTION],
            stdin=file,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=500,
        )
    assert done.returncode == 0 and "12.1" in done.stdout


# --- what is wrong with a call or a file ------------------------------------------------------------------------------


def one_sentence(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_missing_empty_folder_truncated(examples: Path, tmp_path: Path) -> None:
    one_sentence(omni("gone.pdf", "Why?", cwd=tmp_path), 2, "gone.pdf: no such file")
    (tmp_path / "empty.pdf").touch()
    one_sentence(omni("empty.pdf", "Why?", cwd=tmp_path), 1, "empty.pdf is empty")
    (tmp_path / "folder").mkdir()
    one_sentence(omni("folder", "Why?", cwd=tmp_path), 2, "folder is a folder")
    (tmp_path / "short.pdf").write_bytes((examples / "report.pdf").read_bytes()[:400])
    one_sentence(omni("short.pdf", "Why?", cwd=tmp_path), 1, "short.pdf is damaged")


def test_empty_question_no_question_bad_pages(examples: Path, tmp_path: Path) -> None:
    one_sentence(omni(examples / "report.pdf", "  ", cwd=tmp_path), 2, "the question is empty")
    one_sentence(omni(examples / "report.pdf", cwd=tmp_path), 2, "at least one file")
    one_sentence(omni(examples / "report.pdf", "--pages", "2-3", "Why?", cwd=tmp_path), 2, "has 1 page")


def test_passwords(tmp_path: Path) -> None:
    pdf = pymupdf.open()
    pdf.new_page().insert_text((72, 100), "The vault opens at 07:15 every morning for 30 minutes.")
    pdf.save(tmp_path / "a.pdf", encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="swordfish", owner_pw="boss")
    ask = "For how many minutes does the vault open?"
    one_sentence(omni("a.pdf", ask, cwd=tmp_path), 1, "protected by a password")
    wrong = omni("a.pdf", ask, "--pdf-password", "haddock", cwd=tmp_path)
    one_sentence(wrong, 1, "does not open a.pdf")
    assert "haddock" not in wrong.stderr
    right = omni("a.pdf", ask, "-q", cwd=tmp_path, OMNI_PDF_PASSWORD="swordfish")
    assert right.returncode == 0 and "30 minutes" in right.stdout


def test_names_and_questions_in_another_encoding(tmp_path: Path) -> None:
    """What a Latin-1 terminal passes on is no UTF-8: neither the file's name nor the question may be a fault."""
    pdf = pymupdf.open()
    pdf.new_page().insert_text((72, 100), "The vault opens at 07:15 every morning for 30 minutes.")
    name = os.fsdecode(b"caf\xe9.pdf")
    (tmp_path / name).write_bytes(pdf.tobytes())
    done = omni(name, os.fsdecode(b"For how many minutes does the vault open, caf\xe9?"), "--json", "-q", cwd=tmp_path)
    assert done.returncode in (0, 3) and json.loads(done.stdout)["question"].endswith("caf\ufffd?"), done.stderr
    done = omni(name, "For how many minutes does the vault open?", cwd=tmp_path)
    assert done.returncode == 0 and "30 minutes" in done.stdout, done.stderr


def test_more_files_than_a_process_may_open(tmp_path: Path) -> None:
    pdf = pymupdf.open()
    pdf.new_page().insert_text((72, 100), "The vault opens at 07:15 every morning for 30 minutes.")
    for number in range(80):
        (tmp_path / f"{number}.pdf").write_bytes(pdf.tobytes())
    done = subprocess.run(
        f"ulimit -n 60; {sys.executable} -m omni_agent ask *.pdf 'When does it open?'",
        shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "could not be opened: Too many open files" in done.stderr
    assert "--each" in done.stderr and "fault" not in done.stderr


def test_what_a_terminal_printed_is_text(tmp_path: Path) -> None:
    """A window's title is set with BEL; a log that holds it is no binary file."""
    text = "The vault opens at \x1b[31m07:15\x1b[0m every \x1b]0;title\x07morning for 30 minutes.\n"
    (tmp_path / "log.txt").write_text(text)
    done = omni("log.txt", "For how many minutes does the vault open?", cwd=tmp_path)
    assert done.returncode == 0 and "30 minutes" in done.stdout, done.stderr
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


def test_markup_escapes_and_direction_marks_are_text(tmp_path: Path) -> None:
    """What a document says must not colour the terminal, break the printing or turn the line round."""
    (tmp_path / "a.txt").write_text(
        "The code word is [/bold] \x1b[31mred\x1b[0m \u202e42\u202c apples.\n", encoding="utf-8"
    )
    done = omni("a.txt", "What is the code word?", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[/bold]" in done.stdout
    assert not any(mark in done.stdout for mark in ("\x1b", "\u202e", "\u202c"))


def test_a_picture_that_cannot_be_saved_does_not_lose_the_answer(examples: Path, tmp_path: Path) -> None:
    """/dev/full answers every write with "no space left on device"; a link makes it the folder's name."""
    (tmp_path / "out").symlink_to("/dev/full")
    done = omni("-q", "--highlight", "out", examples / "report.pdf", QUESTION, cwd=tmp_path)
    assert done.returncode == 1
    assert "12.1" in done.stdout and "could not be written" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_keeps_the_pages_that_were_read(examples: Path, tmp_path: Path) -> None:
    """Interrupted after its first page, a scan of six goes on with the second."""
    pdf = pymupdf.open(examples / "report-scan.pdf")
    for copy in range(5):
        pdf.fullcopy_page(0)
        pdf[copy + 1].set_cropbox(pymupdf.Rect(0, 0, 400, 60 + copy))
    pdf.save(tmp_path / "long.pdf")
    cache = tmp_path / "cache"
    running = subprocess.Popen(
        [sys.executable, "-m", "omni_agent", "ask", "long.pdf", QUESTION],
        cwd=tmp_path,
        env={**os.environ, "OMNI_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 400
    while not list(cache.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and out == "" and "goes on from there" in err
    first = {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")}
    assert 1 <= len(first) < 6
    done = omni("-q", "long.pdf", QUESTION, cwd=tmp_path, OMNI_CACHE_DIR=str(cache))
    assert done.returncode == 0 and "Robbery" in done.stdout, done.stderr
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in first.items())
    assert len(list((cache / "page").rglob("*.json"))) == 6


@pytest.mark.parametrize("pixels", [(1, 1), (30_000, 30_000)])
def test_extreme_pictures(tmp_path: Path, pixels: tuple[int, int]) -> None:
    Image.new("1", pixels, 1).save(tmp_path / "a.png")
    done = omni("a.png", "What does it say?", cwd=tmp_path)
    assert "Traceback" not in done.stderr
    if pixels == (1, 1):
        assert done.returncode == 3 and done.stdout == "" and "no text" in done.stderr
    else:
        one_sentence(done, 1, "30000x30000 pixels")
