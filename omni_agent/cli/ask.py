"""`omni ask FILE... QUESTION`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.options import Engine, Json, Quiet, chosen
from omni_agent.cli.output import bars, clean, emit, emit_json, note, on_terminal
from omni_agent.errors import OmniError, PasswordError, UsageError

if TYPE_CHECKING:
    from omni_agent.perception.base import Perception
    from omni_agent.tools.ask import AskResult

EXAMPLE = 'omni ask report.pdf "How many people work there?"'


def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... QUESTION",
            help="PDFs, pictures, text, HTML or EPUB files ('-' is standard input), then the question.",
        ),
    ],
    again: Annotated[
        bool, typer.Option("--continue", "-c", help="Ask the files of the last question; only the question is given.")
    ] = False,
    each: Annotated[bool, typer.Option("--each", help="Ask each file for itself: one JSON line a file.")] = False,
    pages: Annotated[
        str | None, typer.Option("--pages", metavar="1-4,7", help="Only these pages, counted from 1.")
    ] = None,
    pdf_password: Annotated[
        str | None, typer.Option("--pdf-password", help="Also OMNI_PDF_PASSWORD; asked for on a terminal.")
    ] = None,
    highlight: Annotated[
        Path | None,
        typer.Option("--highlight", metavar="DIR", help="Folder for page pictures with the evidence marked."),
    ] = None,
    engine: Engine = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Answer a question from documents, with the page and the exact spot that prove it.

    Without --json the marked pages are saved in ./omni-out. Exit 3: the documents do not say.
    """
    *files, question = words
    if again:
        if files:
            raise UsageError("-c takes the files of the last question and needs only a new one", hint='omni ask -c "…"')
        files, pages = _last(pages)
    if not files:
        raise UsageError("a question needs at least one file before it", hint=EXAMPLE)
    if not question.strip():
        raise UsageError("the question is empty", hint=EXAMPLE)
    perception = chosen(engine, quiet)
    call = _Call(question, pages, pdf_password or os.environ.get("OMNI_PDF_PASSWORD"), highlight, perception, quiet)
    try:
        if each:
            code = _each(call, files)
            _remember(call, files)
            return code
        if highlight is None and not json:
            call.highlight = Path("omni-out")
        result = call.ask(files)
        _remember(call, files)
    except KeyboardInterrupt:
        note("omni: interrupted; pages that were read are kept, the same command goes on from there")
        return 130
    for warning in result.warnings:
        note(f"omni: {warning}")
    if json:
        emit_json(result)
    elif result.found:
        _show(result, several=len(files) > 1)
    else:
        note(f"not found: {result.reason}")
    if highlight is not None and result.citations and not result.highlights:
        return 1
    return 0 if result.found else 3


def _remember(call: _Call, files: list[str]) -> None:
    """Keep for `-c` which files were asked about. Standard input cannot be read twice, and of files that a password
    opens nothing is kept."""
    from omni_agent.tools import cache

    if "-" not in files and not call.password:
        cache.put("last", "ask", value={"files": [os.path.abspath(file) for file in files], "pages": call.pages})


def _last(pages: str | None) -> tuple[list[str], str | None]:
    """The files of the last question, and its pages unless others are wanted."""
    from omni_agent.tools import cache

    kept = cache.get("last", "ask")
    if not isinstance(kept, dict) or not kept.get("files"):
        raise UsageError("there is no last question whose files could be asked", hint=EXAMPLE)
    note(f"asking {', '.join(kept['files'])}")
    return list(kept["files"]), pages or kept.get("pages")


class _Call:
    """What every file of one command is asked with. A password that was typed is kept for the files after it."""

    def __init__(
        self,
        question: str,
        pages: str | None,
        password: str | None,
        highlight: Path | None,
        perception: Perception,
        quiet: bool,
    ) -> None:
        self.question, self.pages, self.password, self.given = question, pages, password, bool(password)
        self.highlight, self.perception, self.quiet = highlight, perception, quiet

    def ask(self, files: list[str], nth: str = "") -> AskResult:
        """Answer from these files; on a terminal a missing password is asked for once, when no bar is drawn."""
        try:
            return self._ask(files, nth)
        except PasswordError as error:
            if self.given or not on_terminal():
                raise
            question = f"{clean(str(error))}. Password"
        self.password = typer.prompt(question, hide_input=True, err=True)
        return self._ask(files, nth)

    def _ask(self, files: list[str], nth: str) -> AskResult:
        from omni_agent.tools.ask import ask as answer

        with bars(self.quiet, prefix=nth) as progress:
            return answer(
                files,
                self.question,
                pages=self.pages,
                password=self.password,
                highlight=self.highlight,
                engine=self.perception,
                progress=progress,
            )


def _each(call: _Call, files: list[str]) -> int:
    """One JSON line a file, an error inside it where that file failed. 4 when some failed, 1 when all did."""
    failed = found = 0
    for number, file in enumerate(files, 1):
        try:
            result = call.ask([file], f"file {number} of {len(files)}: ")
        except OmniError as error:
            failed += 1
            note(f"omni: {error}")
            emit_json(
                {"schema_version": 1, "file": file, "found": False, "answer": "", "citations": []}
                | {"error": str(error), "hint": error.hint}
            )
            continue
        found += result.found
        emit_json({"file": file, **_fields(result)})
    if failed:
        return 4 if failed < len(files) else 1
    return 0 if found else 3


def _fields(result: AskResult) -> dict[str, object]:
    from omni_agent.types import to_json

    return dict(to_json(result))


def _show(result: AskResult, several: bool) -> None:
    emit(result.answer)
    emit("")
    for citation in result.citations:
        place = f"{citation.file}, page {citation.page}" if several else f"page {citation.page}"
        mark = "verified" if citation.verified else "NOT VERIFIED: the page does not say this"
        emit(f'{place}: "{citation.quote}" ({mark})')
    for path in result.highlights:
        emit(f"highlighted: {path}")
