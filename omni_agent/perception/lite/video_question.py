"""What a question about a video wants: something seen or said, a value or a moment, and where in time to look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.words import stem

Channel = Literal["seen", "said", "either"]
Wanted = Literal["text", "moment", "end", "duration", "title", "screen"]
Relation = Literal["during", "after", "before"]
Scope = Literal["beginning", "end", ""]

_SAID = (
    r"\b(?:say|says|said|saying|mention(?:s|ed)?|narrat(?:or|es?|ion)|speak(?:s|ing)?|spoken|spoke"
    r"|talk(?:s|ed|ing)?|hear[ds]?|tells?|told|announce[sd]?)\b"
)
_SOMEBODY = r"\b(?:narrator|speaker|voice|presenter|reader|(?:some|any)(?:body|one)|he|she|they|people|person)\b"
_THINGS = (
    "slide|screen|page|dialog(?:ue)?|window|message|error|sign|text|title|heading|label|button|banner|caption"
    "|terminal|pop-?up|card|note|hint|tooltip|tip|warning|alert|notification|notice|prompt|tab|menu|footer|header|box"
)
_SAYING_THING = rf"\b(?:{_THINGS})s?\b[^?]{{0,60}}?\b(?:says?|said|tells?|mentions?|reads?)\b"
_SEEN = (
    r"\b(?:on[- ]screen|shown|shows?|display(?:s|ed)?|visible|written|see|seen|appear(?:s|ed)?|reads?|typed?|printed"
    rf"|listed|{_THINGS})s?\b"
)
_EVENT = (
    r"appear|show|display|pop|open|visible|click|press|typ|enter|say|said|mention|talk|speak|spoke|switch|chang"
    r"|run\b|execut|clos|scroll|happen|see\b|seen|video|start|begin|finish|select|saved?\b|comes? up|reached|disappear"
    r"|vanish|told|explain|comes? into|fail|crash|breaks?\b"
)
_MOMENT = (
    r"^(?:when|at (?:what|which) (?:time|point|moment|second|minute|timestamp)|what(?:'s| is) the timestamp"
    r"|how far into)\b"
)
_ASKED_SAID = (
    r"^what (?:does|do|did|is|was) .{0,30}?\b(?:say|said|mention(?:ed)?|tell|told|explain(?:ed)?)\b"
    r"(?: us| you)?(?: about)?\b"
)
_GONE = r"\b(?:disappear|vanish|go(?:es)? away|hidden|removed|close[sd]?\b|gone)"
_VISUAL = (
    r"\b(?:colou?rs?|wear(?:s|ing)?|look(?:s|ed)? like|face|hair|beard|shirt|hat|glasses|smil\w+|laugh\w*|person"
    r"|people|man|woman|boy|girl|child|dog|cat|animal|bird|car|tree|holding|stand(?:s|ing)|sitting|sits|walk(?:s|ing)"
    r"|runn?ing|danc\w+|gestur\w+|hands?|background|icon|logo|shape|photo(?:graph)?|picture|drawing|camera"
    r"|light(?:ing)?|weather|scene|emotion|mood|gender|room|furniture|cursor|mouse pointer|clothes|clothing|animation"
    r"|arrow|music|instrument)\b"
)
_VIDEO = r"(?: of (?:the|this) (?:video|recording|clip|demo|film|screencast))?\b"
_AT_END = rf"\b(?:at|by|near|towards?|in) the (?:very )?end{_VIDEO}|\bfinally\b|\bin the end\b"
_AT_START = rf"\b(?:at|in|near) the (?:very )?(?:beginning|start|opening){_VIDEO}|\binitially\b"
_TITLED = (
    r"\b(?:titled|called|headed|entitled|named|with the (?:title|heading))\s+(.+?)"
    r"(?:\s+(?:say|show|contain|list|tell|read|about)\w*\b.*)?\??$"
)
_CLAUSE = (
    r"(?<=\w)[, ]+(right after|immediately after|just before|right before|after|before|while|when|during|once"
    r"|as soon as)\s+(.{4,}?)\s*\?*$"
)
_OPENING = r"(after|before|while|when|during|once)\s+(.{4,}?),\s*((?:what|which|who|how|where|is|does)\b.+)$"
# Words about videos and screens as such: they say where to look, not what for.
_META_WORDS = """\
video recording clip film screencast demo screen screens shown show shows display displayed visible appear
appears appeared text written see seen say says said mention mentions mentioned narrator speaker reader narration
voice talk talks spoken speak hear heard tell tells read reads slide slides page dialog dialogue window
message on-screen time moment point title titled called named heading first last final finally end beginning
start come comes happen happens kind exactly word words value line popup pop click clicked press pressed
presenter presentation frame please give state stated according one name open opened opens type typed print
printed prints output command commands run runs execute executed announce announced list listed ask asks asked
before after during offer offers offered contain contains editor browser terminal program application app"""
_META = frozenset(stem(word) for word in _META_WORDS.split())
# And words for parts of what is shown: "the chapter X", "the section X" are found by X.
_PART_WORDS = "chapter section heading headline document article manual tutorial"
_PARTS = frozenset(stem(word) for word in _PART_WORDS.split())
_SEVERAL = r"^(?:in |on |with |for |to |from )?(?:what|which) (?:\w+ ){0,2}?\w+[^siu\W]s\b(?! (?:is|does|was|has)\b)"
_FAILS = r"\b(?:fail|crash)(?:s|es|ed)?\b"
_OPENS = r"\b(?:open(?:s|ed)?|pops? up|popped up|box|dialog(?:ue)?|pop-?up|window)\b"
_HEADING = r"\b(?:headings?|headlines?|titles?|titled|chapters?|sections?|slides?)\b"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question taken apart. `core` is what is looked for, without the words about time and place in the video;
    `terms` are its words that the evidence must know, `weak` those that may only speak of the video as such."""

    question: str
    core: str
    channel: Channel
    wanted: Wanted
    kind: Kind
    order: Literal["first", "last", ""]
    scope: Scope
    relation: Relation | None
    anchor: str
    span: tuple[float, float] | None
    names: tuple[str, ...]
    terms: tuple[str, ...]
    weak: tuple[str, ...]
    visual: bool
    pressed: bool
    heading: bool
    opens: bool
    several: bool


