"""A recording held open: heard once, then its transcript, its minutes and answers from what is said in it.

A question is answered from the transcript's words, set out as pages of one segment a line, by the same perception that
answers from documents; every quote is checked against the words and becomes a moment. How something was said, and what
is to be heard beside speech, no answer rests on.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_agent.errors import MediaError, UsageError
from omni_agent.perception.base import Perception
from omni_agent.perception.choose import perceive
from omni_agent.settings import EngineName
from omni_agent.tools.chat import Chat
from omni_agent.tools.evidence import Citation, check
from omni_agent.tools.transcribe import TranscribeResult, printable, transcribe
from omni_agent.tools.watch import WatchedMoment, WatchResult
from omni_agent.types import Box, Exchange, Line, Minutes, Picture, Progress, Segment, no_progress

ON_A_PAGE = 40  # segments: some minutes of speech
HEIGHT = 0.4  # of a line in its row: the rest parts it from the next, as a paragraph


class Recording:
    """A recording, or a video's sound, for its transcript and many questions. Heard when it is first needed.

        with omni_agent.open("call.ogg") as call:
            call.transcript().text
            call.ask("Who calls the supplier?").moments

    `language`, `prompt` and `engine` as `transcribe` takes them, and the same errors.
    """

    def __init__(
        self,
        file: str | Path,
        *,
        language: str | None = None,
        prompt: str = "",
        engine: EngineName | Perception | None = None,
    ) -> None:
        self._file, self._language, self._prompt = file, language, prompt
        self._perception = perceive(engine)
        self._heard: dict[bool, TranscribeResult] = {}  # with speakers, and without
        self._hearing = threading.Lock()
        if not Path(file).is_file():
            raise UsageError(f"{file} is not there")

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def transcript(self, *, speakers: bool = False, progress: Progress = no_progress) -> TranscribeResult:
        """What is said, as `omni_agent.transcribe` gives it."""
        with self._hearing:
            if speakers not in self._heard:
                self._heard[speakers] = transcribe(
                    self._file,
                    language=self._language,
                    prompt=self._prompt,
                    speakers=speakers,
                    engine=self._perception,
                    progress=progress,
                )
            return self._heard[speakers]

    def minutes(self, *, speakers: bool = False, progress: Progress = no_progress) -> Minutes:
        """Topics, decisions and action items; with `speakers`, who said them."""
        return self._perception.minutes(self.transcript(speakers=speakers, progress=progress).segments)

    def ask(self, question: str, *, progress: Progress = no_progress) -> WatchResult:
        """Answer from what is said. The moments are the segments that the answer rests on, without pictures."""
        return self._answered(question, (), progress)[0]

    def chat(self, *, earlier: Sequence[Exchange] = ()) -> Chat[WatchResult]:
        """A conversation about what is said, whose questions may refer to those before."""
        return Chat(self._answered, earlier)

    def _answered(self, question: str, earlier: Sequence[Exchange], progress: Progress) -> tuple[WatchResult, str]:
        """The result, and what a model wrote."""
        if not question.strip():
            raise UsageError("the question is empty", hint='call.ask("Who calls the supplier?")')
        began = time.perf_counter()
        heard = self.transcript(progress=progress)
        ready = time.perf_counter()
        pages = [
            Spoken(str(self._file), number, heard.segments[first : first + ON_A_PAGE])
            for number, first in enumerate(range(0, len(heard.segments), ON_A_PAGE), 1)
        ]
        reply = self._perception.answer(question.strip(), pages, earlier=earlier, progress=progress)
        cited = [check(quote, pages) for quote in reply.quotes]
        ended = time.perf_counter()
        sure = not reply.found or any(citation.verified for citation in cited)
        result = WatchResult(
            found=reply.found,
            answer=printable(reply.text),
            moments=tuple(pages[one.page - 1].moment(one) for one in cited if one.verified),
            confidence=reply.confidence if sure else reply.confidence / 2,
            engine=self._perception.name,
            reason=printable(reply.reason if heard.found else "nobody speaks in this recording"),
            duration=heard.duration,
            warnings=heard.warnings,
            usage=reply.usage,
            timings={"hear_s": ready - began, "answer_s": ended - ready, "total_s": ended - began},
        )
        return result, reply.written


@dataclass(frozen=True, slots=True)
class Spoken:
    """Part of a transcript as a page: a segment a line, in rows of equal height."""

    file: str
    number: int
    segments: Sequence[Segment]

    @property
    def key(self) -> str:
        return hashlib.sha256("\n".join(segment.text for segment in self.segments).encode()).hexdigest()

    def lines(self) -> tuple[Line, ...]:
        rows = len(self.segments)
        return tuple(
            Line(segment.text, Box(0.1, row / rows, 0.9, (row + HEIGHT) / rows))
            for row, segment in enumerate(self.segments)
        )

    def printed(self) -> tuple[Line, ...]:
        return self.lines()

    def picture(self, dpi: int = 150) -> Picture:
        raise MediaError("what is said has no picture")

    def moment(self, cited: Citation) -> WatchedMoment:
        """The segments in whose rows the quote stands."""
        rows = [int(box.center[1] * len(self.segments)) for box in cited.boxes]
        said = self.segments[min(rows) : max(rows) + 1]
        return WatchedMoment(float(said[0].start), float(said[-1].end), None, "", cited.quote)
