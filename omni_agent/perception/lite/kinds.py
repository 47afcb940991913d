"""What kind of value a question asks for, whether a text holds one, and the words that a question turns on.

English only, by rules: a similarity score cannot tell "the total is missing" from "the total is 12", the kind can.
"""

from __future__ import annotations

import re
from enum import Enum

from omni_agent.perception.lite.words import stem


class Kind(Enum):
    """The kind of value that an answer must hold."""

    ANY = "anything"
    NUMBER = "a number"
    MONEY = "an amount of money"
    PERCENT = "a percentage"
    DATE = "a date"
    TIME = "a time"
    PERSON = "a name"
    PLACE = "a place"
    EMAIL = "an e-mail address"
    ADDRESS = "a web address"
    PHONE = "a telephone number"
    VERSION = "a version"
    COLOUR = "a colour"
    ERROR = "an error"
    FILE = "the name of a file or folder"
    OPTION = "an option"
    QUESTION = "a question"
    CODE = "a number or code"


NUMBER_WORDS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    "|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozen"
    "|once|twice|half|first|second|third"
)
_MONTH = r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
_MONTH += r"|nov(?:ember)?|dec(?:ember)?"
_DAY = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_CURRENCY = r"dollars?|euros?|pounds?|pence|cents?|francs?|crowns?|kron[aeo]r?|yen|yuan|rupees?|pesos?|rubles?|roubles?"
_CURRENCY += (
    r"|zlotys?|forints?|liras?|rand|reais|us\$|usd|eur|gbp|chf|sek|nok|dkk|czk|pln|huf|jpy|cny|inr|cad|aud|nzd|rub"
)

_ASKED: tuple[tuple[Kind, str], ...] = (
    (Kind.EMAIL, r"\be-?mail\b|\bmail address|\baddress\b.*\b(?:mail|message)s?\b"),
    (
        Kind.ERROR,
        r"\b(?:what|which|how)\b.*\b(?:errors?|exceptions?|warnings?|fail(?:s|ed|ure)?|(?:goes|went|is|was) wrong)\b",
    ),
    (Kind.ADDRESS, r"\b(?:url|web ?site|web address|link|domain|homepage)\b"),
    (Kind.PHONE, r"\b(?:tele)?phone\b"),
    (Kind.VERSION, r"\b(?:what|which)\b.*\bversion\b|\bversion (?:number|of)\b"),
    (Kind.COLOUR, r"\b(?:what|which)\b.{0,30}\bcolou?rs?\b"),
    (Kind.PERCENT, r"\b(?:percent(?:age)?|per cent)\b|%"),
    (
        Kind.MONEY,
        r"\bhow much (?:does|do|did|is|are|was|were|will|would)\b.*\b(?:cost|pay|paid|price|charge|worth|owe)",
    ),
    (Kind.MONEY, r"\b(?:what|which)\b.*\b(?:price|costs?|salary|fee|revenue|turnover|budget)\b"),
    (Kind.TIME, r"\bat what time\b|\bwhat time\b|\bwhat hour\b"),
    (Kind.DATE, r"\b(?:what|which) (?:day|year|month)\b|\b(?:what|which)\b.*\bdate\b|\bin what year\b"),
    (Kind.NUMBER, r"\bhow (?:many|much|old|long|far|big|large|high|fast|often|tall|wide)\b|\bwhat (?:number|amount)\b"),
    (
        Kind.NUMBER,
        r"\bwhat (?:is|was|are) the (?:\w+ ){0,3}(?:total|count|sum|score|size|number|amount|temperature"
        r"|resolution|(?<!serial )(?<!parallel )(?<!printer )port|capacity|speed)\b"
        r"|\b(?:what|which) (?:resolution|port)\b",
    ),
    (Kind.PERSON, r"^(?:by )?who(?:m|se)?\b|\bby whom\b|\bwhat is the name of the (?:author|person|speaker)\b"),
)

