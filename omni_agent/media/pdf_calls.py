"""How often a page draws what it draws with, counted before it is drawn: forms that draw forms multiply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omni_agent.errors import MediaError

MAX_DRAWN = 512 * 2**20  # bytes of drawing instructions of one page, each thing as often as it is drawn
DRAWN_AT_LEAST = 1024  # bytes that a form counts as: starting one takes about as long as carrying out these
DEEPEST = 64  # forms inside forms; real ones are below ten
_NAME = re.compile(rb"/([^\s()<>\[\]{}/%\x00]*)")
_STATE = (
    re.compile(  # a pattern or a mask set by its name, a plain colour set, a state kept or brought back, a painting
        rb"/([^\s()<>\[\]{}/%\x00]*)(?:[\s\x00]|%[^\r\n]*[\r\n])+(scn|SCN|gs)\b"
        rb"|(?<![\w/])(?:(scn?|cs|g|rg|k|SCN?|CS|G|RG|K|q|Q)|(f\*?|F|B\*?|b\*?|S|s|sh|Do|Tj|TJ|[\x27\x22]))(?![\w*])"
    )
)


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream of drawing instructions: its length in bytes, and how often it names each thing; what its own resources
    call by these names (numbers of objects)."""

    length: int
    named: Counter[bytes]
    own: dict[bytes, frozenset[int]]


class Calls:
    """Counts the pages of one PDF; a stream is read once."""

    def __init__(self, file: Any) -> None:
        """`file`: PyMuPDF's open document."""
        self._file = file
        self._known: dict[int, _Stream] = {}

    def weigh(self, page: int, what: str) -> None:
        """Raise MediaError for a page (an object's number) whose forms, patterns and masks, counted as often as they
        are drawn, come to more instructions than MAX_DRAWN. `what` names the page.

        What a form is not given it may have from whoever draws it, so a name that is not its own stands for everything
        of this name; forms that draw each other in a circle count as if MuPDF followed it, which is too much by little.
        """
        streams = self._reached(page)
        if len(streams) < 2:
            return
        anywhere: dict[bytes, frozenset[int]] = {}
        for stream in streams.values():
            for name, objects in stream.own.items():
                anywhere[name] = anywhere.get(name, frozenset()) | objects
        called = {
            number: [
                (other, times)
                for name, times in stream.named.items()
                for other in stream.own.get(name) or anywhere.get(name, frozenset())
                if other in streams and other != number  # MuPDF does not draw a form in itself
            ]
            for number, stream in streams.items()
        }
        own = {number: stream.length + DRAWN_AT_LEAST for number, stream in streams.items()}
        cost = own
        for _ in range(min(len(streams), DEEPEST)):
            deeper = {n: own[n] + sum(times * cost[other] for other, times in called[n]) for n in streams}
            if deeper[page] > MAX_DRAWN:
                raise MediaError(f"{what} draws the same things over and over, more than {MAX_DRAWN >> 20} MB of them")
            if deeper == cost:
                return
            cost = deeper
        if len(streams) > DEEPEST:
            raise MediaError(f"{what} draws forms inside forms, more than {DEEPEST} deep")

    def _reached(self, page: int) -> dict[int, _Stream]:
        """The page's own instructions, those of its annotations with them, and every stream that they lead to."""
        from pymupdf import mupdf

        file = mupdf.pdf_document_from_fz_document(self._file.this)
        found: dict[int, _Stream] = {}
        sheet = mupdf.pdf_load_object(file, page)
        resources = mupdf.pdf_dict_get_inheritable(sheet, mupdf.pdf_new_name("Resources"))
        notes = {b"annotation %d" % n: frozenset([n]) for n in self._appearances(sheet)}
        given = _given(resources) | notes
        if not given:
            return {}
        contents = mupdf.pdf_dict_gets(sheet, "Contents")
        parts = [mupdf.pdf_array_get(contents, i) for i in range(mupdf.pdf_array_len(contents))] or [contents]
        data = b"\n".join(_content(file, mupdf.pdf_to_num(part)) for part in parts if mupdf.pdf_is_stream(part))
        found[page] = _Stream(len(data), _named(data) + Counter(dict.fromkeys(notes, 1)), given)
        waiting = [number for objects in found[page].own.values() for number in objects]
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            if number not in self._known:
                stream = mupdf.pdf_load_object(file, number)
                data = _content(file, number)
                self._known[number] = _Stream(len(data), _named(data), _given(mupdf.pdf_dict_gets(stream, "Resources")))
            found[number] = self._known[number]
            waiting += [other for objects in found[number].own.values() for other in objects]
        return found

    def _appearances(self, sheet: Any) -> Iterator[int]:
        """The streams that the page's annotations look like."""
        from pymupdf import mupdf

        notes = mupdf.pdf_dict_gets(sheet, "Annots")
        for index in range(mupdf.pdf_array_len(notes)):
            looks = mupdf.pdf_dict_gets(mupdf.pdf_dict_gets(mupdf.pdf_array_get(notes, index), "AP"), "N")
            states = [mupdf.pdf_dict_get_val(looks, i) for i in range(mupdf.pdf_dict_len(looks))]
            yield from (mupdf.pdf_to_num(look) for look in (looks, *states) if mupdf.pdf_is_stream(look))


def _content(file: Any, number: int) -> bytes:
    """The instructions in a stream, unpacked; `Scales` has found them bearable."""
    from pymupdf import mupdf

    return bytes(mupdf.fz_buffer_extract(mupdf.pdf_load_stream_number(file, number)))


def _named(data: bytes) -> Counter[bytes]:
    """How often drawing instructions draw each thing that they name; `#41` in a name stands for "A"."""
    names = Counter(_NAME.findall(data)) + _painted(data)
    plain: Counter[bytes] = Counter()
    for name, times in names.items():
        plain[re.sub(rb"#([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), name)] += times
    return plain


def _painted(data: bytes) -> Counter[bytes]:
    """How often something is painted while a pattern or a mask is set, by the name that set it."""
    found: Counter[bytes] = Counter()
    now: dict[str, bytes] = {}
    kept: list[dict[str, bytes]] = []
    for match in _STATE.finditer(data) if b"scn" in data.lower() or b"gs" in data else ():
        name, sets, state, paints = match.groups()
        if sets:
            now = now | {"mask" if sets == b"gs" else "fill" if sets.islower() else "stroke": name}
        elif paints:
            found.update(now.values())
        elif state == b"q":
            kept.append(now)
        elif state == b"Q":
            now = kept.pop() if kept else now
        else:
            now = {where: what for where, what in now.items() if where != ("fill" if state.islower() else "stroke")}
    return found


def _given(resources: Any) -> dict[bytes, frozenset[int]]:
    """The forms, patterns and masks that resources hold, by name."""
    from pymupdf import mupdf

    found: dict[bytes, frozenset[int]] = {}
    for kind in ("XObject", "Pattern", "ExtGState"):
        held = mupdf.pdf_dict_gets(resources, kind)
        for index in range(mupdf.pdf_dict_len(held)):
            item = mupdf.pdf_dict_get_val(held, index)
            if kind == "ExtGState":
                item = mupdf.pdf_dict_gets(mupdf.pdf_dict_gets(item, "SMask"), "G")
            image = mupdf.pdf_to_name(mupdf.pdf_dict_gets(item, "Subtype")) == "Image"
            if mupdf.pdf_is_stream(item) and not image:
                name = mupdf.pdf_to_name(mupdf.pdf_dict_get_key(held, index)).encode()
                found[name] = found.get(name, frozenset()) | {mupdf.pdf_to_num(item)}
    return found
