"""What the two small BERT models share: one WordPiece tokenizer and an onnxruntime session that shares the machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was trained on; what is ranked is shorter than that
THREADS = 2


class Bert:
    """An encoder of bert-base-uncased's vocabulary. `run` gives its first output for a batch."""

    def __init__(self, path: Path) -> None:
        """Raises what onnxruntime raises for a file that is no model."""
        import onnxruntime
        from tokenizers import Tokenizer

        text = (files("omni_agent.perception.lite") / "data" / "minilm-tokenizer.json").read_text(encoding="utf-8")
        self._tokenizer: Any = Tokenizer.from_str(text)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        spinning = "session.intra_op.allow_spinning"  # busy waiting starves a shared machine
        options.add_session_config_entry(spinning, "0")
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = tuple(argument.name for argument in self._session.get_inputs())

    def run(
        self, texts: Sequence[str] | Sequence[tuple[str, str]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The first output and the attention mask [n, tokens] for these texts or pairs of texts, padded to the longest
        and cut at MAX_TOKENS."""
        import numpy as np

        encoded = self._tokenizer.encode_batch(list(texts))
        mask = np.array([item.attention_mask for item in encoded], dtype=np.int64)
        feed = {
            "input_ids": np.array([item.ids for item in encoded], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([item.type_ids for item in encoded], dtype=np.int64),
        }
        return self._session.run(None, {name: feed[name] for name in self._inputs})[0], mask
