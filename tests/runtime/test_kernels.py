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

from omni_agent.runtime import layers, mamba, moe
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
@pytest.mark.parametrize("positions", [[0], [1], [2, 5], [3, 0, 4], [1000, 6]])
@pytest.mark.parametrize(("heads", "p", "n", "groups"), [(8, 16, 16, 2), (4, 32, 64, 4), (64, 64, 128, 8)])
def test_mamba_step(positions: list[int], heads: int, p: int, n: int, groups: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import mamba_step as kernel

    channels, slots = heads * p + 2 * groups * n, len(positions)
    projected = draw(slots, heads * p + channels + heads, dtype=dtype)
    ring, state = draw(slots, 4, channels, dtype=dtype), draw(slots, heads, p, n)
    weights = (draw(channels, 1, 4, dtype=dtype), draw(channels, dtype=dtype))
    scalars = (draw(heads), draw(heads), draw(heads, scale=2))
    one_by_one = [
        kernel.mamba_step_reference(projected[i], ring[i], state[i], at, *weights, *scalars, groups)
        for i, at in enumerate(positions)
    ]
    gated, rings, states = (torch.stack(parts) for parts in zip(*one_by_one, strict=True))
    plain, lengths = poisoned(slots, heads * p), torch.tensor(positions, device=DEVICE)
    kernel.mamba_step(projected, ring.clone(), state.clone(), lengths, *weights, *scalars, plain, None, groups)
    close(plain * torch.nn.functional.silu(projected[:, : heads * p].float()), gated, dtype)
    out, squares = poisoned(slots, heads * p, dtype=dtype), poisoned(slots, kernel.square_parts(heads, p))
    kernel.mamba_step(projected, ring, state, lengths, *weights, *scalars, out, squares, groups)
    close(out, gated, dtype)
    assert torch.equal(ring, rings)
    close(state, states, torch.float32)
    close(squares.view(slots, heads, -1).sum(2), gated.view(slots, heads, p).square().sum(2), torch.float32)


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
@pytest.mark.parametrize("positions", [[0], [1, 32], [31], [63, 700, 0], [2047, 2046]])
@pytest.mark.parametrize(("heads", "kv", "d"), [(8, 2, 16), (32, 2, 128), (6, 3, 64)])
def test_attention(positions: list[int], heads: int, kv: int, d: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import attention_decode as kernel

    if INTERPRETED and d > 16:
        pytest.skip("takes the interpreter minutes")
    slots = len(positions)
    qkv = draw(slots, (heads + 2 * kv) * d, dtype=dtype)
    keys, values = (draw(slots, kv, 2048, d, dtype=dtype) for _ in range(2))
    for slot, position in enumerate(positions):  # nothing past the length is read
        keys[slot, :, position:], values[slot, :, position:] = float("nan"), float("nan")
    expected = [kernel.attention_reference(qkv[i], keys[i], values[i], at) for i, at in enumerate(positions)]
    out = poisoned(slots, heads * d, dtype=dtype)
    work = kernel.Workspace(slots, heads, d, torch.device(DEVICE))
    for part in (work.out, work.max, work.sum):
        part.fill_(float("nan"))
    kernel.attention(qkv, keys, values, torch.tensor(positions, device=DEVICE), work, out)
    for slot, position in enumerate(positions):
        past = slice(0, position + 1)
        close(out[slot], expected[slot][0], dtype)
        assert torch.equal(keys[slot, :, past], expected[slot][1][:, past])
        assert torch.equal(values[slot, :, past], expected[slot][2][:, past])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "width"), [(1, 64), (7, 200), (300, 2688)])
