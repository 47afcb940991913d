"""`omni ask FILE... QUESTION`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.ask_many import Asking, questions_of
from omni_agent.cli.options import Engine, Json, Quiet, chosen
from omni_agent.cli.output import bars, clean, emit, emit_json, note, on_terminal
from omni_agent.errors import PasswordError, UsageError
from omni_agent.types import Exchange

if TYPE_CHECKING:
    from omni_agent.perception.base import Perception
    from omni_agent.tools.ask import AskResult, Documents

MOST_TURNS = 16  # of a conversation that are kept from one command to the next
EXAMPLE = 'omni ask report.pdf "How many people work there?"'


def ask(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE... QUESTION",
            help="PDFs, pictures, text, HTML or EPUB files ('-' is standard input), then the question.",
        ),
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="Ask every line of this file ('-': of standard input) instead: one JSON line a question, in order.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--continue",
            "-c",
            help="Ask the files of the last question; only the question is given. A model knows what was asked before.",
        ),
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
    files, asked = _told(words or [], questions)
    earlier: tuple[Exchange, ...] = ()
    if again:
        if files:
            raise UsageError("-c takes the files of the last question and needs only a new one", hint='omni ask -c "…"')
        files, pages, earlier = _last(pages)
    if not files:
        raise UsageError("a question needs at least one file before it", hint=EXAMPLE)
    if questions == "-" and "-" in files:
        raise UsageError("standard input cannot be both the file and the questions", hint=EXAMPLE)
    if "" in asked:
        raise UsageError("the question is empty", hint=EXAMPLE)
    perception = chosen(engine, quiet)
    call = _Call(pages, pdf_password or os.environ.get("OMNI_PDF_PASSWORD"), perception)
    try:
        if each or questions is not None:
            groups = [[file] for file in files] if each else [files]
            code = Asking(groups, asked, call.open, perception.at_once, named=each).run(highlight, quiet)
            _remember(call, files)
            return code
        with call.open(files) as documents, bars(quiet) as progress:
            folder = highlight or (None if json else Path("omni-out"))
            chat = documents.chat(highlight=folder, earlier=earlier)
            result = chat.ask(asked[0], progress=progress)
        _remember(call, files, chat.earlier)
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


def _told(words: list[str], questions: str | None) -> tuple[list[str], list[str]]:
    """The files and the questions: the last word, or the lines of a file of questions."""
    if questions is not None:
        return words, questions_of(questions)
    *files, question = words or [""]
    if not words:
        raise UsageError("there is no question", hint=EXAMPLE)
    return files, [question.strip()]


def _remember(call: _Call, files: list[str], turns: Sequence[Exchange] = ()) -> None:
    """Keep for `-c` which files were asked about, and the last turns. Standard input cannot be read twice, and of files
    that a password opens nothing is kept."""
    from omni_agent.tools import cache

    if "-" not in files and not call.password:
        kept = [[turn.question, turn.written] for turn in turns[-MOST_TURNS:]]
        paths = [os.path.abspath(file) for file in files]
        cache.put("last", "ask", value={"files": paths, "pages": call.pages, "turns": kept})


def _last(pages: str | None) -> tuple[list[str], str | None, tuple[Exchange, ...]]:
    """The files of the last question, its pages unless others are wanted, and the turns so far about these pages."""
    from omni_agent.tools import cache

    kept = cache.get("last", "ask")
    if not isinstance(kept, dict) or not kept.get("files"):
        raise UsageError("there is no last question whose files could be asked", hint=EXAMPLE)
    note(f"asking {', '.join(kept['files'])}")
    same = pages is None or pages == kept.get("pages")
    turns = tuple(Exchange(str(question), str(written)) for question, written in kept.get("turns", ()) if same)
    return list(kept["files"]), pages or kept.get("pages"), turns


class _Call:
    """What every file of one command is opened with. A password that was typed is kept for the files after it."""

    def __init__(self, pages: str | None, password: str | None, perception: Perception) -> None:
        self.pages, self.password, self.perception, self._given = pages, password, perception, bool(password)

    def open(self, files: list[str]) -> Documents:
        """These files opened together; on a terminal a missing password is asked for once."""
        try:
            return self._opened(files)
        except PasswordError as error:
            if self._given or not on_terminal():
                raise
            question = f"{clean(str(error))}. Password"
        self.password = typer.prompt(question, hide_input=True, err=True)
        return self._opened(files)

    def _opened(self, files: list[str]) -> Documents:
        from omni_agent.tools.ask import Documents

        return Documents(files, pages=self.pages, password=self.password, engine=self.perception)


def _show(result: AskResult, several: bool) -> None:
    emit(result.answer)
    emit("")
    for citation in result.citations:
        place = f"{citation.file}, page {citation.page}" if several else f"page {citation.page}"
        mark = "verified" if citation.verified else "NOT VERIFIED: the page does not say this"
        emit(f'{place}: "{citation.quote}" ({mark})')
    for path in result.highlights:
        emit(f"highlighted: {path}")
