"""The loaded model in conversation: turns in, pieces of thought and answer out.

chat = Chat(folder, device="cuda", context=131_072)
prepared = chat.prepare([Turn("user", (pixels, "What is this?"))], think=True, max_tokens=2048)
for piece in chat.reply(prepared, sampling=THINKING, max_tokens=2048):
    match piece: case Said(text, thought): ... ; case End(reason): ...
"""

from __future__ import annotations

from collections.abc import Generator as Generating
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from omni_agent.errors import EngineError
from omni_agent.runtime.batch import Batch, slots_for
from omni_agent.runtime.conversation import Composer, Prepared, Turn
from omni_agent.runtime.encoder_cache import EncoderCache
from omni_agent.runtime.generate import End, Generator
from omni_agent.runtime.grammar import Grammar
from omni_agent.runtime.identity import identity
from omni_agent.runtime.loading import load
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.snapshots import Snapshots
from omni_agent.runtime.store import DISK, Note, ignore, open_store
from omni_agent.runtime.thinking import Budget, Markers, Watch
from omni_agent.runtime.tiers import Tiers, fitting
from omni_agent.runtime.tokenizer import Tokenizer
from omni_agent.types import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of text; `thought` while the think block is open."""

    text: str
    thought: bool


class Chat:
    """One checkpoint on one device. A conversation decodes by itself, several decode together, `at_once` at most.

    Not for two threads at the same moment: whoever has several takes turns, piece by piece.

    `cache` is a folder in which prompts' states are kept for later questions on the same media, beside those kept in
    memory; None keeps nothing of them anywhere. `note` hears what was dropped there and why.

    Raises what `loading.load` raises: CheckpointError, Unavailable.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: torch.device | str,
        context: int,
        dtype: torch.dtype = torch.bfloat16,
        progress: Progress = no_progress,
        cache: Path | None = None,
        note: Note = ignore,
    ) -> None:
        before = identity(folder, torch.device(device), dtype) if cache is not None else ""
        loaded = load(folder, device=device, dtype=dtype, context=context, media=True, progress=progress)
        self.tokenizer = Tokenizer(folder, loaded.config)
        self.tokenizer.template.start()  # its process is up when the generator is
        self.generator = Generator(loaded.model, context)
        tiers: Tiers | None = None
        if cache is not None and identity(folder, loaded.model.device, dtype) == before:  # else replaced while read
            tiers = Tiers(loaded.model.device, fitting(loaded.model.device), open_store(cache, DISK, note))
            self.generator.snapshots = Snapshots(tiers, before)
        self.at_once = slots_for(loaded.model, self.context, tiers.limits.device if tiers else 0)
        self._batch: Batch | None = None
        encoders = EncoderCache(loaded.encoders, tiers, before if tiers else "") if loaded.encoders else None
        self.composer = Composer(self.tokenizer, encoders, loaded.model.device)
        special = self.tokenizer.special
        self._markers = Markers(
            close=special.end_think,
            newline=tuple(self.tokenizer.encode("\n")),
            after=tuple(self.tokenizer.encode("\n\n")),
            newlines=self.tokenizer.newline_ids(),
            ends=self.tokenizer.end_ids,
        )

    @cached_property
    def _grammar(self) -> Grammar:
        return Grammar(self.tokenizer.json(), self.generator.model.config.vocab_size, self.tokenizer.end_ids)

    def follow(self, prepared: Prepared, answer: Turn) -> None:
        """Compute and keep the conversation as far as its next turn, where there is room and the generator is free."""
        if self.generator.snapshots is None or self.generator.busy:
            return
        prompt = self.composer.followed(prepared, answer)
        if len(prompt) < self.context:
            with suppress(EngineError):  # no memory: the answer is given, the next turn only costs more
                self.generator.prepare(prompt)

    def _decoder(self) -> Generator | Batch:
        """What the next sequence goes to: as long as others run it joins them."""
        if not self.generator.busy and not (self._batch and self._batch.busy):
            return self.generator
        self._batch = self._batch or Batch(self.generator, self.at_once)
        return self._batch

    @property
    def context(self) -> int:
        return self.generator.context

    @torch.inference_mode()
    def prepare(
        self,
        turns: Sequence[Turn],
        *,
        think: bool,
        max_tokens: int,
        keep_thoughts: bool = False,
        tools: Sequence[dict[str, Any]] = (),
        evs_rate: float = 0.0,
        keep: bool = True,
        goes_on: bool = False,
    ) -> Prepared:
        """The prompt of a conversation, its media encoded, with room for `max_tokens` of answer. `keep` False: what was
        encoded is neither kept nor looked for. `goes_on`: it can be given to `follow` after its answer."""
        return self.composer.prepare(
            turns,
            room=self.context - max_tokens,
            think=think,
            keep_thoughts=keep_thoughts,
            tools=tools,
            evs_rate=evs_rate,
            keep=keep,
            goes_on=goes_on,
        )

    def reply(
        self,
        prepared: Prepared,
        *,
        sampling: Sampling,
        max_tokens: int,
        think_budget: int | None = None,
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[dict[str, Any]] = (),
        keep: bool = True,
    ) -> Generating[Said | End, None, None]:
        """Continue a prompt. Reasoning ends within its budget, and room for an answer is always left. With a
        `schema` the answer fits it or is calls of `tools`.

        Raises EngineError where the prompt leaves no room for `max_tokens`, or memory runs out.
        """
        size = len(prepared.prompt.ids)
        if size + max_tokens > self.context:
            raise EngineError(
                f"the prompt has {size:,} tokens and {max_tokens:,} are kept for the answer, the context holds "
                f"{self.context:,}",
                hint="ask about less at a time, or raise the setting 'context'",
            )
        watch = Watch(self._markers, Budget.of(think_budget, max_tokens), open=prepared.thinking)
        events = self._decoder().stream(
            prepared.prompt,
            sampling=sampling,
            max_tokens=max_tokens,
            ends=self.tokenizer.end_ids,
            watch=watch if prepared.thinking else None,
            matcher=None if schema is None else self._grammar.constrain(schema, tools),
            keep=keep,
        )
        # A speller each: a letter that the reasoning left unfinished must not end up in the answer.
        spellers = {thought: self.tokenizer.speller() for thought in (True, False)}
        begun = not prepared.thinking  # line breaks between the reasoning and the answer belong to neither
        for event in events:
            if isinstance(event, End):
                yield event
            elif text := spellers[event.thought](event.id):
                if not event.thought and not begun:
                    text = text.lstrip()
                    begun = bool(text)
                if text:
                    yield Said(text, event.thought)
