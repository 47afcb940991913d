"""How well `omni ask` answers, and how well it says "not there": `python -m benchmarks.ask --split all`.

The questions are in questions/ask.jsonl, the documents in corpus.py. An answer counts as right when it is at most
MOST_WORDS long and holds one of the accepted values as whole words or numbers; a page, when the first citation is on
one of the accepted pages. Beside it, in the same run and by the same judge, the naive way: each page's text as it comes
(scans read by the same OCR), lines ranked by BM25, the best taken for the answer; once never refusing, once refusing
below the score that does best on the tune split. The splits "unseen" and, later, "third", which only their own names
run, were written by somebody who had not read how omni answers and never ran it on those documents.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.corpus import DOCUMENTS, path_of
from benchmarks.machine import facts
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import perceive
from omni_agent.tools.ask import ask
from omni_agent.tools.document import open_document

HERE = Path(__file__).parent
MOST_WORDS = 60
MOST_NUMBERS = 4  # the value, and those in its row's label and its column's head
WINDOW = 1  # lines that the naive way takes for one answer; of 1, 2 and 3 the best on the tune split


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the questions' file. `answers` is empty where the document does not say; one that begins with "^" has
    to begin the answer. `place` is "table" or "prose", where the answer stands or would stand."""

    id: str
    split: str
    document: str
    place: str
    wants: str
    question: str
    answers: tuple[str, ...]
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Got:
    """What came back, and how it was judged. `page` is for the first citation, `any_page` for any of them; `precise` is
    a right answer that does not throw in a whole table row: at most MOST_NUMBERS numbers where one was asked for."""

    question: Question
    found: bool
    answer: str
    cited: tuple[int, ...]
    seconds: float
    score: float
    right: bool
    precise: bool
    page: bool
    any_page: bool


# --- the judge --------------------------------------------------------------------------------------------------------


def judged(question: Question, found: bool, answer: str, cited: Sequence[int], seconds: float, score: float) -> Got:
    """For an unanswerable question, right means that it was refused."""
    if not question.answers:
        return Got(question, found, answer, tuple(cited), seconds, score, not found, not found, False, False)
    short = len(answer.split()) <= MOST_WORDS
    right = found and short and any(holds(answer, accepted) for accepted in question.answers)
    precise = right and (question.place != "table" or len(re.findall(r"\d[\d.,]*", answer)) <= MOST_NUMBERS)
    page = found and bool(cited) and cited[0] in question.pages
    any_page = found and any(number in question.pages for number in cited)
    return Got(question, found, answer, tuple(cited), seconds, score, right, precise, page, any_page)


def holds(answer: str, accepted: str) -> bool:
    """Whether an answer holds an accepted value, not as a part of a longer word or number; a unit may follow ("5x")."""
    begins = accepted.startswith("^")
    value = plain(accepted.removeprefix("^"))
    after = "(?![0-9]|[.,][0-9])" if value[-1].isdigit() else "(?![a-z0-9])"
    pattern = rf"(?<![a-z0-9])(?<![0-9][.,]){re.escape(value)}{after}"
    said = plain(answer)
    return bool(re.match(pattern, said) if begins else re.search(pattern, said))


def plain(text: str) -> str:
    """Without the differences that a fair judge overlooks: case, kinds of dashes, quotes and spaces, digits' commas."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub("[‐‑‒–—−]", "-", text).replace("’", "'")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return re.sub(r"\s+", " ", text).strip()


# --- the two ways -----------------------------------------------------------------------------------------------------


def asked(questions: Iterable[Question], perception: Perception) -> list[Got]:
    """omni's answers. The pages of scans are read beforehand, so that the seconds are those of a question alone."""
    got = []
    for name, group in groupby(questions, key=lambda question: question.document):
        path = path_of_document(name)
        with open_document(path, perception) as document:
            for page in document.pages:
                page.lines()
        for question in group:
            begun = time.perf_counter()
            result = ask([path], question.question, engine=perception)
            seconds = time.perf_counter() - begun
            cited = [citation.page for citation in result.citations]
            got.append(judged(question, result.found, result.answer, cited, seconds, result.confidence))
    return got


