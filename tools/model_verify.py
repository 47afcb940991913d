"""Is a checkpoint folder whole? Sizes, headers, the index, the sums of its parts, and the hash of every file.

Hashes are compared with what came with the download: the Hugging Face cache names a file by its hash, a plain download
folder keeps it beside, and a manifest (the output of sha256sum) can be given.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from omni_agent.errors import CheckpointError, OmniError, UsageError
from omni_agent.runtime.config import ModelConfig, read_config, read_json, read_text
from omni_agent.runtime.safetensors import Entry
from omni_agent.runtime.shards import INDEX, PICKLES, read_entries
from omni_agent.runtime.sizes import has_media, parameters, part_of, parts
from omni_agent.types import Progress, no_progress

PUBLISHED = (33_015_632_214, 7_349)  # parameters and tensors of the released BF16 model
BLOCK = 8 << 20
HASHED = (".safetensors", ".json", ".jinja")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `ok` None: there was nothing to compare with."""

    what: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """`ok`: nothing is wrong with what could be compared."""

    folder: str
    ok: bool
    checks: tuple[Check, ...]
    schema_version: int = 1


class _Hash(NamedTuple):
    """What a file's hash should be; "git" is git's own of a blob, which the hub uses for small files."""

    kind: str
    value: str


def verify(folder: Path, *, manifest: Path | None = None, progress: Progress = no_progress) -> Verification:
    """Look at everything, in the order from quick to slow. Raises UsageError where there is no folder or manifest."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    hashes = _hashes(folder, manifest)
    checks = [*_structure(folder), *_files(folder, hashes, progress), *_strangers(folder)]
    return Verification(str(folder), all(check.ok is not False for check in checks), tuple(checks))


def _structure(folder: Path) -> Iterator[Check]:
    """What the files say about themselves and each other."""
    config = entries = None
    try:
        config = read_config(folder)
        yield Check("config.json", True, f"a {config.architecture} that omni can run")
    except OmniError as error:
        yield Check("config.json", False, str(error))
    try:
        entries = read_entries(folder)
        files = len({entry.file for entry in entries.values()})
        yield Check(
            "index and headers", True, f"{len(entries):,} tensors in {files} sound files, each where it should be"
        )
    except OmniError as error:
        yield Check("index and headers", False, str(error))
    if entries is not None:
        yield _total(folder, entries)
        if config is not None:
            yield from _sums(config, entries)
    for name in ("tokenizer.json", "chat_template.jinja"):
        try:
            text = read_text(folder / name)
            yield Check(name, bool(text.strip()), f"{len(text):,} characters")
        except CheckpointError as error:
            yield Check(name, False, str(error))


def _total(folder: Path, entries: Mapping[str, Entry]) -> Check:
    stored = sum(entry.size for entry in entries.values())
    metadata = read_json(folder / INDEX).get("metadata") if (folder / INDEX).is_file() else None
    stated = metadata.get("total_size") if isinstance(metadata, dict) else None
    if type(stated) is not int:
        return Check("bytes of weights", None, f"{stored:,}; the index states no total")
    return Check("bytes of weights", stored == stated, f"{stored:,} stored, {stated:,} stated by the index")


def _sums(config: ModelConfig, entries: Mapping[str, Entry]) -> Iterator[Check]:
    """The stored parts against those that config.json describes, and the whole against the published totals."""
    try:
        described = parts(config, media=has_media(config))
    except CheckpointError as error:
        yield Check("parameters", False, str(error))
        return
    held: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        held.setdefault(part_of(name, config.text), {})[name] = entry
    wrong = [
        f"{part}: {parameters(held.get(part, {})):,} in {len(held.get(part, {})):,} tensors, "
        f"described are {described[part].parameters:,} in {described[part].tensors:,}"
        if part in described
        else f"{len(held[part]):,} tensors of no known part, the first is {next(iter(held[part]))[:100]}"
        for part in {**described, **held}
        if part not in described or described[part] != (parameters(held.get(part, {})), len(held.get(part, {})))
    ]
    found = (parameters(entries), len(entries))
    yield Check(
        "parameters", not wrong, "; ".join(wrong) or f"{found[0]:,} in {found[1]:,} tensors, as config.json describes"
    )
    if found == PUBLISHED:
        yield Check("published totals", True, "exactly those of the released model")
    else:
        yield Check("published totals", None, f"another model than the released one, which has {PUBLISHED[0]:,}")


def _hashes(folder: Path, manifest: Path | None) -> dict[str, _Hash]:
    """What is known of the hashes of the folder's files."""
    if manifest is not None:
        return _manifest(manifest)
    known: dict[str, _Hash] = {}
    for path in folder.iterdir():
        if path.name.endswith(HASHED):
            etag = path.resolve().name if path.is_symlink() else _kept_beside(folder, path.name)
            if re.fullmatch("[0-9a-f]{64}", etag):
                known[path.name] = _Hash("sha256", etag)
            elif re.fullmatch("[0-9a-f]{40}", etag):
                known[path.name] = _Hash("git", etag)
    return known


