"""One large file of a checkpoint, fetched so that an interruption costs nothing: what has come is not fetched again.

huggingface_hub 2 throws a half-fetched file away when its process ends. This fetches the same bytes from the same place
into `blobs/<sha256>.incomplete` of the Hugging Face cache (its older versions go on from that name), asks only for what
is missing (HTTP Range, RFC 9110 section 14), checks the sum that the hub gives for the file, and puts it where the
library looks for it.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from omni_agent.errors import CheckpointError
from omni_agent.media.hub import network_errors

TRIES = 5  # in a row without a byte
_PIECE = 1 << 22


class Shard(NamedTuple):
    """A file of a hub's repository that has a sum: its name, its bytes and its sha256 as the hub states them."""

    name: str
    size: int
    sha256: str


def here(shard: Shard, blobs: Path) -> int:
    """How many bytes of `shard` the cache folder `blobs` holds already."""
    if (blobs / shard.sha256).exists():
        return shard.size
    partial = _partial(shard, blobs)
    return min(partial.stat().st_size, shard.size) if partial.exists() else 0


def fetch(shard: Shard, url: str, blobs: Path, lock: Path, advance: Callable[[int], None]) -> None:
    """Bring `shard` into `blobs`, calling `advance` with the bytes of it that are there.

    `lock` is the file by which huggingface_hub keeps two processes from one file. Raises CheckpointError where the sum
    is wrong (the bytes are removed), and the errors of the HTTP library and of the disk as they are.
    """
    from huggingface_hub.utils import WeakFileLock

    blobs.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if (blobs / shard.sha256).exists():
            return
        partial = _partial(shard, blobs)
        with partial.open("ab+", buffering=0) as file:
            digest = _sum_so_far(file, shard.size)
            advance(file.tell())
            _complete(file, digest, shard, url, advance)
            if digest.hexdigest() != shard.sha256:
                file.truncate(0)
                raise CheckpointError(
                    f"{shard.name} arrived damaged: its sha256 is not the hub's", hint="the same command gets it again"
                )
        partial.rename(blobs / shard.sha256)


def _complete(file: IO[bytes], digest: hashlib._Hash, shard: Shard, url: str, advance: Callable[[int], None]) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    tries = TRIES
    while (start := file.tell()) < shard.size:
        broken: Exception | None = None
        try:
            _append(file, digest, shard, url, advance)
        except HfHubHTTPError:
            raise  # an answer, and not a broken connection
        except network_errors() as error:
            broken = error
        tries = TRIES if file.tell() > start else tries - 1
        if not tries:
            raise broken or OSError(errno.EIO, f"{shard.name} ends early")
        if file.tell() < shard.size:
            time.sleep(1)


def _append(file: IO[bytes], digest: hashlib._Hash, shard: Shard, url: str, advance: Callable[[int], None]) -> None:
    """One request for everything that is missing, written as it comes."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    start = file.tell()
    wanted = {"Range": f"bytes={start}-"} if start else {}
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | wanted
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=_timeout()) as response:
        hf_raise_for_status(response)
        skip = 0 if response.status_code == 206 else start  # a server that knows no ranges sends all of it
        for piece in response.iter_raw():
            fresh = piece[skip:]
            skip -= len(piece) - len(fresh)
            if file.tell() + len(fresh) > shard.size:
                raise OSError(errno.EIO, f"{shard.name} is longer than the {shard.size} bytes that the hub says")
            file.write(fresh)
            digest.update(fresh)
            advance(file.tell())


def _sum_so_far(file: IO[bytes], size: int) -> hashlib._Hash:
    """The sum over what an earlier run left; the file stands at its end. What is too long cannot be right."""
    file.seek(0, 2)
    if file.tell() > size:
        file.truncate(0)
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest


def _partial(shard: Shard, blobs: Path) -> Path:
    return blobs / f"{shard.sha256}.incomplete"


def _timeout() -> float:
    from huggingface_hub import constants

    return float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
