"""The language model against transformers' own, and against itself by every other way of running it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import NemotronHConfig, NemotronHForCausalLM

from benchmarks import make_checkpoint
from omni_agent.errors import EngineError
from omni_agent.runtime import mamba, moe
from omni_agent.runtime.loading import Loaded
from omni_agent.runtime.model import LanguageModel

KINDS = {"M": "linear_attention", "E": "moe", "*": "full_attention"}
# fp32 sums in another order over 10 blocks; logits are of the order of 3.
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def model(loaded: Loaded) -> LanguageModel:
    return loaded.model


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def ids(count: int, seed: int = 0) -> Any:
    return torch.randint(32, 320, (count,), generator=torch.Generator().manual_seed(seed))


def prefilled(model: LanguageModel, prompt: Any, **options: Any) -> Any:
    return model.prefill(model.embed(prompt), model.new_cache(1, 256), **options)


def reference(tensors: dict[str, Any]) -> Any:
    """transformers' model with the same weights."""
    section = dict(make_checkpoint.TEXT)
    pattern = section.pop("hybrid_override_pattern")
    section.pop("num_hidden_layers")
    section.pop("model_type")
    config = NemotronHConfig(**section, layers_block_type=[KINDS[letter] for letter in pattern])
    theirs = NemotronHForCausalLM(config).eval()
    state = {
        name.removeprefix("language_model.").replace("backbone.", "model."): value
        for name, value in tensors.items()
        if name.startswith("language_model.")
    }
    for number, letter in enumerate(pattern):
        if letter == "E":
            for part in ("up_proj", "down_proj"):
                root = f"model.layers.{number}.mixer.experts."
                stack = [state.pop(f"{root}{e}.{part}.weight") for e in range(section["n_routed_experts"])]
                state[root + part] = torch.stack(stack)
    theirs.load_state_dict(state, strict=True)
    return theirs


@pytest.fixture(scope="module")
def theirs() -> Any:
    return reference(make_checkpoint.tensors(make_checkpoint.config()))


@pytest.mark.parametrize("length", [1, 3, 16, 77])
def test_prefill_agrees_with_transformers(model: LanguageModel, theirs: Any, length: int) -> None:
    """The tiny checkpoint's time steps lie above 0.001, so transformers' clamp in prefill changes nothing here."""
    prompt = ids(length)
    expected = theirs(prompt[None], logits_to_keep=1).logits[0, -1]
    torch.testing.assert_close(prefilled(model, prompt), expected, **CLOSE)


def test_greedy_tokens_equal_transformers(model: LanguageModel, theirs: Any) -> None:
    prompt = ids(40, seed=3)
    expected = theirs.generate(prompt[None], max_new_tokens=48, do_sample=False, eos_token_id=None)[0, 40:]
    cache, found = model.new_cache(1, 128), []
    logits = model.prefill(model.embed(prompt), cache)
    for _ in range(48):
        token = logits.argmax().view(1)
        found.append(int(token))
        logits = model.step(token, cache)[0]
        cache.stepped()
    assert found == expected.tolist()


def test_small_time_steps_are_not_clamped() -> None:
    """transformers clamps dt at 0.001 in its prefill (not in its decoding), whatever the file says. Told not to, it
    agrees with us; as it comes, it does not: the clamp is what makes the difference, and we have none."""
    tensors = make_checkpoint.tensors(make_checkpoint.config(), seed=5)
    for name in tensors:
        if name.endswith("dt_bias"):
            tensors[name] = torch.full_like(tensors[name], -9.0)  # softplus(-9) = 1.2e-4
    theirs = reference(tensors)
    ours = LanguageModel(_config(), "cpu", torch.float32)
    for name, place in ours.tensors().items():
        place.copy_(tensors["language_model." + name])
    prompt = ids(24, seed=8)
    clamped = theirs(prompt[None], logits_to_keep=1).logits[0, -1]
    for layer in theirs.model.layers:
        if hasattr(layer.mixer, "time_step_limit"):
            layer.mixer.time_step_limit = (0.0, float("inf"))
    expected = theirs(prompt[None], logits_to_keep=1).logits[0, -1]
    torch.testing.assert_close(prefilled(ours, prompt), expected, **CLOSE)
    assert (clamped - expected).abs().max() > 10 * CLOSE["atol"]


def _config() -> Any:
    from omni_agent.runtime.config import text_config

    return text_config(make_checkpoint.config()["llm_config"], "test")


@pytest.mark.parametrize("first", [1, 2, 3, 17, 40])
def test_decode_equals_prefill(model: LanguageModel, first: int) -> None:
    prompt, cache = ids(60, seed=1), model.new_cache(1, 64)
    logits = model.prefill(model.embed(prompt[:first]), cache)
    for token in prompt[first:]:
        logits = model.step(token.view(1), cache)[0]
        cache.stepped()
    torch.testing.assert_close(logits, prefilled(model, prompt), **CLOSE)
    assert cache.lengths.tolist() == cache.seen == [60]


@pytest.mark.parametrize("chunk", [1, 7, 16, 32])
def test_chunked_equals_whole(model: LanguageModel, chunk: int) -> None:
    prompt = ids(50, seed=2)
    torch.testing.assert_close(prefilled(model, prompt, chunk=chunk), prefilled(model, prompt), **CLOSE)


