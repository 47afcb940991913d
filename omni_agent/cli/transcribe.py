"""`omni transcribe`."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.options import Engine, Json, Quiet, chosen
from omni_agent.cli.output import bars, emit, note
from omni_agent.errors import UsageError

if TYPE_CHECKING:
    from omni_agent.tools.transcribe import TranscribeResult


class Form(StrEnum):
    """What can be written; `all` is every one of the others."""

    txt = "txt"
    srt = "srt"
    vtt = "vtt"
    tsv = "tsv"
    json = "json"
    md = "md"
    all = "all"


def transcribe(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="A recording or a video; '-' reads standard input.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", "-f", help="What is written.")] = Form.txt,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write DIR/<name>.<format>, print its path; what stood there is kept with a ~. For all: ./omni-out.",
        ),
    ] = None,
    json: Json = False,
    language: Annotated[str | None, typer.Option(help="ISO 639-1 code, such as en; found out when not given.")] = None,
    prompt: Annotated[str, typer.Option(help="Names and terms to expect, such as 'Kubernetes, Siobhan'.")] = "",
    speakers: Annotated[bool, typer.Option("--speakers", help="Tell voices apart (approximately).")] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="Add topics, decisions and action items with their times (lite: English).")
    ] = False,
    mic: Annotated[bool, typer.Option("--mic", help="Record the microphone first, until Ctrl-C or --seconds.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="How long --mic records.")] = None,
    engine: Engine = None,
    quiet: Quiet = False,
) -> int:
    """Say what is said in a recording, and when."""
    from omni_agent.tools.transcribe import Interrupted
    from omni_agent.tools.transcribe import transcribe as hear

    if (file is None) != mic or (seconds is not None and not mic):
        raise UsageError("either a FILE or --mic [--seconds N] is needed", hint="omni transcribe call.wav")
    wanted = Form.json if json else form
    perception = chosen(engine, quiet)
    file = file or _recorded(output or Path(), seconds, quiet)
    try:
        with bars(quiet) as progress:
            result = hear(
                file,
                language=language,
                prompt=prompt,
                speakers=speakers,
                summary=summary,
                engine=perception,
                progress=progress,
            )
    except Interrupted as interrupted:
        _give(interrupted.partial, wanted, output, file)
        at = interrupted.partial.segments[-1].end if interrupted.partial.segments else 0.0
        note(f"omni: interrupted at {at:.0f} s; what was heard is kept, the same command goes on from there")
        return 130
    _give(result, wanted, output, file)
    for warning in result.warnings:
        note(f"note: {warning}")
    if not result.found:
        note(f"nobody speaks in {file}")
        return 3
    return 0


def _recorded(folder: Path, seconds: float | None, quiet: bool) -> str:
    """Record the microphone into a new file of the folder; its name."""
    from omni_agent.media import microphone

    path = folder / f"recording-{time.strftime('%Y%m%d-%H%M%S')}.wav"
    note(f"recording {microphone.describe()} into {path}" + ("" if seconds else "; Ctrl-C ends it"))
    with bars(quiet) as progress:
        microphone.record(path, seconds, progress=progress)
    return str(path)


def _give(result: TranscribeResult, form: Form, output: Path | None, file: str) -> None:
    """Print the transcript, or write it into files and print their paths."""
    from omni_agent.tools.transcript_formats import FORMATS, minutes_md, render, save

    if output is not None or form is Form.all:
        stem = "transcript" if file == "-" else Path(file).stem
        forms = list(FORMATS) if form is Form.all else [form.value]
        for path, before in save(result, forms, output or Path("omni-out"), stem):
            emit(str(path))
            if before is not None:
                note(f"note: {path} said something else; that is kept in {before}")
        return
    head = list(minutes_md(result)) if form is Form.txt else []
    text = "\n\n".join([*head, render(result, form.value, "" if file == "-" else Path(file).name)])
    if text:
        emit(text)
