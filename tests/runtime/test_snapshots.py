"""Kept prompts: equal to the last bit with and without, at every cut, in every place where they are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from omni_agent.runtime import layout, segments
from omni_agent.runtime.config import read_config
from omni_agent.runtime.generate import End, Generator, Token
from omni_agent.runtime.identity import checkpoint, identity
from omni_agent.runtime.layout import CUT, Piece, Prompt
from omni_agent.runtime.loading import Loaded, load
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.snapshots import Snapshots
from omni_agent.runtime.store import open_store
from omni_agent.runtime.tiers import Limits, Tiers
from omni_agent.runtime.tokenizer import Tokenizer

GREEDY = Sampling()
CHUNK = 32
PLENTY = 1 << 30


@pytest.fixture(scope="module", params=["fp32", "bf16", pytest.param("cuda", marks=pytest.mark.gpu)])
def tiny(request: pytest.FixtureRequest, folder: Path, loaded: Loaded) -> Loaded:
    if request.param == "fp32":
        return loaded
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return load(folder, device="cuda" if request.param == "cuda" else "cpu", dtype=torch.bfloat16)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder, read_config(folder))


@pytest.fixture(autouse=True)
def short_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts lie near each other in prompts that a tiny model can read."""
    monkeypatch.setattr(segments, "LEAST", 8)


def vectors(count: int, seed: int, width: int = 64) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def conversation(tokenizer: Tokenizer, question: str, turns: int = 2) -> Prompt:
    """Two pictures and a sound, a question, and before the last question `turns` - 1 answered ones."""
    ids = tokenizer.special
    media = [
        *layout.picture(vectors(20, 1), ids, "picture one"),
        *layout.picture(vectors(9, 2), ids),
        *layout.sound(vectors(14, 3), ids, "sound"),
    ]
    messages = [{"role": "user", "content": layout.stand_in(0) + layout.stand_in(1)}]
    parts: list[str | list[Piece]] = [media, "What is that?" if turns > 1 else question]
    for number in range(1, turns):
        messages += [
            {"role": "assistant", "content": "A grey cat, seen twice."},
            {"role": "user", "content": layout.stand_in(number + 1)},
        ]
        parts.append(question if number == turns - 1 else f"And number {number}?")
    rendered = tokenizer.template.render(messages=messages, add_generation_prompt=True, enable_thinking=False)
    return layout.assemble(layout.weave(rendered, parts, tokenizer), ids)


def answer(generator: Generator, prompt: Any, **options: Any) -> tuple[list[int], End]:
    given: dict[str, Any] = {"sampling": GREEDY, "max_tokens": 12, "ends": frozenset()}
    prompt = on(generator.model.device, prompt)
    *tokens, end = generator.stream(prompt, **given | options)
    assert isinstance(end, End)
    return [token.id for token in tokens if isinstance(token, Token)], end


def on(device: torch.device, prompt: Prompt) -> Prompt:
    ids, places, values = (part.to(device) for part in (prompt.ids, prompt.places, prompt.values))
    return Prompt(ids, places, values, prompt.runs, prompt.cuts)


class Watching(Generator):
    """Notes the bits of all logits that its sequences were decoded from."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logits: list[torch.Tensor] = []
        step = self._step
        self._step = lambda tokens: self._noted(step(tokens))

    def prefill(self, *arguments: Any) -> Any:
        logits, restored = super().prefill(*arguments)
        return self._noted(logits), restored

    def _noted(self, logits: torch.Tensor) -> torch.Tensor:
        self.logits.append(logits.clone())
        return logits


def kept(tiny: Loaded, limits: Limits) -> Watching:
    snapshots = Snapshots(Tiers(tiny.model.device, limits), "test")
    return Watching(tiny.model, 512, snapshots=snapshots, chunk=CHUNK)


def restarted(tiny: Loaded, folder: Path) -> Watching:
    """A new process's generator: it has nothing but what is on disk."""
    store = open_store(folder, PLENTY, pytest.fail)
    return Watching(
        tiny.model, 512, snapshots=Snapshots(Tiers(tiny.model.device, Limits(), store), "test"), chunk=CHUNK
    )


def same(left: Watching, right: Watching) -> bool:
    return len(left.logits) == len(right.logits) and all(map(torch.equal, left.logits, right.logits))


def places(prompt: Prompt) -> Iterator[int]:
    return (part.end for part in segments.segments(prompt, CHUNK, "test") if part.kept)


