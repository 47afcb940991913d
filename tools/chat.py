"""A conversation about what is held open: each question may refer to those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from omni_agent.types import Exchange, Progress, no_progress

R = TypeVar("R")


class Chat(Generic[R]):
    """Questions that follow each other; made by `chat()` of open documents or of a recording.

        with omni_agent.open("report.pdf") as doc:
            chat = doc.chat()
            chat.ask("How many men were arrested?")
            chat.ask("And how many women?")

    A model reads each question after the turns before it, and of those turns only what is new is computed. The embedded
    engine takes each question by itself. `earlier` are the turns so far; given to `chat()` they are taken up again.
    """

    def __init__(
        self, asked: Callable[[str, Sequence[Exchange], Progress], tuple[R, str]], earlier: Sequence[Exchange]
    ) -> None:
        self._asked = asked
        self.earlier = tuple(earlier)

    def ask(self, question: str, *, progress: Progress = no_progress) -> R:
        """Answer one question, as `ask` of what is held open does; an error leaves the conversation as it was."""
        result, written = self._asked(question, self.earlier, progress)
        if written:
            self.earlier = (*self.earlier, Exchange(question.strip(), written))
        return result