_HOLDS: dict[Kind, str] = {
    Kind.NUMBER: rf"(?<![\w-])\d|\b(?:{NUMBER_WORDS})\b",
    Kind.MONEY: rf"[$€£¥₹₽₩₺₴]|\b(?:{_CURRENCY})\b|\bfree\b|(?<![\w-])\d+[.,]\d\d\b",
    Kind.PERCENT: r"\d\s*(?:%|per ?cent)|\bper ?cent\b|\bhalf\b|\bquarter\b",
    Kind.DATE: rf"(?<![\w-])(?:19|20)\d\d(?![\w-])|\b(?:{_MONTH})\b|\b(?:{_DAY})s?\b|\d{{1,2}}[./-]\d{{1,2}}"
    r"|\b(?:today|tomorrow|yesterday)\b",
    Kind.TIME: r"\d{1,2}[:.]\d\d|\b\d{1,2}\s*(?:am|pm|a\.m\.|p\.m\.|o'clock|h)\b|\b(?:noon|midnight|o'clock)\b",
    Kind.EMAIL: r"\S+\s?@\s?\S+\.\w+|\bat\b.+\bdot\b",
    Kind.ADDRESS: r"https?:|www\.|\b[\w-]+\.(?:com|org|net|io|dev|de|edu|gov|eu|uk|fr|info|html?)\b"
    r"|\bdot (?:com|org)\b",
    Kind.PHONE: r"(?<![\w.,:-])(?!\d{1,4}[/.-]\d{1,2}[/.-]\d)(?!\d+[.,]\d\d\s)\+?\(?\d(?:[ ()/.-]{0,2}\d){6,}",
    Kind.VERSION: r"\bv\.?\s?\d+|\bversion:? ?\w*\d|\brelease \d",
    Kind.COLOUR: r"\b(?:red|green|blue|yellow|orange|purple|violet|pink|brown|black|white|gr[ae]y|cyan|magenta|gold"
    r"|silver|beige|turquoise|teal|navy|maroon)\b|#[0-9a-f]{6}\b",
    Kind.ERROR: r"\b(?:error|exception|fail(?:ed|ure|s)?|fatal|denied|refused|not found|no such|can(?:no|')t|cannot"
    r"|invalid|unable|traceback|warning|unknown|missing|does(?: not|n't) exist|not (?:allowed|permitted|possible"
    r"|supported|available)|abort(?:ed)?|timed? ?out|try again|illegal|(?:un)?expect(?:ed|ing)|required)|\w+error\b"
    r"|#(?:div/0|ref|name|value|num|null|n/a)\b|: ?\* ?\* ?\*(?!\*)",  # make and its like mark theirs by stars
}


_HOLDS |= {
    Kind.FILE: r"(?:^|[\s('\"`‘“=:])[~.]{0,2}/\w|\w/(?:\s|$)|\b[\w-]+\.[a-z][a-z0-9]{0,4}\b",
    Kind.OPTION: r"(?<![\w-])--?[a-z]|\w_\w|\w\s?=\s?\S",
    Kind.QUESTION: r"\?",
    Kind.CODE: r"\d",
}

_WORDS = r"[^\W\d_][\w'’-]+"  # of letters in any script
_SECOND_NAMES = re.compile(rf"({_WORDS}) (?:(?:[^\W\d_]{{2,3}}|[A-Z]\.) ){{0,2}}(?=({_WORDS}))")
_INNER_WORD = re.compile(rf"(?<=[\w,:] )({_WORDS})|^({_WORDS})$")
_PATH = re.compile(r"(?<!\w)~?/\w")


def _is_name(word: str) -> bool:
    return word[:1].isupper() and any(letter.islower() for letter in word[1:])


def _names_somebody(text: str) -> float:
    """1 for a text with two names in a row ("Ada Lovelace", "Ludwig van Beethoven"), 0.5 for one with a single name."""
    if any(_is_name(match[1]) and _is_name(match[2]) for match in _SECOND_NAMES.finditer(text)):
        return 1.0
    return 0.5 if any(_is_name(match[1] or match[2]) for match in _INNER_WORD.finditer(text)) else 0.0


def asked(question: str) -> Kind:
    """The kind of value that this question asks for; ANY where every text may answer."""
    text = question.lower().strip()
    if re.search(r"\b(?:called|named)\s*\??$", text):
        return Kind.ANY
    return next((kind for kind, pattern in _ASKED if re.search(pattern, text)), Kind.ANY)


# What asks for a moment or a view of a video, and for a date or a name in a document.
_ASKED_OF_DOCUMENTS: tuple[tuple[Kind, str], ...] = (
    (Kind.DATE, r"^(?:on |in |since |by |until )?when\b|^how long ago\b|\bdated?\b"),
    (Kind.PLACE, r"^(?:from |to |in )?where\b|\b(?:what|which) (?:country|city|town|state|place|region|county)\b"),
    (Kind.NUMBER, r"\bhow (?:deep|heavy|thick|hot|cold|long)\b|\b(?:what|which) (?:share|proportion|rate|ratio)\b"),
    (Kind.NUMBER, r"\bwhat (?:is|was|are|were) the (?:average|mean|median|maximum|minimum|population|length|width)\b"),
)


# What a screen shows that a document's page seldom does.
_ASKED_OF_SCREENS: tuple[tuple[Kind, str], ...] = (
    (
        Kind.FILE,
        r"\b(?:what|which)(?: is| are| was)?(?: the)?(?: names? of the)?(?: [\w-]+){0,2}?"
        r" (?:files?|folder|directory|path|script)\b"
        r"|\b(?:directory|folder|path) (?:of|for)\b",
    ),
    (Kind.OPTION, r"\b(?:what|which)\b.{0,30}\b(?:option|flag|switch|parameter|variable|setting)\b"),
    (
        Kind.QUESTION,
        r"^what\b.*\b(?:dialog(?:ue)?|window|prompt|message|page|form|it|box|pop-?up|program)\b.*\basks?\b"
        r"|^what (?:is|are|was|were) (?:the )?\w+ asked\b",
    ),
)


