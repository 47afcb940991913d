"""`omni model get|verify|info|check`: the full model's checkpoint, before and after it is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omni_agent.cli.options import Json, Quiet
from omni_agent.cli.output import bars, emit, emit_json, note
from omni_agent.errors import Unavailable

if TYPE_CHECKING:
    from omni_agent.tools.model_check import CheckResult

model = typer.Typer(
    help="The full model's checkpoint: download it, verify it, say what it needs, ask it questions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@model.command()
def get(
    repository: Annotated[
        str | None, typer.Argument(help="A repository of the Hugging Face hub; default: the released BF16 model.")
    ] = None,
    revision: Annotated[str, typer.Option("--revision", help="A branch, tag or commit.")] = "main",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Download a checkpoint (66 GB) into the Hugging Face cache and print its folder.

    Only safetensors, JSON and the chat template are fetched, never code. What is complete is not fetched again.
    """
    from omni_agent.engines.local import REPOSITORY
    from omni_agent.settings import config_file
    from omni_agent.tools.model_get import get as download

    with bars(quiet) as progress:
        result = download(repository or REPOSITORY, revision=revision, progress=progress)
    if json:
        emit_json(result)
    else:
        emit(result.folder)
    if not quiet:
        note(f"{result.fetched} of {len(result.files)} files fetched, {result.bytes / 1e9:.1f} GB in all")
        note(f'omni uses it with this line in {config_file()}:\n  model_path = "{result.folder}"')
    return 0


Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[PATH]", help="Its folder; default: the setting model_path, then the cache."),
]


@model.command()
def verify(
    path: Folder = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="Hashes, as sha256sum writes them."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Check that a checkpoint is whole: headers, index, sums, the hash of every file. Exit 1: something is wrong."""
    from omni_agent.tools.model_verify import verify as look

    with bars(quiet) as progress:
        result = look(_folder(path), manifest=manifest, progress=progress)
    if json:
        emit_json(result)
    else:
        for check in result.checks:
            emit(f"{_MARKS[check.ok]} {check.what}: {check.detail}")
    return 0 if result.ok else 1


@model.command()
def info(path: Folder = None, json: Json = False) -> int:
    """Say what a checkpoint is, what memory it needs and what fits this card; reads headers only."""
    from omni_agent.tools.model_info import info as look

    result = look(_folder(path))
    if json:
        emit_json(result)
        return 0
    emit(f"{result.architecture}, {result.parameters:,} parameters in {result.tensors:,} tensors, {_gb(result.bytes)}")
    emit(f"blocks: {result.blocks}")
    emit("stored as: " + ", ".join(f"{kind} ({count:,} tensors)" for kind, count in result.dtypes.items()))
    emit("")
    for part in result.parts:
        emit(f"{part.name:<18} {part.parameters:>15,}  {_gb(part.bytes):>9}")
    emit("")
    emit(f"on a card: {_gb(result.weights_bytes)} of weights in BF16, {_gb(result.work_bytes)} to work in, and for")
    for need in result.needs:
        emit(f"{need.context:>9,} tokens  {_gb(need.cache_bytes):>8} of cache, {_gb(need.total_bytes):>8} together")
    emit("")
    for card in result.cards:
        fits = f"a context of {card.context:,} tokens fits" if card.context else "the weights do not fit"
        emit(f"{card.name}, {_gb(card.bytes)}: {fits}")
    if result.no_cards:
        emit(f"no card to fit it on: {result.no_cards}")
    for line in result.assumed:
        emit(f"assumed, since the files do not say: {line}")
    return 0


@model.command()
def check(
    path: Folder = None,
    every: Annotated[bool, typer.Option("--all", help="Also what is as expected.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Run on the processor: for small checkpoints.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what omni assumes about a checkpoint beside what its files say, then ask it ten questions with known answers.

    Exit 1: something is contradicted or answered wrong. Exit 5: the model cannot be asked on this machine.
    """
    from omni_agent.tools.model_check import Interrupted
    from omni_agent.tools.model_check import check as look

    interrupted = False
    try:
        with bars(quiet) as progress:
            result = look(_folder(path), device="cpu" if cpu else "cuda", progress=progress)
    except Interrupted as error:
        result, interrupted = error.partial, True
    if json:
        emit_json(result)
    else:
        _show_check(result, every)
    if interrupted:
        note("omni: interrupted; the other questions were not asked")
        return 130
    if result.not_asked and not quiet:
        note(f"omni: the model was not asked: {result.not_asked}" + (f"\n      {result.hint}" if result.hint else ""))
    return 5 if result.not_asked else 0 if result.ok else 1


def _show_check(result: CheckResult, every: bool) -> None:
    confirmed = sum(row.ok is True for row in result.assumptions)
    for row in result.assumptions:
        if every or not row.ok:
            emit(f"{_MARKS[row.ok]} {row.key}\n      files: {row.says}\n      omni:  {row.does}")
    emit(f"{confirmed} of {len(result.assumptions)} assumptions are confirmed by the files")
    for answer in result.answers:
        told = f"{answer.said!r}" if answer.said else "nothing"
        wrong = f"; {answer.wrong}" if answer.wrong else ""
        emit(
            f"{_MARKS[answer.ok]} {answer.question}: "
            + (f"not asked: {answer.wrong}" if answer.ok is None else told + wrong)
        )
        if answer.points_to:
            emit(f"      look at {answer.points_to}")
    if result.answers:
        right, asked = (sum(answer.ok in kinds for answer in result.answers) for kinds in ((True,), (True, False)))
        emit(f"{right} of {asked} questions answered right")


_MARKS = {True: "ok ", False: "!! ", None: "-- "}


def _folder(path: Path | None) -> Path:
    from omni_agent.engines.local import downloaded
    from omni_agent.settings import load

    folder = path or load().model_path or downloaded()
    if folder is None:
        raise Unavailable("no checkpoint was named", hint="omni model get downloads one; the setting is model_path")
    return folder


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
