"""Encoder outputs that are kept: the same page, film or clip is not encoded twice, in this process or another.

Addressed by what is encoded (pixels or samples, and the grid they get) under the name of the model that encodes, never
by a path. Every medium that is not found is encoded in a call of its own: its tokens then do not depend, in their last
bits, on what else a request holds, and the medium's name can stand for them in a prompt's (see `segments`). Of a film
everything is kept and the share that sampling leaves out is taken afterwards, so other shares use the same encoding.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from omni_agent.runtime import evs
from omni_agent.runtime.encoders import Encoders, Film
from omni_agent.runtime.images import Grid
from omni_agent.runtime.tiers import Tiers

HASHERS = 8
FILM_BYTES = 2 << 30  # of a film's frames that are held to find their name; a larger film is encoded without being kept


class Named(NamedTuple):
    """A medium's tokens, and the name that stands for them in a prompt."""

    tokens: torch.Tensor
    key: str


class EncoderCache:
    """`Encoders` with a memory. `root` names the model (see `identity`); `tiers` None only names the media. Without a
    root nothing is named, and what is nameless is encoded together and not kept."""

    def __init__(self, encoders: Encoders, tiers: Tiers | None, root: str) -> None:
        self.encoders, self.tiers, self.root = encoders, tiers, root
        self.vision, self.sound = encoders.vision, encoders.sound

    def pictures(
        self, pictures: Sequence[npt.NDArray[np.uint8]], grids: Sequence[Grid], *, keep: bool = True
    ) -> list[Named]:
        """Each picture's tokens as `Encoders.pictures` gives them. `keep` False neither looks nor keeps."""
        if not self.root:
            return [Named(tokens, "") for tokens in self.encoders.pictures(pictures, grids)]

        def encoded(pixels: npt.NDArray[np.uint8], grid: Grid) -> Named:
            name = self._name("picture", pixels, tuple(grid))
            return self._found(name, keep, lambda: self.encoders.pictures([pixels], [grid])[0])

        return [encoded(pixels, grid) for pixels, grid in zip(pictures, grids, strict=True)]

    def recordings(self, recordings: Sequence[npt.NDArray[np.float32]], *, keep: bool = True) -> list[Named]:
        """Each recording's tokens as `Encoders.recordings` gives them."""
        if not self.root:
            return [Named(tokens, "") for tokens in self.encoders.recordings(recordings)]

        def encoded(samples: npt.NDArray[np.float32]) -> Named:
            return self._found(self._name("sound", samples), keep, lambda: self.encoders.recordings([samples])[0])

        return [encoded(samples) for samples in recordings]

    def film(
        self, film: Film, evs_rate: float = 0.0, *, keep: bool = True
    ) -> tuple[list[torch.Tensor], evs.Saving, str]:
        """A video's tokens and saving as `Encoders.film` gives them, and the name of tokens and share together.

        The name is empty for a film too large to be held: it is encoded as it comes.
        """
        if not self.root:
            return *self.encoders.film(film, evs_rate), ""
        frames: list[npt.NDArray[np.uint8]] = []
        rest = iter(film.frames)
        for frame in rest:
            frames.append(frame)
            if len(frames) * frame.nbytes > FILM_BYTES:
                return *self.encoders.film(dataclasses.replace(film, frames=chain(frames, rest)), evs_rate), ""
        held = dataclasses.replace(film, frames=frames)
        if not frames:
            return *self.encoders.film(held, evs_rate), ""
        name, unchanged = self._name("film", *frames), 0

        def encode() -> torch.Tensor:
            nonlocal unchanged
            whole, saving = self.encoders.film(held)
            unchanged = saving.unchanged
            return torch.stack(whole)

        tubelets, saving = evs.sample(self._found(name, keep, encode).tokens, evs_rate)
        return tubelets, dataclasses.replace(saving, unchanged=unchanged), f"{name}:{evs_rate!r}"

    def _found(self, name: str, keep: bool, encode: Callable[[], torch.Tensor]) -> Named:
        tiers = self.tiers if keep else None
        kept = tiers.get(name) if tiers else None
        if kept is not None:
            return Named(kept["tokens"], name)
        tokens = encode()
        if tiers is not None:
            tiers.put(name, {"tokens": tokens})
        return Named(tokens, name)

    def _name(self, kind: str, *arrays: npt.NDArray[Any] | tuple[int, ...]) -> str:
        """The name of this content for this model."""
        digest = hashlib.sha256(f"{self.root} ".encode())
        with ThreadPoolExecutor(HASHERS) as pool:  # a film is hundreds of megabytes; hashing frees the interpreter
            for part in pool.map(_digest, arrays):
                digest.update(part)
        return f"{kind}-{digest.hexdigest()}"


def _digest(array: npt.NDArray[Any] | tuple[int, ...]) -> bytes:
    if isinstance(array, tuple):
        return f"{array} ".encode()
    content = hashlib.sha256(np.ascontiguousarray(array).data).digest()
    return f"{array.dtype} {array.shape} ".encode() + content
