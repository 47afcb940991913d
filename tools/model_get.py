"""Download a checkpoint into the Hugging Face cache: the files that omni reads, and never code or pickles.

A file that is complete is never fetched again, and of a file that has a sum (the seventeen shards) neither is what was
there when the download was interrupted.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omni_agent.engines.local import REPOSITORY
from omni_agent.errors import CheckpointError, MissingExtra, OmniError, Unavailable, UsageError
from omni_agent.media.hub import network_errors
from omni_agent.settings import load
from omni_agent.tools.model_shard import Shard, fetch, here
from omni_agent.types import Progress, no_progress

if TYPE_CHECKING:
    from huggingface_hub.hf_api import BlobLfsInfo, ModelInfo

WANTED = (".safetensors", ".json", ".jinja")  # at the top of the repository; no .py, no .bin, no samples
AGAIN = "the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Where the checkpoint is, which revision, and what of it had to be fetched now."""

    folder: str
    repository: str
    revision: str
    files: tuple[str, ...]
    bytes: int
    fetched: int
    schema_version: int = 1


class _File(NamedTuple):
    name: str
    size: int
    sha256: str | None  # of what the hub keeps as a large file


def get(
    repository: str = REPOSITORY,
    *,
    revision: str = "main",
    offline: bool | None = None,
    progress: Progress = no_progress,
) -> Downloaded:
    """Fetch what is missing of a checkpoint and return its folder in the cache.

    `offline` None: as the setting says. Raises UsageError for a name that cannot be one, Unavailable where the hub or
    the room on the disk is missing, CheckpointError for a repository without safetensors, OmniError where it broke off.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError as error:
        raise MissingExtra("gpu", "downloading a model") from error
    if offline is None:
        offline = load().offline
    if offline or constants.HF_HUB_OFFLINE:
        return _kept(repository, revision)
    with _hub_errors(repository):
        info = huggingface_hub.HfApi().model_info(repository, revision=revision, files_metadata=True)
        wanted = _wanted(info, repository)
        missing = [file for file in wanted if not _cached(repository, file.name, info.sha)]
        folder = _fetch_missing(repository, revision, wanted, missing, progress)
    if folder.name != info.sha:
        raise OmniError(f"{repository} changed while it was fetched", hint=AGAIN)
    _require_sizes(folder, wanted)
    return Downloaded(
        str(folder),
        repository,
        str(info.sha),
        tuple(file.name for file in wanted),
        sum(file.size for file in wanted),
        len(missing),
    )


def _fetch_missing(
    repository: str, revision: str, wanted: list[_File], missing: list[_File], progress: Progress
) -> Path:
    """Bring every wanted file into the cache and return the folder of the snapshot."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    place = repo_folder_name(repo_id=repository, repo_type="model")
    blobs, locks = Path(constants.HF_HUB_CACHE, place, "blobs"), Path(constants.HF_HUB_CACHE, ".locks", place)
    shards = {file.name: Shard(file.name, file.size, file.sha256) for file in missing if file.sha256}
    total = sum(file.size for file in missing)
    _require_room(total - sum(here(shard, blobs) for shard in shards.values()))
    done, path = 0, ""
    for file in wanted:
        if shard := shards.get(file.name):
            url = huggingface_hub.hf_hub_url(repository, file.name, revision=revision)
            advance = partial(_advance, progress, done, total)
            fetch(shard, url, blobs, locks / f"{shard.sha256}.lock", advance)
        bar = _bar(progress, done, total) if file in missing else None
        path = huggingface_hub.hf_hub_download(repository, file.name, revision=revision, tqdm_class=bar)
        done += file.size if file in missing else 0
    return Path(path).parent


def _advance(progress: Progress, before: int, total: int, count: int) -> None:
    progress("downloading", before + count, total)


def _wanted(info: ModelInfo, repository: str) -> list[_File]:
    """The files that omni reads, the small ones first: a wrong configuration is known before 66 GB are here."""
    files = [
        _File(one.rfilename, one.size or 0, _sum(one.lfs))
        for one in info.siblings or ()
        if one.rfilename.endswith(WANTED) and "/" not in one.rfilename
    ]
    if not any(file.name.endswith(".safetensors") for file in files):
        raise CheckpointError(f"{repository} has no safetensors files; pickle files can run code and are never fetched")
    return sorted(files, key=lambda file: (file.name.endswith(".safetensors"), file.name))


def _sum(lfs: BlobLfsInfo | None) -> str | None:
    """The sum of a large file; it becomes a file's name, so that nothing else may pass for one."""
    return lfs.sha256 if lfs and re.fullmatch("[0-9a-f]{64}", lfs.sha256) else None


def _cached(repository: str, name: str, revision: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, name, revision=revision), str)


def _kept(repository: str, revision: str) -> Downloaded:
    """What the cache holds, without asking anybody."""
    from huggingface_hub import try_to_load_from_cache

    from omni_agent.runtime.shards import shard_files

    found = try_to_load_from_cache(repository, "config.json", revision=revision)
    hint = "set OMNI_OFFLINE=0 and unset HF_HUB_OFFLINE to download it"
    if not isinstance(found, str):
        raise Unavailable(f"offline, and {repository} is not in the Hugging Face cache", hint=hint)
    folder = Path(found).parent
    try:
        shard_files(folder)
    except CheckpointError as error:
        raise Unavailable(f"offline, and what the cache has is not complete: {error}", hint=hint) from error
    files = sorted(path.name for path in folder.iterdir() if path.name.endswith(WANTED))
    size = sum((folder / name).stat().st_size for name in files)
    return Downloaded(str(folder), repository, folder.name, tuple(files), size, 0)


def _require_room(needed: int) -> None:
    """Raise Unavailable when the cache's disk cannot take that many bytes."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise Unavailable(
            f"the download needs {needed / 1e9:.1f} GB, the disk of {folder} has {free / 1e9:.1f} GB free",
            hint="HF_HUB_CACHE names a folder on another disk",
        )


def _require_sizes(folder: Path, files: list[_File]) -> None:
    for file in files:
        size = (folder / file.name).stat().st_size
        if size != file.size:
            raise CheckpointError(
                f"{folder / file.name} has {size} bytes, the hub says {file.size}", hint="remove it and get it again"
            )


def _bar(progress: Progress, done: int, total: int) -> type[Any]:
    """What the hub's library takes for a progress bar, telling ours how far the whole download is."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # the library calls more of it than `update`
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **options | {"disable": True})
            self.fetched = options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self.fetched += n or 0
            progress("downloading", done + self.fetched, total)

    return Bar


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """The hub's errors as ours, each with its next step."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{repository!r} is no repository's name", hint=f"like {REPOSITORY}") from error
    except errors.GatedRepoError as error:
        raise Unavailable(
            f"{repository} asks you to accept its terms first", hint="accept them on its page, then set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise Unavailable(
            f"the hub knows no repository {repository}, or not for you", hint="HF_TOKEN holds your token"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{repository} has no such revision") from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        why = "the disk is full" if full else f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
        raise OmniError(f"the download broke off ({why}); what has come is kept", hint=AGAIN) from error
    except network_errors() as error:
        where = os.environ.get("HF_ENDPOINT", "the hub")
        raise Unavailable(
            f"{where} does not answer ({type(error).__name__}); what has come is kept", hint=AGAIN
        ) from error
