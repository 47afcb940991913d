"""omni's tools as LangChain tools.

    from omni_agent.integrations.langchain import omni_tools
    agent = create_agent(model, omni_tools(allowed_dirs=["./inbox"]))

Each returns a short text for the model and the whole result (the JSON of the command line) as its artifact. They look
and listen and never act: the click tool locates and does not press. Files outside `allowed_dirs` are refused; links are
followed before that is decided.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from omni_agent.errors import MissingExtra, OmniError
from omni_agent.perception.base import Perception
from omni_agent.settings import EngineName
from omni_agent.types import timestamp, to_json

try:
    from langchain_core.tools import BaseTool, ToolException
except ImportError as error:
    raise MissingExtra("langchain", "LangChain support") from error

Said = tuple[str, dict[str, Any]]
"""What a tool returns: the content for the model, and the artifact."""


class OmniTool(BaseTool):
    """What the tools share: where files may lie, which engine answers, and errors as text for the model."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    response_format: str = "content_and_artifact"  # type: ignore[assignment]
    handle_tool_error: bool = True
    handle_validation_error: bool = True
    allowed_dirs: Sequence[Path] = Field(default_factory=lambda: (Path.cwd(),))
    engine: Any = None  # EngineName | Perception | None: pydantic cannot check an instance of a protocol

    def _run(self, **arguments: Any) -> Said:
        try:
            return self._do(**arguments)
        except OmniError as error:
            raise ToolException(f"{error}. {error.hint}".rstrip(". ") + ".") from error

    @abstractmethod
    def _do(self, *args: Any, **arguments: Any) -> Said:
        """Run the tool; raises OmniError."""

    def _allowed(self, name: str) -> str:
        """The resolved path of a file that may be read. Raises ToolException for any other."""
        try:
            path = Path(name).expanduser().resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise ToolException(f"{name!r} is not a file name: {error}.") from error
        folders = [Path(folder).expanduser().resolve() for folder in self.allowed_dirs]
        if not any(path.is_relative_to(folder) for folder in folders):
            raise ToolException(f"{name} lies outside the folders this tool may read: {', '.join(map(str, folders))}.")
        return str(path)


class AskArguments(BaseModel):
    files: list[str] = Field(min_length=1, description="Paths of the documents (PDF or pictures) that hold the answer.")
    question: str = Field(description="One question, in plain words.")
    pages: str | None = Field(None, description='Only these pages, counted from 1, such as "1-4,7".')


class AskTool(OmniTool):
    """Ask documents a question; the answer comes with quotes, pages and the boxes where the quotes stand."""

    name: str = "omni_ask"
    description: str = (
        "Answer a question from documents (PDF, scans, pictures of pages). Returns the answer with verbatim quotes and "
        "page numbers, or says that the documents do not answer it."
    )
    args_schema: type[BaseModel] = AskArguments

    def _do(self, files: list[str], question: str, pages: str | None = None) -> Said:
        from omni_agent.tools.ask import ask

        result = ask([self._allowed(file) for file in files], question, pages=pages, engine=self.engine)
        if not result.found:
            return f"Not in these documents: {result.reason}", to_json(result)
        lines = [result.answer]
        for citation in result.citations:
            mark = "verified" if citation.verified else "NOT verified"
            lines.append(f'- {Path(citation.file).name}, page {citation.page} ({mark}): "{citation.quote}"')
        return "\n".join(lines), to_json(result)


class ClickArguments(BaseModel):
    target: str = Field(description='What to point at, such as "Submit button" or "the gear icon at the top right".')
    image: str | None = Field(None, description="Path of a screenshot; without it the screen itself is looked at.")
    screen: int | None = Field(None, description="Which monitor, counted from 1, when no image is given.")


