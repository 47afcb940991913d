"""A prompt's state at its cuts, kept and put back: keys and values segment by segment, the Mamba blocks' state whole.

What a place of a prompt needs is spread over several blobs, so that prompts with a common beginning share them: the
keys and values of each segment under the segment's name, and at a cut the convolution's ring and the fp32 state.
`segments` says why what is put back equals what would be computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.segments import Segment
from omni_agent.runtime.store import Blob
from omni_agent.runtime.tiers import Tiers


class Snapshots:
    """Kept states of prompts. `root` names what they depend on beside the prompt (see `identity`)."""

    def __init__(self, tiers: Tiers, root: str) -> None:
        self.tiers, self.root = tiers, root

    @torch.inference_mode()
    def restore(self, path: Sequence[Segment], cache: Cache, slot: int = 0) -> int:
        """Put the longest kept beginning of `path` into an empty slot and return its length in tokens.

        The last segment is never put back: the answer's first token comes from computing it.
        """
        for count in range(len(path) - 1, 0, -1):
            names = [_state(path[count - 1]), *(_keys(segment) for segment in reversed(path[:count]))]
            if all(name in self.tiers for name in names) and self._put_back(path[:count], names, cache, slot):
                return path[count - 1].end
        return 0

    def _put_back(self, path: Sequence[Segment], names: Sequence[str], cache: Cache, slot: int) -> bool:
        """False where a blob turned out to be gone or damaged; the slot then still counts as empty.

        The beginning comes last, as the most recently used: it is of use to the most prompts.
        """
        state, *blobs = self.tiers.fetch(names)
        found = [(segment, blob) for segment, blob in zip(reversed(path), blobs, strict=True) if blob is not None]
        if state is None or len(found) < len(blobs):
            return False
        cache.conv[:, slot].copy_(state["conv"], non_blocking=True)
        cache.state[:, slot].copy_(state["state"], non_blocking=True)
        for segment, blob in found:
            if blob["keys"].device == cache.keys.device:
                cache.keys[:, slot, :, segment.start : segment.end] = blob["keys"]
                cache.values[:, slot, :, segment.start : segment.end] = blob["values"]
        far = [(segment, blob) for segment, blob in found if blob["keys"].device != cache.keys.device]
        if far:
            _bring(far, cache, slot)
        cache.advance(slot, path[-1].end)
        return True

    @torch.inference_mode()
    def state(self, cache: Cache, slot: int = 0) -> Blob:
        """A copy of what the Mamba blocks remember now; the next token changes it."""
        return {"conv": cache.conv[:, slot].clone(), "state": cache.state[:, slot].clone()}

    @torch.inference_mode()
    def keep(self, path: Sequence[Segment], states: Mapping[int, Blob], cache: Cache, slot: int = 0) -> None:
        """Keep what the prompt's segments left in `slot`: the `states` by position, and keys and values up to the last.

        The end goes in first: where room is short it is the first to go, and the beginning stays of use.
        """
        for segment in reversed(path):
            if segment.end > max(states, default=0):
                continue
            if segment.end in states:
                self.tiers.put(_state(segment), states[segment.end])
            if _keys(segment) not in self.tiers:
                rows = slice(segment.start, segment.end)
                keys, values = cache.keys[:, slot, :, rows], cache.values[:, slot, :, rows]
                self.tiers.put(_keys(segment), {"keys": keys.clone(), "values": values.clone()})


def _keys(segment: Segment) -> str:
    return f"keys-{segment.key}"


def _state(segment: Segment) -> str:
    return f"state-{segment.key}"


def _bring(far: Sequence[tuple[Segment, Blob]], cache: Cache, slot: int) -> None:
    """Keys and values from pinned host memory, block by block on a stream of their own: the first blocks of the model
    compute while those of the later ones come in (`Cache.await_keys`)."""
    own = torch.cuda.Stream(cache.keys.device)
    own.wait_stream(torch.cuda.current_stream(cache.keys.device))  # the sequence before is done with these rows
    with torch.cuda.stream(own):
        for layer in range(cache.keys.shape[0]):
            for segment, blob in far:
                for part, whole in (("keys", cache.keys), ("values", cache.values)):
                    for head, rows in enumerate(whole[layer, slot]):  # each head's rows lie side by side
                        rows[segment.start : segment.end].copy_(blob[part][layer, head], non_blocking=True)
            cache.arrivals[layer] = torch.cuda.Event()
            cache.arrivals[layer].record(own)