def _manifest(manifest: Path) -> dict[str, _Hash]:
    """Lines as sha256sum writes them: the hash, two signs, the file's name."""
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{manifest} cannot be read: {error}") from error
    known = {}
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?([^/]+)", line)
        if line.strip() and found is None:
            raise UsageError(f"{manifest}, line {number}: not as `sha256sum *.safetensors` writes it")
        if found is not None:
            known[found[2]] = _Hash("sha256", found[1].lower())
    return known


def _kept_beside(folder: Path, name: str) -> str:
    """The hash that the hub's library keeps of a file in a plain folder: the second line of its metadata."""
    try:
        return (folder / ".cache/huggingface/download" / f"{name}.metadata").read_text().splitlines()[1].strip()
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def _files(folder: Path, hashes: Mapping[str, _Hash], progress: Progress) -> Iterator[Check]:
    """Every file's hash, on all cores."""
    names = sorted({path.name for path in folder.iterdir() if path.name.endswith(HASHED)} | set(hashes))
    there = [name for name in names if name in hashes and (folder / name).is_file()]
    yield from (Check(name, False, "is missing") for name in names if name in hashes and name not in there)
    total, done, lock = sum((folder / name).stat().st_size for name in there), 0, threading.Lock()

    def read(count: int) -> None:
        nonlocal done
        with lock:
            done += count
        progress("comparing hashes", done, total)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, check in zip(
            there, pool.map(lambda name: _compared(folder / name, hashes[name], read), there), strict=True
        ):
            yield Check(name, *check)
    unknown = [name for name in names if name not in hashes]
    if unknown:
        yield Check(
            "hashes", None, f"of {len(unknown)} files nothing is known to compare with: {', '.join(unknown[:4])}…"
        )


def _compared(file: Path, wanted: _Hash, read: Callable[[int], None]) -> tuple[bool, str]:
    size = file.stat().st_size
    digest = hashlib.sha256() if wanted.kind == "sha256" else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    try:
        with file.open("rb", buffering=0) as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
                read(len(block))
    except OSError as error:
        return False, f"cannot be read: {error}"
    if digest.hexdigest() != wanted.value:
        return False, f"its hash is {digest.hexdigest()[:16]}…, it should be {wanted.value[:16]}…: download it again"
    return True, f"{size:,} bytes, {wanted.kind} {wanted.value[:16]}…"


def _strangers(folder: Path) -> Iterator[Check]:
    """Files that omni never opens although they lie there."""
    strange = sorted(path.name for path in folder.iterdir() if path.name.endswith((*PICKLES, ".py")))
    if strange:
        yield Check("other files", None, f"never read by omni, since they can run code: {', '.join(strange[:6])}")
