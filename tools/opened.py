"""One or more files held open for several questions: documents, a video, or a recording."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from omni_agent.errors import UsageError
from omni_agent.perception.base import Perception
from omni_agent.settings import EngineName
from omni_agent.tools.ask import Documents
from omni_agent.tools.recording import Recording
from omni_agent.tools.watch import WatchResult, watch
from omni_agent.types import Progress, no_progress


class Film:
    """A video for many questions. What was read and heard for one is in the cache for the next."""

    def __init__(self, file: str | Path, *, engine: EngineName | Perception | None = None) -> None:
        self._file, self._engine = file, engine
        if not Path(file).is_file():
            raise UsageError(f"{file} is not there")

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def ask(
        self, question: str, *, frames_dir: str | Path | None = None, progress: Progress = no_progress
    ) -> WatchResult:
        """Answer one question, as `omni_agent.watch` does."""
        return watch(self._file, question, frames_dir=frames_dir, engine=self._engine, progress=progress)


def open(
    *files: str | Path,
    pages: str | None = None,
    password: str | None = None,
    engine: EngineName | Perception | None = None,
) -> Documents | Film | Recording:
    """Files to ask several questions: documents together, one video, or one recording.

        with omni_agent.open("report.pdf") as doc:
            doc.ask("How many people work there?")

    `pages` and `password` are a document's. Raises what `ask`, `watch` and `transcribe` raise for files that cannot be
    opened, UsageError for a video or a recording among other files.
    """
    kinds = [(mimetypes.guess_type(str(file))[0] or "").partition("/")[0] for file in files]
    alone = next((file for file, kind in zip(files, kinds, strict=True) if kind in ("video", "audio")), None)
    if alone is None:
        return Documents(files, pages=pages, password=password, engine=engine)
    if len(files) > 1:
        what = "video" if "video" in kinds else "recording"
        raise UsageError(f"{alone} is a {what}, which is asked by itself", hint="open it alone")
    return Film(alone, engine=engine) if "video" in kinds else Recording(alone, engine=engine)
