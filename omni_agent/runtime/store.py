"""Named tensors on disk, for this user and every process of theirs: what is read back is what was written, or nothing.

A folder of safetensors files, mode 0600, each written beside its place and renamed into it when it is whole, so that
neither a kill nor a second process ever shows half a file. The header holds a digest of every block of the data, and a
MAC over the header under a secret of the folder: a file that was altered, cut, renamed, put there by somebody else or
brought from another folder is not believed. Such a file is deleted with a note; the work is then only done again.

The secret keeps out whoever can put files in but not read; a folder that others own or may write to is not used at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

VERSION = 3  # raise it when the files change
BLOCK = 2 << 20  # bytes under one digest, and the size of a reader's pinned buffer: pinning memory takes 0.5 s a GB
LANES = 16  # blocks read at a time, of however many files
MAX_HEADER = 1 << 20
DISK = 16 << 30  # bytes that a store holds unless told otherwise: about two dozen prompts of 131k tokens
NAME = re.compile(r"[a-z]+-[0-9a-f]{64}")
SUFFIX, PART = ".safetensors", ".part"
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I64": torch.int64, "U8": torch.uint8}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

Blob = dict[str, Tensor]
Note = Callable[[str], None]


def ignore(text: str) -> None:
    """The note that nobody reads."""


class _Unsound(Exception):
    """A file that cannot be believed; the text says why."""


def open_store(folder: Path, limit: int, note: Note) -> Store | None:
    """The store in `folder`, made if need be; None, with a note, where the folder is not this user's alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            note(f"nothing is kept on disk: {folder} is not a folder of yours")
            return None
        if status.st_mode & 0o022:
            note(f"nothing is kept on disk: others may write to {folder}; chmod go-w it or remove it")
            return None
        return Store(folder, limit, note)
    except OSError as error:
        note(f"nothing is kept on disk: {folder}: {error.strerror or error}")
        return None


