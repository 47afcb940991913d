"""Every Triton kernel against the same in plain torch over odd shapes, and the fused step against the plain one.

They need a GPU; `TRITON_INTERPRET=1` runs them on the CPU with Triton's interpreter, in fp32 and slowly.
"""

from __future__ import annotations

import os
import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from omni_agent.runtime import layers, mamba
from omni_agent.runtime.config import ModelConfig, read_config
from omni_agent.runtime.generate import End, Generator
from omni_agent.runtime.loading import Loaded, load
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.sampling import Sampling, nucleus

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1" and find_spec("triton") is not None
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available() and not INTERPRETED, reason="needs an NVIDIA GPU"),
]
DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPES = [torch.float32] if INTERPRETED else [torch.float32, torch.bfloat16]
EPS = 1e-5


def draw(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Any:
    return (torch.randn(shape, device=DEVICE) * scale).to(dtype)


def poisoned(*shape: int, dtype: torch.dtype = torch.float32) -> Any:
    return torch.full(shape, float("nan"), device=DEVICE, dtype=dtype)


def close(found: Any, expected: Any, dtype: torch.dtype) -> None:
    """Relative error of the whole vector; results and inner values are rounded to the weights' dtype at most twice."""
    found, expected = found.double(), expected.double()
    error = float((found - expected).norm() / expected.norm())
    assert error < (1e-5 if dtype == torch.float32 else 6e-3), error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "k"), [(8, 64), (10, 200), (131, 1024), (320, 2688), (513, 2000)])
def test_norm_project(rows: int, k: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import project

    x, gain, weight = draw(k, dtype=dtype, scale=3), draw(k, dtype=dtype), draw(rows, k, dtype=dtype)
    out = poisoned(rows, dtype=dtype)
    project.norm_project(x, gain, weight, out, EPS)
    close(out, project.norm_project_reference(x, gain, weight, EPS), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "k", "groups"), [(8, 128, 2), (37, 512, 8), (2688, 4096, 8), (21, 1024, 0)])
