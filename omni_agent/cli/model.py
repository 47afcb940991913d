"""`omni model get|verify|info|check`: the full model's checkpoint, before and after it is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omni_agent.cli.options import Json, Quiet
from omni_agent.cli.output import bars, emit, emit_json, note
from omni_agent.errors import Unavailable

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
    from omni_agent.settings import config_file
    from omni_agent.tools.model_get import REPOSITORY
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
    Path | None, typer.Argument(metavar="[PATH]", help="The checkpoint's folder; default: the setting model_path.")
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


_MARKS = {True: "ok ", False: "!! ", None: "-- "}


def _folder(path: Path | None) -> Path:
    from omni_agent.settings import load

    folder = path or load().model_path
    if folder is None:
        raise Unavailable("no checkpoint was named", hint="omni model get downloads one; the setting is model_path")
    return folder


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
