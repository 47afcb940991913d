"""The full model as a perception: for each verb one prompt, one parser, over any engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from omni_agent.engines.base import Done, Engine, Message, Options, Part, Text
from omni_agent.errors import EngineError, MissingExtra, Unavailable, UsageError
from omni_agent.prompts import prompt
from omni_agent.types import (
    Clip,
    Heard,
    Line,
    Memory,
    Minutes,
    Page,
    Picture,
    Progress,
    Quote,
    Reply,
    Segment,
    Sighting,
    Sound,
    Usage,
    Viewing,
    no_progress,
)

MAX_PAGES = 100  # 100 A4 pages at 150 dpi are 214,500 of the model's 262,144 tokens

_ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "found": {"type": "boolean"},
        "answer": {"type": "string"},
        "quotes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"page": {"type": "string"}, "text": {"type": "string"}},
                "required": ["page", "text"],
            },
        },
        "confidence": {"type": "number"},
        "reason": {"type": "string"},
    },
    "required": ["found", "answer", "quotes", "confidence", "reason"],
}


class ModelPerception:
    """Prompts and parsers over an engine. `reader` reads text in pictures (an OCR), so that evidence on scanned pages
    can be checked by someone other than the model that claims it; without one such quotes stay unverified."""

    def __init__(self, engine: Engine, reader: Callable[[Picture], tuple[Line, ...]] | None = None) -> None:
        self.name = engine.name
        self._engine = engine
        self._reader = reader

    def read(self, picture: Picture) -> tuple[Line, ...]:
        if self._reader is None:
            raise MissingExtra("lite", "reading the text of scanned pages")
        return self._reader(picture)

    def answer(self, question: str, pages: Sequence[Page], *, progress: Progress = no_progress) -> Reply:
        if len(pages) > MAX_PAGES:
            raise UsageError(
                f"{len(pages)} pages are more than the model holds at once ({MAX_PAGES})",
                hint="choose some with --pages",
            )
        labelled = {f"p{number}": page for number, page in enumerate(pages, 1)}
        parts: list[Part] = []
        for done, (label, page) in enumerate(labelled.items()):
            progress("looking at pages", done, len(pages))
            parts += [page.picture(), f"[{label}] page {page.number} of {page.file}"]
        message = Message("user", (*parts, prompt("ask", question=question)))
        text, usage = self._complete([message], Options(schema=_ANSWER_SCHEMA))
        return _parse_answer(text, labelled, usage)

    def locate(self, target: str, picture: Picture) -> Sighting:
        self._cannot("find things on a screen")

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        self._cannot("transcribe")

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        self._cannot("tell speakers apart")

    def look(
        self,
        clip: Clip,
        question: str,
        segments: Sequence[Segment],
        *,
        memory: Memory | None = None,
        progress: Progress = no_progress,
    ) -> Viewing:
        self._cannot("watch videos")

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        self._cannot("write minutes")

    def _cannot(self, what: str) -> NoReturn:
        raise Unavailable(f"the {self.name} engine cannot {what} yet", hint="use --engine lite")

    def _complete(self, messages: Sequence[Message], options: Options) -> tuple[str, Usage]:
        """The whole answer (thinking left out) and what it cost."""
        pieces: list[str] = []
        usage = Usage()
        for event in self._engine.stream(messages, options):
            if isinstance(event, Text):
                pieces.append(event.text)
            elif isinstance(event, Done):
                usage = event.usage
                if event.finish == "length":
                    raise EngineError(f"the {self.name} engine ran out of tokens in the middle of its answer")
        return "".join(pieces), usage


def _parse_answer(text: str, labelled: dict[str, Page], usage: Usage) -> Reply:
    """The reply that a model's JSON means. A quote from a page that was not shown is dropped: nobody can check it."""
    fields = _json_object(text)
    found, answer, quotes = fields.get("found"), fields.get("answer"), fields.get("quotes", [])
    if not isinstance(found, bool) or not isinstance(answer, str) or not isinstance(quotes, list):
        raise EngineError(f"the model's reply does not have the form it was asked for: {text[:80]!r}")
    kept = []
    for quote in quotes:
        if isinstance(quote, dict) and isinstance(quote.get("text"), str) and quote["text"].strip():
            page = labelled.get(str(quote.get("page")).strip("[] "))
            if page is not None:
                kept.append(Quote(page.file, page.number, quote["text"].strip()))
    confidence = fields.get("confidence")
    return Reply(
        found=found and bool(answer.strip()),
        text=answer.strip() if found else "",
        quotes=tuple(kept) if found else (),
        confidence=min(1.0, max(0.0, float(confidence))) if isinstance(confidence, int | float) else 0.0,
        reason=str(fields.get("reason") or ("" if found else "the pages do not answer the question")),
        usage=usage,
    )


def _json_object(text: str) -> dict[str, Any]:
    """The first JSON object in a reply, whatever stands around it. Raises EngineError when there is none."""
    decoder = json.JSONDecoder()
    for start, sign in enumerate(text):
        if sign == "{":
            try:
                value, _ = decoder.raw_decode(text, start)
            except (json.JSONDecodeError, RecursionError):
                continue
            if isinstance(value, dict):
                return value
    raise EngineError(f"the model's reply holds no JSON object: {text[:80]!r}")