def test_cuts_follow_from_the_ids(tokenizer: Tokenizer) -> None:
    """After a turn's last medium and before every later user's turn; more text at the end moves none."""
    prompt = conversation(tokenizer, "Why?", turns=3)
    ids = prompt.ids.tolist()
    media_end = ids.index(tokenizer.special.sound_end) + 1
    turns = [place for place, number in enumerate(ids) if number == tokenizer.special.turn_start]
    assert prompt.cuts == (turns[1], media_end, turns[3], turns[5])
    longer = conversation(tokenizer, "Why is it so, and not otherwise?", turns=3)
    assert longer.cuts == prompt.cuts
    assert conversation(tokenizer, "What is that?", turns=1).cuts == prompt.cuts[:2]


def test_a_marked_place_is_a_cut_and_near_ones_are_one(tokenizer: Tokenizer) -> None:
    ids = tokenizer.special
    assert layout.assemble([[40] * 20, CUT, [41] * 3, CUT, [42] * 10], ids).cuts == (20,)
    assert layout.assemble([[40] * 7, CUT, [41], CUT, [42] * 10, CUT], ids).cuts == (8,)


def test_equal_to_the_last_bit_at_every_cut(tiny: Loaded, tokenizer: Tokenizer) -> None:
    """Each place in turn is the only one that another prompt's run left behind."""
    prompt = conversation(tokenizer, "How many are there?")
    plain = Watching(tiny.model, 512, chunk=CHUNK)
    expected = answer(plain, prompt)[0]
    found = list(places(prompt))
    assert len(found) >= 5
    for place in found:
        ids = torch.cat([prompt.ids[:place], torch.tensor([50, 51, 52])])
        media = int(torch.searchsorted(prompt.places, place))
        runs = tuple(run for run in prompt.runs if run.start < place)
        cuts = tuple(cut for cut in prompt.cuts if cut <= place)
        other = Prompt(ids, prompt.places[:media], prompt.values[:media], runs, cuts)
        generator = kept(tiny, Limits(device=PLENTY))
        answer(generator, other)
        generator.logits.clear()
        tokens, end = answer(generator, prompt)
        assert end.restored == place
        assert tokens == expected and same(generator, plain), f"restored at {place}"


@pytest.mark.parametrize("limits", [Limits(device=PLENTY), Limits(host=PLENTY), Limits(device=40_000, host=PLENTY)])
def test_turn_after_turn(tiny: Loaded, tokenizer: Tokenizer, limits: Limits) -> None:
    """A conversation grows; each turn restores up to where the one before it ended."""
    plain, generator = Watching(tiny.model, 512, chunk=CHUNK), kept(tiny, limits)
    reached = []
    for turns in (1, 2, 3):
        prompt = conversation(tokenizer, "Which one is nearer?", turns)
        tokens, _ = answer(plain, prompt)
        again, end = answer(generator, prompt)
        assert again == tokens and same(generator, plain)
        reached.append(end.restored)
    assert reached[0] == 0 and reached[1] > 50 and reached[2] > reached[1]


