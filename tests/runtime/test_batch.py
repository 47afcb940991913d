"""Sequences that decode together: each gives what it gives alone, whoever else joins, leaves, is cancelled or fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from omni_agent.errors import EngineError, UsageError
from omni_agent.runtime import segments
from omni_agent.runtime.batch import Batch, slots_for
from omni_agent.runtime.config import read_config
from omni_agent.runtime.generate import End, Generator, Token
from omni_agent.runtime.grammar import Grammar
from omni_agent.runtime.loading import Loaded
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.snapshots import Snapshots
from omni_agent.runtime.thinking import Budget, Markers, Watch
from omni_agent.runtime.tiers import Limits, Tiers
from omni_agent.runtime.tokenizer import Tokenizer

GREEDY = Sampling()
LENGTHS = (5, 70, 33, 128, 1, 90)
MARKERS = Markers(close=13, newline=(33,), after=(33, 33), newlines=frozenset({33}), ends=frozenset({11, 2}))


def ids(count: int, seed: int) -> list[int]:
    return torch.randint(40, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture
def generator(loaded: Loaded) -> Generator:
    return Generator(loaded.model, 256)


def stream(source: Generator | Batch, prompt: list[int], **options: Any) -> Iterator[Token | End]:
    given: dict[str, Any] = {"sampling": GREEDY, "max_tokens": 24, "ends": frozenset()}
    return source.stream(prompt, **given | options)


def alone(generator: Generator, prompt: list[int], **options: Any) -> list[Token | End]:
    return list(stream(generator, prompt, **options))


def together(streams: list[Iterator[Token | End]]) -> list[list[Token | End]]:
    """One token of each in turn, until all have ended."""
    found: list[list[Token | End]] = [[] for _ in streams]
    left = dict(enumerate(streams))
    while left:
        for number, events in list(left.items()):
            event = next(events, None)
            if event is None:
                del left[number]
            else:
                found[number].append(event)
    return found


def test_unequal_sequences_give_what_they_give_alone(generator: Generator) -> None:
    """Of 1 to 128 tokens, for 1 to 40 tokens, more than there are slots for: the next joins when one leaves."""
    prompts = [ids(size, seed) for seed, size in enumerate(LENGTHS)]
    wanted = [24, 3, 40, 1, 17, 9]
    batch = Batch(generator, 3)
    found: dict[int, list[Token | End]] = {}
    running: dict[int, Iterator[Token | End]] = {}
    waiting = list(range(len(prompts)))
    while waiting or running:
        while waiting and len(running) < 3:
            number = waiting.pop(0)
            running[number] = stream(batch, prompts[number], max_tokens=wanted[number])
        for number, events in list(running.items()):
            event = next(events, None)
            if event is None:
                del running[number]
            else:
                found.setdefault(number, []).append(event)
    for number, prompt in enumerate(prompts):
        assert found[number] == alone(generator, prompt, max_tokens=wanted[number])
    assert not batch.busy


def test_one_that_is_not_read_holds_up_nobody_and_loses_nothing(generator: Generator) -> None:
    batch, prompts = Batch(generator, 2), [ids(20, 1), ids(30, 2)]
    slow, quick = (stream(batch, prompt) for prompt in prompts)
    first = next(slow)
    assert list(quick) == alone(generator, prompts[1])
    assert [first, *slow] == alone(generator, prompts[0])


def test_one_is_cancelled_and_another_takes_its_place(generator: Generator) -> None:
    batch, prompts = Batch(generator, 2), [ids(size, size) for size in (40, 60, 25)]
    given_up, kept = stream(batch, prompts[0]), stream(batch, prompts[1])
    begun = [next(given_up), next(kept), next(given_up), next(kept)]
    with pytest.raises(EngineError, match="answering 2 questions at once"):
        next(stream(batch, prompts[2]))
    given_up.close()  # type: ignore[attr-defined]
    joined = list(stream(batch, prompts[2]))
    assert joined == alone(generator, prompts[2])
    assert [begun[1], begun[3], *kept] == alone(generator, prompts[1])


def test_one_without_memory_ends_alone(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prefill fails in the middle of the others' answers."""
    batch, prompts = Batch(generator, 3), [ids(40, 1), ids(60, 2)]
    streams = [stream(batch, prompt) for prompt in prompts]
    begun = [next(events) for events in streams]

    def fail(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(generator.model, "prefill", fail)
        with pytest.raises(EngineError, match="too little free memory to answer"):
            next(stream(batch, ids(50, 3)))
    for first, rest, prompt in zip(begun, together(streams), prompts, strict=True):
        assert [first, *rest] == alone(generator, prompt)


def test_a_step_that_fails_ends_all_that_shared_it_and_the_next_are_right(generator: Generator) -> None:
    """Half of its blocks have moved on: nobody may be given a token that rests on that."""
    batch, prompts = Batch(generator, 2), [ids(40, 1), ids(60, 2)]
    streams = [stream(batch, prompt) for prompt in prompts]
    for events in streams:
        next(events)
    step = batch._step

    def fails(tokens: torch.Tensor) -> torch.Tensor:
        step(tokens)
        raise torch.OutOfMemoryError("CUDA out of memory")

    batch._step = fails
    with pytest.raises(EngineError, match="several questions at once"):
        list(streams[0])
    batch._step = step
    with pytest.raises(EngineError, match="broken off"):
        list(streams[1])
    assert together([stream(batch, prompt) for prompt in prompts]) == [alone(generator, p) for p in prompts]


def test_each_has_its_own_sampling_ends_thoughts_and_schema(generator: Generator, folder: Path) -> None:
    tokenizer = Tokenizer(folder, read_config(folder))
    grammar = Grammar(tokenizer.json(), generator.model.config.vocab_size, tokenizer.end_ids)
    free = [token.id for token in alone(generator, ids(20, 4)) if isinstance(token, Token)]
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}

    def options() -> list[dict[str, Any]]:
        return [
            {"sampling": Sampling(temperature=1.5, top_p=0.99, seed=5)},
            {"sampling": Sampling(temperature=1.5, top_k=20, seed=6), "max_tokens": 40},
            {"ends": frozenset({free[7]})},
            {"watch": Watch(markers=MARKERS, budget=Budget(soft=None, hard=6), open=True)},
            {"matcher": grammar.constrain(schema), "ends": tokenizer.end_ids, "max_tokens": 60},
        ]

    prompts = [ids(20, 4 + 10 * (number != 2)) for number in range(5)]
    batch = Batch(generator, 5)
    found = together([stream(batch, p, **given) for p, given in zip(prompts, options(), strict=True)])
    assert found == [alone(generator, p, **given) for p, given in zip(prompts, options(), strict=True)]
    assert found[2][-1] == End("stop", 20, 0, free.index(free[7]))
    assert tokenizer.decode([token.id for token in found[4] if isinstance(token, Token)]).startswith("{")


