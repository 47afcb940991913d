"""The Mamba-2 mixer: projection, short causal convolution, selective state space, gated norm, projection.

The scan follows the state space dual form of Dao and Gu 2024 (arXiv 2405.21060, section 6): products inside chunks of
128 tokens, and a state handed from chunk to chunk. States, time steps and decays are fp32.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import TextConfig
from omni_agent.runtime.layers import Make, bmm_fp32, fast, gated_group_norm


class Mamba:
    """One Mamba-2 mixer."""

    def __init__(self, config: TextConfig, index: int, make: Make) -> None:
        self.config, self.index = config, index  # index: the how-manieth Mamba block
        heads = config.mamba_heads
        self.in_proj = make(config.in_proj_rows, config.hidden_size)
        self.conv_weight = make(config.conv_dim, 1, config.conv_width)
        self.conv_bias = make(config.conv_dim)
        self.a_log = make(heads, dtype=torch.float32)
        self.d = make(heads, dtype=torch.float32)
        self.dt_bias = make(heads, dtype=torch.float32)
        self.norm = make(config.inner)
        self.out_proj = make(config.hidden_size, config.inner)

    def tensors(self) -> dict[str, Tensor]:
        """Checkpoint name -> where it goes."""
        return {
            "in_proj.weight": self.in_proj,
            "conv1d.weight": self.conv_weight,
            "conv1d.bias": self.conv_bias,
            "A_log": self.a_log,
            "D": self.d,
            "dt_bias": self.dt_bias,
            "norm.weight": self.norm,
            "out_proj.weight": self.out_proj,
        }

    def prefill(self, x: Tensor, cache: Cache, slot: int) -> Tensor:
        """x [T, hidden] after the sequence in `slot` -> [T, hidden]; its state moves on."""
        config = self.config
        gate, inputs, dt = self._split(F.linear(x, self.in_proj))
        mixed = self._convolve(inputs, cache, slot)
        y = self._scan(mixed, dt, cache.state[self.index, slot])
        y = gated_group_norm(y.flatten(1), gate, self.norm, config.num_groups, config.norm_eps)
        return F.linear(y, self.out_proj)

    def _convolve(self, inputs: Tensor, cache: Cache, slot: int) -> Tensor:
        if fast(inputs):
            from omni_agent.runtime.kernels import conv

            ring = cache.conv[self.index, slot]
            return conv.causal_conv(ring, cache.seen[slot], inputs, self.conv_weight, self.conv_bias)
        before = cache.conv_window(self.index, slot, self.config.conv_width)
        cache.store_conv(self.index, slot, inputs)
        return causal_conv(before, inputs, self.conv_weight, self.conv_bias)

    def _scan(self, mixed: Tensor, dt: Tensor, state: Tensor) -> Tensor:
        """y [T, H, P]; `state` moves on. By mamba-ssm's kernels where it is installed, ours, or plain torch."""
        config, theirs = self.config, mixed.is_cuda and _has_mamba_ssm()
        sizes = (config.mamba_head_dim, config.state_size, config.chunk_size)
        if not theirs and fast(mixed) and all(size >= 16 and size & (size - 1) == 0 for size in sizes):
            from omni_agent.runtime.kernels import ssd_scan

            x, b, c = self._parts(mixed)
            return ssd_scan.chunk_scan(x, dt, self.dt_bias, self.a_log, b, c, self.d, state, config.chunk_size)
        scan = mamba_ssm_scan if theirs else chunk_scan
        y, last = scan(*self._arguments(mixed, dt), state, config.chunk_size)
        state.copy_(last)
        return y

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """x [slots, hidden], one token a sequence, at position `cache.lengths` -> [slots, hidden]."""
        config, width = self.config, self.config.conv_width
        gate, inputs, dt = self._split(F.linear(x, self.in_proj))
        ring = cache.conv[self.index]
        rows = torch.arange(x.shape[0], device=x.device)
        ring[rows, cache.lengths % width] = inputs
        order = (cache.lengths[:, None] + torch.arange(1, width + 1, device=x.device)) % width  # oldest first
        window = ring[rows[:, None], order]  # [slots, width, channels]
        weight = self.conv_weight[:, 0].float()
        mixed = F.silu((window.float() * weight.T).sum(1) + self.conv_bias.float()).to(x.dtype)
        y, state = recurrence(*self._arguments(mixed, dt), cache.state[self.index])
        cache.state[self.index] = state
        y = gated_group_norm(y.flatten(1), gate, self.norm, config.num_groups, config.norm_eps)
        return F.linear(y, self.out_proj)

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config = self.config
        gate, inputs, dt = projected.split([config.inner, config.conv_dim, config.mamba_heads], dim=-1)
        return gate, inputs, dt

    def _arguments(self, mixed: Tensor, dt: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x, dt, A, B, C, D of the state space from the convolution's output and the raw time step."""
        x, b, c = self._parts(mixed)
        # No lower clamp: the checkpoint means softplus alone, though transformers clamps its prefill at 0.001.
        dt = F.softplus(dt.float() + self.dt_bias)
        return x, dt, -self.a_log.exp(), b, c, self.d

    def _parts(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [T, H, P], B and C [T, G, N] of the convolution's output."""
        config = self.config
        groups = (config.num_groups, config.state_size)
        x, b, c = mixed.split([config.inner, math.prod(groups), math.prod(groups)], dim=-1)
        x = x.unflatten(-1, (config.mamba_heads, config.mamba_head_dim))
        return x, b.unflatten(-1, groups), c.unflatten(-1, groups)


def causal_conv(before: Tensor, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SiLU of the depthwise convolution: before [width - 1, C], inputs [T, C], weight [C, 1, width] -> [T, C]."""
    out = F.conv1d(torch.cat([before, inputs]).T[None], weight, bias, groups=weight.shape[0])[0].T
    return F.silu(out)


def recurrence(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of the state space for S sequences.

    x [S, H, P], dt [S, H] fp32, a and d [H], b and c [S, G, N], state [S, H, P, N] fp32 -> y [S, H, P] fp32, state.
    """
    per_group = x.shape[1] // b.shape[1]
    b, c = (part.float().repeat_interleave(per_group, dim=1) for part in (b, c))
    x = x.float()
    state = state * torch.exp(dt * a)[..., None, None] + (dt[..., None] * x)[..., None] * b[:, :, None]
    return (state * c[:, :, None]).sum(-1) + d[:, None] * x, state


def chunk_scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """The state space over T tokens of one sequence, in chunks.

    x [T, H, P], dt [T, H] fp32, a and d [H] fp32, b and c [T, G, N], state [H, P, N] fp32 before the first token
    -> y [T, H, P] in the dtype of x, state fp32 after the last.
    """
    tokens, heads, width = x.shape
    groups, size = b.shape[1:]
    pad = -tokens % chunk  # a padded token has dt 0: it adds nothing and lets nothing decay
    if pad:
        x, b, c = (F.pad(part, (0, 0, 0, 0, 0, pad)) for part in (x, b, c))
        dt = F.pad(dt, (0, 0, 0, pad))
    count = (tokens + pad) // chunk
    dt = dt.unflatten(0, (count, chunk)).transpose(1, 2)  # [chunks, H, Q]
    total = (dt * a[:, None]).cumsum(-1)
    x = x.unflatten(0, (count, chunk)).transpose(1, 2)  # [chunks, H, Q, P]
    b, c = (part.unflatten(0, (count, chunk)).transpose(1, 2) for part in (b, c))  # [chunks, G, Q, N]

    # Inside a chunk: y_i = sum over j <= i of (c_i . b_j) exp(total_i - total_j) dt_j x_j
    decay = (total[..., :, None] - total[..., None, :]).tril_()
    decay = decay.exp_().tril_().mul_(dt[..., None, :])
    scores = bmm_fp32(c.flatten(0, 1), b.flatten(0, 1).transpose(1, 2)).view(count, groups, 1, chunk, chunk)
    decay = decay.unflatten(1, (groups, -1)).mul_(scores)
    y = bmm_fp32(decay.view(count * heads, chunk, chunk).to(x.dtype), x.flatten(0, 1)).view(x.shape)
    del decay, scores

    # What each chunk adds to the state, and the state that each chunk begins with
    last = total[..., -1:]
    weighted = (x.float() * (torch.exp(last - total) * dt)[..., None]).to(x.dtype)
    weighted = weighted.unflatten(1, (groups, -1)).transpose(-1, -2).reshape(count * groups, -1, chunk)
    added = bmm_fp32(weighted, b.reshape(count * groups, chunk, size)).view(count, heads, width, size)
    states = _chain(state, added, last[..., 0])

    # y_i += exp(total_i) c_i . state
    carried = states[:-1].to(x.dtype).reshape(count * groups, -1, size).transpose(1, 2)
    y_state = bmm_fp32(c.reshape(count * groups, chunk, size), carried)
    y_state = y_state.view(count, groups, chunk, -1, width).transpose(2, 3).flatten(1, 2)
    y = y.addcmul_(y_state, total.exp()[..., None]).addcmul_(x.float(), d[:, None, None])
    return y.transpose(1, 2).flatten(0, 1)[:tokens].to(x.dtype), states[-1]


def _chain(first: Tensor, added: Tensor, logs: Tensor) -> Tensor:
    """States before each chunk and after the last: h[k+1] = exp(logs[k]) h[k] + added[k].

    first [H, P, N], added [chunks, H, P, N], logs [chunks, H] -> [chunks + 1, H, P, N]. One triangular product instead
    of a loop: h[k] = sum over j <= k of exp(logs[j] + ... + logs[k-1]) (first, added[0], ...)[j].
    """
    sums = F.pad(logs.T.cumsum(-1), (1, 0))  # [H, chunks + 1]
    factors = (sums[:, :, None] - sums[:, None, :]).tril_().exp_().tril_()
    terms = torch.cat([first[None], added]).transpose(0, 1).flatten(2)  # [H, chunks + 1, P * N]
    return torch.bmm(factors, terms).transpose(0, 1).unflatten(2, first.shape[1:])


def mamba_ssm_scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """`chunk_scan` by mamba-ssm's Triton kernels."""
    kernels = importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    y, last = kernels.mamba_chunk_scan_combined(
        x[None], dt[None], a, b[None], c[None], chunk, D=d, initial_states=state[None], return_final_states=True
    )
    return y[0], last[0]


@functools.cache
def _has_mamba_ssm() -> bool:
    return importlib.util.find_spec("mamba_ssm") is not None