def naively(questions: Iterable[Question], perception: Perception, window: int = WINDOW) -> list[Got]:
    """The naive way's answers; it never refuses. `score` is BM25's."""
    import bm25s

    got = []
    for name, group in groupby(questions, key=lambda question: question.document):
        pieces = _pieces(path_of_document(name), perception, window)
        ranker = bm25s.BM25()
        ranker.index(bm25s.tokenize([text for _, text in pieces], show_progress=False), show_progress=False)
        for question in group:
            begun = time.perf_counter()
            tokens = bm25s.tokenize(question.question, show_progress=False)
            best, scores = ranker.retrieve(tokens, k=1, show_progress=False)
            page, text = pieces[int(best[0, 0])]
            seconds = time.perf_counter() - begun
            got.append(judged(question, True, text, [page], seconds, float(scores[0, 0])))
    return got


def _pieces(path: Path, perception: Perception, window: int) -> list[tuple[int, str]]:
    """A dump of a document's text: stretches of `window` lines as they stand on the page, with their page."""
    import pymupdf

    pieces = []
    with pymupdf.open(path) as pdf, open_document(path, perception) as document:
        for number, page in enumerate(document.pages, start=1):
            text = pdf[number - 1].get_text("text", sort=True)
            lines = [line for line in text.splitlines() if line.strip()] or _rows(page)
            starts = range(max(1, len(lines) - window + 1))
            pieces += [(number, " ".join(" ".join(lines[start : start + window]).split())) for start in starts]
    return [piece for piece in pieces if piece[1]]


def _rows(page: Any) -> list[str]:
    """What OCR read on a page, row by row, as the dump of a text layer has it."""
    rows: list[list[Any]] = []
    for line in sorted(page.lines(), key=lambda line: line.box.center[1]):
        last = rows[-1][-1] if rows else None
        if last and abs(line.box.center[1] - last.box.center[1]) < 0.5 * min(last.box.height, line.box.height):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [" ".join(line.text for line in sorted(row, key=lambda line: line.box.x0)) for row in rows]


def with_threshold(got: Sequence[Got], threshold: float) -> list[Got]:
    """The same answers, refused where the score is below the threshold."""
    return [
        judged(g.question, g.score >= threshold, g.answer if g.score >= threshold else "", g.cited, g.seconds, g.score)
        for g in got
    ]


def best_threshold(got: Sequence[Got]) -> float:
    """The threshold with the highest mean of answers right and unanswerable questions refused."""

    def worth(threshold: float) -> float:
        figures = measured(with_threshold(got, threshold))
        return float(figures["answers right"]) - float(figures["false answers"])

    return max((0.0, *(g.score + 1e-6 for g in got)), key=worth)


def path_of_document(name: str) -> Path:
    return path_of(next(document for document in DOCUMENTS if document.name == name))


# --- figures ----------------------------------------------------------------------------------------------------------


def measured(got: Sequence[Got]) -> dict[str, float | int]:
    """Shares in per cent. "false answers" are of the unanswerable questions, all others of the answerable ones."""
    answerable = [g for g in got if g.question.answers]
    unanswerable = [g for g in got if not g.question.answers]
    return {
        "answerable": len(answerable),
        "answers right": _share(g.right for g in answerable),
        "precise": _share(g.precise for g in answerable),
        "pages right": _share(g.page for g in answerable),
        "any page right": _share(g.any_page for g in answerable),
        "false not there": _share(not g.found for g in answerable),
        "unanswerable": len(unanswerable),
        "false answers": _share(g.found for g in unanswerable),
        "median seconds": round(statistics.median(g.seconds for g in got), 3) if got else 0.0,
    }


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return round(100 * sum(values) / len(values), 1) if values else 0.0


