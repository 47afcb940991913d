"""A decode step for several sequences out of the kernels in `kernels/`; what every touched expert, matrix and state
costs is read once for all.

Same arguments and results as `LanguageModel.step`, for which it stands in where `decode.supports` allows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omni_agent.runtime.attention import Attention
from omni_agent.runtime.cache import Cache
from omni_agent.runtime.decode import supports
from omni_agent.runtime.kernels.attention_decode import Workspace, attention
from omni_agent.runtime.kernels.experts_batch import Touched, choose_rows, down_rows, up_rows
from omni_agent.runtime.kernels.mamba_step import mamba_step
from omni_agent.runtime.kernels.norms import add_norm, gated_group_norm, rms_norm
from omni_agent.runtime.kernels.rows import MOST, project_rows
from omni_agent.runtime.mamba import Mamba
from omni_agent.runtime.model import LanguageModel
from omni_agent.runtime.moe import MoE

# Into how many parts the inner width is cut (`kernels.rows`) where a matrix has few rows; found by search on an H100.
OUT_PARTS, GATE_PARTS = 4, 7


class BatchStep:
    """One token for every sequence of a cache of 2 to `MOST` slots."""

    def __init__(self, model: LanguageModel, cache: Cache) -> None:
        config = model.config
        assert 1 < cache.slots <= MOST and supports(config)
        self.model, self.cache, self.config = model, cache, config
        self.shared = config.shared_width // config.expert_width
        self.touched = Touched(cache.slots, config.num_experts, self.shared, model.device)
        self.work = Workspace(cache.slots, config.num_heads, config.head_dim, model.device)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens [slots] -> logits [slots, vocab] fp32; moves `cache.lengths`."""
        blocks, eps = self.model.blocks, self.config.norm_eps
        stream = F.embedding(tokens, self.model.embeddings).float()
        x = rms_norm(stream, blocks[0].norm, eps)
        for block, norm in zip(blocks, self.model.next_norms(), strict=True):
            if isinstance(block.mixer, Mamba):
                added = self._mamba(block.mixer, x)
            elif isinstance(block.mixer, MoE):
                added = self._moe(block.mixer, x)
            else:
                added = self._attention(block.mixer, x)
            x = add_norm(stream, added, norm, eps)
        self.cache.lengths += 1
        return project_rows(x, self.model.head, dtype=torch.float32)[0]

    def _mamba(self, mixer: Mamba, x: Tensor) -> Tensor:
        config, cache = self.config, self.cache
        projected = project_rows(x, mixer.in_proj)[0]
        y = torch.empty(cache.slots, config.inner, device=x.device)
        mamba_step(
            projected,
            cache.conv[mixer.index],
            cache.state[mixer.index],
            cache.lengths,
            mixer.conv_weight,
            mixer.conv_bias,
            mixer.a_log,
            mixer.d,
            mixer.dt_bias,
            y,
            None,
            config.num_groups,
        )
        y = gated_group_norm(y, projected[:, : config.inner], mixer.norm, config.num_groups, config.norm_eps)
        return project_rows(y, mixer.out_proj, parts=OUT_PARTS)

    def _moe(self, mixer: MoE, x: Tensor) -> Tensor:
        config, touched = self.config, self.touched
        logits = project_rows(x, mixer.gate, parts=GATE_PARTS, dtype=torch.float32)
        choose_rows(logits, mixer.bias, touched, config.experts_per_token, config.routed_scale)
        most = self.cache.slots * config.experts_per_token
        hidden = up_rows(x, mixer.all_up, touched, config.expert_width, most)
        return down_rows(hidden, mixer.all_down, touched, config.hidden_size)

    def _attention(self, mixer: Attention, x: Tensor) -> Tensor:
        qkv = project_rows(x, mixer.qkv)[0]
        attended = torch.empty(self.cache.slots, mixer.q_rows, device=x.device, dtype=x.dtype)
        keys, values = self.cache.keys[mixer.index], self.cache.values[mixer.index]
        attention(qkv, keys, values, self.cache.lengths, self.work, attended)
        return project_rows(attended, mixer.o_proj, parts=OUT_PARTS)
