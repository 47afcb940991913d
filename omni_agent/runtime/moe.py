"""The mixture of experts: a sigmoid router in fp32, non-gated relu² experts, and a shared expert that is always on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import TextConfig
from omni_agent.runtime.layers import Make, fast, relu2


class MoE:
    """One mixture of experts.

    `up` [experts, width, hidden] and `down` [experts, hidden, width] stack the routed experts. The shared expert's
    matrices lie right behind them in the same memory (`all_up` by rows, `all_down` flat), for the decoding kernels.
    """

    def __init__(self, config: TextConfig, make: Make) -> None:
        self.config = config
        self.gate = make(config.num_experts, config.hidden_size)
        self.bias = make(config.num_experts, dtype=torch.float32)  # for the choice only, never in the weights
        hidden, rows = config.hidden_size, config.num_experts * config.expert_width
        self.all_up = make(rows + config.shared_width, hidden)
        self.all_down = make((rows + config.shared_width) * hidden)
        self.up = self.all_up[:rows].view(config.num_experts, -1, hidden)
        self.shared_up = self.all_up[rows:]
        self.down = self.all_down[: rows * hidden].view(config.num_experts, hidden, -1)
        self.shared_down = self.all_down[rows * hidden :].view(hidden, -1)

    def tensors(self) -> dict[str, Tensor]:
        """Checkpoint name -> where it goes."""
        named = {
            "gate.weight": self.gate,
            "gate.e_score_correction_bias": self.bias,
            "shared_experts.up_proj.weight": self.shared_up,
            "shared_experts.down_proj.weight": self.shared_down,
        }
        for expert in range(self.config.num_experts):
            named[f"experts.{expert}.up_proj.weight"] = self.up[expert]
            named[f"experts.{expert}.down_proj.weight"] = self.down[expert]
        return named

    def prefill(self, x: Tensor, cache: Cache, slot: int) -> Tensor:
        """x [T, hidden] -> [T, hidden]."""
        return self(x)

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """x [slots, hidden] -> [slots, hidden]."""
        return self(x)

    def __call__(self, x: Tensor) -> Tensor:
        """x [T, hidden] -> [T, hidden], fixed shapes all the way: no count comes back to the host."""
        config = self.config
        out = F.linear(relu2(F.linear(x, self.shared_up)), self.shared_down)
        if fast(x) and config.num_experts & (config.num_experts - 1) == 0:
            from omni_agent.runtime.kernels.combine import combine
            from omni_agent.runtime.kernels.experts_many import assign, grouped

            assigned = assign(x, self.gate, self.bias, config.experts_per_token, config.routed_scale)
            outputs = grouped(grouped(x, self.up, assigned, up=True), self.down, assigned, up=False)
            return combine(outputs, assigned.places, assigned.weights, out)
        experts, weights = route(x, self.gate, self.bias, config.experts_per_token, config.routed_scale)
        return apply_experts(x, experts, weights, self.up, self.down, out)


def route(x: Tensor, gate: Tensor, bias: Tensor, chosen: int, scale: float) -> tuple[Tensor, Tensor]:
    """Which experts each token goes to and with what weight.

    x [T, hidden], gate [E, hidden], bias [E] fp32 -> experts [T, chosen] int64, weights [T, chosen] fp32: the chosen
    sigmoid scores over their sum, times `scale`.
    """
    scores = torch.sigmoid(F.linear(x.float(), gate.float()))
    experts = torch.topk(scores + bias, chosen, dim=-1, sorted=False).indices
    weights = scores.gather(-1, experts)
    return experts, weights / (weights.sum(-1, keepdim=True) + 1e-20) * scale


def apply_experts(x: Tensor, experts: Tensor, weights: Tensor, up: Tensor, down: Tensor, onto: Tensor) -> Tensor:
    """`onto` plus the chosen experts' weighted outputs, by two grouped products over tokens sorted by expert.

    x, onto [T, hidden], experts and weights [T, k], up [E, width, hidden], down [E, hidden, width] -> [T, hidden].
    """
    tokens, chosen = experts.shape
    order = torch.argsort(experts.flatten(), stable=True)
    ends = torch.searchsorted(
        experts.flatten()[order], torch.arange(up.shape[0], device=x.device), right=True, out_int32=True
    )
    hidden = relu2(F.grouped_mm(x[order // chosen], up.transpose(1, 2), offs=ends))
    out = F.grouped_mm(hidden, down.transpose(1, 2), offs=ends)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(order.shape[0], device=x.device))
    out = out[place.view(tokens, chosen)].float() * weights[..., None]
    return (onto.float() + out.sum(1)).to(x.dtype)
