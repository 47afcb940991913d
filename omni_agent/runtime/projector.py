"""The bridge from an encoder into the language model: RMSNorm, up, relu², down. Pictures and sound have one each."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from omni_agent.runtime.layers import relu2, rms_norm

VISION_NAMES = ("0", "1", "2", "3")  # below `mlp1.`
SOUND_NAMES = ("norm", "linear1", "activation", "linear2")  # below `sound_projection.`
NORM_EPS = 1e-5


class RmsNorm(nn.Module):
    """x / rms(x) · weight over the last axis, computed in fp32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return rms_norm(values, self.weight, NORM_EPS)


class SquaredRelu(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return relu2(values)  # in place: nobody else holds the product before it


def projector(
    inputs: int, inner: int, output: int, names: tuple[str, str, str, str], bias: bool = False
) -> nn.Sequential:
    """[..., inputs] to [..., output]; `names` are those of its four steps in the checkpoint."""
    steps = (
        RmsNorm(inputs),
        nn.Linear(inputs, inner, bias=bias),
        SquaredRelu(),
        nn.Linear(inner, output, bias=bias),
    )
    return nn.Sequential(OrderedDict(zip(names, steps, strict=True)))
