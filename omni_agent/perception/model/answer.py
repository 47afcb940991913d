"""`answer`: pages as pictures with their text, a question, and a reply whose quotes name the page they stand on.

What is sent fits the engine's room. Where the pages do not, they lose sharpness first, then all but the most relevant
lose their pictures, and where even their text is too much they are looked through in several passes for those that
bear on the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from omni_agent.engines.base import Message, Part
from omni_agent.errors import EngineError, MediaError
from omni_agent.perception.model import room
from omni_agent.perception.model.asker import Asker
from omni_agent.perception.model.material import material
from omni_agent.perception.model.ranking import ranked
from omni_agent.perception.model.reply import (
    FLAG,
    NUMBER,
    TEXT,
    flag,
    json_object,
    listing,
    objects,
    schema,
    share,
    string,
    strings,
    text_of,
)
from omni_agent.prompts import prompt
from omni_agent.types import Exchange, Page, Picture, Progress, Quote, Reply, Usage

SHARP, COARSE = 150, 100  # dpi: an A4 page is 2,145 tokens, or 962
REPLY = schema(
    found=FLAG,
    answer=TEXT,
    quotes=listing(schema(page=TEXT, text=TEXT)),
    confidence=NUMBER,
    reason=TEXT,
)
WHICH = schema(pages=listing(TEXT))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page with the label that the model knows it by, and the text it is printed with (none: a scan)."""

    label: str
    page: Page
    text: str

    @property
    def heading(self) -> str:
        title = f"[{self.label}] page {self.page.number} of {self.page.file}"
        return f"{title}\n{material(self.text)}" if self.text else title

    def drawn(self, dpi: int) -> Picture | None:
        """The page's picture, or None where it cannot be drawn; the page itself then tells its document so."""
        try:
            return self.page.picture(dpi)
        except MediaError:
            self.page.lines()
            return None


@dataclass(frozen=True, slots=True)
class Shown:
    """Parts of a message that show pages, what they are in words, and about how many tokens they take."""

    parts: tuple[Part, ...]
    what: str
    tokens: int


