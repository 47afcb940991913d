"""Where a prompt is cut, and what each stretch up to a cut is called: the ground on which kept state is exact.

A prompt goes through the model in segments. Their ends are a property of the prompt alone, whoever asks and whatever
is kept: multiples of the prefill chunk, and the declared cuts (the end of a turn's media, the beginning of a user's
turn, and what the caller marked). A state is kept only at such an end, and its name is a running hash over all segments
before it: what they hold and where each ended. So whoever finds a state under its name has the very tensors that its
own run would have computed by the same calls of the same shapes, and goes on with the same calls: equal to the last
bit, whether anything was kept or not. Restoring at another place would change the shapes of products and scans, and
with them the rounding; it cannot happen, because no other place has a name.

Decoded tokens are computed by other kernels than prefilled ones. State after an answer is therefore never kept: the
next turn prefills the answer's text like any other text, from the last declared cut before it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from omni_agent.runtime.layout import Prompt, Run
    from omni_agent.runtime.tokenizer import SpecialIds

LEAST = 256  # tokens between two declared cuts: every cut costs a pass over the weights, about what 256 tokens cost


class Segment(NamedTuple):
    """Tokens `start` to `end` of a prompt, computed in one pass. `key` names everything up to `end`.

    `kept`: the state at `end` is worth keeping; so are the keys and values of every segment up to the last such end.
    """

    start: int
    end: int
    key: str
    kept: bool


def declared_cuts(ids: Sequence[int], special: SpecialIds, marked: Sequence[int] = ()) -> tuple[int, ...]:
    """Positions at which prefill stops, ascending, none nearer than `LEAST` to the one before.

    Ids decide, so a text cannot move a cut: it never holds marks (see `layout.weave`).
    """
    opened = [place for place, number in enumerate(ids) if number == special.turn_start]
    closing = (special.image_end, special.sound_end)
    wanted = set(marked)
    for start, end in pairwise([0, *opened, len(ids)]):
        wanted.update([place + 1 for place in range(start, end) if ids[place] in closing][-1:])
        if special.user and tuple(ids[start + 1 : start + 1 + len(special.user)]) == special.user:
            wanted.add(start)
    cuts = [0]
    for place in sorted(wanted):
        if place - cuts[-1] >= LEAST and place < len(ids):
            cuts.append(place)
    return tuple(cuts[1:])


def segments(prompt: Prompt, chunk: int, root: str | None) -> list[Segment]:
    """The prompt's segments. `root` names all that the numbers depend on beside the prompt: weights, card, code.

    Without a root nothing can be kept, and the segments have no keys: naming looks at every byte of nameless media.
    """
    size = len(prompt)
    declared = {cut for cut in prompt.cuts if 0 < cut < size}
    ends = sorted({*range(chunk, size, chunk), *declared, size})
    if root is None:
        return [Segment(start, end, "", False) for start, end in pairwise([0, *ends])]
    ids, runs = prompt.ids.cpu(), _named(prompt)
    found: list[Segment] = []
    start, key = 0, hashlib.sha256(root.encode()).hexdigest()
    for end, after in pairwise([*ends, size]):
        media = [
            (max(run.start, start) - start, max(start - run.start, 0), min(run.start + run.count, end), run.key)
            for run in runs
            if run.start < end and run.start + run.count > start
        ]
        head = json.dumps([key, end - start, media]).encode()
        key = hashlib.sha256(head + ids[start:end].numpy().tobytes()).hexdigest()
        # Of the chunk's multiples the last one before a cut or the end: there a longer text's beginning is found again.
        kept = end < size and (end in declared or after in declared or after == size)
        found.append(Segment(start, end, key, kept))
        start = end
    return found


def _named(prompt: Prompt) -> list[Run]:
    """The prompt's media, those without a name called after the bytes of their vectors."""
    named, first = [], 0
    for run in prompt.runs:
        values = prompt.values[first : first + run.count]
        first += run.count
        named.append(run if run.key else dataclasses.replace(run, key=content(values)))
    return named


def content(values: torch.Tensor) -> str:
    """The name of vectors by their bytes, shape and type."""
    data = values.detach().cpu().contiguous()
    head = f"{data.dtype} {tuple(data.shape)} "
    return hashlib.sha256(head.encode() + data.view(torch.uint8).numpy().tobytes()).hexdigest()