CUTS: dict[str, Callable[[Question], bool]] = {
    "all": lambda question: True,
    "tables": lambda question: question.place == "table",
    "prose": lambda question: question.place == "prose",
    "scans": lambda question: question.document.endswith("-scan"),
    "text layers": lambda question: not question.document.endswith("-scan"),
}


def report(ways: dict[str, list[Got]], splits: Sequence[str]) -> dict[str, Any]:
    """Figures by way, split and kind of question."""
    figures: dict[str, Any] = {}
    for way, got in ways.items():
        for split in splits:
            for cut, belongs in CUTS.items():
                chosen = [g for g in got if g.question.split == split and belongs(g.question)]
                figures.setdefault(way, {}).setdefault(split, {})[cut] = measured(chosen)
    return figures


def table(figures: dict[str, Any]) -> str:
    heads = (
        "way",
        "split",
        "questions",
        "answer",
        "precise",
        "page",
        "any page",
        "false not there",
        "false answer",
        "s",
    )
    rows = [heads]
    for way, splits in figures.items():
        for split, cuts in splits.items():
            for cut, f in cuts.items():
                count = f"{cut} ({f['answerable']}+{f['unanswerable']})"
                shares = (
                    "answers right",
                    "precise",
                    "pages right",
                    "any page right",
                    "false not there",
                    "false answers",
                )
                rows.append((way, split, count, *(f"{f[key]} %" for key in shares), str(f["median seconds"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def failures(got: Sequence[Got]) -> list[dict[str, Any]]:
    """What went wrong, as it is committed: enough to judge the judge."""
    wrong = [g for g in got if not g.right or (g.question.answers and not g.page)]
    return [
        {
            "id": g.question.id,
            "question": g.question.question,
            "expected": list(g.question.answers) or "not there",
            "pages": list(g.question.pages),
            "got": g.answer if g.found else "not there",
            "cited": list(g.cited),
        }
        for g in wrong
    ]


def questions(split: str) -> list[Question]:
    lines = (HERE / "questions" / "ask.jsonl").read_text(encoding="utf-8").splitlines()
    every = [
        Question(**{**q, "answers": tuple(q["answers"]), "pages": tuple(q["pages"])}) for q in map(json.loads, lines)
    ]
    wanted = ("tune", "held") if split == "all" else (split,)
    return [question for question in every if question.split in wanted]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = ("tune", "held", "unseen", "third", "all")
    options.add_argument("--split", choices=named, default="all", help="all: tune and held")
    options.add_argument("--naive", action="store_true", help="only the naive way")
    options.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    options.add_argument("--failures", action="store_true", help="print the failures of the tune split")
    options.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    chosen = options.parse_args()
    splits = ("tune", "held") if chosen.split == "all" else (chosen.split,)
    perception = perceive("lite")
    asking = questions(chosen.split)
    ways = {} if chosen.naive else {"omni": asked(asking, perception)}
    naive = naively(asking, perception)
    tune = naively(questions("tune"), perception)
    threshold = best_threshold(tune)
    ways |= {"naive": naive, "naive, score limit": with_threshold(naive, threshold)}
    figures = report(ways, splits)
    first = next(iter(ways))
    results: dict[str, Any] = facts() | {"figures": figures, "naive score limit": round(threshold, 3)}
    results["failures"] = {split: failures([g for g in ways[first] if g.question.split == split]) for split in splits}
    if chosen.write:
        (HERE / "results").mkdir(exist_ok=True)
        name = f"ask-{chosen.split}.json" if chosen.split in ("unseen", "third") else "ask.json"
        (HERE / "results" / name).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if chosen.json:
        print(json.dumps(results | {"answers": [asdict(g) for g in ways[first]]}, indent=1, ensure_ascii=False))
        return
    print(table(figures))
    if chosen.failures and "tune" in splits:
        for wrong in results["failures"]["tune"]:
            print(json.dumps(wrong, ensure_ascii=False))


if __name__ == "__main__":
    main()