def answer(
    question: str, pages: Sequence[Page], earlier: Sequence[Exchange], asker: Asker, progress: Progress
) -> Reply:
    """Answer from these pages alone, in as many passes as their number needs; where one has no key, keeping nothing."""
    if any(page.key is None for page in pages):
        asker = replace(asker, options=replace(asker.options, keep=False))
    talk = _talk(question, earlier, asker.room // 4)
    space = asker.room - sum(map(_size, talk))
    sheets = []
    for number, page in enumerate(pages, 1):
        progress("reading the text layer", number - 1, len(pages))
        sheets.append(_sheet(number, page, space))
    shown, spent = _fitted(sheets, question, space, progress), Usage()
    if shown is None:
        sheets, spent = _bearing(sheets, question, space, asker, progress)
        if not sheets:
            return Reply(False, "", reason=f"none of the {len(pages)} pages bears on the question", usage=spent)
        shown = _best(sheets, question, space, progress)
    if len(pages) > 1:
        asker.note(f"{shown.what}: about {shown.tokens:,} of {asker.context:,} tokens")
    progress("answering", 0, None)
    messages = [Message("user", (*shown.parts, *talk[0].parts)), *talk[1:]]
    parse = partial(_parsed, sheets={sheet.label: sheet for sheet in sheets})
    reply, usage = asker.ask(messages, parse, schema=REPLY, goes_on=len(talk) > 1)
    return replace(reply, usage=spent + usage)


def _talk(question: str, earlier: Sequence[Exchange], space: int) -> list[Message]:
    """The turns without the pages: the earlier ones that have room, oldest left out first, and this question."""
    kept = list(earlier)
    while kept and sum(room.of_text(turn.question + turn.written) for turn in kept) > space:
        del kept[0]
    asked = [turn.question for turn in kept] + [question]
    talk = [Message("user", (prompt("ask", question=asked[0]),))]
    for turn, following in zip(kept, asked[1:], strict=True):
        talk += [Message("assistant", (turn.written,)), Message("user", (prompt("ask-on", question=following),))]
    return talk


def _size(message: Message) -> int:
    return sum(room.of_text(part) for part in message.parts if isinstance(part, str))


def _sheet(number: int, page: Page, space: int) -> Sheet:
    text = "\n".join(line.text for line in page.printed())
    return Sheet(f"p{number}", page, room.cut(text, space // 2))


# --- fitting ----------------------------------------------------------------------------------------------------------


def _fitted(sheets: Sequence[Sheet], question: str, space: int, progress: Progress) -> Shown | None:
    """All these pages in the best form that has room, or None where none has."""
    count = f"{len(sheets)} pages" if len(sheets) > 1 else "1 page"
    for dpi in (SHARP, COARSE):
        pictures = _pictures(sheets, dpi, _left(sheets, space), progress)
        if len(pictures) == len(sheets):
            return _shown(sheets, pictures, f"{count} as pictures ({dpi} dpi) with their text")
    scans = [sheet for sheet in sheets if not sheet.text]
    pictures = _pictures(scans, COARSE, _left(sheets, space), progress)
    if len(pictures) < len(scans) or _left(sheets, space) < 0:
        return None
    order = (sheets[index] for index in ranked(question, [sheet.text for sheet in sheets]))
    printed = [sheet for sheet in order if sheet.text]
    left = _left(sheets, space) - sum(room.of_picture(picture) for picture in pictures.values() if picture)
    pictures |= _pictures(printed, COARSE, left, progress)
    return _shown(sheets, pictures, f"{count} as text, {len(pictures)} of them as pictures too ({COARSE} dpi)")


def _left(sheets: Sequence[Sheet], space: int) -> int:
    """Tokens left for pictures beside the pages' text."""
    return space - sum(room.of_text(sheet.heading) for sheet in sheets)


def _pictures(sheets: Sequence[Sheet], dpi: int, left: int, progress: Progress) -> dict[str, Picture | None]:
    """The pages' pictures in this order as far as `left` tokens go; None for a page that cannot be drawn."""
    pictures: dict[str, Picture | None] = {}
    for done, sheet in enumerate(sheets):
        progress("looking at pages", done, len(sheets))
        picture = sheet.drawn(dpi) if left > 0 else None
        left -= room.of_picture(picture) if picture else 0
        if left <= 0:
            break
        pictures[sheet.label] = picture
    return pictures


def _shown(sheets: Sequence[Sheet], pictures: dict[str, Picture | None], what: str) -> Shown:
    parts: list[Part] = []
    tokens = 0
    for sheet in sheets:
        picture = pictures.get(sheet.label)
        parts += [sheet.heading] if picture is None else [picture, sheet.heading]
        tokens += room.of_text(sheet.heading) + (room.of_picture(picture) if picture else 0)
    return Shown(tuple(parts), what, tokens)


def _best(sheets: Sequence[Sheet], question: str, space: int, progress: Progress) -> Shown:
    """As many of the most relevant of these pages as have room, in their order."""
    order = ranked(question, [sheet.text for sheet in sheets])
    while order:
        shown = _fitted([sheets[index] for index in sorted(order)], question, space, progress)
        if shown is not None:
            return shown
        order = order[: len(order) // 2]
    raise EngineError("not even one page fits into what the engine has room for", hint="give it more with --context")


# --- several passes ---------------------------------------------------------------------------------------------------


def _bearing(
    sheets: Sequence[Sheet], question: str, space: int, asker: Asker, progress: Progress
) -> tuple[list[Sheet], Usage]:
    """The pages that bear on the question, looked through as many at a time as have room."""
    asker.note(f"{len(sheets)} pages are more than the {asker.context:,} tokens hold: looking through them in passes")
    ask = prompt("ask-which", question=question)
    chosen: set[str] = set()
    spent = Usage()
    seen = 0
    for shown, count in _batches(sheets, space):
        progress("looking through pages", seen, len(sheets))
        labels, usage = asker.ask([Message("user", (*shown, ask))], _labels, schema=WHICH)
        chosen.update(labels)
        spent, seen = spent + usage, seen + count
    return [sheet for sheet in sheets if sheet.label in chosen], spent


def _batches(sheets: Sequence[Sheet], space: int) -> Iterator[tuple[list[Part], int]]:
    """Pages as text, scans as pictures, as many at a time as have room; with how many there are."""
    parts: list[Part] = []
    tokens = count = 0
    for sheet in sheets:
        picture = None if sheet.text else sheet.drawn(COARSE)
        size = room.of_text(sheet.heading) + (room.of_picture(picture) if picture else 0)
        if parts and tokens + size > space:
            yield parts, count
            parts, tokens, count = [], 0, 0
        parts += [sheet.heading] if picture is None else [picture, sheet.heading]
        tokens, count = tokens + size, count + 1
    if parts:
        yield parts, count


def _labels(text: str) -> set[str]:
    return {_label(label) for label in strings(json_object(text).get("pages"))}


# --- the reply --------------------------------------------------------------------------------------------------------


def _label(value: object) -> str:
    """ "p7" from what a model writes for it: "[p7]", "P7", 7."""
    name = str(value).strip("[] ").casefold()
    return f"p{name}" if name.isdigit() else name


def _parsed(text: str, sheets: dict[str, Sheet]) -> Reply:
    """The reply that a model's JSON means. A quote from a page that was not shown is dropped: nobody can check it."""
    fields = json_object(text)
    found, said = flag(fields, "found"), text_of(fields, "answer")
    quotes = []
    for quote in objects(fields, "quotes"):
        sheet, words = sheets.get(_label(quote.get("page"))), string(quote.get("text"))
        if sheet is not None and words:
            quotes.append(Quote(sheet.page.file, sheet.page.number, words))
    found = found and bool(said)
    return Reply(
        found=found,
        text=said if found else "",
        quotes=tuple(quotes) if found else (),
        confidence=share(fields.get("confidence")),
        reason=string(fields.get("reason")) or ("" if found else "the pages do not answer the question"),
        written=text,
    )
