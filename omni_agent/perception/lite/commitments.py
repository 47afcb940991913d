"""Decisions and promises in what people said, found by how English speakers word them.

Quotes only: what is returned is the sentence itself, with who it binds and until when where it says so. A question, a
negation or an "if" is neither a decision nor a promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from omni_agent.perception.lite.stopwords import stopwords
from omni_agent.types import MinutesItem, Segment

_I = re.IGNORECASE
_WE = r"(?:we|everyone|everybody|the (?:team|board|group|committee))"
_HAVE = r"(?:'ve| have| has|'re| are| is)?(?: all| now| finally| already| just| both)*"
_CHOOSE = (
    r"(?:go(?:ing)? (?:with|ahead|for)|stick(?:ing)? (?:with|to)|settl(?:e|ing) on|us(?:e|ing)|adopt|switch(?:ing)? to|"
    r"keep(?:ing)?|drop(?:ping)?|cancel|postpon(?:e|ing)|delay|mov(?:e|ing) (?!on\b|to the next|forward)|ship|launch|"
    r"releas(?:e|ing)|skip|hir(?:e|ing)|rais(?:e|ing)|cut(?:ting)?|buy(?:ing)?|pick|choos(?:e|ing)|"
    r"push(?:ing)?)"
)
_DECIDED = re.compile(
    rf"\b{_WE}{_HAVE} (?:decided|agreed|settled|concluded|resolved|voted|chosen|chose|approved|opted|picked)\b"
    rf"|\b(?:it|that|this)(?:'s| is| was)(?: now| all)? (?:decided|agreed|settled|approved|final)\b"
    rf"|\bthe (?:final )?decision (?:is|was)\b|\bdecision:|\bfinal decision\b"
    rf"|\blet(?:'s| us)(?: just| all| then)? {_CHOOSE}"
    rf"|\bwe(?:'ll| will|'re going to| are going to|'re| are)(?: just| then| definitely)? {_CHOOSE}"
    rf"|\b(?:then|so) {_CHOOSE}.* it is\b",
    _I,
)
_UNDECIDED = re.compile(
    r"\b(?:not|never|n't|no one|nobody)\b(?: \w+){0,3} (?:decid|agree|settl|approv|resolv|final)\w*"
    r"|\b(?:if|unless|whether|once|until|before|when|after|should|could|might|maybe|perhaps|need to|have to|must)"
    r"(?:,? \w+){0,3} (?:decid|agree|settl|approv)\w*"
    r"|\b(?:maybe|perhaps|what if|if) (?:\w+ )?(?:we|let)|\bn(?:o|ot any) decision\b|\bno,",
    _I,
)
_PROPOSED = re.compile(
    r"\b(?:I(?:'d)? (?:propose|suggest|recommend|move)|my (?:proposal|suggestion)|how about|what about|why don't we|"
    r"shall we|should we|can we agree|could we)\b",
    _I,
)
_ACCEPTED = re.compile(
    r"^(?:yes|yeah|yep|ok(?:ay)?|great|perfect|fine|right|alright|all right|sure|good|well|then|and|,|\s)*"
    r"(?:agreed|i agree|we agree|sounds good|works for me|that works|deal|let's do (?:that|it)|approved|seconded|"
    r"i'm (?:fine|happy|ok(?:ay)?) with that)\b",
    _I,
)

# What people say they "will" do without promising any work.
_IDLE = (
    r"(?:be|see|say|tell you|admit|let|have|assume|never|not|start by|go first|begin|stop|just say|miss|repeat|think|"
    r"try to be|keep (?:it|this) (?:short|brief)|pass|hand (?:it )?over|know|need|want|hear|understand|leave it|get to|"
    r"imagine|remember|recall|believe|live with|agree|tell (?:me|if|that)|hardly|always|only hope|hope|guess|"
    r"join|stay|drop off)\b"
)
_WILL = r"(?:'ll| will| shall| am going to|'m going to| can| could)"
_JUST = r"(?: also| then| just| definitely| probably| gladly| happily| quickly| personally)*"
_MINE = re.compile(
    rf"\bI{_WILL}{_JUST} (?!{_IDLE})(?P<work>[a-z]+)|\bI(?:'ve| have) to (?!{_IDLE})[a-z]+|\bI promise", _I
)
_TAKEN = re.compile(
    r"\bI(?:'ll| will| can) (?:do (?:that|it|this)|take (?:that|it|this|care)|handle|look after)"
    r"|\bleave (?:that|it) (?:to|with) me\b|\b(?:that|this|it)'s (?:on me|mine)\b",
    _I,
)
_NAME = r"(?P<name>[A-Z][a-z]+(?: [A-Z][a-z]+)?)"
_DATES = frozenset(
    (
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march"),
        *("april", "may", "june", "july", "august", "september", "october", "november", "december", "english"),
    )
)
_THEIRS = re.compile(
    rf"\b{_NAME}(?:'s going to| is going to| will| shall| needs to| has to| should| agreed to| promised to"
    rf"| volunteered to| takes care of| is responsible for| owns)(?:{_JUST}) (?!{_IDLE})[a-z]+"
)
_ASKED = re.compile(
    rf"(?:\b{_NAME},? )?(?P<ask>\b(?:can|could|will|would) you|\bplease)(?: please)?(?:{_JUST}) [a-z]+", _I
)
_ASKED_NAME = re.compile(
    rf"\b{_NAME},? (?:can|could|will|would|please)\b|\b(?:you|please)\b[^.?]*,\s*{_NAME.replace('name', 'last')}\s*[.?]"
)
_IDLE_ASK = re.compile(
    r"\b(?:you|please)(?: please)? (?:hear|see|repeat|say|explain|imagine|believe|tell (?:me|us)|go ahead|go first|"
    r"remind|wait|hold|mute|unmute|be |elaborate|speak)\b",
    _I,
)
_WONDERED = re.compile(r"\b(?:what|how|why|where|when|who|which)(?: \w+){0,2} (?:can|could|will|would) you\b", _I)
_MARKED = re.compile(r"\b(?:action items?|to-?dos?|next steps?|follow[- ]ups?)\b(?: for \w+)?(?: is| are|:|,)", _I)
_NEEDED = re.compile(r"\b(?:we|somebody|someone) (?:need|needs|have|has|must|'ve got) to (?!" + _IDLE + r")[a-z]+", _I)
_IF = re.compile(
    r"^\W*(?:(?:and|but|so|well) )*(?:if|unless|when(?:ever)?|suppose)\b|\bI (?:could|can) (?:have|not)|\bwish\b", _I
)
_NEGATED = re.compile(r"\bI(?:'ll| will| can| could)? (?:not|never)\b|\b(?:won't|can't|cannot|couldn't|wouldn't)\b", _I)

_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_NTH = (
    r"(?:\d{1,2}(?:st|nd|rd|th)?|(?:twenty|thirty)[- ])?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|"
    r"tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth)?"
)
_PART = (
    r"(?: (?:at )?(?:morning|afternoon|evening|night|noon|lunch(?:time)?|\d{1,2}(?::\d\d)? ?(?:[ap]\.?m\.?|o'clock)?))?"
)
_WHEN = (
    rf"(?:(?:the )?end of (?:the |this |next )?(?:day|week|month|quarter|year|business|{_DAY}|{_MONTH})"
    rf"|(?:next |this |coming )?{_DAY}{_PART}(?: next week)?|tomorrow{_PART}|today|tonight|noon|midnight|EOD"
    rf"|(?:this|next) (?:morning|afternoon|evening|week|month|quarter|year)|{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?"
    rf"|(?:the )?(?=\d|[a-z]+(?:st|nd|rd|th)\b){_NTH}(?: of)? {_MONTH}"
    rf"|{_MONTH} (?:the )?(?=[a-z]+(?:st|nd|rd|th)\b){_NTH}"
    rf"|(?:in |within )(?:a|an|one|two|three|four|five|six|ten|\d+) (?:hour|day|week|month)s?(?: time)?"
    rf"|the (?=\d|[a-z]+(?:st|nd|rd|th)\b)\d{{0,2}}(?:st|nd|rd|th)\b|{_MONTH}\b)"
)
_DUE = re.compile(
    rf"\b(?:(?:by|on|until|till|before|no later than|due|for|at the latest)(?: on)? )?(?P<when>{_WHEN})", _I
)


def decisions(segments: Sequence[Segment]) -> Iterator[MinutesItem]:
    """The sentences in which something is decided; a proposal that the next speaker accepts is one."""
    for position, segment in enumerate(segments):
        text = segment.text
        if _ACCEPTED.search(text) and not _NEGATED.search(text):
            proposal = next(
                (s for s in segments[max(0, position - 2) : position][::-1] if _PROPOSED.search(s.text)), None
            )
            if proposal is not None:
                yield _item(proposal, end=segment.end)
                continue
        if not text.endswith("?") and _DECIDED.search(text) and not _UNDECIDED.search(text):
            yield _item(segment)


def actions(segments: Sequence[Segment]) -> Iterator[MinutesItem]:
    """The sentences in which somebody takes on work or is given it, with the owner and the date they name.

    A request or a need that the next sentence takes on ("I'll do that") is one item with the taker as its owner.
    """
    spent = -1  # the reply that belongs to the item before it
    for position, segment in enumerate(segments):
        text = segment.text
        if position == spent or _IF.search(text):
            continue
        reply = segments[position + 1] if position + 1 < len(segments) else None
        asked = bool(_ASKED.search(text)) and not (_IDLE_ASK.search(text) or _WONDERED.search(text))
        needed = bool(_NEEDED.search(text)) and not text.endswith("?")
        if (asked or needed) and reply is not None and _takes(reply, asked):
            spent = position + 1
            taker = _asked_name(text) or _first_person(reply)
            yield _item(segment, end=reply.end, owner=taker, due=_due(text) or _due(reply.text))
        elif asked:
            if reply is None or not _NEGATED.search(reply.text):
                yield _item(segment, owner=_asked_name(text), due=_due(text))
        elif not text.endswith("?") and not _NEGATED.search(text) and (owner := _promised(segment)):
            yield _item(segment, owner=owner, due=_due(text))
        elif _MARKED.search(text) or (needed and _due(text)):
            yield _item(segment, due=_due(text))


def _takes(reply: Segment, asked: bool) -> bool:
    """Whether a reply takes on what was said before it; a promise of any work is an answer only to a request."""
    if _NEGATED.search(reply.text):
        return False
    return bool(_TAKEN.search(reply.text) or (asked and _MINE.search(reply.text)))


def _promised(segment: Segment) -> str | None:
    """Who promises work in a sentence."""
    names = (name for match in _THEIRS.finditer(segment.text) if (name := _person(match["name"])))
    return next(names, None) or (_first_person(segment) if _MINE.search(segment.text) else None)


def _asked_name(text: str) -> str | None:
    names = (name for match in _ASKED_NAME.finditer(text) if (name := _person(match["name"] or match["last"])))
    return next(names, None)


def _person(words: str) -> str | None:
    """The capitalised words without what is no name ("And Maria"); None where nothing is left."""
    kept = [word for word in words.split() if word.lower() not in stopwords() and word.lower() not in _DATES]
    return " ".join(kept) or None


def _first_person(segment: Segment) -> str:
    return segment.speaker or "I"


def _item(
    segment: Segment, *, end: float | None = None, owner: str | None = None, due: str | None = None
) -> MinutesItem:
    return MinutesItem(segment.text, segment.start, end or segment.end, segment.speaker, owner, due)


def _due(text: str) -> str | None:
    """The date or time that the sentence names, in its own words."""
    found = _DUE.search(text)
    return found["when"].strip() if found else None