def understand(question: str, *, silent: bool = False, clauses: bool = True) -> Asked:
    """Take a question apart by its wording. In a `silent` video what a program "says" is seen; without `clauses`
    "when …" is a condition, such as a manual names, and no time in the video."""
    text = " ".join(question.split())
    span, text = _span(text)
    if kinds.asked_of_screen(text) is Kind.QUESTION:  # "before a file is deleted": what the question is about
        clauses = False
    relation, anchor, text = _anchored(text) if clauses else (None, "", text)
    scope, text = _scope(text)
    lower = text.lower()
    wanted = _wanted(lower)
    titled = re.search(_TITLED, text)
    if titled and wanted == "text" and kinds.asked(text) is Kind.ANY:
        relation, anchor, wanted = "during", titled[1].strip("\"'“” ?"), "screen"
    elif relation is not None and wanted == "text" and not _terms(text) and not kinds.names(text):
        wanted = "screen"
    kind = Kind.ANY if wanted in ("moment", "end", "duration") else kinds.asked_of_screen(text)
    if wanted == "moment" and re.search(_FAILS, lower):  # a program that fails says so by an error, seldom by "fail"
        kind = Kind.ERROR
    terms = tuple(term for term in _terms(text) if term not in kinds.naming(kind))
    if wanted != "text":
        terms = tuple(term for term in terms if term not in _PARTS)
    if measure := re.search(r"\bhow (\w+)", lower):  # "how large": a text that says 1 GB need not say large
        terms = tuple(term for term in terms if term != stem(measure[1]))
    rest = re.sub(_ASKED_SAID, "", text, flags=re.I)
    core = rest if len(rest) > 3 else text
    weak = tuple(term for term in kinds.terms(text) if term not in terms)
    channel = _channel(lower)
    if silent and channel == "said" and not re.search(_SOMEBODY, lower):
        channel = "seen"
    return Asked(
        question, core, channel, wanted, kind, _order(lower), scope, relation, anchor, span,
        tuple(kinds.names(text)), terms, weak, bool(re.search(_VISUAL, lower)),
        bool(re.search(r"\b(?:click|press|push|tapp?|hit|chosen?|select)\w*", lower)), bool(re.search(_HEADING, lower)),
        wanted == "moment" and bool(re.search(_OPENS, lower)), bool(re.match(_SEVERAL, lower)),
    )  # fmt: skip


