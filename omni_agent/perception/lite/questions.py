"""What a question asks for: the kind of value that would answer it, and the terms that the evidence has to hold."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

Kind = Literal["number", "money", "date", "person", "place", "yesno", "any"]

_KINDS: tuple[tuple[Kind, str], ...] = (
    (
        "money",
        r"how much (money|does it cost|did .* cost|is .* paid)|\b(price|cost|fee|salary|revenue|budget|profit)s?\b",
    ),
    ("date", r"^(on |in |since |by |until )?(when|(what|which) (year|date|day|month)|how long ago)\b|\bdate\b"),
    ("number", r"\bhow (many|much|long|large|big|far|fast|high|deep|wide|tall|often|heavy|old)\b|\bnumber of\b"),
    ("number", r"\b(percentage|percent|proportion|share|rate|ratio|total|average|mean|median|population|amount)\b"),
    ("number", r"\b(what|which) (size|length|width|height|age|version|port|value|weight|distance|version number)\b"),
    ("person", r"^(by |to |from )?(who|whom|whose)\b|\bname of the (author|person|leader|director|president)\b"),
    ("place", r"^(from |to |in )?where\b|\b(what|which) (country|city|town|state|place|address|directory|folder)\b"),
    ("yesno", r"^(is|are|was|were|does|do|did|can|could|may|must|should|has|have|had|will|would)\b"),
)

_STOP_WORDS = """
    he she his her him we us more
    a about according an and any are as at be been being by called can could described did do document does each
    file for from give given had happen happens has have how i if in into is it its itself kind list long many
    may me mean means mentioned much must name of often on one or our page please report say says shall should
    show so some state table tell than that the their them then there these they this those to type under up use
    used using was were what when where which who whom whose why will with within would you your
"""
_STOP = frozenset(_STOP_WORDS.split())  # words that any question may have

_BOUND = re.compile(
    r"\b(more|less|fewer|greater|younger|older|other) than $|\b(over|under|at least|at most) $", re.IGNORECASE
)
_MONTH = r"(January|February|March|April|May|June|July|August|September|October|November|December|" + (
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
)
_DATE = re.compile(rf"\b(1[0-9]|20)\d\d\b|\b{_MONTH}\b\.?|\b\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|million|"
    r"billion|half|dozen|zero|unlimited)\b",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[$€£¥]|\b(USD|EUR|GBP|dollars?|euros?|pounds?|cents?|million|billion|prices?|costs?|fees?|revenues?|budgets?|profits?)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b[A-Z][\w’'.-]+(\s+(van|von|de|der|la|[A-Z][\w’'.-]*))+|(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_PATH = re.compile(r"(?<!\w)~?/\w")
_DAY = re.compile(
    rf"\b\d{{1,2}}(st|nd|rd|th)?,?\s+(of\s+)?{_MONTH}\b|\b{_MONTH}\s+\d{{1,2}}\b|\d{{1,4}}[./-]\d{{1,2}}[./-]\d",
    re.IGNORECASE,
)


_CLOCK = re.compile(
    r"\b\d{1,2}[:.]\d\d\b(?!\d)|\b\d{1,2}\s?[ap]\.?m\b|\bo['’]clock\b|\b(noon|midnight|midday|century|centuries)\b"
    r"|\b(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(when|whenever|after|before|until|once|during|while|if|unless)\b", re.IGNORECASE)
_HABIT = re.compile(r"^\W*when\s+(do|does|is|are|should|must|can|may|will|would)\b", re.IGNORECASE)


_MEASURES = {"average", "mean", "median", "percent", "percentage", "minimum", "maximum", "price", "salary", "profit"}


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question: as it is compared, as it was written, and whether the evidence must hold it literally
    (a name, a number, an option, a word in quotes)."""

    stem: str
    word: str
    literal: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A question taken apart."""

    text: str
    kind: Kind
    terms: tuple[Term, ...]


def understand(text: str) -> Question:
    """What a question asks for and which of its words count."""
    kind: Kind = next((kind for kind, pattern in _KINDS if re.search(pattern, text, re.IGNORECASE)), "any")
    quoted = {stem for phrase in re.findall(r"[\"“'‘`]([^\"”'’`]+)[\"”'’`]", text) for stem in stems(phrase)}
    terms: dict[str, Term] = {}
    for position, match in enumerate(_WORD.finditer(_plain(text))):
        word = match[0].strip(".-'")
        if not word or word.casefold() in _STOP:
            continue
        proper = word[0].isupper() and position > 0
        number = any(c.isdigit() for c in word) and _BOUND.search(text[: match.start()]) is None
        named = proper or number or stem(word) in quoted or match[0].startswith("-")
        literal = named or word.casefold() in _MEASURES
        terms.setdefault(stem(word), Term(stem(word), word, literal))
    return Question(text, kind, tuple(terms.values()))


def holds(question: Question, text: str) -> bool:
    """Whether a text holds a value of the kind that was asked for, beyond what the question itself says."""
    if question.kind == "number":
        return _NUMBER.search(_NO_COUNT.sub(" ", text)) is not None
    if question.kind == "money":
        return _MONEY.search(text) is not None and _NUMBER.search(text) is not None
    if question.kind == "date" and re.search(r"\b(what|which) (date|day)\b", question.text, re.IGNORECASE):
        return _DAY.search(text) is not None
    if (
        question.kind == "date"
    ):  # what happens again and again has an hour or a condition where what happened has a date
        usual = _HABIT.search(question.text) is not None and _CONDITION.search(text) is not None
        return usual or _DATE.search(text) is not None or _CLOCK.search(text) is not None
    if question.kind == "place" and _PATH.search(text):
        return True
    if question.kind in ("person", "place"):
        known = set(stems(question.text))
        return any(not known & set(stems(match[0])) for match in _NAME.finditer(text))
    return True


_NO_COUNT = re.compile(  # years and the numbers of tables, figures and sections count nothing
    r"\b(?:in|since|until|of|from|:|,)?\s*(?:19|20)\d\d\b(?![.,]\d)|\b(?:table|figure|section|chapter|page)\s+\d[\d.]*",
    re.IGNORECASE,
)


# --- words ------------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"-{0,2}\w[\w'’]*(?:[.-]\w+)*|[$%]")


def stems(text: str) -> list[str]:
    """The words of a text as they are compared: English stems, numbers without their thousands separators."""
    found = []
    for match in _WORD.finditer(_plain(text)):
        word = match[0].strip(".-'’")
        if not word:
            continue
        found.append(stem(word))
        if "-" in word or "." in word:
            found.extend(stem(part) for part in re.split(r"[.-]", word) if len(part) > 1)
    return found


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    word = word.casefold().replace("’", "'").removesuffix("'s").strip("'")
    if any(c.isdigit() for c in word):
        return word
    return str(_stemmer().stemWord(word))


def _plain(text: str) -> str:
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", unicodedata.normalize("NFKC", text))


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")
