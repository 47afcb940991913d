"""Many questions, or many files each for itself, in one `omni ask`: a JSON line for each, in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.cli.output import bars, emit_json, note
from omni_agent.errors import OmniError, UsageError
from omni_agent.types import to_json

if TYPE_CHECKING:
    from omni_agent.tools.ask import AskResult, Documents

Open = Callable[[list[str]], "Documents"]
ONE_A_LINE = "a text file in UTF-8, one question a line"


def questions_of(file: str) -> list[str]:
    """The lines of a text file, or of standard input for "-"; empty ones are left out."""
    from omni_agent.media.files import checked

    try:
        text = _piped() if file == "-" else checked(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, OmniError) as error:
        why = "it is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UsageError(f"the questions in {file} cannot be read: {why}", hint=ONE_A_LINE) from error
    questions = [line.strip() for line in text.splitlines() if line.strip()]
    if not questions:
        raise UsageError(f"there is no question in {file}", hint=ONE_A_LINE)
    return questions


def _piped() -> str:
    return "" if sys.stdin is None else sys.stdin.read()


class Asking:
    """Every question to every group of files. `opened` opens a group; `named` puts its file into each line.

    A group that cannot be opened fails for each of its questions, and the others go on.
    """

    def __init__(
        self, groups: Sequence[list[str]], questions: Sequence[str], opened: Open, at_once: int, *, named: bool
    ) -> None:
        self._groups, self._questions, self._opened = groups, questions, opened
        self._at_once, self._named = at_once, named
        self._open: dict[int, Documents] = {}  # by the number of the group

    def run(self, highlight: Path | None, quiet: bool) -> int:
        """Print a line for each. 4 when some failed, 1 when all did, 3 when nothing was found."""
        from omni_agent.tools.in_order import in_order

        failed = found = 0
        outcomes = in_order(self._work(highlight, quiet), self._at_once)
        try:
            for (number, count), outcome in zip(self._pairs(), outcomes, strict=True):
                question = self._questions[count]
                line: dict[str, Any] = {"file": self._groups[number][0]} if self._named else {}
                if isinstance(outcome, OmniError):
                    failed += 1
                    note(f"omni: {outcome}")
                    line |= {"schema_version": 1, "question": question, "found": False, "answer": "", "citations": []}
                    emit_json(line | {"error": str(outcome), "hint": outcome.hint})
                else:
                    found += outcome.found
                    emit_json(line | to_json(outcome))
                if count + 1 == len(self._questions) and number in self._open:
                    self._open.pop(number).close()
        finally:
            outcomes.close()
            for documents in self._open.values():
                documents.close()
        if failed:
            return 4 if failed < len(self._groups) * len(self._questions) else 1
        return 0 if found else 3

    def _pairs(self) -> Iterator[tuple[int, int]]:
        return product(range(len(self._groups)), range(len(self._questions)))

    def _work(self, highlight: Path | None, quiet: bool) -> Iterator[Callable[[], AskResult]]:
        """The questions as work, each group opened when it is its turn: here somebody can be asked for a password."""
        several = len(self._groups) > 1
        for number, group in enumerate(self._groups):
            try:
                documents = self._open[number] = self._opened(group)
            except OmniError as error:
                yield from (partial(_fail, error) for _ in self._questions)
                continue
            for count, question in enumerate(self._questions, 1):
                folder = highlight / str(count) if highlight and len(self._questions) > 1 else highlight
                prefix = f"file {number + 1} of {len(self._groups)}: " if several else ""
                quietly = quiet or self._at_once > 1  # one bar, not several on top of each other
                yield partial(_asked, documents, question, folder, quietly, prefix)


def _asked(documents: Documents, question: str, highlight: Path | None, quiet: bool, prefix: str) -> AskResult:
    with bars(quiet, prefix=prefix) as progress:
        return documents.ask(question, highlight=highlight, progress=progress)


def _fail(error: OmniError) -> AskResult:
    raise error
