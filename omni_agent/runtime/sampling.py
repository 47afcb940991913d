"""From logits to tokens, on the device: temperature, top-k, top-p, a seed. Nothing here waits for the host."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omni_agent.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to choose the next token. Temperature 0 or top_k 1 is greedy; top_k 0 and top_p 1 cut nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise UsageError(f"temperature must be between 0 and 100, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.top_k < 0:
            raise UsageError(f"top_k must be 0 or more, got {self.top_k}")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0 or self.top_k == 1


# The model card's settings (section "Sampling" of the released card).
THINKING = Sampling(temperature=0.6, top_p=0.95)
INSTRUCT = Sampling(temperature=0.2, top_k=1)


class Sampler:
    """Chooses tokens for one request; the random stream belongs to it, so a seed means the same answer again."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self.sampling = sampling
        self.generator = torch.Generator(device)
        if sampling.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(sampling.seed)

    def __call__(self, logits: Tensor) -> Tensor:
        """logits [S, vocab] fp32 -> tokens [S] int64."""
        if self.sampling.greedy:
            return logits.argmax(-1)
        if logits.is_cuda and self.sampling.top_k == 0:
            from omni_agent.runtime.kernels.sample import sample

            return sample(logits, self.sampling.temperature, self.sampling.top_p, self.generator)
        probabilities, ids = nucleus(logits, self.sampling)
        # Exponential race: argmax(p / e) with e ~ Exp(1) draws from p, and unlike multinomial never waits for the host.
        noise = torch.empty_like(probabilities).exponential_(generator=self.generator)
        return ids.gather(-1, (probabilities / noise).argmax(-1, keepdim=True))[:, 0]


def nucleus(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The candidates in falling order: probabilities [S, n], zero where cut, not normalised again, and ids [S, n].

    top_k keeps the k likeliest; top_p keeps the fewest whose probabilities, after top_k, sum to at least top_p.
    """
    scaled = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        scaled, ids = scaled.topk(sampling.top_k, dim=-1)
    else:
        scaled, ids = scaled.sort(dim=-1, descending=True)
    probabilities = scaled.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    return probabilities.masked_fill(before >= sampling.top_p, 0.0), ids
