"""Make `perception/lite/data/voices.npz` out of Resemblyzer's weights, and check the numpy port against torch.

    pip download --no-deps Resemblyzer==0.1.4     # Apache-2.0; only its file pretrained.pt is used
    python -m benchmarks.convert_voices pretrained.pt

Needs torch, which omni itself does not. The weights become float16; the check prints the lowest cosine between the
embeddings of torch in float32 and of the port, over random spectrograms.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from omni_agent.perception.lite import voices
from omni_agent.perception.lite.weights import digest

SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
NAMES = [f"lstm.{kind}_l{layer}" for layer in range(3) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def main(source: Path) -> None:
    import torch

    if digest(source) != SHA256:
        sys.exit(f"{source} is not Resemblyzer 0.1.4's pretrained.pt")
    state = torch.load(source, map_location="cpu", weights_only=False)["model_state"]
    arrays = {name: state[name].numpy() for name in [*NAMES, "linear.weight", "linear.bias"]}
    target = Path(voices.__file__).parent / "data" / "voices.npz"
    np.savez(target, **{name: array.astype(np.float16) for name, array in arrays.items()})
    print(f"{target}: {target.stat().st_size} bytes")

    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({name.removeprefix("lstm."): state[name] for name in NAMES})
    linear.load_state_dict({"weight": state["linear.weight"], "bias": state["linear.bias"]})
    mels = np.random.default_rng(1).gamma(0.3, 0.05, (16, voices.FRAMES, voices.BANDS)).astype(np.float32)
    with torch.no_grad():
        raw = torch.relu(linear(lstm(torch.from_numpy(mels))[1][0][-1]))
        wanted = (raw / raw.norm(dim=1, keepdim=True)).numpy()
    print(f"lowest cosine to torch: {float((wanted * voices.Encoder()(mels)).sum(axis=1).min()):.7f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
