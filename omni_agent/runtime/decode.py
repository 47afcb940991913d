"""A decode step for one sequence out of the kernels in `kernels/`: seven launches for three blocks instead of fifty.

Same arguments and results as `LanguageModel.step`, for which it stands in where `supports` allows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from omni_agent.runtime.attention import Attention
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.config import TextConfig
from omni_agent.runtime.kernels.attention_decode import Workspace, attention
from omni_agent.runtime.kernels.experts import Choice, choose, experts_down, experts_up
from omni_agent.runtime.kernels.mamba_step import mamba_step, square_parts
from omni_agent.runtime.kernels.project import embed, norm_project, project_add
from omni_agent.runtime.mamba import Mamba
from omni_agent.runtime.model import Block, LanguageModel
from omni_agent.runtime.moe import MoE


def supports(config: TextConfig) -> bool:
    """Whether the kernels' tiles fit this shape; the released shape does."""
    powers = (
        config.num_experts,
        config.mamba_head_dim,
        config.state_size,
        config.inner // config.num_groups,
        config.head_dim,
        square_parts(config.mamba_heads, config.mamba_head_dim) // config.num_groups,
    )
    attention_width = config.num_heads * config.head_dim
    return (
        all(number & (number - 1) == 0 for number in powers)
        and config.shared_width % config.expert_width == 0
        and config.expert_width % 8 == 0
        and config.hidden_size % 8 == 0
        and (attention_width % 512 == 0 or attention_width in (64, 128, 256))
    )


class FusedStep:
    """One token for the sequence in slot 0 of a cache of one slot."""

    def __init__(self, model: LanguageModel, cache: Cache) -> None:
        config = model.config
        assert cache.slots == 1 and supports(config)
        self.model, self.cache, self.eps = model, cache, config.norm_eps

        def buffer(*shape: int, dtype: torch.dtype | None = None) -> Tensor:
            return torch.empty(shape, device=model.device, dtype=dtype or model.dtype)

        self.stream = buffer(config.hidden_size, dtype=torch.float32)
        self.rounded = buffer(config.hidden_size)
        self.projected = buffer(config.in_proj_rows)
        self.gated = buffer(config.inner)
        self.squares = buffer(square_parts(config.mamba_heads, config.mamba_head_dim), dtype=torch.float32)
        self.choice = Choice(config.num_experts, config.experts_per_token, model.device)
        slots = config.experts_per_token + config.shared_width // config.expert_width
        self.hidden = buffer(slots, config.expert_width)
        self.qkv = buffer((config.num_heads + 2 * config.num_kv_heads) * config.head_dim)
        self.attended = buffer(config.num_heads * config.head_dim)
        self.work = Workspace(1, config.num_heads, config.head_dim, model.device)
        self.logits = buffer(1, config.vocab_size, dtype=torch.float32)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens [1] -> logits [1, vocab] fp32, overwritten by the next call; moves `cache.lengths`."""
        embed(tokens, self.model.embeddings, self.stream, self.rounded)
        for block in self.model.blocks:
            if isinstance(block.mixer, Mamba):
                self._mamba(block, block.mixer)
            elif isinstance(block.mixer, MoE):
                self._moe(block, block.mixer)
            else:
                self._attention(block, block.mixer)
        norm_project(self.rounded, self.model.norm_f, self.model.head, self.logits[0], self.eps, tile="head")
        self.cache.lengths += 1
        return self.logits

    def _mamba(self, block: Block, mixer: Mamba) -> None:
        groups = mixer.config.num_groups
        norm_project(self.rounded, block.norm, mixer.in_proj, self.projected, self.eps)
        mamba_step(
            self.projected[None],
            self.cache.conv[mixer.index],
            self.cache.state[mixer.index],
            self.cache.lengths,
            mixer.conv_weight,
            mixer.conv_bias,
            mixer.a_log,
            mixer.d,
            mixer.dt_bias,
            self.gated[None],
            self.squares[None],
            groups,
        )
        norm = (mixer.norm, self.squares, groups, self.eps)
        project_add(self.gated, mixer.out_proj, self.stream, self.rounded, norm=norm)

    def _moe(self, block: Block, mixer: MoE) -> None:
        scale, ahead = mixer.config.routed_scale, mixer.shared_up
        choose(self.rounded, block.norm, mixer.gate, mixer.bias, self.choice, scale, self.eps, ahead)
        experts_up(self.rounded, block.norm, self.choice, mixer.all_up, self.hidden, self.eps)
        experts_down(self.hidden, self.choice, mixer.all_down, self.stream, self.rounded)

    def _attention(self, block: Block, mixer: Attention) -> None:
        norm_project(self.rounded, block.norm, mixer.qkv, self.qkv, self.eps)
        keys, values = self.cache.keys[mixer.index], self.cache.values[mixer.index]
        attention(self.qkv[None], keys, values, self.cache.lengths, self.work, self.attended[None])
        project_add(self.attended, mixer.o_proj, self.stream, self.rounded)
