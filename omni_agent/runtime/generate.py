"""Continuing one sequence: prefill, then decode until an end id, token ids in and token ids out.

While the host looks at a token the device already computes the next one, unless the thinking budget may put in
another; a step that turns out not to be needed is dropped with the rest of the sequence's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from omni_agent.errors import EngineError, UsageError
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.memory import memory_to
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.sampling import Sampler, Sampling
from omni_agent.runtime.thinking import Watch

Step = Callable[[Tensor], Tensor]
"""tokens [slots] int64 -> logits [slots, vocab] fp32, valid until the next call; moves the cache on."""


@dataclass(frozen=True, slots=True)
class Token:
    """One new token; `thought` while the think block is open, its closing mark included."""

    id: int
    thought: bool


@dataclass(frozen=True, slots=True)
class End:
    """The last event: why it ended and how many tokens each part has."""

    reason: Literal["stop", "length"]
    prompt: int
    thought: int
    answer: int


class Generator:
    """A model with its cache and its way of stepping. One sequence at a time; the memory is taken once, at the start.

    `graph` captures the step as a CUDA graph (the default on a GPU).
    """

    def __init__(self, model: LanguageModel, context: int, *, graph: bool | None = None) -> None:
        self.model = model
        self.context = min(context, model.config.max_positions)
        with memory_to("set up the cache"):
            self.cache: Cache = model.new_cache(1, self.context)
            self._step = self._stepper(model.device.type == "cuda" if graph is None else graph)
        self._busy = False

    def _stepper(self, graph: bool) -> Step:
        if graph:
            from omni_agent.runtime.graphs import DecodeGraph

            return DecodeGraph(self.model, self.cache)
        return lambda tokens: self.model.step(tokens, self.cache)

    def stream(
        self,
        prompt: list[int] | Tensor,
        *,
        sampling: Sampling,
        max_tokens: int,
        ends: frozenset[int],
        watch: Watch | None = None,
    ) -> Iterator[Token | End]:
        """Continue `prompt`, ids or embeddings [T, hidden], by at most `max_tokens` tokens; end ids are not yielded.

        Closing the iterator cancels and forgets the sequence. Raises EngineError when the prompt leaves no room in
        the context or the device runs out of memory; the generator stays usable.
        """
        size = len(prompt)
        if max_tokens < 1 or size < 1:
            raise UsageError(f"nothing to do: {size} prompt tokens, {max_tokens} new ones")
        if size >= self.context:
            raise EngineError(
                f"the prompt has {size} tokens, the context holds {self.context}", hint="ask about less at a time"
            )
        if self._busy:
            raise EngineError("this model is already answering; one sequence at a time")
        self._busy = True
        try:
            with memory_to("answer"):
                yield from self._decode(prompt, Sampler(sampling, self.model.device), max_tokens, ends, watch)
        finally:
            self.cache.clear(0)
            self._busy = False

    @torch.inference_mode()
    def _prefill(self, prompt: list[int] | Tensor) -> Tensor:
        if not isinstance(prompt, Tensor):
            prompt = self.model.embed(torch.tensor(prompt, device=self.model.device))
        return self.model.prefill(prompt, self.cache)[None]

    def _decode(
        self, prompt: list[int] | Tensor, sampler: Sampler, max_tokens: int, ends: frozenset[int], watch: Watch | None
    ) -> Iterator[Token | End]:
        size, thought, answer = len(prompt), 0, 0
        limit = min(max_tokens, self.context - size)
        chosen = sampler(self._prefill(prompt))
        while thought + answer < limit:
            ahead = None
            if not (watch and watch.attentive) and thought + answer + 1 < limit:
                ahead = self._advance(chosen, sampler)  # queued before the host waits for the token
            token = int(chosen)
            inside = watch is not None and watch.open
            if watch is not None:
                token = watch.next(token)
            if token in ends:
                yield End("stop", size, thought, answer)
                return
            thought, answer = thought + inside, answer + (not inside)
            yield Token(token, inside)
            if ahead is None and thought + answer < limit:
                ahead = self._advance(torch.full_like(chosen, token), sampler)
            if ahead is not None:
                chosen = ahead
        yield End("length", size, thought, answer)

    @torch.inference_mode()
    def _advance(self, token: Tensor, sampler: Sampler) -> Tensor:
        logits = self._step(token)
        self.cache.stepped()
        return sampler(logits)