_CODE = re.compile(
    r"\b(?:what|which)(?:'s| is| was)?(?: the)?(?: [\w-]+){0,3} (?:number(?! of\b)|code|id)\b"
    r"|\bnumber of the \w+[^s]\?",
    re.IGNORECASE,
)


def asked_of_screen(question: str) -> Kind:
    """The kind of value that this question asks of what a screen shows: the number of one thing is its code."""
    if _CODE.search(question) and asked(question) in (Kind.ANY, Kind.NUMBER):
        return Kind.CODE
    return _asked_or(question, _ASKED_OF_SCREENS)


def asked_of_document(question: str) -> Kind:
    """The kind of value that this question asks a document for."""
    return _asked_or(question, _ASKED_OF_DOCUMENTS)


def _asked_or(question: str, more: tuple[tuple[Kind, str], ...]) -> Kind:
    """The kind that this question asks for anywhere, else the first of `more` that it fits."""
    kind = asked(question)
    if kind is not Kind.ANY:
        return kind
    text = question.lower().strip()
    return next((kind for kind, pattern in more if re.search(pattern, text)), Kind.ANY)


# The words that name a kind: a text that holds the value need not hold them too.
_NAMING: dict[Kind, str] = {
    Kind.MONEY: "price prices cost costs pay pays paid charge worth much",
    Kind.PERCENT: "percent percentage per cent",
    Kind.DATE: "date dates day year month",
    Kind.TIME: "time hour",
    Kind.NUMBER: "number many much amount count",
    Kind.PERSON: "name person author",
    Kind.EMAIL: "mail email address",
    Kind.ADDRESS: "url website site web address link domain",
    Kind.PHONE: "phone telephone number",
    Kind.VERSION: "version number",
    Kind.COLOUR: "colour color colours colors",
    Kind.ERROR: "error errors message exception warning warnings fail fails failed failure wrong",
    Kind.FILE: "file files folder directory path name",
    Kind.QUESTION: "user person visitor ask asks asked dialog dialogue window prompt message form program",
}


def naming(kind: Kind) -> frozenset[str]:
    """The stems that only name this kind of value."""
    return frozenset(stem(word) for word in _NAMING.get(kind, "").split())


def fit(kind: Kind, text: str) -> float:
    """How well a text holds a value of this kind: 1 surely, 0.5 perhaps (a bare number may be a price), 0 not."""
    if kind is Kind.ANY:
        return 1.0
    if kind is Kind.PERSON:
        return _names_somebody(text)
    if kind is Kind.PLACE:
        return 1.0 if _names_somebody(text) or _PATH.search(text) else 0.0
    if re.search(_HOLDS[kind], text.lower()):
        return 1.0
    if kind is Kind.CODE:
        return 0.5 if re.search(r"\b[A-Z]{2,}\b", text) else 0.0
    if kind is Kind.VERSION and re.search(r"\d+(?:\.\d+)+|\b\d+\b", text):
        return 0.5
    return 0.5 if kind is Kind.MONEY and re.search(r"(?<![\w.,-])\d{2,}(?![\w:-])", text) else 0.0


# --- words ------------------------------------------------------------------------------------------------------------

_STOP_WORDS = """\
a an the of in on at to for from by with about as into onto over under and or but if then than that this these
those there here it its is are was were be been being am do does did done doing has have had having will would
can could shall should may might must not no nor so such what which who whom whose when where why how i you he
she we they me him her us them my your his our their any some all each every both few more most other own same
too very just also only up down out off again once through use used using get gets got many much"""
_STOP = frozenset(_STOP_WORDS.split())
_WORD = r"[a-zà-ÿ]+(?:'[a-z]+)?|\d+(?:[.,:]\d+)*"
_QUOTED = r"""[“"]([^”"]+)[”"]|‘([^’]+)’|(?<!\w)'([^']+)'(?!\w)"""


def words(text: str) -> list[str]:
    """The words and numbers of a text as stems, in order."""
    return [stem(word) for word in re.findall(_WORD, text.lower())]


def terms(text: str) -> list[str]:
    """The stems that carry meaning, each once, in order."""
    found = re.findall(_WORD, text.lower())
    return list(dict.fromkeys(stem(word) for word in found if (word not in _STOP and len(word) > 1) or word.isdigit()))


def names(question: str) -> list[str]:
    """What a question spells exactly: words in quotes, names with a capital inside the sentence, numbers and codes."""
    quoted = [text for groups in re.findall(_QUOTED, question) for text in groups if text]
    rest = re.sub(_QUOTED, " ", question)
    inside = re.findall(r"(?<=\s)(?:[A-Z][\w.-]*\w|[A-Z](?=\s|\?)|\w*\d[\w.,:-]*\w|\d)", rest)
    return quoted + [word for word in inside if word != "I"]