def test_a_prompt_in_pieces_equals_the_prompt_whole(model: LanguageModel) -> None:
    prompt, cache = ids(90, seed=4), model.new_cache(1, 128)
    for piece in prompt.split([1, 2, 30, 57]):
        logits = model.prefill(model.embed(piece), cache)
    torch.testing.assert_close(logits, prefilled(model, prompt), **CLOSE)


def test_batched_equals_single(model: LanguageModel) -> None:
    """Sequences of 5, 33 and 70 tokens decode together; each gives what it gives alone."""
    prompts, cache = [ids(n, seed=n) for n in (5, 33, 70)], model.new_cache(3, 128)
    more = ids(30, seed=9).view(10, 3)
    for slot, prompt in enumerate(prompts):
        model.prefill(model.embed(prompt), cache, slot)
    for tokens in more:
        logits = model.step(tokens, cache)
        cache.stepped()
    for slot, prompt in enumerate(prompts):
        alone = prefilled(model, torch.cat([prompt, more[:, slot]]))
        torch.testing.assert_close(logits[slot], alone, **CLOSE)


def test_order_and_neighbours_do_not_matter(model: LanguageModel) -> None:
    """A slot's answer does not depend on which slot it is nor on what stood there before it was cleared."""
    prompt, cache = ids(20, seed=6), model.new_cache(2, 64)
    model.prefill(model.embed(ids(64, seed=7)), cache, 1)
    cache.clear(1)
    for slot in (1, 0):
        model.prefill(model.embed(prompt), cache, slot)
    logits = model.step(torch.tensor([50, 50]), cache)
    torch.testing.assert_close(logits[0], logits[1], **CLOSE)
    torch.testing.assert_close(logits[0], prefilled(model, torch.cat([prompt, torch.tensor([50])])), **CLOSE)


def test_the_context_has_an_end(model: LanguageModel) -> None:
    cache = model.new_cache(1, 16)
    with pytest.raises(EngineError, match="0 \\+ 17 tokens do not fit a context of 16"):
        model.prefill(model.embed(ids(17)), cache)
    with pytest.raises(EngineError, match="131081 is outside the vocabulary"):
        model.embed(torch.tensor([40, 131081]))


@pytest.mark.parametrize(("tokens", "chunk"), [(1, 16), (15, 16), (16, 16), (50, 16), (130, 128)])
def test_scan_is_the_recurrence(tokens: int, chunk: int) -> None:
    """The chunked scan equals the state space's definition, one token at a time in float64, from any first state."""
    heads, width, groups, size = 6, 8, 3, 4
    make = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, heads, width, generator=make)
    dt = torch.rand(tokens, heads, generator=make) * 0.5
    a = -torch.rand(heads, generator=make) * 8
    b, c = (torch.randn(tokens, groups, size, generator=make) for _ in range(2))
    d, first = torch.randn(heads, generator=make), torch.randn(heads, width, size, generator=make)
    y, state = mamba.chunk_scan(x, dt, a, b, c, d, first, chunk)
    exact, expected = first.double(), []
    for t in range(tokens):
        wide_b, wide_c = (part[t].double().repeat_interleave(heads // groups, 0) for part in (b, c))
        grown = (dt[t, :, None] * x[t]).double()[..., None] * wide_b[:, None]
        exact = exact * torch.exp(dt[t] * a).double()[:, None, None] + grown
        expected.append((exact * wide_c[:, None]).sum(-1) + d[:, None].double() * x[t])
    torch.testing.assert_close(y.double(), torch.stack(expected), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(state.double(), exact, atol=1e-5, rtol=1e-4)


def test_the_selection_bias_chooses_and_does_not_weigh() -> None:
    """A bias that forces experts 3 and 5: the weights are still their sigmoid scores' shares, times the scale."""
    x, gate = torch.randn(4, 8), torch.randn(6, 8)
    bias = torch.tensor([0.0, 0, 0, 10, 0, 9])
    experts, weights = moe.route(x, gate, bias, 2, 2.5)
    scores = torch.sigmoid(x @ gate.T)[:, [3, 5]]
    assert experts.sort(-1).values.tolist() == [[3, 5]] * 4
    expected = scores / scores.sum(-1, keepdim=True) * 2.5
    torch.testing.assert_close(weights.gather(-1, experts.argsort(-1)), expected)


def test_grouped_experts_equal_a_loop(model: LanguageModel) -> None:
    """The grouped products against one expert after the other, some of which nobody chose."""
    block = next(block.mixer for block in model.blocks if isinstance(block.mixer, moe.MoE))
    assert isinstance(block, moe.MoE)
    x = torch.randn(9, 64)
    experts, weights = moe.route(x, block.gate, block.bias, 3, 2.5)
    expected = torch.zeros(9, 64)
    for t in range(9):
        for e, w in zip(experts[t].tolist(), weights[t], strict=True):
            expected[t] += w * (block.down[e] @ torch.relu(block.up[e] @ x[t]).square())
    torch.testing.assert_close(
        moe.apply_experts(x, experts, weights, block.up, block.down, torch.ones(9, 64)),
        1 + expected,
        atol=1e-5,
        rtol=1e-4,
    )