def _channel(lower: str) -> Channel:
    if re.search(_SAYING_THING, lower) and not re.search(r"\b(?:narrator|speaker|voice)\b", lower):
        return "seen"
    if re.search(_SAID, lower):
        return "said"
    if re.search(_SEEN, lower) and not re.search(r"\bvideo\b[^?]*\b(?:show|see)", lower):
        return "seen"
    return "either"


def _wanted(lower: str) -> Wanted:
    if re.search(r"\bhow long\b.*\b(?:shown|visible|displayed|on (?:the )?screen|stay|appear)", lower):
        return "duration"
    if re.match(_MOMENT, lower) and re.search(_EVENT, lower):
        return "end" if re.search(_GONE, lower) else "moment"
    if re.search(r"\b(?:title|heading|headline|headed)\b", lower) and not re.search(r"\btitled\b|\bheaded\b", lower):
        return "title"
    return "text"


def _order(lower: str) -> Literal["first", "last", ""]:
    if re.search(r"\b(?:last|final|latest)\b", lower):
        return "last"
    return "first" if re.search(r"\bfirst\b", lower) else ""


def _scope(text: str) -> tuple[Scope, str]:
    """Whether only the beginning or the end is meant, and the question without saying so."""
    if re.search(_AT_END, text, re.I):
        return "end", re.sub(_AT_END, "", text, flags=re.I)
    if re.search(_AT_START, text, re.I):
        return "beginning", re.sub(_AT_START, "", text, flags=re.I)
    return "", text


def _anchored(text: str) -> tuple[Relation | None, str, str]:
    """A clause that says when ("after the form is saved", "when the error appears"), and the question without it."""
    opening = re.match(_OPENING, text, re.I)
    match = re.search(_CLAUSE, text, re.I)
    if opening:
        word, clause, rest = opening.groups()
    elif match and not re.match(r"(?:what|which|who|how)\b", match[2], re.I):
        word, clause, rest = match[1], match[2], text[: match.start()] + "?"
    else:
        return None, "", text
    word = word.lower()
    if "before" in word:
        return "before", clause, rest
    return ("after" if "after" in word or word in ("once", "as soon as") else "during"), clause, rest


def _span(text: str) -> tuple[tuple[float, float] | None, str]:
    """A stretch named by its times ("at 1:05", "after 20 seconds", "in the first minute"), and the question without."""
    clock = r"(\d{1,2}(?::\d{2}){1,2})"
    if match := re.search(rf"\b(?:between|from) {clock} (?:and|to|until) {clock}", text):
        return (_seconds(match[1]), _seconds(match[2])), text.replace(match[0], "")
    if match := re.search(rf"\b(?:at|around|near) (?:minute |the |timestamp |time )?{clock}", text):
        at = _seconds(match[1])
        return (at, at + 1.0), text.replace(match[0], "")
    if match := re.search(r"\bat (?:second (\d+)|(\d+) ?(?:s|sec|seconds?)\b)(?: into the video)?", text):
        at = float(match[1] or match[2])
        return (at, at + 1.0), text.replace(match[0], "")
    if match := re.search(r"\b(?:in|during|within) the first (\d+ |half )?(seconds?|minutes?)", text):
        count = 0.5 if match[1] == "half " else float(match[1] or 1)
        return (0.0, count * (60.0 if match[2].startswith("minute") else 1.0)), text.replace(match[0], "")
    return None, text


def _seconds(clock: str) -> float:
    total = 0
    for part in clock.split(":"):
        total = total * 60 + int(part)
    return float(total)


def _terms(text: str) -> list[str]:
    return [term for term in kinds.terms(text) if term not in _META]
