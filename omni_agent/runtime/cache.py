"""What a model remembers of the sequences it continues: keys and values, convolution inputs, Mamba states.

Everything is allocated once, for `slots` sequences of up to `capacity` tokens, and never moves: captured graphs hold
its addresses. `lengths` lives on the device, so that a step needs no word from the host.
"""

from __future__ import annotations

import torch
from torch import Tensor

from omni_agent.runtime.config import ATTENTION, MAMBA, TextConfig


class Cache:
    """State of `slots` sequences.

    keys, values   [attention blocks, slots, kv heads, capacity, head dim]  model dtype
    conv           [Mamba blocks, slots, conv width, conv channels]         model dtype
                   a ring: the input of position t stands in row t % conv width
    state          [Mamba blocks, slots, heads, head dim, state size]       fp32
    lengths        [slots] int64: tokens seen; `seen` is the host's copy
    arrivals       attention block -> event after which its keys and values are here, where they are still coming in
    """

    def __init__(self, config: TextConfig, slots: int, capacity: int, device: torch.device, dtype: torch.dtype) -> None:
        attention, mamba = config.count(ATTENTION), config.count(MAMBA)
        self.slots, self.capacity = slots, capacity
        shape = (attention, slots, config.num_kv_heads, capacity, config.head_dim)
        # Zeros, not empty: masked-out values are multiplied by zero, and NaN times zero is NaN.
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.conv = torch.zeros(mamba, slots, config.conv_width, config.conv_dim, device=device, dtype=dtype)
        self.state = torch.zeros(
            mamba, slots, config.mamba_heads, config.mamba_head_dim, config.state_size, device=device
        )
        self.lengths = torch.zeros(slots, device=device, dtype=torch.int64)
        self.seen = [0] * slots
        self.arrivals: dict[int, torch.cuda.Event] = {}

    @staticmethod
    def bytes(config: TextConfig, slots: int, capacity: int, dtype: torch.dtype) -> int:
        """Memory that a cache of this size takes."""
        kv = 2 * config.count(ATTENTION) * config.num_kv_heads * capacity * config.head_dim * dtype.itemsize
        conv = config.conv_width * config.conv_dim * dtype.itemsize
        state = config.inner * config.state_size * 4
        return slots * (kv + config.count(MAMBA) * (conv + state))

    def clear(self, slot: int) -> None:
        """Forget the sequence in `slot`. Keys and values stay as they are: nothing reads past a length."""
        for layer in list(self.arrivals):
            self.await_keys(layer)
        self.conv[:, slot].zero_()
        self.state[:, slot].zero_()
        self.lengths[slot] = 0
        self.seen[slot] = 0

    def await_keys(self, layer: int) -> None:
        """Let what is queued from here on wait until the block's keys and values are here."""
        event = self.arrivals.pop(layer, None)
        if event is not None:
            torch.cuda.current_stream(self.keys.device).wait_event(event)

    def advance(self, slot: int, tokens: int) -> None:
        """Count tokens that a prefill put into `slot`."""
        self.lengths[slot] += tokens
        self.seen[slot] += tokens

    def stepped(self) -> None:
        """Count one decoded token for every slot on the host; the step itself moved `lengths`."""
        self.seen = [count + 1 for count in self.seen]

    def conv_window(self, layer: int, slot: int, width: int) -> Tensor:
        """The last `width` - 1 convolution inputs of a sequence, oldest first, zeros before its beginning."""
        start = self.seen[slot]
        rows = [(start - back) % width for back in range(width - 1, 0, -1)]
        return self.conv[layer, slot][rows]

    def store_conv(self, layer: int, slot: int, inputs: Tensor) -> None:
        """Keep the last inputs of a prefill: `inputs` [T, channels] follow what was seen so far."""
        width, total = self.conv.shape[2], self.seen[slot] + inputs.shape[0]
        count = min(width - 1, inputs.shape[0])
        rows = [(total - back) % width for back in range(count, 0, -1)]
        self.conv[layer, slot, rows] = inputs[inputs.shape[0] - count :]