def test_a_kept_beginning_is_computed_once_for_all(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of a batch keeps it, every other one restores it, and nothing of the answers changes."""
    from omni_agent.runtime.layout import Prompt, of_text

    monkeypatch.setattr(segments, "LEAST", 8)
    kept = Generator(loaded.model, 256, snapshots=Snapshots(Tiers(loaded.model.device, Limits(device=1 << 30)), "t"))
    shared = ids(100, 1)
    prompts = []
    for number in range(4):
        plain = of_text(shared + ids(10 + number, 50 + number))
        prompts.append(Prompt(plain.ids, plain.places, plain.values, (), (100,)))
    batch = Batch(kept, 4)
    found = together([stream(batch, prompt) for prompt in prompts])  # type: ignore[arg-type]
    ends = [events[-1] for events in found]
    assert [end.restored for end in ends if isinstance(end, End)] == [0, 100, 100, 100]
    plain_generator = Generator(loaded.model, 256)
    for prompt, events in zip(prompts, found, strict=True):
        assert events[:-1] == alone(plain_generator, prompt)[:-1]  # type: ignore[arg-type]


def test_slots_nobody_uses_do_not_outgrow_the_cache(generator: Generator) -> None:
    """A long answer beside an empty slot and one that ended: both are stepped with it, far past their own ends."""
    small = Generator(generator.model, 64)
    batch = Batch(small, 3)
    ended, long = stream(batch, ids(60, 1)), stream(batch, ids(4, 2), max_tokens=60)
    next(ended)
    assert list(long) == alone(small, ids(4, 2), max_tokens=60)
    assert [type(event) for event in ended] == [Token, Token, Token, End]
    assert max(batch.cache.seen) <= 64


def test_senseless_calls_are_refused(generator: Generator) -> None:
    batch = Batch(generator, 2)
    with pytest.raises(UsageError, match="prompt is empty"):
        next(stream(batch, []))
    with pytest.raises(EngineError, match="has 300 tokens, the context holds 256"):
        next(stream(batch, ids(300, 1)))
    with pytest.raises(UsageError, match="0 new tokens"):
        next(stream(batch, ids(3, 1), max_tokens=0))
    assert not batch.busy


def test_slots_are_what_memory_allows(loaded: Loaded) -> None:
    assert 2 <= slots_for(loaded.model, 256) <= 8
    assert slots_for(loaded.model, 256, reserved=1 << 50) == 1
