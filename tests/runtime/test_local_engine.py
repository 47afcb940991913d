"""The local engine on a tiny checkpoint and the CPU: the same path that the full model takes."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omni_agent.engines import local
from omni_agent.engines.base import Done, Event, Message, Options, Part, Text, Thought, ToolCall
from omni_agent.engines.local import LocalEngine
from omni_agent.errors import CheckpointError, EngineError, Unavailable, UsageError
from omni_agent.media import video
from omni_agent.runtime.chat import Said
from omni_agent.runtime.config import read_config
from omni_agent.runtime.conversation import Turn
from omni_agent.runtime.generate import End, Generator, Token
from omni_agent.runtime.layout import Prompt
from omni_agent.runtime.loading import Loaded, load
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.tokenizer import Tokenizer
from omni_agent.types import Picture, Sound

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def engine(folder: Path) -> LocalEngine:
    return LocalEngine(folder, context=2048, device="cpu")


def ask(engine: LocalEngine, *parts: Part, **options: object) -> tuple[str, str, Done]:
    """The reasoning, the answer, and how it ended."""
    events: list[Event] = list(engine.stream([Message("user", parts)], Options(**options)))  # type: ignore[arg-type]
    assert isinstance(events[-1], Done) and not any(isinstance(event, Done) for event in events[:-1])
    thought = "".join(event.text for event in events if isinstance(event, Thought))
    return thought, "".join(event.text for event in events if isinstance(event, Text)), events[-1]


def test_the_answer_is_the_generators_own(engine: LocalEngine, folder: Path) -> None:
    """Greedy, against the language model driven directly with the template's ids."""
    _, answer, done = ask(engine, "What is this?", max_tokens=24)
    config = read_config(folder)
    tokenizer = Tokenizer(folder, config)
    generator = Generator(load(folder, device="cpu", dtype=torch.bfloat16).model, 2048)
    ids = tokenizer.chat([{"role": "user", "content": "What is this?"}], enable_thinking=False)
    events = list(generator.stream(ids, sampling=Sampling(), max_tokens=24, ends=tokenizer.end_ids))
    tokens = [event.id for event in events if isinstance(event, Token)]
    assert done.usage.prompt_tokens == len(ids) and done.usage.answer_tokens == len(tokens)
    assert answer == tokenizer.decode([token for token in tokens if token not in tokenizer.silent_ids], special=True)


