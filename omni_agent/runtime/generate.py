"""Continuing one sequence: prefill, then decode until an end id, token ids in and token ids out.

While the host looks at a token the device already computes the next one, unless the thinking budget may put in
another; a step that turns out not to be needed is dropped with the rest of the sequence's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from omni_agent.errors import EngineError, UsageError
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.grammar import Held, Matcher
from omni_agent.runtime.layout import Prompt, of_text
from omni_agent.runtime.memory import memory_to
from omni_agent.runtime.model import PREFILL_CHUNK, LanguageModel
from omni_agent.runtime.sampling import Sampler, Sampling
from omni_agent.runtime.segments import segments
from omni_agent.runtime.snapshots import Snapshots
from omni_agent.runtime.thinking import Watch

Step = Callable[[Tensor], Tensor]
"""tokens [slots] int64 -> logits [slots, vocab] fp32, valid until the next call; moves the cache on."""
Draw = Callable[[Tensor], Tensor]
"""logits [slots, vocab] fp32 -> tokens [slots] int64."""


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
    restored: int = 0  # tokens of the prompt that were not computed again


class Answer:
    """One answer as it grows: which token really comes next, and where it ends.

    `size` tokens of prompt, `restored` of them not computed again; at most `limit` new ones until an id of `ends`.
    """

    def __init__(self, size: int, restored: int, limit: int, ends: frozenset[int], watch: Watch | None) -> None:
        self._size, self._restored, self._ends, self._watch = size, restored, ends, watch
        self._thought = self._answer = 0
        self.left = limit

    @property
    def attentive(self) -> bool:
        """Whether the next token may be another than the model chose."""
        return self._watch is not None and self._watch.attentive

    def take(self, chosen: int) -> Token | End:
        """The next token, given the one the model chose, or the end."""
        inside = self._watch is not None and self._watch.open
        token = chosen if self._watch is None else self._watch.next(chosen)
        if token in self._ends:
            return self.end("stop")
        self._thought, self._answer = self._thought + inside, self._answer + (not inside)
        self.left -= 1
        return Token(token, inside)

    def end(self, reason: Literal["stop", "length"]) -> End:
        return End(reason, self._size, self._thought, self._answer, self._restored)


def drawing(sampling: Sampling, device: torch.device, watch: Watch | None, matcher: Matcher | None) -> Draw:
    """How an answer's tokens are chosen; what `watch` still follows is free of `matcher`."""
    sampler = Sampler(sampling, device)
    if matcher is None:
        return sampler
    return Held(sampler, matcher, lambda: watch is not None and watch.attentive)


def stepper(model: LanguageModel, cache: Cache, graph: bool | None) -> Step:
    """What decodes one token a sequence of `cache`: a captured graph, by default where the model is on a GPU."""
    if model.device.type == "cuda" if graph is None else graph:
        from omni_agent.runtime.graphs import DecodeGraph

        return DecodeGraph(model, cache)
    return lambda tokens: model.step(tokens, cache)


def require_room(size: int, context: int) -> None:
    """Raise where a prompt of `size` tokens is none, or leaves no room for an answer."""
    if size < 1:
        raise UsageError("nothing to do: the prompt is empty")
    if size >= context:
        raise EngineError(f"the prompt has {size} tokens, the context holds {context}", hint="ask about less at a time")


