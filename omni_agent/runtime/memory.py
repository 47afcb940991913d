"""What happens when a request needs more of the card than there is: it ends, with a sentence, and nothing else does."""

from __future__ import annotations

import torch

from omni_agent.errors import EngineError


class memory_to:
    """Turns the device's out-of-memory error into ours and gives back what the failed work held."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
            raise EngineError(
                f"the graphics card has too little free memory to {self.what}", hint="ask about less at a time"
            ) from error
