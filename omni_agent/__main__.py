"""The command `omni`, which is also `python -m omni_agent`: quiet when it is interrupted while it is still loading."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as below nohup
        signal.signal(signal.SIGINT, _leave)
    from omni_agent.cli import main as cli

    cli.main()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing has begun yet: no traceback of whatever was being imported."""
    os.write(2, b"omni: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
