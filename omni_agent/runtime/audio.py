"""The sound encoder: Parakeet's FastConformer, mel frames in, one vector every 80 ms out.

Module names are the checkpoint's (below `sound_encoder.encoder.`, the same as in transformers' `ParakeetEncoder`,
which is right and which the tests compare this with). It is written anew because transformers projects the positions
once a clip and layer where one projection a layer serves all clips, and because a runtime that loads a folder by
names should not depend on that library's private helpers for lengths.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from omni_agent.runtime.audio_features import frame_tokens
from omni_agent.runtime.media_config import SoundConfig

POSITION_BASE = 10_000.0  # Transformer-XL


class Subsampling(nn.Module):
    """Three convolutions of stride 2 over time and mel bins, zeroed after each clip's end, then one linear layer."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        width = config.channels
        steps: list[nn.Module] = [nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
        for _ in range(2):
            steps += [
                nn.Conv2d(width, width, 3, stride=2, padding=1, groups=width),
                nn.Conv2d(width, width, 1),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.ModuleList(steps)
        self.linear = nn.Linear(width * (config.mels // 8), config.hidden)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[clips, frames, mels] to [clips, tokens, hidden]; `lengths` int64 [clips] in frames."""
        hidden = features[:, None]
        for layer in self.layers:
            hidden = layer(hidden)
            if isinstance(layer, nn.Conv2d):
                if layer.stride[0] == 2:
                    lengths = (lengths - 1) // 2 + 1
                inside = torch.arange(hidden.shape[2], device=hidden.device) < lengths[:, None]
                hidden *= inside[:, None, :, None]
        return self.linear(hidden.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.linear1 = nn.Linear(config.hidden, config.feed_forward, bias=config.attention_bias)
        self.linear2 = nn.Linear(config.feed_forward, config.hidden, bias=config.attention_bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.linear2(functional.silu(self.linear1(hidden)))


class RelativeAttention(nn.Module):
    """Transformer-XL's attention: q·k plus q·position, each with a learned bias on the query."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        hidden, bias = config.hidden, config.attention_bias
        self.heads = config.heads
        self.q_proj = nn.Linear(hidden, hidden, bias=bias)
        self.k_proj = nn.Linear(hidden, hidden, bias=bias)
        self.v_proj = nn.Linear(hidden, hidden, bias=bias)
        self.o_proj = nn.Linear(hidden, hidden, bias=bias)
        self.relative_k_proj = nn.Linear(hidden, hidden, bias=False)
        self.bias_u = nn.Parameter(torch.zeros(self.heads, hidden // self.heads))
        self.bias_v = nn.Parameter(torch.zeros(self.heads, hidden // self.heads))

    def forward(self, hidden: torch.Tensor, positions: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """`positions` [2L − 1, hidden] as `relative_positions` gives them; `inside` bool [clips, L]."""
        query, key, value = (self._split(layer(hidden)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        relative = self._split(self.relative_k_proj(positions))
        scores = (query + self.bias_v[:, None]) @ relative.transpose(-1, -2)
        bias = shifted(scores) / math.sqrt(query.shape[-1])
        bias = bias.masked_fill(~inside[:, None, None, :], float("-inf"))
        seen = functional.scaled_dot_product_attention(query + self.bias_u[:, None], key, value, attn_mask=bias)
        return self.o_proj(seen.transpose(1, 2).flatten(2))

    def _split(self, values: torch.Tensor) -> torch.Tensor:
        """[..., L, hidden] to [..., heads, L, hidden of a head]."""
        return values.unflatten(-1, (self.heads, -1)).transpose(-2, -3)


def shifted(scores: torch.Tensor) -> torch.Tensor:
    """[..., L, 2L − 1] by distance to [..., L, L] by key: row i begins at distance i (column L − 1 − i)."""
    length = scores.shape[-2]
    padded = functional.pad(scores, (1, 0)).reshape(*scores.shape[:-2], -1)
    return padded[..., length:].reshape(scores.shape)[..., :length]


def relative_positions(length: int, hidden: int, device: torch.device) -> torch.Tensor:
    """Sinusoids of the distances L − 1 … −(L − 1): float32 [2L − 1, hidden], sine and cosine taking turns."""
    distance = torch.arange(length - 1, -length, -1, device=device, dtype=torch.float32)
    exponent = torch.arange(0, hidden, 2, device=device, dtype=torch.float32) / hidden
    angle = distance[:, None] / POSITION_BASE**exponent
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class Convolution(nn.Module):
    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        hidden, bias = config.hidden, config.convolution_bias
        self.pointwise_conv1 = nn.Conv1d(hidden, 2 * hidden, 1, bias=bias)
        self.depthwise_conv = nn.Conv1d(
            hidden, hidden, config.kernel, padding=(config.kernel - 1) // 2, groups=hidden, bias=bias
        )
        self.norm = nn.BatchNorm1d(hidden)
        self.pointwise_conv2 = nn.Conv1d(hidden, hidden, 1, bias=bias)

    def forward(self, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        gated = functional.glu(self.pointwise_conv1(hidden.transpose(1, 2)), dim=1) * inside[:, None]
        return self.pointwise_conv2(functional.silu(self.norm(self.depthwise_conv(gated)))).transpose(1, 2)


class Block(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, each on its normalised input."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.feed_forward1 = FeedForward(config)
        self.self_attn = RelativeAttention(config)
        self.conv = Convolution(config)
        self.feed_forward2 = FeedForward(config)
        self.norm_feed_forward1 = nn.LayerNorm(config.hidden)
        self.norm_self_att = nn.LayerNorm(config.hidden)
        self.norm_conv = nn.LayerNorm(config.hidden)
        self.norm_feed_forward2 = nn.LayerNorm(config.hidden)
        self.norm_out = nn.LayerNorm(config.hidden)

    def forward(self, hidden: torch.Tensor, positions: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        hidden = hidden + 0.5 * self.feed_forward1(self.norm_feed_forward1(hidden))
        hidden = hidden + self.self_attn(self.norm_self_att(hidden), positions, inside)
        hidden = hidden + self.conv(self.norm_conv(hidden), inside)
        hidden = hidden + 0.5 * self.feed_forward2(self.norm_feed_forward2(hidden))
        return self.norm_out(hidden)


class SoundEncoder(nn.Module):
    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.hidden = config.hidden
        self.scale = math.sqrt(config.hidden) if config.scale_input else 1.0
        self.subsampling = Subsampling(config)
        self.layers = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.eval()  # the batch norms use what the checkpoint stores

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
        """Each clip's vectors [tokens, hidden], for features [clips, frames, mels] with `lengths` int64 [clips]."""
        dtype = self.subsampling.linear.weight.dtype
        hidden = self.subsampling(features.to(dtype), lengths) * self.scale
        tokens = [frame_tokens(int(length)) for length in lengths.tolist()]
        inside = (
            torch.arange(hidden.shape[1], device=hidden.device) < torch.tensor(tokens, device=hidden.device)[:, None]
        )
        positions = relative_positions(hidden.shape[1], self.hidden, hidden.device).to(dtype)
        for layer in self.layers:
            hidden = layer(hidden, positions, inside)
        return [clip[:count] for clip, count in zip(hidden, tokens, strict=True)]