def test_rms_norm(tokens: int, width: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import norms

    x, weight = draw(tokens, width, scale=3), draw(width, dtype=dtype)
    expected = layers.rms_norm(x.cpu(), weight.cpu().float(), EPS)
    close(norms.rms_norm(x, weight, EPS).cpu(), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("parts", "tokens", "width"), [(1, 1, 64), (3, 7, 200), (16, 30, 2688)])
def test_add_norm(parts: int, tokens: int, width: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import norms

    stream, weight = draw(tokens, width, scale=3), draw(width, dtype=dtype)
    added = draw(parts, tokens, width, dtype=dtype)
    expected = stream.cpu() + added.cpu().float().sum(0)
    found = norms.add_norm(stream, added, weight, EPS)
    close(stream.cpu(), expected, torch.float32)
    close(found.cpu(), layers.rms_norm(expected, weight.cpu().float(), EPS), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "width"), [(1, 64), (7, 200), (30, 1280)])
def test_add_layer_norm(tokens: int, width: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import layer_norm

    hidden, added = draw(tokens, width, dtype=dtype) + 2, draw(tokens, width, dtype=dtype)
    weight, bias = draw(width, dtype=dtype), draw(width, dtype=dtype)
    expected = hidden + added
    found = layer_norm.add_layer_norm(hidden, added, weight, bias, EPS)
    assert torch.equal(hidden, expected)
    like = torch.nn.functional.layer_norm(expected.float(), (width,), weight.float(), bias.float(), EPS)
    close(found, like, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (5, 40), (2, 3, 3712)])
def test_relu2(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import relu2

    x = draw(*shape, dtype=dtype)
    expected = x.float().relu().square()
    torch.testing.assert_close(relu2.relu2(x), expected.to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "width", "groups"), [(1, 128, 2), (7, 120, 4), (300, 4096, 8)])
def test_gated_group_norm(tokens: int, width: int, groups: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import norms

    y, wide, weight = draw(tokens, width, dtype=dtype), draw(tokens, width + 40, dtype=dtype), draw(width, dtype=dtype)
    gate = wide[:, 8 : 8 + width]
    expected = layers.gated_group_norm(y.cpu(), gate.cpu(), weight.cpu().float(), groups, EPS)
    close(norms.gated_group_norm(y, gate, weight, groups, EPS).cpu(), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("seen", "tokens", "channels"), [(0, 1, 192), (1, 2, 64), (2, 3, 64), (5, 37, 192), (11, 300, 6144)]
)
def test_causal_conv(seen: int, tokens: int, channels: int, dtype: torch.dtype) -> None:
    """The ring stands where `seen` tokens have left it and moves on by as many as come."""
    from omni_agent.runtime.kernels import conv

    inputs = draw(tokens, channels + 48, dtype=dtype)[:, 16 : 16 + channels]
    weight, bias = draw(channels, 1, 4, dtype=dtype), draw(channels, dtype=dtype)
    past = torch.cat([torch.zeros(3, channels, device=DEVICE, dtype=dtype), draw(seen, channels, dtype=dtype)])
    every = torch.cat([past, inputs])

    def ring(upto: int) -> Any:
        made = torch.zeros(4, channels, device=DEVICE, dtype=dtype)
        for position in range(max(0, upto - 3), upto):
            made[position % 4] = every[3 + position]
        return made

    moving, rows = ring(seen), [position % 4 for position in range(max(0, seen + tokens - 3), seen + tokens)]
    expected = mamba.causal_conv(*(part.cpu().float() for part in (past[-3:], inputs, weight, bias)))
    close(conv.causal_conv(moving, seen, inputs, weight, bias).cpu(), expected, dtype)
    assert torch.equal(moving[rows], ring(seen + tokens)[rows])


@pytest.mark.parametrize("tokens", [1, 16, 50, 129, 700])
@pytest.mark.parametrize(("heads", "p", "groups", "n", "chunk"), [(4, 16, 2, 16, 16), (64, 64, 8, 128, 128)])
def test_ssd_scan(tokens: int, heads: int, p: int, groups: int, n: int, chunk: int) -> None:
    """Our kernels (and mamba-ssm's, where installed) against plain torch in fp32, x, B, C and dt in one wide tensor."""
    from omni_agent.runtime.kernels import ssd_scan

    if INTERPRETED and tokens * heads > 300:
        pytest.skip("takes the interpreter minutes")
    dtype = DTYPES[-1]
    wide = draw(tokens, heads * p + 2 * groups * n + heads, dtype=dtype)
    x, b, c, raw = wide.split([heads * p, groups * n, groups * n, heads], dim=-1)
    parts = (x.unflatten(-1, (heads, p)), b.unflatten(-1, (groups, n)), c.unflatten(-1, (groups, n)))
    bias, a_log = draw(heads) - 4, torch.rand(heads, device=DEVICE) * 2
    dt, a = torch.nn.functional.softplus(raw.float() + bias), -a_log.exp()
    d, first = draw(heads), draw(heads, p, n)
    x, b, c = (part.float() for part in parts)
    expected = mamba.chunk_scan(x, dt, a, b, c, d, first, chunk)
    state = first.clone()
    y = ssd_scan.chunk_scan(parts[0], raw, bias, a_log, parts[1], parts[2], d, state, chunk)
    found = [(y, state)]
    if find_spec("mamba_ssm"):
        found.append(mamba.mamba_ssm_scan(parts[0], dt, a, parts[1], parts[2], d, first, chunk))
    for y, state in found:
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
@pytest.mark.parametrize(
    ("rows", "n", "k", "parts"), [(1, 8, 64, 1), (5, 131, 200, 3), (16, 2688, 4096, 4), (40, 1100, 128, 2)]
)
def test_project_rows(rows: int, n: int, k: int, parts: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import rows as kernel

    if INTERPRETED and k > 1000:
        pytest.skip("the released shape takes the interpreter minutes")
    x, weight = draw(rows, k, dtype=dtype), draw(n, k, dtype=dtype, scale=k**-0.5)
    found = kernel.project_rows(x, weight, parts=parts)
    assert found.shape == (parts, rows, n)
    close(found.float().sum(0), kernel.project_rows_reference(x, weight), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "k", "width", "experts", "chosen", "shared"),
    [(2, 64, 48, 16, 3, 2), (5, 200, 40, 8, 1, 1), (16, 2688, 1856, 128, 6, 2), (8, 2688, 1856, 128, 6, 2)],
)
def test_experts_batch(
    rows: int, k: int, width: int, experts: int, chosen: int, shared: int, dtype: torch.dtype
) -> None:
    from omni_agent.runtime.kernels import experts_batch as kernel
    from omni_agent.runtime.kernels.rows import project_rows

    if INTERPRETED and k > 1000:
        pytest.skip("the released shape takes the interpreter minutes")
    up = draw((experts + shared) * width, k, dtype=dtype, scale=k**-0.5)
    down = draw((experts + shared) * width * k, dtype=dtype, scale=width**-0.5)
    gate, bias = draw(experts, k, dtype=dtype, scale=k**-0.5), draw(experts, scale=0.1)
    touched = kernel.Touched(rows, experts, shared, torch.device(DEVICE))
    for _ in range(2):
        x = draw(rows, k, dtype=dtype)
        expected = kernel.experts_batch_reference(x, gate, bias, up, down, width, chosen, 2.5)
        which, weights = moe.route(x, gate, bias, chosen, 2.5)
        logits = project_rows(x, gate, parts=2, dtype=torch.float32)
        kernel.choose_rows(logits, bias, touched, chosen, 2.5)
        dense = torch.zeros(rows, experts, device=DEVICE).scatter_(1, which, weights)
        torch.testing.assert_close(touched.weights, dense, atol=1e-4, rtol=1e-4)
        count = int(touched.count)
        listed = [*range(experts, experts + shared), *sorted(set(which.flatten().tolist()))]
        assert touched.experts[:count].tolist() == listed
        hidden = kernel.up_rows(x, up, touched, width, rows * chosen)
        close(kernel.down_rows(hidden, down, touched, k).sum(0), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_of_a_batch_gets_the_same_bits_whatever_the_others_chose(dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import experts_batch as kernel
    from omni_agent.runtime.kernels.rows import project_rows

    rows, k, width, experts, chosen, shared = 4, 96, 48, 64, 5, 2
    up = draw((experts + shared) * width, k, dtype=dtype, scale=k**-0.5)
    down = draw((experts + shared) * width * k, dtype=dtype, scale=width**-0.5)
    gate, bias = draw(experts, k, dtype=dtype, scale=k**-0.5), draw(experts, scale=0.1)
    touched = kernel.Touched(rows, experts, shared, torch.device(DEVICE))
    mine, found, listed = draw(1, k, dtype=dtype), [], []
    for _ in range(4):
        x = torch.cat([mine, draw(rows - 1, k, dtype=dtype)])
        kernel.choose_rows(project_rows(x, gate, parts=2, dtype=torch.float32), bias, touched, chosen, 2.5)
        listed.append(touched.experts[: int(touched.count)].tolist())
        hidden = kernel.up_rows(x, up, touched, width, rows * chosen)
        found.append(kernel.down_rows(hidden, down, touched, k).sum(0)[0])
    assert len({tuple(some) for some in listed}) > 1
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("tokens", "k", "width", "experts", "chosen"),
    [
        (1, 64, 48, 16, 3),
        (37, 200, 40, 8, 2),
        (300, 64, 48, 16, 3),
        (1, 2688, 1856, 128, 6),
        (1500, 2688, 1856, 128, 6),
    ],
)
def test_experts_many(tokens: int, k: int, width: int, experts: int, chosen: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import experts_many as kernel

    if INTERPRETED and (k > 1000 or tokens > 100):
        pytest.skip("takes the interpreter minutes")
    up = draw(experts, width, k, dtype=dtype, scale=k**-0.5)
    down = draw(experts, k, width, dtype=dtype, scale=width**-0.5)
    x, gate, bias = draw(tokens, k, dtype=dtype), draw(experts, k, dtype=dtype, scale=k**-0.5), draw(experts, scale=0.1)
    assigned = kernel.assign(x, gate, bias, chosen, 2.5)
    few = slice(0, 20)  # the reference gathers a matrix for each
    which, weights, expected = kernel.experts_many_reference(x[few], gate, bias, up, down, chosen, 2.5)
    assert torch.equal(assigned.experts[few].sort().values, which.sort().values.int())
    torch.testing.assert_close(assigned.weights[few].sort().values, weights.sort().values, atol=1e-4, rtol=1e-4)
    assert torch.equal(assigned.counts.long(), torch.bincount(assigned.experts.flatten(), minlength=experts))
    assert torch.equal(assigned.places.flatten().sort().values, torch.arange(tokens * chosen, device=DEVICE).int())
    tokens_of = torch.arange(tokens, device=DEVICE).repeat_interleave(chosen)
    assert torch.equal(assigned.sources[assigned.places.flatten()], tokens_of.int())
    hidden = kernel.grouped(x, up, assigned, up=True)
    found = kernel.grouped(hidden, down, assigned, up=False)[assigned.places[few]]
    order, like = assigned.experts[few].argsort(), which.argsort()
    found = found.gather(1, order[..., None].expand_as(found))
    close(found, expected.gather(1, like[..., None].expand_as(expected)), dtype)


@pytest.mark.parametrize(("tokens", "k", "width"), [(40, 64, 48), (700, 64, 300), (900, 2688, 1856)])
def test_a_row_has_the_same_bits_in_every_tile(
    tokens: int, k: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which tile a token's row falls into depends on how many others chose its expert, and its place on a race."""
    from omni_agent.runtime.kernels import experts_many as kernel

    if INTERPRETED and tokens > 100:
        pytest.skip("takes the interpreter minutes")

    dtype = torch.float32 if INTERPRETED else torch.bfloat16
    up, down = draw(8, width, k, dtype=dtype, scale=k**-0.5), draw(8, k, width, dtype=dtype, scale=width**-0.5)
    x, gate, bias = draw(tokens, k, dtype=dtype), draw(8, k, dtype=dtype, scale=k**-0.5), draw(8, scale=0.1)
    found = []
    for _, tile in kernel.TILES:
        monkeypatch.setattr(kernel, "TILES", ((1 << 31, tile),))
        assigned = kernel.assign(x, gate, bias, 2, 2.5)
        hidden = kernel.grouped(x, up, assigned, up=True)
        found.append(kernel.grouped(hidden, down, assigned, up=False)[assigned.places.long()])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    hidden = torch.einsum("tk,tcnk->tcn", x[:5].float(), up[assigned.experts[:5].long()].float()).relu().square()
    close(found[0][:5].float(), torch.einsum("tcn,tckn->tck", hidden, down[assigned.experts[:5].long()].float()), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "tokens", "d", "parts"), [(3, 1, 16, 2), (4, 50, 16, 3), (32, 300, 128, 4)])
def test_join_parts(heads: int, tokens: int, d: int, parts: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import attention_prefill as kernel

    outs = [draw(tokens, heads, d, dtype=dtype).transpose(0, 1) for _ in range(parts)]
    sums = [draw(heads, tokens, scale=3) for _ in range(parts)]
    close(kernel.join_parts(outs, sums), kernel.join_parts_reference(outs, sums), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("count", "length", "heads", "width"), [(1, 5, 2, 16), (3, 64, 2, 80), (2, 200, 3, 48), (2, 1018, 16, 80)]
)
def test_attention_vision(count: int, length: int, heads: int, width: int, dtype: torch.dtype) -> None:
    from omni_agent.runtime.kernels import attention_vision as kernel

    if INTERPRETED and length > 500:
        pytest.skip("takes the interpreter minutes")
    qkv = draw(count * length, 3 * heads * width, dtype=dtype)
    expected = kernel.attention_vision_reference(qkv, heads, length)
    close(kernel.attention_vision(qkv, heads, length), expected, dtype)


@pytest.mark.parametrize(("width", "split"), [(80, (64, 16)), (64, (64, 0)), (96, (64, 32)), (72, None), (8, None)])
def test_pieces_of_a_head(width: int, split: tuple[int, int] | None) -> None:
    from omni_agent.runtime.kernels.attention_vision import pieces

    assert pieces(width) == split


@pytest.mark.skipif(INTERPRETED, reason="cuDNN needs a GPU")
@pytest.mark.parametrize("chunks", [1, 2, 4, 6])
def test_attend_in_parts(chunks: int) -> None:
    from omni_agent.runtime.kernels import attention_prefill as kernel

    tokens, dtype = 256, torch.bfloat16
    q = draw(tokens, 36, 128, dtype=dtype)[:, :32]
    keys, values = (draw(2, 2000, 128, dtype=dtype)[:, : chunks * tokens] for _ in range(2))
    close(kernel.attend(q, keys, values), kernel.attend_reference(q, keys, values), dtype)


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


def test_batch_step_equals_the_plain_one(folder: Path) -> None:
    """Sequences of different lengths, each token for token."""
    from omni_agent.runtime.decode_batch import BatchStep

    model = load(folder, device=DEVICE, dtype=torch.float32).model
    plain, fused = model.new_cache(3, 128), model.new_cache(3, 128)
    step = BatchStep(model, fused)
    with torch.inference_mode():
        for cache in (plain, fused):
            for slot, count in enumerate((5, 33, 70)):
                model.prefill(model.embed(prompt_ids()[:count]), cache, slot)
        for tokens in prompt_ids()[: 6 if INTERPRETED else 60].view(-1, 3):
            torch.testing.assert_close(step(tokens), model.step(tokens, plain), atol=1e-4, rtol=1e-4)
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

    def test_sequences_that_join_and_leave_a_captured_batch_give_what_they_give_alone(
        self, model: LanguageModel
    ) -> None:
        from omni_agent.runtime.batch import Batch

        alone, generator = Generator(model, 256, graph=False), Generator(model, 256, graph=False)
        batch = Batch(generator, 3, graph=True)
        found: dict[int, list[int]] = {}
        running: dict[int, Any] = {}
        waiting = [(5, 9), (70, 40), (33, 25), (128, 30), (1, 12)]
        while waiting or running:
            while waiting and len(running) < 3:
                size, wanted = waiting.pop(0)
                prompt = list(range(40, 40 + size))
                running[size] = batch.stream(prompt, sampling=Sampling(), max_tokens=wanted, ends=frozenset())
                found[size] = [wanted]
            for size, events in list(running.items()):
                event = next(events)
                if isinstance(event, End):
                    del running[size]
                else:
                    found[size].append(event.id)
        for size, (wanted, *tokens) in found.items():
            stream = alone.stream(list(range(40, 40 + size)), sampling=Sampling(), max_tokens=wanted, ends=frozenset())
            assert tokens == [event.id for event in stream if not isinstance(event, End)], size

    def test_batched_graph_equals_eager(self, model: LanguageModel) -> None:
        from omni_agent.runtime.graphs import DecodeGraph

        caches = [model.new_cache(3, 128) for _ in range(2)]
        graph = DecodeGraph(model, caches[0])
        for slot, count in enumerate((5, 33, 70)):
            for cache in caches:
                model.prefill(model.embed(torch.arange(40, 40 + count, device="cuda")), cache, slot)
        for tokens in torch.randint(32, 320, (8, 3), device="cuda"):
            torch.testing.assert_close(graph(tokens), model.step(tokens, caches[1]), atol=2e-4, rtol=2e-4)

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
