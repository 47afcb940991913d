"""BF16 tensors without loss in three quarters of their bytes, for where reading them takes the time.

The exponents of a tensor's numbers lie close together (a normal distribution's have 2.6 bits of entropy), so that one
of sixteen says which it is in four bits instead of eight. The few numbers with another one are listed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from omni_agent.runtime.store import Blob

LEAST = 1 << 20  # numbers; what is smaller is read in no time as it is
MOST_OTHERS = 1 / 64  # of the numbers that may have another exponent: each is listed in nine bytes


def packed(blob: Blob) -> Blob:
    """The blob with every large BF16 tensor packed, where that saves something. Waits for the device."""
    found: Blob = {}
    for name, tensor in blob.items():
        parts = _packed(tensor) if tensor.dtype == torch.bfloat16 and tensor.numel() >= LEAST else None
        found |= {name: tensor} if parts is None else {f"{name}.{part}": value for part, value in parts.items()}
    return found


def unpacked(blob: Blob) -> Blob:
    """What `packed` was given, to the last bit, on the device where its parts are."""
    found = {name: tensor for name, tensor in blob.items() if "." not in name}
    for name in {name.partition(".")[0] for name in blob if "." in name}:
        found[name] = _unpacked(*(blob[f"{name}.{part}"] for part in ("rest", "codes", "table", "places", "others")))
    return found


def _packed(tensor: Tensor) -> dict[str, Tensor] | None:
    """`rest` uint8, of the tensor's shape: sign and mantissa; `codes` uint8 [n / 2]: the exponents' numbers in `table`
    uint8 [16], two a byte, the first in the low half; `places` int64 and `others` uint8: exponents not in the table."""
    bits = tensor.contiguous().view(torch.int16).reshape(-1)
    exponents = (bits >> 7).to(torch.uint8)
    table = torch.bincount(exponents, minlength=256).topk(16).indices
    code_of = torch.full((256,), 255, dtype=torch.uint8, device=bits.device)
    code_of[table] = torch.arange(16, dtype=torch.uint8, device=bits.device)
    codes = code_of[exponents.int()]
    places = (codes == 255).nonzero()[:, 0]
    if len(places) > MOST_OTHERS * len(bits) or len(bits) % 2:
        return None
    codes[places] = 0
    rest = (bits & 0x7F).to(torch.uint8) | ((bits < 0).to(torch.uint8) << 7)
    return {
        "rest": rest.view(tensor.shape),
        "codes": codes[0::2] | codes[1::2] << 4,
        "table": table.to(torch.uint8),
        "places": places,
        "others": exponents[places],
    }


def _unpacked(rest: Tensor, codes: Tensor, table: Tensor, places: Tensor, others: Tensor) -> Tensor:
    byte = torch.arange(256, device=rest.device)
    pairs = torch.stack([table[byte & 15], table[byte >> 4]], 1).view(torch.int16)[:, 0]  # two exponents by their byte
    exponents = pairs[codes.int()].view(torch.uint8)
    exponents[places] = others
    bits = exponents.to(torch.int16) << 7
    flat = rest.reshape(-1)
    bits |= flat & 0x7F
    bits |= (flat >> 7).to(torch.int16) << 15
    return bits.view(torch.bfloat16).view(rest.shape)
