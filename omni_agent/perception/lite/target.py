"""What a person means by the words they click with: the label, the kind of thing, and where it is.

A phrase can be read in several ways: "Last name field" is a field called "Last name", not the last field called "name".
`readings` gives them all, the most literal first, and whoever looks at the picture takes the first that fits it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

Role = Literal[
    "button", "link", "field", "checkbox", "radio", "toggle", "dropdown", "tab", "item", "icon", "heading", "text"
]
Relation = Literal["below", "above", "left", "right", "near", "row", "on"]
Corner = tuple[Literal["left", "center", "right", ""], Literal["top", "middle", "bottom", ""]]

ROLE_WORDS: dict[str, Role] = {
    "button": "button", "buttons": "button", "btn": "button", "push button": "button", "icon button": "icon",
    "link": "link", "hyperlink": "link",
    "field": "field", "text field": "field", "input field": "field", "textbox": "field", "text box": "field",
    "input": "field", "input box": "field", "text input": "field", "text area": "field", "textarea": "field",
    "entry field": "field", "entry box": "field", "edit box": "field", "search box": "field", "search bar": "field",
    "search field": "field", "search input": "field", "box": "field",
    "checkbox": "checkbox", "check box": "checkbox", "tick box": "checkbox", "tickbox": "checkbox",
    "radio": "radio", "radio button": "radio", "option button": "radio",
    "toggle": "toggle", "toggle switch": "toggle", "switch": "toggle", "slider": "toggle",
    "dropdown": "dropdown", "drop-down": "dropdown", "drop down": "dropdown", "dropdown menu": "dropdown",
    "select": "dropdown", "select box": "dropdown", "combobox": "dropdown", "combo box": "dropdown",
    "dropdown list": "dropdown", "picker": "dropdown", "selector": "dropdown", "spinner": "field",
    "spin box": "field", "spinbox": "field", "spin button": "field", "number field": "field", "number box": "field",
    "tab": "tab", "tab header": "tab", "sheet": "tab", "sheet tab": "tab", "worksheet": "tab",
    "menu item": "item", "menu entry": "item", "menu option": "item", "list item": "item", "item": "item",
    "menu": "item", "option": "item", "entry": "item", "row": "item", "folder": "item", "file": "item",
    "section": "item", "card": "item", "column": "item", "column header": "item", "column heading": "item",
    "column head": "item", "list entry": "item", "list row": "item", "table row": "item", "tree item": "item",
    "tree row": "item", "tree node": "item", "node": "item", "toolbar button": "button", "toolbar icon": "icon",
    "icon": "icon", "glyph": "icon", "symbol": "icon", "pictogram": "icon", "logo": "icon",
    "heading": "heading", "headline": "heading", "title": "heading", "header": "heading",
    "text": "text", "label": "text", "word": "text", "caption": "text", "message": "text",
}  # fmt: skip
KEEPS_WORD = ("search box", "search bar", "search field", "search input")  # the role's first word is the label too

_ORDINALS = {
    "first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "fifth": 5, "5th": 5,
    "sixth": 6, "6th": 6, "seventh": 7, "7th": 7, "eighth": 8, "8th": 8, "ninth": 9, "9th": 9, "tenth": 10, "10th": 10,
    "last": -1, "final": -1,
}  # fmt: skip
_SUPERLATIVES: dict[str, Corner] = {
    "topmost": ("", "top"), "uppermost": ("", "top"), "highest": ("", "top"), "bottommost": ("", "bottom"),
    "lowest": ("", "bottom"), "leftmost": ("left", ""), "rightmost": ("right", ""),
}  # fmt: skip
_PLACES: dict[str, Corner] = {
    "sidebar": ("left", ""), "side bar": ("left", ""), "left sidebar": ("left", ""), "right sidebar": ("right", ""),
    "header": ("", "top"), "navbar": ("", "top"), "nav bar": ("", "top"), "navigation bar": ("", "top"),
    "menu bar": ("", "top"), "menubar": ("", "top"), "title bar": ("", "top"), "top bar": ("", "top"),
    "footer": ("", "bottom"), "status bar": ("", "bottom"), "bottom bar": ("", "bottom"),
}  # fmt: skip

_VERTICAL = r"(?P<v>top|upper|bottom|lower)"
_HORIZONTAL = r"(?P<h>left|right)"
_MIDDLE = r"(?P<m>middle|center|centre)"
_WHERE = rf"(?:{_VERTICAL}(?:[- ]?(?:hand )?(?:{_HORIZONTAL}))?|(?:far )?(?P<h2>left|right)|{_MIDDLE})(?:[- ]hand)?"
_OF_SCREEN = (
    r"(?: (?:corner|side|edge|part|area|half))?(?: of (?:the |this )?(?:screen|page|window|picture|image|display))?"
)
_CORNER_AFTER = re.compile(rf"^(?P<head>.+?),? (?:in|at|on|to|near|from) (?:the )?(?:very )?{_WHERE}{_OF_SCREEN}$")
_CORNER_PLAIN = re.compile(rf"^(?P<head>.+?),? {_WHERE}{_OF_SCREEN}$")
_CORNER_BEFORE = re.compile(rf"^{_WHERE}(?: corner)? (?P<head>.+)$")
_PLACE_AFTER = re.compile(rf"^(?P<head>.+?) (?:in|on|from|at) (?:the )?(?P<place>{'|'.join(_PLACES)})$")
# A part of a window that is named by what it is, seldom by a text that stands in it; its position says which it is.
_AREA = re.compile(
    r"^(?P<head>.+?) (?:in|on|from|of) (?:the |this )?(?:(?:side|main|navigation|tool|menu|status|title|open|table) ?)?"
    r"(?:index|list|tree|panel|pane|toolbar|sidebar|bar|menu|outline|area|table|dialog|window|palette)$",
    re.IGNORECASE,
)

_RELATIONS: tuple[tuple[Relation, str], ...] = (
    ("below", r"(?:right |just |directly |immediately )?(?:below|under|underneath|beneath)"),
    ("above", r"(?:right |just |directly |immediately )?(?:above|over|on top of)"),
    ("left", r"(?:immediately |just )?(?:to the |on the )?left (?:side )?of"),
    ("right", r"(?:immediately |just )?(?:to the |on the )?right (?:side )?of"),
    ("row", r"in the (?:same )?(?:row|line) (?:of|for|as|with|called|named)|on the (?:row|line) of"),
    ("near", r"next to|beside|besides|near to|near|close to|alongside|adjacent to|opposite"),
    ("near", r"that belongs to|belonging to|for|of|in|on|at|with|by"),
)
_ARTICLE = re.compile(r"^(?:the|a|an|this|that)\s+")
_POLITE = re.compile(r"^(?:please )?(?:click|press|tap|push|hit)(?: on)? (?=the |“|\x00)")
_SAYS = re.compile(
    r"\s+(?:called|named|labell?ed|titled|saying|that says|which says|with the (?:text|label|name|title)|reading)\s+"
)
_REMOVED = r"(?:tag|chip|filter|tab|file|item|token|label|card|attachment|notification)"
_REMOVE = re.compile(
    rf"^(?:remove|close|delete|dismiss) (?:the )?"
    rf"(?:{_REMOVED} (?P<after>.+)|(?P<before>.+) {_REMOVED}|(?P<quoted>\x00\d+\x00))$"
    r"|^(?:x|×|cross|close)(?: icon| button)? (?:next to|beside|on|of|for|in) (?:the )?(?P<beside>.+)$",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|«([^»]+)»|„([^“”]+)[“”]|‘([^’]+)’|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Target:
    """One reading of a phrase. `words` is the label or the icon's name, empty when only the kind of thing was said.

    `nth` counts from 1 in reading order, -1 is the last; `corner` is a side or corner of the picture; `anchor` is
    what the target stands `relation` to ("on": a part of it). `quoted`: the words stand on the screen exactly so.
    """

    words: str
    role: Role | None = None
    nth: int | None = None
    corner: Corner | None = None
    relation: Relation | None = None
    anchor: str = ""
    quoted: bool = False


def readings(phrase: str) -> tuple[Target, ...]:
    """Every way to read the phrase, the most literal first, without repeats."""
    text = " ".join(unicodedata.normalize("NFC", phrase).split())
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotes.append(next(group for group in match.groups() if group is not None))
        return f"\x00{len(quotes) - 1}\x00"

    text = _QUOTED.sub(keep, text)
    text = _ARTICLE.sub("", _POLITE.sub("", text))
    literal = [] if quotes else [Target(text)]
    found = (
        literal + _removing(text) + [reading for whole in _with_role(Target(text)) for reading in _with_place(whole)]
    )
    found += [reading for reading in _with_place(Target(text)) if reading.anchor]  # "checkbox next to Download link"
    if any("\x00" in reading.anchor and "\x00" not in reading.words for reading in found):
        found = [reading for reading in found if reading.relation]  # what is quoted is the anchor, not the target
    return tuple(dict.fromkeys(_restored(reading, quotes) for reading in found if reading.words or reading.role))


def _removing(text: str) -> list[Target]:
    """ "Remove tag Design": the cross or the bin on what is named, where no text says so itself."""
    match = _REMOVE.match(text)
    if not match:
        return []
    anchor = match["after"] or match["before"] or match["quoted"] or match["beside"]
    anchor = _with_role(Target(_ARTICLE.sub("", anchor)))[0].words or anchor
    anchor = re.sub(rf"^{_REMOVED} (?=.)|(?<=.) {_REMOVED}$", "", anchor, flags=re.IGNORECASE)
    return [Target(icon, role="icon", relation="on", anchor=anchor) for icon in ("close", "delete")]


def _with_role(target: Target) -> list[Target]:
    """The target with its role word taken off, where it has one at its end or (after "with", "called") inside."""
    said = _SAYS.split(target.words, maxsplit=1)
    if len(said) == 2 and (role := ROLE_WORDS.get(_ARTICLE.sub("", said[0]).casefold())):
        return [replace(target, words=said[1], role=role)]
    words = target.words.split(" ")
    for count in (3, 2, 1):
        ending = " ".join(words[-count:]).casefold().strip(".,")
        before = words[-count - 1].casefold() if len(words) > count else ""
        if len(words) >= count and ending in ROLE_WORDS and not _opens_area(before, ROLE_WORDS[ending]):
            rest = words[: -count + 1 if ending in KEEPS_WORD and count > 1 else -count]
            kind = replace(target, words=" ".join(rest), role=ROLE_WORDS[ending])
            last = ROLE_WORDS.get(words[-1].casefold().strip(".,"))
            if count == 1 or not last or (rest and not ending.startswith("number ")):
                return [kind]
            return [replace(target, words=" ".join(words[:-1]), role=last), kind]  # the field of a "VAT number"
    opening = re.match(r"^(?P<role>[a-z -]+?):? (?P<rest>\x00\d+\x00)$", target.words, re.IGNORECASE)
    if opening and (role := ROLE_WORDS.get(opening["role"].casefold())):  # button "Save"
        return [replace(target, words=opening["rest"], role=role)]
    return [target]


def _opens_area(word: str, role: Role) -> bool:
    """Whether a word makes what is behind it a part of the window: "Quit in the menu", not "Log in button"."""
    return word in ("the", "this") or (word == "in" and role == "item")


def _with_place(target: Target) -> list[Target]:
    """The target as it is, then with position words read as positions, then with an anchor read as an anchor. A part
    of the window in front of a position is only what that position is of: "Home in the index on the left"."""
    found = [target]
    positioned = _positioned(target)
    if positioned:
        found += [*_named_like_a_kind(target, positioned), positioned]
        found += [again] if (again := _positioned(positioned)) else []
        found += _in_area(positioned)
    for relation, pattern in _RELATIONS:
        match = re.match(rf"^(?P<head>.+?) (?:{pattern}) (?P<anchor>.+)$", target.words, re.IGNORECASE)
        if not match or re.search(r"\b(?:left|right|top)$", match["head"], re.IGNORECASE):  # "left of" is one relation
            continue
        whole = _ARTICLE.sub("", match["anchor"])
        for head, anchor in product(_heads(match["head"], target.role), dict.fromkeys((whole, _named(whole)))):
            # "the field below Email": the role word stands before the anchor, and may be all there is
            role = head.role or target.role
            anchored = replace(target, words=head.words, role=role, relation=relation, anchor=anchor)
            found += [anchored, *([better] if (better := _positioned(anchored)) else [])]
    return found + _in_area(target)


def _in_area(target: Target) -> list[Target]:
    """The target without the part of a window that it is said to be in: there may be no text that names that part."""
    match = _AREA.match(target.words)
    if not match:
        return []
    heads = _with_role(Target(match["head"]))
    return [replace(target, words=head.words, role=head.role or target.role) for head in heads]


def _named_like_a_kind(target: Target, positioned: Target) -> list[Target]:
    """The target whose label is the name of a kind of thing, which its capital says: "File in the menu bar"."""
    if positioned.words or target.role:
        return []
    return [
        replace(positioned, words=word, role=None)
        for word in target.words.split(" ")
        if word[:1].isupper() and ROLE_WORDS.get(word.casefold()) == positioned.role
    ]


def _heads(head: str, role: Role | None) -> list[Target]:
    """What stands before an anchor; a lone word for a kind of text may also be the label: "Message for Ada"."""
    found = _with_role(Target(head))
    label = not found[0].words and not role and found[0].role in ("text", "heading", "item")
    return [*found, Target(head)] if label else found


def _named(anchor: str) -> str:
    """An anchor without the kind of thing it is, where it has a name besides."""
    return _with_role(Target(anchor))[0].words or anchor


def _positioned(target: Target) -> Target | None:
    """The target with one position taken out of its words, or None when there is none."""
    words = _ARTICLE.sub("", target.words)
    first, _, rest = words.partition(" ")
    if first.casefold() in _ORDINALS and target.nth is None:
        rest = re.sub(r"^(?:one|of the) ", "", rest)
        return _rerole(replace(target, words=rest, nth=_ORDINALS[first.casefold()]))
    if first.casefold() in _SUPERLATIVES and target.corner is None:
        return _rerole(replace(target, words=rest, corner=_SUPERLATIVES[first.casefold()]))
    if target.corner is not None:
        return None
    lowered = words.casefold()
    if target.role and (match := re.fullmatch(_WHERE, lowered)):  # "bottom left icon": nothing but a place and a kind
        return replace(target, words="", corner=_corner(match))
    if match := _PLACE_AFTER.match(lowered):
        return _rerole(replace(target, words=words[: len(match["head"])], corner=_PLACES[match["place"]]))
    for pattern in (_CORNER_AFTER, _CORNER_BEFORE, _CORNER_PLAIN):
        if match := pattern.match(lowered):
            head = words[match.start("head") : match.end("head")]
            return _rerole(replace(target, words=head, corner=_corner(match)))
    return None


def _rerole(target: Target) -> Target:
    """After a position was taken off the end, the role word may stand there: "Save button in the top right"."""
    if target.words.casefold() in ROLE_WORDS and target.words.casefold() not in KEEPS_WORD and target.role is None:
        return replace(target, words="", role=ROLE_WORDS[target.words.casefold()])
    return _with_role(target)[0] if target.role is None else target


def _corner(match: re.Match[str]) -> Corner:
    across = match["h"] or match["h2"] or ""
    down = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}.get(match["v"] or "", "")
    if match["m"]:
        return "center", "middle"
    return across, down  # type: ignore[return-value]  # the pattern admits only these words


def _restored(target: Target, quotes: list[str]) -> Target:
    """The quoted words back in their places."""

    def fill(text: str) -> str:
        return re.sub(r"\x00(\d+)\x00", lambda match: quotes[int(match[1])], text)

    quoted = "\x00" in target.words
    words = target.words
    if quoted:  # with a quotation the words around it only describe: 'the "Save" thing'
        match = re.search(r"\x00\d+\x00", words)
        assert match is not None
        words = match[0]
    words = fill(words) if quoted else words.strip(" .,")
    return replace(target, words=words, anchor=fill(target.anchor).strip(" ,"), quoted=quoted)
