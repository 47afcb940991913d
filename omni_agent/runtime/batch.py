"""Several sequences that decode together: what a step reads of the weights serves every one of them.

Each has a slot of one cache, joins when one is free and leaves when it ends or is given up, whatever the others do. Its
prompt is prefilled by itself, so that prompts with a kept beginning share it and nothing depends on who else is there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from omni_agent.errors import EngineError, OmniError, UsageError
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.generate import Answer, Draw, End, Generator, Token, drawing, require_room, stepper
from omni_agent.runtime.grammar import Matcher
from omni_agent.runtime.layout import Prompt
from omni_agent.runtime.memory import memory_to
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.sizes import WORK_BYTES
from omni_agent.runtime.thinking import Watch

SLOTS = 8  # sequences at a time, at most: a step of eight gives nearly two and a half times the tokens of one
IDLE = 256  # tokens after which a slot that nobody uses is emptied: it is stepped too, and reads what stands in it


def slots_for(model: LanguageModel, context: int, reserved: int = 0) -> int:
    """For how many sequences of `context` tokens there is memory beside `reserved` bytes; 1 where not even for two."""
    if model.device.type == "cuda":
        free = torch.cuda.mem_get_info(model.device)[0] - WORK_BYTES
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(1, min(SLOTS, (free - reserved) // Cache.bytes(model.config, 1, context, model.dtype)))


class Batch:
    """Up to `slots` sequences on the model of `generator`, with its snapshots, beside its own one.

    Whoever asks a stream for its next token moves all streams on by one; the others' tokens wait for them. Not for two
    threads at the same moment. `graph` as for the generator. Raises EngineError where the device lacks the memory.
    """

    def __init__(self, generator: Generator, slots: int, *, graph: bool | None = None) -> None:
        self._generator, model = generator, generator.model
        with memory_to("answer several questions at once"):
            self.cache = model.new_cache(slots, generator.context)
            self._step = stepper(model, self.cache, graph)
        self._sequences: list[_Sequence | None] = [None] * slots

    @property
    def busy(self) -> bool:
        """Whether anybody has a slot."""
        return any(self._sequences)

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
        """Continue `prompt` as `Generator.stream` does, among others. Closing the iterator frees its slot.

        Raises what that raises, for this sequence alone; EngineError where every slot is taken, and where a step that
        it shares with others breaks off.
        """
        if max_tokens < 1:
            raise UsageError(f"nothing to do: {max_tokens} new tokens")
        require_room(len(prompt), self.cache.capacity)
        slot = self._free()
        sequence = self._sequences[slot] = _Sequence(drawing(sampling, self._generator.model.device, watch, matcher))
        try:
            with memory_to("answer"):
                self.cache.clear(slot)
                logits, restored = self._generator.prefill(prompt, keep, None, self.cache, slot)
                limit = min(max_tokens, self.cache.capacity - len(prompt))
                sequence.answer = Answer(len(prompt), restored, limit, ends, watch)
                sequence.take(int(sequence.draw(logits)))
            yield from self._events(sequence)
        finally:
            self._sequences[slot] = None
            self.cache.clear(slot)

    def _free(self) -> int:
        for slot, sequence in enumerate(self._sequences):
            if sequence is None:
                return slot
        raise EngineError(f"this model is already answering {len(self._sequences)} questions at once")

    def _events(self, sequence: _Sequence) -> Iterator[Token | End]:
        while True:
            while not sequence.told:
                if sequence.failure is not None:
                    raise sequence.failure
                self._advance()
            event = sequence.told.popleft()
            yield event
            if isinstance(event, End):
                return

    @torch.inference_mode()
    def _advance(self) -> None:
        """One token more for every sequence that has not ended."""
        running = {slot: s for slot, s in enumerate(self._sequences) if s is not None and s.running}
        tokens = [running[slot].last if slot in running else 0 for slot in range(self.cache.slots)]
        for slot, seen in enumerate(self.cache.seen):
            if slot not in running and seen >= min(IDLE, self.cache.capacity - 1):
                self.cache.clear(slot)
        logits = self._stepped(torch.tensor(tokens, device=self._generator.model.device), running)
        chosen: dict[int, Tensor] = {}
        for slot, sequence in running.items():
            try:
                with memory_to("answer"):
                    chosen[slot] = sequence.draw(logits[slot : slot + 1])
            except OmniError as error:  # its schema cannot be held any longer, or its draw had no memory
                sequence.fail(error)
        if chosen:
            for slot, token in zip(chosen, torch.cat(list(chosen.values())).tolist(), strict=True):
                running[slot].take(token)

    def _stepped(self, tokens: Tensor, running: dict[int, _Sequence]) -> Tensor:
        """The logits of a step. One that breaks off leaves every sequence half moved: all of them have failed."""
        whole = False
        try:
            with memory_to("answer several questions at once"):
                logits = self._step(tokens)
            self.cache.stepped()
            whole = True
        finally:
            for sequence in () if whole else running.values():
                sequence.fail(EngineError("the work on this answer was broken off", hint="ask again"))
        return logits


class _Sequence:
    """One sequence in its slot: how its tokens are chosen, the last of them, and what nobody has fetched yet."""

    answer: Answer  # from the end of the prefill on

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.last = 0
        self.running = False
        self.told: deque[Token | End] = deque()
        self.failure: OmniError | None = None

    def fail(self, error: OmniError) -> None:
        """End here; whoever asks for the next token hears why."""
        self.failure, self.running = error, False

    def take(self, chosen: int) -> None:
        """Grow by the token that the model chose, or end."""
        event = self.answer.take(chosen)
        self.told.append(event)
        self.running = isinstance(event, Token) and self.answer.left > 0
        if isinstance(event, Token):
            self.last = event.id
            if not self.running:
                self.told.append(self.answer.end("length"))
