"""What the first screen of a talk tells about the talk itself: who gives it, when, from where, under which licence.

Such questions share no word with their answer: a name below a title is the speaker's because of where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from omni_agent.perception.lite.kinds import Kind, fit
from omni_agent.perception.lite.screen_text import Passage
from omni_agent.perception.lite.video_question import Asked
from omni_agent.perception.lite.words import stem

_TALK = re.compile(r"\b(?:talk|presentation|lecture|slides?|slide deck|speaker|presenter|lecturer)\b", re.IGNORECASE)
_GIVES = re.compile(
    r"\b(?:gives?|gave|given|holds?|held|presents?|presented|made|prepared|wrote|authors?|speakers?|presenters?|lecturers?)\b",
    re.IGNORECASE,
)
_HOUSES = {  # what is asked for -> what says that a line is one
    r"depart?ment": r"\bdep(?:t|artment)\b",
    r"universit": r"\buniv",
    r"institut": r"\binst(?:itut|\.)",
    r"facult": r"\bfacult",
    r"laborator|\blab\b": r"\blab(?:s|orator|\b)",
    r"affiliat|organi[sz]ation": r"\b(?:univ|inst(?:itut|\.)|dep(?:t|artment)\b|lab(?:s|\b)|cent(?:er|re)\b|inc\b)",
    r"licen[cs]e": r"\blicen[cs]e|\bcreative commons\b|\bcc[ -]by\b|\bgpl|\bpublic domain\b",
}
_NAME = re.compile(r"(?:[A-ZÀ-Þ][\w’'.-]* ){1,3}[A-ZÀ-Þ][\w’'-]+")
_NO_NAME = re.compile(
    r"\d|\b(?:the|an?|of|for|with|in|on|to|dept|department|univ\w*|inst\w*|cent(?:er|re)|inc|ltd)\b", re.IGNORECASE
)
_ABOUT_WORDS = """\
talk presentation lecture slide deck speaker presenter lecturer author give hold present make prepare write belong work
come from department university institute institution faculty laboratory lab affiliation affiliated organisation
organization licence license publish published release released date"""
_ABOUT = frozenset(stem(word) for word in _ABOUT_WORDS.split())


def told(asked: Asked, passages: Sequence[Passage]) -> Passage | None:
    """The line of the first screen that tells what is asked about the talk; None where nothing of it is asked, or no
    line does."""
    if asked.wanted != "text" or asked.names or set(asked.terms) - _ABOUT or not _TALK.search(asked.question):
        return None
    shown = [passage for passage in passages if not passage.spoken and passage.screens]
    first = min((number for passage in shown for number in passage.screens), default=0)
    lines = [passage for passage in shown if first in passage.screens]
    if asked.kind is Kind.PERSON and _GIVES.search(asked.question):
        return min((p for p in lines if _names(p, lines)), key=lambda p: (-len(p.parts), p.top), default=None)
    if asked.kind is Kind.DATE:
        return next((passage for passage in lines if not passage.parts and fit(Kind.DATE, passage.text) == 1.0), None)
    for house, says in _HOUSES.items():
        if re.search(house, asked.question, re.IGNORECASE):
            return next(
                (p for p in lines if not p.parts and p.lines == 1 and re.search(says, p.text, re.IGNORECASE)), None
            )
    return None


def _names(passage: Passage, lines: Sequence[Passage]) -> bool:
    """Whether a line below the title is a name, or several side by side."""
    title = min((line.top for line in lines if " " in line.text), default=0.0)
    names = passage.parts or (passage.text,)
    written = all(_NAME.fullmatch(name) and not _NO_NAME.search(name) for name in names)
    return written and passage.lines == 1 and passage.top > title + passage.size / 2
