"""What a question asks for: the kind of value that would answer it, and the terms that the evidence ought to hold."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from omni_agent.perception.lite import kinds
from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.words import WORD, plain, stem, stems

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
_MEASURES = {"average", "mean", "median", "percent", "percentage", "minimum", "maximum", "price", "salary", "profit"}


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question: as it is compared, as it was written, and whether it is spelled rather than meant (a
    name, a number, a compound, an option, a word in quotes), so that no other word will do."""

    stem: str
    word: str
    literal: bool

    def among(self, words: Collection[str]) -> bool:
        """Whether it is one of these stems, or a compound whose parts all are."""
        parts = stems(self.word)[1:]
        return self.stem in words or (bool(parts) and all(part in words for part in parts))


@dataclass(frozen=True, slots=True)
class Question:
    """A question taken apart."""

    text: str
    kind: Kind
    terms: tuple[Term, ...]


def understand(text: str) -> Question:
    """What a question asks for and which of its words count."""
    quoted = {stem for phrase in re.findall(r"[\"“'‘`]([^\"”'’`]+)[\"”'’`]", text) for stem in stems(phrase)}
    terms: dict[str, Term] = {}
    for position, match in enumerate(WORD.finditer(plain(text))):
        word = match[0].strip(".-'")
        if not word or word.casefold() in _STOP:
            continue
        proper = word[0].isupper() and position > 0
        number = any(c.isdigit() for c in word) and _BOUND.search(text[: match.start()]) is None
        named = proper or number or stem(word) in quoted or match[0].startswith("-")
        literal = named or word.casefold() in _MEASURES or re.search(r"\w[-._]\w", word) is not None
        terms.setdefault(stem(word), Term(stem(word), word, literal))
    return Question(text, kinds.asked_of_document(text), tuple(terms.values()))


def holds(question: Question, text: str) -> float:
    """How well a text holds a value of the kind that was asked for, beyond what the question itself says: 0 to 1."""
    if question.kind is Kind.NUMBER:
        known = {term.stem for term in question.terms}
        text = " ".join(word for word in _NO_COUNT.sub(" ", plain(text)).split() if word.strip(".,;:()") not in known)
    return kinds.fit(question.kind, text)


_NO_COUNT = re.compile(  # years and the numbers of tables, figures, sections and references count nothing
    r"\b(?:in|since|until|of|from|:|,)?\s*(?:19|20)\d\d\b(?![.,]\d)|\b(?:table|figure|section|chapter|page)\s+\d[\d.]*"
    r"|\[\d[\d, –-]*\]",
    re.IGNORECASE,
)
