"""Efficient video sampling: of a video's tokens, keep those that differ most from the same place one tubelet earlier.

It works on the tokens that the language model would read (after the projector), for each video by itself and with a
rate of its own a request; pictures are never touched. The first tubelet is always kept whole. The rule and its
constants are those of NVIDIA's release as vLLM (`multimodal/video_prune/evs.py`) and sglang serve it. They rank in
the tower's bfloat16, where a still scene is all ties; here the cosines are taken in float32, so that small changes
still count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ALWAYS = 255.0  # "dissimilarity" of the first tubelet: above any true one, which is at most 2
TUBELETS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Saving:
    """What was saved: tokens of a video before and after sampling, and tubelets that were not encoded because their
    pixels equal the tubelet's before."""

    before: int
    after: int
    unchanged: int = 0


def kept_tokens(tubelets: int, per_tubelet: int, rate: float) -> int:
    """How many tokens of a video stay: known before anything is encoded."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"a pruning rate is in [0, 1), got {rate}")
    return max(per_tubelet, int(tubelets * per_tubelet * (1 - rate)))


def keep_mask(tokens: torch.Tensor, rate: float) -> torch.Tensor:
    """Which tokens stay: bool [tubelets, places] for projected tokens [tubelets, places, hidden] in raster order.

    Ranked over the whole video at once by 1 − cosine to the tubelet before; equal ranks go to the earlier token.
    """
    import torch

    tubelets, places, _ = tokens.shape
    keep = kept_tokens(tubelets, places, rate)
    changes = torch.full((tubelets, places), ALWAYS, device=tokens.device)
    for start in range(1, tubelets, TUBELETS_AT_ONCE):
        now = tokens[start : start + TUBELETS_AT_ONCE].float()
        before = tokens[start - 1 : start - 1 + len(now)].float()
        changes[start : start + len(now)] = 1 - torch.nn.functional.cosine_similarity(now, before, dim=-1)
    order = torch.argsort(changes.flatten(), descending=True, stable=True)
    mask = torch.zeros(tubelets * places, dtype=torch.bool, device=tokens.device)
    mask[order[:keep]] = True
    return mask.view(tubelets, places)


def sample(tokens: torch.Tensor, rate: float) -> tuple[list[torch.Tensor], Saving]:
    """The tokens that stay, tubelet by tubelet (a tubelet can be left with none), and what that saved."""
    if rate == 0.0:
        return list(tokens), Saving(tokens.shape[0] * tokens.shape[1], tokens.shape[0] * tokens.shape[1])
    mask = keep_mask(tokens, rate)
    counts = mask.sum(dim=1).tolist()  # the host waits once, not once a tubelet
    return list(tokens[mask].split(counts)), Saving(mask.numel(), sum(counts))