class Store:
    """The blobs in a folder, together at most `limit` bytes; those not used for the longest time go first.

    Methods may be called from several threads.
    """

    def __init__(self, folder: Path, limit: int, note: Note) -> None:
        self.folder, self.limit, self.note = folder, limit, note
        self._secret = self._shared_secret()
        self._local = threading.local()
        self._lanes = ThreadPoolExecutor(LANES, "omni-blocks")
        self._told = False
        self._sweep()

    def __contains__(self, name: str) -> bool:
        return self._path(name).exists()

    def get(self, name: str, device: torch.device) -> Blob | None:
        """The blob of that name on `device`, or None where there is none to be believed."""
        path = self._path(name)
        try:
            with _own(path) as file:
                blob = self._read(file, name, device)
                with suppress(OSError):
                    os.utime(file.fileno())  # its last use
                return blob
        except FileNotFoundError:
            return None
        except _Unsound as error:
            self.note(f"a kept file was dropped: {path.name} {error}")
            with suppress(OSError):
                path.unlink()
        except OSError as error:
            self.note(f"a kept file could not be read: {path.name}: {error.strerror or error}")
        return None

    def put(self, name: str, blob: Blob) -> None:
        """Keep the blob. A disk that is full or may not be written to is no error: nothing is kept, with a note."""
        data, header = self._packed(name, blob)
        size = 8 + len(header) + data.numel()
        if size > self.limit:
            return
        try:
            self._make_room(size)
            self._write(self._path(name), [len(header).to_bytes(8, "little"), header, memoryview(data.numpy())])
        except OSError as error:
            if not self._told:
                self.note(f"nothing more is kept on disk: {error.strerror or error}")
            self._told = True

    def clear(self) -> None:
        """Delete every blob."""
        for path in self._files():
            path.unlink(missing_ok=True)
        self._sweep()

    def _path(self, name: str) -> Path:
        assert NAME.fullmatch(name), name
        return self.folder / (name + SUFFIX)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name.endswith(SUFFIX)]

    def _packed(self, name: str, blob: Blob) -> tuple[Tensor, bytes]:
        """The data, uint8, and the header. Wide types come first, so that every tensor lies on its own alignment."""
        parts = sorted(blob.items(), key=lambda item: (-item[1].element_size(), item[0]))
        flat = [tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for _, tensor in parts]
        header: dict[str, Any] = {}
        end = 0
        for (part, tensor), raw in zip(parts, flat, strict=True):
            place = [end, end := end + raw.numel()]
            header[part] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        data = torch.cat(flat)
        view = memoryview(data.numpy())
        digests = [hashlib.sha256(view[at : at + BLOCK]).hexdigest() for at in range(0, end, BLOCK)]
        header["__metadata__"] = {"omni": str(VERSION), "name": name, "sha256": " ".join(digests)}
        header["__metadata__"]["mac"] = self._mac(header)
        text = json.dumps(header).encode()
        return data, text + b" " * (-len(text) % 8)

    def _mac(self, header: dict[str, Any]) -> str:
        return hmac.digest(self._secret, json.dumps(header, sort_keys=True).encode(), "sha256").hex()

    def _read(self, file: BinaryIO, name: str, device: torch.device) -> Blob:
        size = os.fstat(file.fileno()).st_size
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)  # the disk works while digests are computed
        header, start = self._header(file, name, size)
        about = header.pop("__metadata__")
        total = max((value["data_offsets"][1] for value in header.values()), default=0)
        if start + total != size:
            raise _Unsound("is cut short")
        data = self._data(file, start, total, about["sha256"].split(), device)
        return {
            part: data[slice(*value["data_offsets"])].view(DTYPES[value["dtype"]]).view(value["shape"])
            for part, value in header.items()
        }

    def _header(self, file: BinaryIO, name: str, size: int) -> tuple[dict[str, Any], int]:
        """The header, believed, and where the data begins."""
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(MAX_HEADER, size - 8):
            raise _Unsound("is damaged")
        try:
            header = json.loads(file.read(length))
            mac = header["__metadata__"].pop("mac")
            believed = hmac.compare_digest(bytes.fromhex(mac), bytes.fromhex(self._mac(header)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _Unsound("is damaged") from error
        about = header["__metadata__"]
        if not believed or about["name"] != name or about["omni"] != str(VERSION):
            raise _Unsound("was not written here by this version for this user")
        return header, 8 + length

    def _data(self, file: BinaryIO, start: int, total: int, digests: list[str], device: torch.device) -> Tensor:
        """The `total` bytes from `start` on, believed, their blocks read side by side."""
        data = torch.empty(total, dtype=torch.uint8, device=device)

        def read(number: int) -> None:
            place = data[number * BLOCK : (number + 1) * BLOCK]
            staged = self._buffer()[: len(place)] if device.type == "cuda" else place
            view = memoryview(staged.numpy())
            done = 0
            while done < len(view):
                count = os.preadv(file.fileno(), [view[done:]], start + number * BLOCK + done)
                if not count:
                    raise _Unsound("is cut short")
                done += count
            if hashlib.sha256(view).hexdigest() != digests[number]:
                raise _Unsound("is damaged")
            if staged is not place:
                place.copy_(staged, non_blocking=True)
                torch.cuda.current_stream(device).synchronize()  # the buffer is used again

        blocks = [self._lanes.submit(read, number) for number in range(-(-total // BLOCK))]
        wait(blocks)  # all of them, before the file is closed
        for block in blocks:
            block.result()
        return data

    def _buffer(self) -> Tensor:
        """This thread's pinned buffer."""
        if not hasattr(self._local, "buffer"):
            self._local.buffer = torch.empty(BLOCK, dtype=torch.uint8, pin_memory=True)
        buffer: Tensor = self._local.buffer
        return buffer

    def _write(self, path: Path, pieces: list[Any], *, replace: bool = True) -> None:
        """Write a file whole or not at all. While it is written it is locked, which says that somebody still does."""
        handle, name = tempfile.mkstemp(suffix=PART, dir=self.folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                if replace:
                    os.replace(name, path)
                else:
                    os.link(name, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def _make_room(self, size: int) -> None:
        """Delete what was not used for the longest time until `size` bytes more fit."""
        found: list[tuple[int, int, Path]] = []
        for path in self._files():
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        used = sum(bytes_ for _, bytes_, _ in found)
        for _, bytes_, path in sorted(found):
            if used + size <= self.limit:
                return
            path.unlink(missing_ok=True)
            used -= bytes_

    def _sweep(self) -> None:
        """Delete half-written files whose writers are gone: nobody holds their lock."""
        for path in self.folder.glob("*" + PART):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _shared_secret(self) -> bytes:
        """The folder's secret, made by whichever process comes first."""
        path = self.folder / "secret"
        while True:
            try:
                with _own(path) as file:
                    secret = file.read(33)
                if len(secret) == 32:
                    return secret
                raise _Unsound("has another size")
            except FileNotFoundError:
                with suppress(FileExistsError):
                    self._write(path, [secrets.token_bytes(32)], replace=False)
            except _Unsound as error:
                self.note(f"{path} {error}; what was kept under it is dropped")
                path.unlink()


@contextmanager
def _own(path: Path) -> Iterator[BinaryIO]:
    """A file opened for reading that is a regular one, this user's and closed to others; _Unsound where it is not."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise _Unsound("is a link") from error
        raise
    with os.fdopen(handle, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise _Unsound("is not a file of yours alone")
        yield file
