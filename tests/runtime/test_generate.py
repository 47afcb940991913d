"""Generation at token level: stopping, sampling, thinking budgets, cancelling."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from omni_agent.errors import EngineError, UsageError
from omni_agent.runtime.generate import End, Generator, Token
from omni_agent.runtime.loading import Loaded
from omni_agent.runtime.sampling import Sampler, Sampling, nucleus
from omni_agent.runtime.thinking import Budget, Markers, Watch

GREEDY = Sampling()
PROMPT = list(range(40, 60))
CLOSE, NEWLINE, END = 13, 33, 11
MARKERS = Markers(
    close=CLOSE, newline=(NEWLINE,), after=(NEWLINE, NEWLINE), newlines=frozenset({NEWLINE}), ends=frozenset({END, 2})
)


@pytest.fixture(scope="module")
def generator(loaded: Loaded) -> Generator:
    return Generator(loaded.model, 256)


def run(generator: Generator, **options: Any) -> tuple[list[int], End]:
    given: dict[str, Any] = {"sampling": GREEDY, "max_tokens": 24, "ends": frozenset()}
    *tokens, end = generator.stream(PROMPT, **given | options)
    assert isinstance(end, End)
    return [token.id for token in tokens if isinstance(token, Token)], end


def test_greedy_is_the_likeliest_token_each_time(generator: Generator, loaded: Loaded) -> None:
    found, end = run(generator)
    model, ids = loaded.model, list(PROMPT)
    for token in found:
        with torch.inference_mode():
            logits = model.prefill(model.embed(torch.tensor(ids)), model.new_cache(1, 64))
        assert int(logits.argmax()) == token
        ids.append(token)
    assert end == End("length", 20, 0, 24)


def test_it_stops_on_every_end_id_and_does_not_yield_it(generator: Generator) -> None:
    free, _ = run(generator)
    for index in (0, 5, 11):
        ends = frozenset({free[index], 9999})
        first = free.index(free[index])
        assert run(generator, ends=ends) == (free[:first], End("stop", 20, 0, first))


def test_a_full_context_ends_the_answer(loaded: Loaded) -> None:
    small = Generator(loaded.model, 24)
    assert run(small)[1] == End("length", 20, 0, 4)
    assert run(small)[1] == End("length", 20, 0, 4)
    with pytest.raises(EngineError, match="the prompt has 30 tokens, the context holds 24"):
        next(iter(small.stream(list(range(40, 70)), sampling=GREEDY, max_tokens=1, ends=frozenset())))


def test_cancelling_forgets_the_sequence(generator: Generator) -> None:
    whole, _ = run(generator)
    stream = generator.stream(PROMPT, sampling=GREEDY, max_tokens=24, ends=frozenset())
    assert next(stream) == Token(whole[0], False)
    with pytest.raises(EngineError, match="already answering"):
        next(generator.stream(PROMPT, sampling=GREEDY, max_tokens=1, ends=frozenset()))
    stream.close()  # type: ignore[attr-defined]
    assert generator.cache.seen == generator.cache.lengths.tolist() == [0]
    assert not generator.cache.state.any() and not generator.cache.conv.any()
    assert run(generator)[0] == whole


def test_running_out_of_memory_is_an_error_and_the_generator_lives(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(generator)

    def fail(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(generator.model, "prefill", fail)
        with pytest.raises(EngineError, match="too little free memory to answer"):
            run(generator)
    assert run(generator)[0] == whole


def test_a_seed_means_the_same_answer_again(generator: Generator) -> None:
    def sampled(seed: int) -> list[int]:
        return run(generator, sampling=Sampling(temperature=1.5, top_p=0.99, seed=seed))[0]

    assert sampled(1) == sampled(1)
    assert len({tuple(sampled(seed)) for seed in range(5)}) == 5


def test_embeddings_do_as_well_as_ids(generator: Generator) -> None:
    embedded = generator.model.embed(torch.tensor(PROMPT))
    tokens = list(generator.stream(embedded, sampling=GREEDY, max_tokens=8, ends=frozenset()))
    assert [token.id for token in tokens if isinstance(token, Token)] == run(generator)[0][:8]


# --- sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [3, 1, 0, 2]),
        ({"top_k": 2}, [3, 1]),
        ({"top_p": 0.5}, [3]),  # 0.6 alone reaches it
        ({"top_p": 0.7}, [3, 1]),
        ({"top_p": 0.84}, [3, 1]),
        ({"top_p": 0.86}, [3, 1, 0]),
        ({"top_p": 1e-6}, [3]),
        ({"top_k": 3, "top_p": 0.89}, [3, 1]),  # among three, 0.85/0.95 = 0.894 is enough
    ],
)
def test_nucleus_keeps_the_fewest_that_reach_the_mass(options: dict[str, Any], kept: list[int]) -> None:
    logits = torch.tensor([[0.1, 0.25, 0.05, 0.6]], dtype=torch.float64).log()
    probabilities, ids = nucleus(logits, Sampling(temperature=1.0, **options))
    assert ids[0][probabilities[0] > 0].tolist() == kept


def test_samples_follow_the_distribution() -> None:
    """20,000 draws at temperature 0.5, top_p 0.95 from known probabilities: within four standard errors."""
    base = torch.tensor([0.1, 0.25, 0.05, 0.6])
    sampler = Sampler(Sampling(temperature=0.5, top_p=0.95, seed=7), torch.device("cpu"))
    counts = torch.bincount(sampler(base.log().repeat(20_000, 1)), minlength=4) / 20_000
    sharp = base**2 / (base**2).sum()  # 0.0230, 0.144, 0.0058, 0.828: the two likeliest hold 0.95
    expected = torch.tensor([0, sharp[1], 0, sharp[3]])
    expected = expected / expected.sum()
    error = (expected * (1 - expected) / 20_000).sqrt()
    assert ((counts - expected).abs() <= 4 * error).all(), counts


@pytest.mark.parametrize("options", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1}])
def test_senseless_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Sampling(**options)


# --- thinking ---------------------------------------------------------------------------------------------------------


def follow(chosen: list[int], budget: Budget) -> list[int]:
    watch = Watch(markers=MARKERS, budget=budget, open=True)
    return [watch.next(token) for token in chosen]


def test_a_thought_that_closes_itself_is_left_alone() -> None:
    chosen = [50, 51, NEWLINE, CLOSE, 60, NEWLINE, 61, END]
    assert follow(chosen, Budget(soft=100, hard=200)) == chosen


def test_soft_limit_closes_at_the_next_newline() -> None:
    chosen = [50, NEWLINE, 51, 52, 53, NEWLINE, 70, 71, 72, 60, END]
    expected = [50, NEWLINE, 51, 52, 53, NEWLINE, CLOSE, NEWLINE, NEWLINE, 60, END]
    assert follow(chosen, Budget(soft=3, hard=200)) == expected


def test_hard_limit_closes_by_force() -> None:
    chosen = [50, 51, 52, 53, 70, 71, 72, 73, 60, END]
    expected = [50, 51, 52, 53, NEWLINE, CLOSE, NEWLINE, NEWLINE, 60, END]
    assert follow(chosen, Budget(soft=None, hard=4)) == expected


def test_an_end_inside_a_thought_closes_it_and_an_answer_follows() -> None:
    chosen = [50, END, 70, 71, 72, 60, END]
    assert follow(chosen, Budget(soft=None, hard=100)) == [50, NEWLINE, CLOSE, NEWLINE, NEWLINE, 60, END]


def test_budgets_leave_room_for_an_answer() -> None:
    assert Budget.of(16384, 20480) == Budget(soft=16384, hard=15360)
    assert Budget.of(1000, 20480) == Budget(soft=1000, hard=2024)
    assert Budget.of(None, 1024) == Budget(soft=None, hard=768)
    assert Budget.of(10, 1) == Budget(soft=10, hard=0)


@pytest.mark.parametrize(("budget", "max_tokens"), [(Budget(soft=None, hard=6), 24), (Budget(soft=0, hard=0), 8)])
def test_generation_thinks_then_answers(generator: Generator, budget: Budget, max_tokens: int) -> None:
    """The forced tokens go through the model: what follows is what it says after exactly this text."""
    watch = Watch(markers=MARKERS, budget=budget, open=True)
    *events, end = generator.stream(PROMPT, sampling=GREEDY, max_tokens=max_tokens, ends=frozenset(), watch=watch)
    tokens = [token for token in events if isinstance(token, Token)]
    ids = [token.id for token in tokens]
    closed = ids.index(CLOSE)
    assert closed == budget.hard + 1
    assert [token.thought for token in tokens] == [True] * (closed + 1) + [False] * (len(ids) - closed - 1)
    assert isinstance(end, End) and (end.thought, end.answer) == (closed + 1, max_tokens - closed - 1)
    given = PROMPT + ids[: closed + 3]
    rest = generator.stream(given, sampling=GREEDY, max_tokens=max_tokens - closed - 3, ends=frozenset())
    assert [token.id for token in rest if isinstance(token, Token)] == ids[closed + 3 :]