def test_project_add(rows: int, k: int, groups: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import project

    x, gain, weight = draw(k, dtype=dtype), draw(k, dtype=dtype), draw(rows, k, dtype=dtype)
    stream, rounded = draw(rows), poisoned(rows, dtype=dtype)
    expected = project.project_add_reference(
        x, weight, stream, gain=gain if groups else None, groups=groups or 1, eps=EPS
    )
    squares = x.float().square().view(-1, k // max(groups, 1) // 4).sum(-1)
    project.project_add(x, weight, stream, rounded, norm=(gain, squares, groups, EPS) if groups else None)
    close(stream, expected, dtype)
    close(rounded, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("position", [0, 1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize(("heads", "p", "n", "groups"), [(8, 16, 16, 2), (4, 32, 64, 4), (64, 64, 128, 8)])
def test_mamba_step(position: int, heads: int, p: int, n: int, groups: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import mamba_step as kernel

    channels = heads * p + 2 * groups * n
    projected = draw(heads * p + channels + heads, dtype=dtype)
    ring, state = draw(4, channels, dtype=dtype), draw(heads, p, n)
    weights = (draw(channels, 1, 4, dtype=dtype), draw(channels, dtype=dtype))
    scalars = (draw(heads), draw(heads), draw(heads, scale=2))
    expected = kernel.mamba_step_reference(projected, ring, state, position, *weights, *scalars, groups)
    out, squares = poisoned(heads * p, dtype=dtype), poisoned(kernel.square_parts(heads, p))
    length = torch.tensor([position], device=DEVICE)
    kernel.mamba_step(projected, ring, state, length, *weights, *scalars, out, squares, groups)
    close(out, expected[0], dtype)
    assert torch.equal(ring, expected[1])
    close(state, expected[2], torch.float32)
    close(squares.view(heads, -1).sum(1), expected[0].view(heads, p).square().sum(1), torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("k", "width", "experts", "chosen", "shared"), [(64, 48, 16, 3, 2), (200, 40, 8, 1, 1), (2688, 1856, 128, 6, 2)]
)
def test_experts(k: int, width: int, experts: int, chosen: int, shared: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import experts as kernel

    if INTERPRETED and k > 1000:
        pytest.skip("the released shape takes the interpreter minutes")
    rows = (experts + shared) * width
    up, down = draw(rows, k, dtype=dtype, scale=k**-0.5), draw(rows * k, dtype=dtype, scale=width**-0.5)
    gate, bias = draw(experts, k, dtype=dtype, scale=k**-0.5), draw(experts, scale=0.1)
    choice = kernel.Choice(experts, chosen, torch.device(DEVICE))
    for _ in range(3):  # the counter of finished programs is ready again each time
        x, gain = draw(k, dtype=dtype), draw(k, dtype=dtype)
        stream, rounded, hidden = draw(k), poisoned(k, dtype=dtype), poisoned(shared + chosen, width, dtype=dtype)
        added = kernel.experts_reference(x, gain, gate, bias, up, down, width, chosen, 2.5, EPS)
        expected = stream + added
        kernel.choose(x, gain, gate, bias, choice, 2.5, EPS)
        kernel.experts_up(x, gain, choice, up, hidden, EPS)
        kernel.experts_down(hidden, choice, down, stream, rounded)
        close(stream, expected, dtype)
        close(rounded, expected, dtype)
        assert len(set(choice.experts.tolist())) == chosen and int(choice.finished) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("position", [0, 1, 31, 32, 63, 700, 2047])
@pytest.mark.parametrize(("heads", "kv", "d"), [(8, 2, 16), (32, 2, 128), (6, 3, 64)])
def test_attention(position: int, heads: int, kv: int, d: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import attention_decode as kernel

    if INTERPRETED and d > 16:
        pytest.skip("takes the interpreter minutes")
    qkv = draw((heads + 2 * kv) * d, dtype=dtype)
    keys, values = (draw(kv, 2048, d, dtype=dtype) for _ in range(2))
    keys[:, position:], values[:, position:] = float("nan"), float("nan")  # nothing past the length is read
    expected = kernel.attention_reference(qkv, keys, values, position)
    out = poisoned(heads * d, dtype=dtype)
    work = kernel.Workspace(heads, d, torch.device(DEVICE))
    for part in (work.out, work.max, work.sum):
        part.fill_(float("nan"))
    kernel.attention(qkv, keys, values, torch.tensor([position], device=DEVICE), work, out)
    close(out, expected[0], dtype)
    past = slice(0, position + 1)
    assert torch.equal(keys[:, past], expected[1][:, past]) and torch.equal(values[:, past], expected[2][:, past])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "width"), [(1, 64), (7, 200), (300, 2688)])
def test_rms_norm(tokens: int, width: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import norms

    x, weight = draw(tokens, width, scale=3), draw(width, dtype=dtype)
    expected = layers.rms_norm(x.cpu(), weight.cpu().float(), EPS)
    close(norms.rms_norm(x, weight, EPS).cpu(), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "width", "groups"), [(1, 128, 2), (7, 120, 4), (300, 4096, 8)])
def test_gated_group_norm(tokens: int, width: int, groups: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import norms

    y, wide, weight = draw(tokens, width, dtype=dtype), draw(tokens, width + 40, dtype=dtype), draw(width, dtype=dtype)
    gate = wide[:, 8 : 8 + width]
    expected = layers.gated_group_norm(y.cpu(), gate.cpu(), weight.cpu().float(), groups, EPS)
    close(norms.gated_group_norm(y, gate, weight, groups, EPS).cpu(), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "channels"), [(1, 192), (2, 64), (37, 192), (300, 6144)])
def test_causal_conv(tokens: int, channels: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import conv

    inputs = draw(tokens, channels + 48, dtype=dtype)[:, 16 : 16 + channels]
    before, weight, bias = (draw(*shape, dtype=dtype) for shape in ((3, channels), (channels, 1, 4), (channels,)))
    expected = mamba.causal_conv(*(part.cpu().float() for part in (before, inputs, weight, bias)))
    close(conv.causal_conv(before, inputs, weight, bias).cpu(), expected, dtype)


@pytest.mark.parametrize("tokens", [1, 16, 50, 129, 700])
@pytest.mark.parametrize(("heads", "p", "groups", "n", "chunk"), [(4, 16, 2, 16, 16), (64, 64, 8, 128, 128)])
def test_ssd_scan(tokens: int, heads: int, p: int, groups: int, n: int, chunk: int) -> None:
    """Our kernels (and mamba-ssm's, where installed) against plain torch in fp32, x, B and C in one wide tensor."""
    from omni_agent.runtime.kernels import ssd_scan

    if INTERPRETED and tokens * heads > 300:
        pytest.skip("takes the interpreter minutes")
    dtype = DTYPES[-1]
    wide = draw(tokens, heads * p + 2 * groups * n, dtype=dtype)
    x, b, c = wide.split([heads * p, groups * n, groups * n], dim=-1)
    parts = (x.unflatten(-1, (heads, p)), b.unflatten(-1, (groups, n)), c.unflatten(-1, (groups, n)))
    dt, a = torch.rand(tokens, heads, device=DEVICE) * 0.1, -torch.rand(heads, device=DEVICE) * 8
    d, first = draw(heads), draw(heads, p, n)
    x, b, c = (part.float() for part in parts)
    expected = mamba.chunk_scan(x, dt, a, b, c, d, first, chunk)
    scans = [ssd_scan.chunk_scan] + ([mamba.mamba_ssm_scan] if find_spec("mamba_ssm") else [])
    for scan in scans:
        y, state = scan(parts[0], dt, a, parts[1], parts[2], d, first, chunk)
        close(y, expected[0], dtype)
        close(state, expected[1], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "chosen", "width"), [(1, 3, 64), (10, 2, 200), (300, 6, 2688)])
def test_combine(tokens: int, chosen: int, width: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import combine

    outputs, onto = draw(tokens * chosen, width, dtype=dtype), draw(tokens, width, dtype=dtype)
    place = torch.randperm(tokens * chosen, device=DEVICE).view(tokens, chosen)
    weights = torch.rand(tokens, chosen, device=DEVICE)
    expected = combine.combine_reference(outputs.float(), place, weights, onto.float())
    close(combine.combine(outputs, place, weights, onto), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "chosen", "experts"), [(1, 3, 16), (5, 3, 16), (16, 6, 128)])
@pytest.mark.parametrize("shared_rows", [True, False])
def test_experts_few(tokens: int, chosen: int, experts: int, shared_rows: bool, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import experts_few as kernel

    if INTERPRETED and experts > 16:
        pytest.skip("takes the interpreter minutes")
    n, k = (48, 80) if experts == 16 else (1856, 2688)
    weight = draw(experts, n, k, dtype=dtype, scale=k**-0.5)
    which = torch.stack([torch.randperm(experts, device=DEVICE)[:chosen] for _ in range(tokens)])
    x = draw(tokens if shared_rows else tokens * chosen, k, dtype=dtype)
    expected = kernel.few_reference(x, which, weight, shared_rows=shared_rows)
    close(kernel.few(x, which, weight, shared_rows=shared_rows), expected, dtype)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 0.95), (1.0, 0.3), (2.0, 0.8)])
@pytest.mark.parametrize("vocab", [7, 100, 20_000])
def test_sampling_follows_the_nucleus(temperature: float, top_p: float, vocab: int) -> None:
    """Draws from known probabilities: none outside the nucleus that sorting finds, and each token's share within five
    standard errors; the smallest tokens are taken together."""
    from omni_agent.runtime.kernels.sample import sample

    draws = 200 if INTERPRETED else 20_000
    if INTERPRETED and vocab > 1000:
        pytest.skip("takes the interpreter minutes")
    logits = draw(1, vocab, scale=3)
    kept, ids = nucleus(logits, Sampling(temperature=temperature, top_p=top_p))
    expected = torch.zeros(vocab, device=DEVICE).scatter_(0, ids[0], kept[0])
    expected /= expected.sum()
    generator = torch.Generator(DEVICE).manual_seed(3)
    rows = logits.expand(min(draws, 500), vocab).contiguous()
    found = torch.cat([sample(rows, temperature, top_p, generator) for _ in range(draws // len(rows))])
    counts = torch.bincount(found, minlength=vocab) / draws
    assert not counts[expected == 0].any()
    common = expected > 20 / draws
    shares = torch.cat([counts[common], counts[~common].sum()[None]])
    means = torch.cat([expected[common], expected[~common].sum()[None]])
    error = (means * (1 - means) / draws).sqrt()
    assert ((shares - means).abs() <= 5 * error + 1e-6).all()


def prompt_ids() -> Any:
    return torch.randint(32, 320, (70,), generator=torch.Generator().manual_seed(0)).to(DEVICE)


def test_fused_step_equals_the_plain_one(folder: Path) -> None:
    from omni_agent.runtime.decode import FusedStep, supports

    model = load(folder, device=DEVICE, dtype=torch.float32).model
    assert supports(model.config)
    plain, fused = model.new_cache(1, 256), model.new_cache(1, 256)
    step = FusedStep(model, fused)
    with torch.inference_mode():
        for cache in (plain, fused):
            model.prefill(model.embed(prompt_ids()), cache)
        for token in prompt_ids()[: 3 if INTERPRETED else 40]:
            torch.testing.assert_close(step(token.view(1)), model.step(token.view(1), plain), atol=1e-4, rtol=1e-4)
            assert torch.equal(plain.lengths, fused.lengths)
    torch.testing.assert_close(fused.state, plain.state, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fused.conv, plain.conv, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter has no bfloat16")
def test_fused_step_in_bfloat16_is_as_exact_as_the_plain_one(folder: Path) -> None:
    """Rounding flips choices of experts, so the two differ; neither may be further from fp32 than the other."""
    from omni_agent.runtime.decode import FusedStep

    model = load(folder, device=DEVICE).model
    exact = LanguageModel(model.config, DEVICE, torch.float32)
    for name, place in exact.tensors().items():
        place.copy_(model.tensors()[name])
    caches = [owner.new_cache(1, 256) for owner in (exact, model, model)]
    step, errors = FusedStep(model, caches[2]), [0.0, 0.0]
    with torch.inference_mode():
        for owner, cache in zip((exact, model, model), caches, strict=True):
            owner.prefill(owner.embed(prompt_ids()), cache)
        for token in prompt_ids():
            true = exact.step(token.view(1), caches[0])
            errors[0] += float((model.step(token.view(1), caches[1]) - true).norm())
            errors[1] += float((step(token.view(1)) - true).norm())
    assert errors[1] < 1.3 * errors[0], errors


def test_the_released_shape_is_supported() -> None:
    from omni_agent.runtime.decode import supports

    assert supports(_real().text)


def _real() -> ModelConfig:
    return read_config(Path(__file__).parents[2] / "benchmarks" / "text-backbone")


@pytest.mark.skipif(INTERPRETED, reason="graphs need a GPU")
class TestOnTheGPU:
    """What only the card can show."""

    @pytest.fixture
    def model(self, folder: Path) -> LanguageModel:
        return load(folder, device="cuda", dtype=torch.float32).model

    def test_prefill_in_bfloat16_is_as_exact_as_on_the_cpu(self, folder: Path) -> None:
        """The fast prefill on the GPU against fp32, and plain torch in bfloat16 on the CPU against fp32."""
        fast, plain = (load(folder, device=device).model for device in ("cuda", "cpu"))
        exact = LanguageModel(plain.config, "cpu", torch.float32)
        for name, place in exact.tensors().items():
            place.copy_(plain.tensors()[name])
        errors: list[list[float]] = [[], []]
        for seed in range(40):
            prompt = torch.randint(32, 320, (100,), generator=torch.Generator().manual_seed(seed))
            true = exact.prefill(exact.embed(prompt), exact.new_cache(1, 128))
            for which, model in enumerate((plain, fast)):
                ids = prompt.to(model.device)
                found = model.prefill(model.embed(ids), model.new_cache(1, 128), chunk=48)
                errors[which].append(float((found.cpu() - true).norm()))
        # Medians: where rounding flips the choice of an expert, an error is ten times the others.
        medians = [statistics.median(values) for values in errors]
        assert medians[1] < 1.3 * medians[0], medians

    def test_gpu_equals_cpu(self, model: LanguageModel, loaded: Loaded) -> None:
        prompt = torch.randint(32, 320, (100,), generator=torch.Generator().manual_seed(1))
        expected = loaded.model.prefill(loaded.model.embed(prompt), loaded.model.new_cache(1, 128))
        found = model.prefill(model.embed(prompt.cuda()), model.new_cache(1, 128))
        torch.testing.assert_close(found.cpu(), expected, atol=2e-4, rtol=2e-4)

    @pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.9, seed=3)])
    def test_graph_equals_eager(self, model: LanguageModel, sampling: Sampling) -> None:
        answers = []
        for graph in (False, True):
            generator = Generator(model, 256, graph=graph)
            stream = generator.stream(list(range(40, 90)), sampling=sampling, max_tokens=60, ends=frozenset())
            answers.append([event.id for event in stream if not isinstance(event, End)])
        assert answers[0] == answers[1] and len(answers[0]) == 60

    def test_batched_graph_equals_eager(self, folder: Path) -> None:
        """In bfloat16: torch's grouped product of fp32 asks the host and cannot be captured."""
        from omni_agent.runtime.graphs import DecodeGraph

        model = load(folder, device="cuda").model
        caches = [model.new_cache(3, 128) for _ in range(2)]
        graph = DecodeGraph(model, caches[0])
        for slot, count in enumerate((5, 33, 70)):
            for cache in caches:
                model.prefill(model.embed(torch.arange(40, 40 + count, device="cuda")), cache, slot)
        for tokens in torch.randint(32, 320, (8, 3), device="cuda"):
            torch.testing.assert_close(graph(tokens), model.step(tokens, caches[1]), atol=2e-2, rtol=2e-2)

    def test_cancelling_frees_memory(self, model: LanguageModel) -> None:
        generator = Generator(model, 2048)
        prompt = list(range(40, 300)) * 5
        sampling = Sampling(temperature=0.8, top_p=0.9)

        def cancelled() -> int:
            stream = generator.stream(prompt, sampling=sampling, max_tokens=60, ends=frozenset())
            next(stream)
            stream.close()  # type: ignore[attr-defined]
            torch.cuda.synchronize()
            return int(torch.cuda.memory_allocated())

        first = cancelled()
        assert cancelled() == first
