"""`ask`: a question about documents, answered with the page and the spot that prove it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from omni_agent.errors import OmniError, Unavailable, UsageError
from omni_agent.media import image
from omni_agent.media.files import write
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import perceive
from omni_agent.settings import EngineName
from omni_agent.tools.chat import Chat
from omni_agent.tools.document import open_document
from omni_agent.tools.evidence import Citation, check
from omni_agent.tools.in_order import in_order
from omni_agent.types import Exchange, Page, Progress, Quote, Reply, Usage, no_progress, well_formed

HIGHLIGHT_DPI = 110
EXAMPLE = 'omni ask report.pdf "How many people work there?"'


@dataclass(frozen=True, slots=True)
class AskResult:
    """An answer with its evidence. `found` False: the documents do not say; `reason` tells why omni thinks so.

    `highlights` are the page pictures that were saved, in the order of the citations' pages; `warnings` is what else a
    person should know (a damaged file, a picture that could not be saved); `timings` are seconds.
    """

    found: bool
    answer: str
    citations: tuple[Citation, ...]
    confidence: float
    reason: str
    engine: str
    question: str
    usage: Usage
    timings: dict[str, float]
    highlights: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    schema_version: int = 1


def ask(
    files: Sequence[str | Path],
    question: str,
    *,
    pages: str | None = None,
    password: str | None = None,
    highlight: Path | None = None,
    engine: EngineName | Perception | None = None,
    progress: Progress = no_progress,
) -> AskResult:
    """Answer one question from all these files together.

    `pages` ("1-4,7", from 1, inclusive) applies to each file. `highlight` names a folder for pictures of the cited
    pages with the evidence marked. Raises UsageError, MediaError, PasswordError, Unavailable; "not there" is a result.
    """
    with Documents(files, pages=pages, password=password, engine=engine) as documents:
        return documents.ask(question, highlight=highlight, progress=progress)


class Documents:
    """Files held open for many questions: what was read of a page for one is there for the next.

        with Documents(["report.pdf"]) as documents:
            documents.ask("How many people work there?")
            for result in documents.ask_many(["Who leads it?", "Since when?"]): ...

    `pages`, `password` and `engine` as `ask` takes them. Raises what `ask` raises for files that cannot be opened.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        *,
        pages: str | None = None,
        password: str | None = None,
        engine: EngineName | Perception | None = None,
    ) -> None:
        if not files:
            raise UsageError("no file to ask about", hint=EXAMPLE)
        begun = time.perf_counter()
        self._perception = perceive(engine)
        with ExitStack() as stack:
            self._documents = [
                stack.enter_context(open_document(file, self._perception, pages=pages, password=password))
                for file in files
            ]
            self._stack = stack.pop_all()
        self._pages = [page for document in self._documents for page in document.pages]
        self._opening = time.perf_counter() - begun  # told with the first answer

    def __enter__(self) -> Documents:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._stack.close()

    def ask_many(
        self, questions: Iterable[str], *, highlight: Path | None = None, progress: Progress = no_progress
    ) -> Iterator[AskResult | OmniError]:
        """Answer many questions, each by itself: one result for each in their order, as soon as it is there.

        A question that failed gives its error in place of a result, and the others go on. Where the engine answers
        several at a time, it does. `highlight` gets a folder for each question, named by its number from 1.
        """

        def asked(number: int, question: str) -> Callable[[], AskResult]:
            folder = None if highlight is None else highlight / str(number)
            return partial(self.ask, question, highlight=folder, progress=progress)

        work = (asked(number, question) for number, question in enumerate(questions, 1))
        return in_order(work, self._perception.at_once)

    def ask(self, question: str, *, highlight: Path | None = None, progress: Progress = no_progress) -> AskResult:
        """Answer one question from all the files together, as `omni_agent.ask` does."""
        return self._answered(question, (), progress, highlight)[0]

    def chat(self, *, highlight: Path | None = None, earlier: Sequence[Exchange] = ()) -> Chat[AskResult]:
        """A conversation about the files, whose questions may refer to those before."""
        return Chat(partial(self._answered, highlight=highlight), earlier)

    def _answered(
        self, question: str, earlier: Sequence[Exchange], progress: Progress, highlight: Path | None
    ) -> tuple[AskResult, str]:
        """The result, and what a model wrote."""
        if not question.strip():
            raise UsageError("the question is empty", hint=EXAMPLE)
        question = well_formed(question.strip())
        begun = time.perf_counter()
        reply = self._perception.answer(question, self._pages, earlier=earlier, progress=progress)
        answered = time.perf_counter()
        unread = [error for document in self._documents for error in document.unread]
        if unread and len(unread) == len(self._pages):
            raise unread[0]
        warnings = [warning for document in self._documents for warning in document.warnings]
        citations = _checked(reply.quotes, self._pages, warnings)
        warnings += [f"left out: {error}" for error in unread]
        saved: list[str] = []
        if highlight is not None:
            try:
                _save_highlights(citations, self._pages, highlight, saved)
            except OmniError as error:  # the answer is worth more than its picture
                warnings.append(str(error))
        ended = time.perf_counter()
        opening, self._opening = self._opening, 0.0
        timings = {"open": opening, "answer": answered - begun, "check": ended - answered}
        timings["total"] = sum(timings.values())
        result = AskResult(
            found=reply.found,
            answer=reply.text,
            citations=citations,
            confidence=_trusted(reply, citations),
            reason=reply.reason,
            engine=self._perception.name,
            question=question,
            usage=reply.usage,
            timings={name: round(seconds, 3) for name, seconds in timings.items()},
            highlights=tuple(saved),
            warnings=tuple(warnings),
        )
        return result, reply.written


def _trusted(reply: Reply, citations: Sequence[Citation]) -> float:
    """The perception's own confidence, halved where none of its quotes stands on its page."""
    if reply.found and not any(citation.verified for citation in citations):
        return reply.confidence / 2
    return reply.confidence


def _checked(quotes: Sequence[Quote], pages: Sequence[Page], warnings: list[str]) -> tuple[Citation, ...]:
    """The quotes with their places; where nobody can read a scanned page, a warning says that they were not checked."""
    citations = []
    for quote in quotes:
        try:
            citations.append(check(quote, pages))
        except Unavailable as missing:
            citations.append(Citation(quote.file, quote.page, None, quote.text, False))
            warning = f"quotes from scanned pages were not checked: {missing} ({missing.hint})"
            if warning not in warnings:
                warnings.append(warning)
    return tuple(citations)


def _save_highlights(citations: Sequence[Citation], pages: Sequence[Page], folder: Path, saved: list[str]) -> None:
    """One PNG for each cited page, its quotes marked; `saved` grows as they are written."""
    marked: dict[tuple[str, int], list[Citation]] = {}
    for citation in citations:
        if citation.boxes:
            marked.setdefault((citation.file, citation.page), []).append(citation)
    names: set[str] = set()
    for page in pages:
        cited = marked.pop((page.file, page.number), None)
        if cited is None:
            continue
        stem = re.sub(r"[^\w.-]+", "_", Path(page.file).stem if page.file != "-" else "stdin") or "document"
        name = f"{stem}-page{page.number}"
        if name in names:  # two files of one name in different folders
            name = f"{name}-{len(names) + 1}"
        names.add(name)
        boxes = [box for citation in cited for box in citation.boxes]
        path = folder / f"{name}.png"
        write(path, image.png(image.highlighted(page.picture(HIGHLIGHT_DPI), boxes)))
        saved.append(str(path))