def test_equal_to_the_last_bit_through_disk_at_every_cut(tiny: Loaded, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The state of every cut in turn is the last one on disk: those behind it are deleted."""
    prompt = conversation(tokenizer, "How many are there?")
    plain, first = Watching(tiny.model, 512, chunk=CHUNK), restarted(tiny, tmp_path)
    expected = answer(plain, prompt)[0]
    assert answer(first, prompt)[0] == expected and same(first, plain)
    assert first.snapshots is not None
    first.snapshots.tiers.flush()
    for part in reversed([part for part in segments.segments(prompt, CHUNK, "test") if part.kept]):
        again = restarted(tiny, tmp_path)
        tokens, end = answer(again, prompt)
        assert end.restored == part.end
        assert tokens == expected and same(again, plain)
        again.snapshots.tiers.flush()  # type: ignore[union-attr]  # it kept what it had to compute: gone again
        for path in tmp_path.glob("state-*"):
            ends = [kept.end for kept in segments.segments(prompt, CHUNK, "test") if kept.key in path.name]
            if not ends or ends[0] >= part.end:
                path.unlink()


def test_a_damaged_part_shortens_what_is_restored(loaded: Loaded, tokenizer: Tokenizer, tmp_path: Path) -> None:
    prompt = conversation(tokenizer, "How many are there?")
    plain, first = Watching(loaded.model, 512, chunk=CHUNK), restarted(loaded, tmp_path)
    expected = answer(plain, prompt)[0]
    answer(first, prompt)
    first.snapshots.tiers.flush()  # type: ignore[union-attr]
    path = segments.segments(prompt, CHUNK, "test")
    broken = next(part for part in path if part.start >= 60)
    file = tmp_path / f"keys-{broken.key}.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    notes: list[str] = []
    tiers = Tiers(loaded.model.device, Limits(device=PLENTY), open_store(tmp_path, PLENTY, notes.append))
    again = Watching(loaded.model, 512, snapshots=Snapshots(tiers, "test"), chunk=CHUNK)
    tokens, end = answer(again, prompt)
    assert tokens == expected and same(again, plain)
    assert 0 < end.restored <= broken.start and len(notes) == 1


def test_another_model_in_the_folder_is_another_root(folder: Path, tmp_path: Path) -> None:
    """Weights replaced by others of the same shapes and sizes, with their times put back; then only a time."""
    copy = shutil.copytree(folder, tmp_path / "model")
    names = [checkpoint(copy)]
    shard = next(iter(sorted(copy.glob("*.safetensors"))))
    times, data = shard.stat(), bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    names.append(checkpoint(copy))
    os.utime(shard)
    names.append(checkpoint(copy))
    assert len(set(names)) == 3
    assert checkpoint(copy) == names[2]
    cpu = torch.device("cpu")
    assert identity(copy, cpu, torch.float32) != identity(copy, cpu, torch.bfloat16)


def test_the_next_turn_finds_what_was_prepared(tiny: Loaded, tokenizer: Tokenizer) -> None:
    """Prepared with an empty question in place of the next one, twice; the next question then begins right there."""
    plain, generator = Watching(tiny.model, 512, chunk=CHUNK), kept(tiny, Limits(device=PLENTY))
    answer(generator, conversation(tokenizer, "What is that?", 1))
    ready = generator.prepare(on(tiny.model.device, conversation(tokenizer, "", 2)))
    assert generator.prepare(on(tiny.model.device, conversation(tokenizer, "", 2))) == ready
    prompt = conversation(tokenizer, "How old?", 2)
    generator.logits.clear()
    tokens, end = answer(generator, prompt)
    assert end.restored == ready == prompt.cuts[-1]
    assert tokens == answer(plain, prompt)[0] and same(generator, plain)


def test_nothing_is_kept_of_what_must_not_be(tiny: Loaded, tokenizer: Tokenizer) -> None:
    generator, prompt = kept(tiny, Limits(device=PLENTY)), conversation(tokenizer, "Who?")
    answer(generator, prompt, keep=False)
    assert answer(generator, prompt)[1].restored == 0
    assert answer(generator, prompt)[1].restored > 0
    assert answer(generator, prompt, keep=False)[1].restored == 0


def test_where_nothing_can_be_kept_the_prompt_is_cut_at_the_same_places(tokenizer: Tokenizer) -> None:
    prompt = conversation(tokenizer, "Who?")
    bare, named = (segments.segments(prompt, CHUNK, root) for root in (None, "model"))
    assert [(part.start, part.end) for part in bare] == [(part.start, part.end) for part in named]
    assert not any(part.kept for part in bare) and any(part.kept for part in named)


def test_another_medium_another_text_or_another_model_is_another_prompt(loaded: Loaded, tokenizer: Tokenizer) -> None:
    """One value of a picture without a name, one name, one id or the model changed: nothing past it is shared."""
    prompt = conversation(tokenizer, "Who?")
    plain = [part.key for part in segments.segments(prompt, CHUNK, "model")]
    values = prompt.values.clone()
    values[25, 3] += 1e-6  # the second picture, which has no name
    runs = (layout.Run(prompt.runs[0].start, prompt.runs[0].count, "picture two"), *prompt.runs[1:])
    ids = prompt.ids.clone()
    ids[3] += 1

    def shared(ids: torch.Tensor, values: torch.Tensor, runs: Any, root: str) -> int:
        found = segments.segments(Prompt(ids, prompt.places, values, runs, prompt.cuts), CHUNK, root)
        equal = [part.end for part, key in zip(found, plain, strict=True) if part.key == key]
        return max(equal, default=0)

    assert shared(prompt.ids, prompt.values, prompt.runs, "model") == len(prompt)
    assert shared(prompt.ids, values, prompt.runs, "model") <= prompt.runs[1].start + prompt.runs[1].count
    assert shared(prompt.ids, prompt.values, runs, "model") <= prompt.runs[0].start + prompt.runs[0].count
    assert shared(ids, prompt.values, prompt.runs, "model") == 0
    assert shared(prompt.ids, prompt.values, prompt.runs, "other") == 0