class ClickTool(OmniTool):
    """Find a place on a screen or screenshot. It locates; it never presses."""

    name: str = "omni_click"
    description: str = (
        "Find a button, link, field, icon or text on the screen or in a screenshot and return where to click. "
        "It never clicks. Says so when the target is not there."
    )
    args_schema: type[BaseModel] = ClickArguments

    def _do(self, target: str, image: str | None = None, screen: int | None = None) -> Said:
        from omni_agent.tools.click import click

        result = click(target, image=None if image is None else self._allowed(image), screen=screen, engine=self.engine)
        if not result.found or result.point is None:
            near = ", ".join(f'"{other.label}"' for other in result.alternatives[:3])
            return f"Not on the screen: {result.reason}" + (f" Nearest: {near}." if near else ""), to_json(result)
        point = result.point
        place = point.screen or point.image
        kind = "screen" if point.screen else "image pixel"
        return (
            f'{kind} {round(place[0])},{round(place[1])}: "{result.label}" (confidence {result.confidence:.2f})',
            to_json(result),
        )


class TranscribeArguments(BaseModel):
    file: str = Field(description="Path of the recording (any audio file, or a video with sound).")
    language: str | None = Field(None, description='Spoken language as a code such as "en"; found out when left out.')
    summary: bool = Field(False, description="Also write minutes: topics, decisions and action items with their times.")
    speakers: bool = Field(False, description="Also tell speakers apart (approximate).")


class TranscribeTool(OmniTool):
    """Write down what is said in a recording."""

    name: str = "omni_transcribe"
    description: str = (
        "Transcribe a recording. Returns the text with times; with summary also topics, decisions and action items. "
        "Says so when nobody speaks."
    )
    args_schema: type[BaseModel] = TranscribeArguments

    def _do(self, file: str, language: str | None = None, summary: bool = False, speakers: bool = False) -> Said:
        from omni_agent.tools.transcribe import transcribe

        result = transcribe(
            self._allowed(file), language=language, summary=summary, speakers=speakers, engine=self.engine
        )
        if not result.found:
            return "Nobody speaks in this recording.", to_json(result)
        lines = [
            f"[{timestamp(segment.start)}] {f'{segment.speaker}: ' if segment.speaker else ''}{segment.text.strip()}"
            for segment in result.segments
        ]
        if result.summary is not None:
            for title, items in (
                ("Topics", result.summary.topics),
                ("Decisions", result.summary.decisions),
                ("Action items", result.summary.actions),
            ):
                lines += [f"{title}:", *(f"- [{timestamp(item.start)}] {item.text}" for item in items)]
        return "\n".join(lines), to_json(result)


class WatchArguments(BaseModel):
    video: str = Field(description="Path of the video.")
    question: str = Field(description="One question, in plain words.")


class WatchTool(OmniTool):
    """Ask a video a question; the answer comes with the moments that prove it."""

    name: str = "omni_watch"
    description: str = (
        "Answer a question about a video from the text it shows and the words it speaks. Returns the answer with the "
        "times of the moments, or says that the video does not answer it."
    )
    args_schema: type[BaseModel] = WatchArguments

    def _do(self, video: str, question: str) -> Said:
        from omni_agent.tools.watch import watch

        result = watch(self._allowed(video), question, engine=self.engine)
        if not result.found:
            return f"Not in this video: {result.reason}", to_json(result)
        lines = [result.answer]
        for moment in result.moments:
            seen = f' shows "{moment.seen}"' if moment.seen else ""
            said = f' says "{moment.said}"' if moment.said else ""
            lines.append(f"- [{timestamp(moment.start)}]{seen}{said}")
        return "\n".join(lines), to_json(result)


def omni_tools(
    *,
    allowed_dirs: Sequence[str | Path] | None = None,
    engine: EngineName | Perception | None = None,
) -> list[BaseTool]:
    """All four tools, reading only below `allowed_dirs` (default: the working folder)."""
    folders = [Path.cwd()] if allowed_dirs is None else [Path(folder) for folder in allowed_dirs]
    return [
        AskTool(allowed_dirs=folders, engine=engine),
        ClickTool(allowed_dirs=folders, engine=engine),
        TranscribeTool(allowed_dirs=folders, engine=engine),
        WatchTool(allowed_dirs=folders, engine=engine),
    ]