def test_a_second_question_on_a_picture_is_answered_the_same_from_what_was_kept(
    engine: LocalEngine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this engine and in one that finds only what is on disk; the whole picture is restored."""
    monkeypatch.setattr("omni_agent.runtime.segments.LEAST", 4)
    picture = Picture(np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8))
    expected = [ask(engine, picture, question, max_tokens=8)[1] for question in ("What?", "Why is it so?")]
    first = LocalEngine(folder, context=2048, device="cpu", cache=tmp_path / "kept")
    assert [ask(first, picture, question, max_tokens=8)[1] for question in ("What?", "Why is it so?")] == expected
    snapshots = first._loaded().generator.snapshots
    assert snapshots is not None
    snapshots.tiers.flush()
    second = LocalEngine(folder, context=2048, device="cpu", cache=tmp_path / "kept")
    prompt = second._loaded().prepare([Turn("user", (picture.pixels, "Why is it so?"))], think=False, max_tokens=8)
    *_, end = second._loaded().reply(prompt, sampling=Sampling(), max_tokens=8)
    assert isinstance(end, End) and end.restored == prompt.prompt.cuts[-1] > int(prompt.prompt.places[-1])
    assert ask(second, picture, "Why is it so?", max_tokens=8)[1] == expected[1]


def test_thinking_ends_within_its_budget_and_an_answer_follows(engine: LocalEngine) -> None:
    thought, answer, done = ask(engine, "Hm?", think=True, think_budget=6, max_tokens=40, seed=1)
    assert thought and answer and not answer[0].isspace()
    assert (
        done.usage.answer_tokens > 0 and done.usage.reasoning_tokens <= 30 + 2
    )  # a quarter is left to answer; the closing marks
    assert "think" not in thought + answer  # no marks in either


SCHEMA = {
    "type": "object",
    "properties": {"found": {"type": "boolean"}, "page": {"enum": ["p1", "p2"]}},
    "required": ["found", "page"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("think", [False, True])
@pytest.mark.parametrize("sampling", [{}, {"temperature": 2.0, "seed": 3}])
def test_a_schema_holds_the_answer_and_leaves_thinking_free(
    engine: LocalEngine, think: bool, sampling: dict[str, float]
) -> None:
    """From a model that knows no word, let alone JSON."""
    thought, answer, done = ask(engine, "Hm?", think=think, think_budget=6, max_tokens=400, schema=SCHEMA, **sampling)
    value = json.loads(answer)
    assert value.keys() == {"found", "page"} and type(value["found"]) is bool and value["page"] in ("p1", "p2")
    assert done.finish == "stop" and bool(thought) is think and not thought.startswith("{")


@pytest.mark.parametrize("seed", range(4))
def test_a_schema_and_functions_give_one_or_the_other(engine: LocalEngine, seed: int) -> None:
    stop = {"type": "function", "function": {"name": "stop", "description": "Ends it."}}
    options = Options(schema=SCHEMA, tools=(stop,), max_tokens=400, temperature=1.0, seed=seed)
    events = list(engine.stream([Message("user", ("Hm?",))], options))
    text = "".join(event.text for event in events if isinstance(event, Text))
    calls = [event for event in events if isinstance(event, ToolCall)]
    assert calls or json.loads(text).keys() == {"found", "page"}
    assert all(call == ToolCall("stop", {}) for call in calls)


def test_a_letter_that_thinking_left_unfinished_is_not_in_the_answer(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of the two bytes of an é, the closing mark, and then the answer."""
    chat = engine._loaded()
    half, brace = (chat.tokenizer._backend.token_to_id(letter) for letter in ("\u00c3", "{"))  # a byte-level vocabulary
    assert half is not None and brace is not None
    events = [Token(half, True), Token(chat.tokenizer.special.end_think, True), Token(brace, False)]
    monkeypatch.setattr(chat.generator, "stream", lambda *_, **__: iter([*events, End("stop", 1, 2, 1)]))
    prepared = chat.prepare([Turn("user", ("Hm?",))], think=True, max_tokens=8)
    *said, _ = chat.reply(prepared, sampling=Sampling(), max_tokens=8)
    assert said == [Said("{", False)]


def test_a_schema_that_cannot_be_held_is_refused_and_the_engine_goes_on(engine: LocalEngine) -> None:
    with pytest.raises(UsageError, match="Invalid type"):
        ask(engine, "Hm?", max_tokens=8, schema={"type": "strang"})
    assert ask(engine, "Hm?", max_tokens=8)[2].usage.answer_tokens > 0


def test_no_thinking_means_none(engine: LocalEngine) -> None:
    thought, _, done = ask(engine, "Hm?", max_tokens=8)
    assert thought == "" and done.usage.reasoning_tokens == 0


def test_what_is_seen_and_heard_changes_the_answer(engine: LocalEngine) -> None:
    noise = np.random.default_rng(0)
    pictures = [Picture(noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(2)]
    sounds = [Sound(noise.normal(size=16_000).astype(np.float32) * scale) for scale in (0.01, 0.3)]
    media: list[Part] = [*pictures, *sounds]
    answers = {ask(engine, medium, "say", max_tokens=24)[1] for medium in media}
    assert len(answers) >= 3  # a random model may say the same of two of them


def test_a_video_is_told_with_true_times_and_half_its_tokens(engine: LocalEngine, folder: Path) -> None:
    """Prompt tokens, counted by hand: the template, a caption and marks a tubelet, and the kept tokens."""
    clip = video.load(DEMO)
    _, _, done = ask(engine, clip, "say", max_tokens=4, fps=0.1, max_frames=64, evs=0.5)
    frames = int(np.ceil(clip.duration / 10))
    tokenizer = Tokenizer(folder, read_config(folder))
    told = ""
    for first in range(0, frames, 2):
        pair = [f"rame {n + 1} sampled at {10 * n:.2f} seconds" for n in range(first, min(first + 2, frames))]
        told += ("\n" if first else "") + "F" + " and f".join(pair) + ": "
    frame = 24 // 4  # a 4x6 grid, the checkpoint's target of patches
    tubelets = -(-frames // 2)
    plain = tokenizer.chat([{"role": "user", "content": "say"}], enable_thinking=False)
    kept = max(frame, tubelets * frame // 2)
    assert done.usage.video_tokens_before == tubelets * frame
    assert done.usage.video_tokens == kept
    assert done.usage.prompt_tokens == len(plain) + len(tokenizer.encode(told)) + 2 * tubelets + kept
    assert {"load", "media", "encode", "prefill", "answer"} >= set(done.usage.seconds) >= {"media", "encode", "prefill"}


def test_a_long_video_is_spread_over_the_frames_allowed(engine: LocalEngine) -> None:
    _, _, done = ask(engine, video.load(DEMO), "say", max_tokens=2, fps=2, max_frames=4, evs=0.0)
    assert done.usage.video_tokens == done.usage.video_tokens_before == 2 * 24 // 4


def test_closing_early_leaves_the_engine_usable(engine: LocalEngine) -> None:
    whole = ask(engine, "again", max_tokens=12)[1]
    stream = engine.stream([Message("user", ("another",))], Options(max_tokens=64))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert ask(engine, "again", max_tokens=12)[1] == whole


def test_a_prompt_that_leaves_no_room_is_an_error_with_both_numbers(engine: LocalEngine) -> None:
    with pytest.raises(EngineError, match=r"the prompt has 3,\d\d\d tokens .* holds 2,048"):
        ask(engine, "x" * 3000)
    assert ask(engine, "again", max_tokens=2)[2].usage.answer_tokens


def test_a_temperature_alone_samples(engine: LocalEngine) -> None:
    said = {ask(engine, "say", max_tokens=16, temperature=1.5, seed=seed)[1] for seed in range(3)}
    assert len(said) == 3
    assert len({ask(engine, "say", max_tokens=16, temperature=1.5, seed=7)[1] for _ in range(2)}) == 1


def test_nothing_is_loaded_before_it_is_asked(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, device="cpu")
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        ask(engine, "say")


def test_without_weights_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="holds no checkpoint") as missing:
        local.check(tmp_path, "cpu")
    assert "omni model get" in missing.value.hint


def test_a_checkpoint_folder_is_taken_as_it_is(folder: Path) -> None:
    assert local.check(folder, "cpu") == folder


# --- several at the same time -----------------------------------------------------------------------------------------


def at_once(engine: LocalEngine, questions: list[str], **options: object) -> list[tuple[str, str, Done]]:
    """All questions asked at the same moment, from a thread each."""
    start = threading.Barrier(len(questions))

    def one(question: str) -> tuple[str, str, Done]:
        start.wait()
        return ask(engine, question, **options)

    with ThreadPoolExecutor(len(questions)) as pool:
        return list(pool.map(one, questions))


@pytest.fixture(scope="module")
def exact(folder: Path) -> LocalEngine:
    """In fp32, where a batch's sums round as a single sequence's do: greedy tokens must be the same."""
    engine = LocalEngine(folder, context=2048, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omni_agent.runtime.chat.load", functools.partial(_in_fp32, load))
        assert ask(engine, "Hm?", max_tokens=2)
    return engine


def _in_fp32(load: Callable[..., Loaded], folder: Path, **options: object) -> Loaded:
    return load(folder, **options | {"dtype": torch.float32})


def test_twenty_conversations_at_once_give_what_each_gives_alone(exact: LocalEngine) -> None:
    """More than there are slots, of unequal lengths; the ninth waits until one has ended."""
    questions = [f"Number {number}: " + "why? " * (7 * number % 50) for number in range(20)]
    expected = [ask(exact, question, max_tokens=16)[:2] for question in questions]
    assert [found[:2] for found in at_once(exact, questions, max_tokens=16)] == expected
    batch = exact._loaded()._batch
    assert batch is not None and not batch.busy  # they did decode together, and have all left


def test_what_they_have_in_common_is_encoded_and_read_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six questions about one picture at the same moment: one computes the beginning, five find it."""
    monkeypatch.setattr("omni_agent.runtime.segments.LEAST", 4)
    engine = LocalEngine(folder, context=2048, device="cpu", cache=tmp_path / "kept")
    encoders = engine._loaded().composer.encoders
    assert encoders is not None
    encoded: list[int] = []
    pictures = encoders.encoders.pictures

    def counted(shown: list[Any], grids: list[Any]) -> Any:
        encoded.append(len(shown))
        return pictures(shown, grids)

    monkeypatch.setattr(encoders.encoders, "pictures", counted)
    picture = Picture(np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8))

    def one(number: int) -> Done:
        return ask(engine, picture, f"What is number {number}?", max_tokens=8)[2]

    with ThreadPoolExecutor(6) as pool:
        usages = [done.usage for done in pool.map(one, range(6))]
    assert encoded == [1]
    assert sorted(usage.cached_tokens > 0 for usage in usages) == [False, *[True] * 5]


def test_one_of_many_is_cancelled_and_one_has_no_memory(exact: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [f"Which of the {number}?" for number in range(6)]
    expected = [ask(exact, question, max_tokens=24)[1] for question in questions]
    prefill = Generator.prefill

    def short_of_memory(self: Generator, prompt: Prompt, *rest: object) -> object:
        if len(prompt) > 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prefill(self, prompt, *rest)

    monkeypatch.setattr(Generator, "prefill", short_of_memory)

    def one(question: str) -> str:
        if question.startswith("Which"):
            return ask(exact, question, max_tokens=24)[1]
        if question == "given up":
            events = exact.stream([Message("user", (question,))], Options(max_tokens=500))
            next(events)
            events.close()  # type: ignore[attr-defined]
            return "closed"
        with pytest.raises(EngineError, match="too little free memory"):
            ask(exact, question, max_tokens=24)
        return "failed"

    asked = [*questions[:3], "given up", "x" * 500, *questions[3:]]
    with ThreadPoolExecutor(len(asked)) as pool:
        found = list(pool.map(one, asked))
    assert found == [*expected[:3], "closed", "failed", *expected[3:]]
    assert ask(exact, questions[0], max_tokens=24)[1] == expected[0]


def test_thoughts_schemas_and_seeds_do_not_mix(exact: LocalEngine) -> None:
    wishes: list[dict[str, object]] = [
        {"think": True, "think_budget": 6, "max_tokens": 40, "temperature": 0.0},
        {"schema": SCHEMA, "max_tokens": 200},
        {"temperature": 1.5, "seed": 4, "max_tokens": 20},
        {"max_tokens": 30},
    ]
    expected = [ask(exact, "Hm?", **wish)[:2] for wish in wishes]
    with ThreadPoolExecutor(len(wishes)) as pool:
        found = list(pool.map(lambda wish: ask(exact, "Hm?", **wish)[:2], wishes))
    assert found == expected and found[0][0] and json.loads(found[1][1])


# --- turn after turn --------------------------------------------------------------------------------------------------


def turn(engine: LocalEngine, messages: list[Message], **options: object) -> tuple[Message, Done]:
    """The answer as the conversation's next message, and how it ended."""
    events = list(engine.stream(messages, Options(max_tokens=12, **options)))  # type: ignore[arg-type]
    said = "".join(event.text for event in events if isinstance(event, Text))
    thought = "".join(event.text for event in events if isinstance(event, Thought))
    assert isinstance(events[-1], Done)
    return Message("assistant", (said,), thought), events[-1]


@pytest.mark.parametrize("wish", [{}, {"think": True, "seed": 3}, {"think": True, "seed": 3, "keep_thoughts": True}])
def test_a_turn_costs_its_own_tokens_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: dict[str, object]
) -> None:
    """A conversation about a picture: all before the newest user's turn is restored, also by a process that finds it on
    disk, and every answer is that of an engine that keeps nothing."""
    monkeypatch.setattr("omni_agent.runtime.segments.LEAST", 4)
    keeps = LocalEngine(folder, context=2048, device="cpu", cache=tmp_path / "kept")
    plain = LocalEngine(folder, context=2048, device="cpu")
    picture = Picture(np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8))
    messages = [Message("user", (picture, "What is this?"))]
    for question in ("And that?", "Since when?", ""):
        answer, _ = turn(keeps, messages, goes_on=True, **wish)
        assert turn(plain, messages, goes_on=True, **wish)[0] == answer
        messages += [answer, Message("user", (question,))]
        done = turn(keeps, messages, **wish)[1]
        new = _after_the_last_turn_began(keeps, messages, **wish)  # type: ignore[arg-type]
        assert done.usage.cached_tokens == done.usage.prompt_tokens - new, question
    snapshots = keeps._loaded().generator.snapshots
    assert snapshots is not None
    snapshots.tiers.flush()
    later = LocalEngine(folder, context=2048, device="cpu", cache=tmp_path / "kept")
    answer, done = turn(later, messages, **wish)
    assert answer == turn(plain, messages, **wish)[0]
    new = _after_the_last_turn_began(later, messages, **wish)  # type: ignore[arg-type]
    assert done.usage.cached_tokens == done.usage.prompt_tokens - new


def _after_the_last_turn_began(
    engine: LocalEngine, messages: list[Message], think: bool = False, keep_thoughts: bool = False, **_: object
) -> int:
    """Tokens of the last user's turn and of the answer's head, by the template's marks."""
    tokenizer = engine._loaded().tokenizer
    told = [{"role": "user", "content": "".join(part for part in messages[-1].parts if isinstance(part, str))}]
    whole = tokenizer.chat(told, enable_thinking=think, truncate_history_thinking=not keep_thoughts)
    start = tokenizer.encode("<|im_start|>")[0]
    return len(whole) - [n for n, number in enumerate(whole) if number == start][-2]


def test_what_is_not_to_be_kept_is_not_followed(folder: Path, tmp_path: Path) -> None:
    engine = LocalEngine(folder, context=2048, device="cpu", cache=tmp_path / "kept")
    turn(engine, [Message("user", ("Why? " * 80,))], goes_on=True, keep=False)
    snapshots = engine._loaded().generator.snapshots
    assert snapshots is not None
    snapshots.tiers.flush()
    assert not list((tmp_path / "kept").glob("*.safetensors"))