class Generator:
    """A model with its cache and its way of stepping. One sequence at a time; the memory is taken once, at the start.

    `graph` captures the step as a CUDA graph (the default on a GPU). `snapshots` keep prompts' states for later ones.
    """

    def __init__(
        self,
        model: LanguageModel,
        context: int,
        *,
        graph: bool | None = None,
        snapshots: Snapshots | None = None,
        chunk: int = PREFILL_CHUNK,
    ) -> None:
        self.model, self.snapshots, self.chunk = model, snapshots, chunk
        self.context = min(context, model.config.max_positions)
        with memory_to("set up the cache"):
            self.cache: Cache = model.new_cache(1, self.context)
            self._step = stepper(model, self.cache, graph)
        self.busy = False

    def stream(
        self,
        prompt: list[int] | Tensor | Prompt,
        *,
        sampling: Sampling,
        max_tokens: int,
        ends: frozenset[int],
        watch: Watch | None = None,
        matcher: Matcher | None = None,
        keep: bool = True,
    ) -> Iterator[Token | End]:
        """Continue `prompt` by at most `max_tokens` tokens; end ids are not yielded.

        The prompt is ids, a `Prompt`, or embeddings [T, hidden], of which nothing can be kept. `keep` False: nothing of
        this one is kept, nor looked for. Tokens and logits are the same bits either way. `matcher` holds the answer to
        a schema; what `watch` still follows is free.

        Closing the iterator cancels and forgets the sequence. Raises EngineError when the prompt leaves no room in
        the context or the device runs out of memory; the generator stays usable.
        """
        if max_tokens < 1:
            raise UsageError(f"nothing to do: {max_tokens} new tokens")
        with self._sequence(prompt, "answer"):
            logits, restored = self.prefill(prompt, keep)
            limit = min(max_tokens, self.context - len(prompt))
            answer = Answer(len(prompt), restored, limit, ends, watch)
            yield from self._decode(logits, answer, drawing(sampling, self.model.device, watch, matcher))

    def prepare(self, prompt: Prompt) -> int:
        """Compute and keep `prompt` up to its last declared cut, for prompts that will begin with it; how far that is.

        After an answer: the conversation with that answer and an empty next turn (`Composer.followed`), so that the
        next question finds all of it done. Raises like `stream`.
        """
        if self.snapshots is None or not prompt.cuts:
            return 0
        with self._sequence(prompt, "prepare the next question"):
            self.prefill(prompt, True, prompt.cuts[-1])
        return prompt.cuts[-1]

    @contextmanager
    def _sequence(self, prompt: list[int] | Tensor | Prompt, what: str) -> Iterator[None]:
        """The generator's one sequence, from an empty cache to an empty cache."""
        require_room(len(prompt), self.context)
        if self.busy:
            raise EngineError("this model is already answering; one sequence at a time")
        self.busy = True
        try:
            with memory_to(what):
                yield
        finally:
            self.cache.clear(0)
            self.busy = False

    @torch.inference_mode()
    def prefill(
        self,
        prompt: list[int] | Tensor | Prompt,
        keep: bool,
        until: int | None = None,
        cache: Cache | None = None,
        slot: int = 0,
    ) -> tuple[Tensor, int]:
        """The logits [1, vocab] after the prompt, or after `until` tokens of it, and how many tokens were restored.

        The sequence goes into an empty `slot` of `cache`, the generator's own unless another is named."""
        cache = cache or self.cache
        if isinstance(prompt, Tensor):
            return self.model.prefill(prompt, cache, slot, chunk=self.chunk)[None], 0
        if not isinstance(prompt, Prompt):
            prompt = of_text(prompt, self.model.device)
        self.model.require_known(prompt.ids)  # here, since from the restoring on the host does not wait for the device
        kept = self.snapshots if keep else None
        path = segments(prompt, self.chunk, kept.root if kept else None)
        start = kept.restore(path, cache, slot) if kept else 0
        embedded = prompt.embedded(self.model.lookup, start)
        logits, states = embedded.new_empty(0), {}
        for segment in path:
            if start <= segment.start < (until or len(prompt)):
                part = embedded[segment.start - start : segment.end - start]
                logits = self.model.prefill(part, cache, slot, chunk=self.chunk)
                if kept and segment.kept:
                    states[segment.end] = kept.state(cache, slot)
        if kept:
            kept.keep(path, states, cache, slot)
        return logits[None], start

    def _decode(self, logits: Tensor, answer: Answer, draw: Draw) -> Iterator[Token | End]:
        chosen = draw(logits)
        while answer.left:
            ahead, arrived = None, _coming(chosen)
            if not answer.attentive and answer.left > 1:
                ahead = self._advance(chosen, draw)  # queued before the host waits for the token
            event = answer.take(arrived())
            yield event
            if isinstance(event, End):
                return
            if ahead is None and answer.left:
                ahead = self._advance(torch.full_like(chosen, event.id), draw)
            if ahead is not None:
                chosen = ahead
        yield answer.end("length")

    @torch.inference_mode()
    def _advance(self, token: Tensor, draw: Draw) -> Tensor:
        logits = self._step(token)
        self.cache.stepped()
        return draw(logits)


def _coming(chosen: Tensor) -> Callable[[], int]:
    """A token's way to the host: the function waits for that token, and not for what is queued behind it."""
    if not chosen.is_cuda:
        return lambda: int(chosen)
    place = torch.empty(chosen.shape, dtype=chosen.dtype, pin_memory=True)
    place.copy_(chosen, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def arrived() -> int:
        copied.synchronize()
        return int(place)

    return arrived
