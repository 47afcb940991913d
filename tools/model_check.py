"""First contact with a checkpoint: what omni assumed about it, and ten questions that show whether it works.

The runtime was written without the released weights. Whoever runs them first should learn in minutes, and from the
program itself, whether everything fits, and if not, where.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omni_agent.engines import local
from omni_agent.engines.base import Engine
from omni_agent.errors import EngineError, Unavailable, UsageError
from omni_agent.runtime.assumptions import Assumption, assumptions
from omni_agent.tools.model_questions import Question, put, questions
from omni_agent.types import Progress, no_progress

CONTEXT = 8192  # tokens; the longest of the ten has a picture of 3,000 and 1,500 to answer


@dataclass(frozen=True, slots=True)
class Answer:
    """One question put to the model. `ok` None: not asked, for the reason in `wrong`."""

    question: str
    ok: bool | None
    said: str
    wrong: str
    points_to: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`ok`: no assumption is contradicted, and every question that was asked was answered right. `not_asked` says why
    the model could not be asked at all, `hint` what to do about it."""

    folder: str
    ok: bool
    assumptions: tuple[Assumption, ...]
    answers: tuple[Answer, ...]
    not_asked: str = ""
    hint: str = ""
    schema_version: int = 1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while the model was asked; `partial` is what was found until then."""

    def __init__(self, partial: CheckResult) -> None:
        super().__init__("interrupted")
        self.partial = partial


def check(
    folder: Path,
    *,
    engine: Engine | None = None,
    device: Literal["cuda", "cpu"] = "cuda",
    seed: int | None = None,
    progress: Progress = no_progress,
) -> CheckResult:
    """Look at the files, then ask the model in `engine` (None: this folder on this machine's `device`).

    Raises UsageError where there is no folder, CheckpointError where config.json cannot be read or the weights cannot
    be loaded, Interrupted on Ctrl-C.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    rows = assumptions(folder)
    answers: list[Answer] = []
    not_asked = hint = ""
    interrupted = False
    try:
        engine = engine or local.LocalEngine(
            local.check(folder, device), context=CONTEXT, device=device, progress=progress
        )
        _ask(engine, questions(seed), answers, progress)
    except Unavailable as error:
        not_asked, hint = str(error), error.hint
    except KeyboardInterrupt:
        interrupted = True
    ok = all(row.ok is not False for row in rows) and all(answer.ok is not False for answer in answers)
    result = CheckResult(str(folder), ok, rows, tuple(answers), not_asked, hint)
    if interrupted:
        raise Interrupted(result)
    return result


def _ask(engine: Engine, asked: tuple[Question, ...], answers: list[Answer], progress: Progress) -> None:
    """Ask each question; `answers` grows as they are answered."""
    for number, question in enumerate(asked):
        progress("asking", number, len(asked))
        answers.append(_answer(engine, question))


def _answer(engine: Engine, question: Question) -> Answer:
    if question.skip:
        return Answer(question.name, None, "", question.skip, "")
    try:
        said = put(question, engine)
    except EngineError as error:
        return Answer(question.name, False, "", str(error), question.points_to)
    wrong = question.wrong(said)
    return Answer(question.name, not wrong, said.shown(), wrong, question.points_to if wrong else "")
