"""The checkpoint's chat template, rendered where it can do no harm.

A template is a program that came with the weights. It runs in jinja2's immutable sandbox, and that in a process of its
own with bounded memory and time, since a sandbox alone does not stop a loop that runs for hours or a string of a
terabyte. The process stays up between renderings, so a rendering costs well under a millisecond.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from omni_agent.errors import CheckpointError, MissingExtra
from omni_agent.runtime import template_worker
from omni_agent.runtime.config import read_text

TIME_LIMIT_S = 5.0
START_LIMIT_S = 60.0
TEMPLATE_LIMIT = 1 << 20  # bytes; the released template has 14 kB


class ChatTemplate:
    """`chat_template.jinja` of a checkpoint."""

    def __init__(self, path: Path, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self.path, self.time_limit_s = path, time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._source = read_text(path, TEMPLATE_LIMIT)

    def render(self, **values: Any) -> str:
        """The prompt for `messages=…`, `add_generation_prompt=…`, `enable_thinking=…` and whatever else it knows.

        Raises CheckpointError when the template fails, reaches for what it must not, or takes too long or too much.
        """
        self.start()
        if not self._ready:
            self._greet()
        answer = self._ask(json.dumps({"template": self._source, "values": values}).encode() + b"\n")
        if "error" in answer:
            raise CheckpointError(f"{self.path} cannot be rendered: {answer['error']}")
        return str(answer["text"])

    def close(self) -> None:
        """End the process; a later rendering starts another."""
        process, self._process, self._ready = self._process, None, False
        if process is not None:
            process.kill()
            process.communicate()  # closes the pipes and waits

    def __del__(self) -> None:
        self.close()

    def start(self) -> None:
        """Start the process if it does not run, without waiting for it; `render` does so where nobody did."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", template_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _greet(self) -> None:
        if not self._answer(START_LIMIT_S)["jinja2"]:
            self.close()
            raise MissingExtra("gpu", "the chat template")
        self._ready = True

    def _ask(self, request: bytes) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except OSError:
            self._fail("ended its process")
        return self._answer(self.time_limit_s)

    def _answer(self, limit_s: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        number = self._process.stdout.fileno()
        deadline, parts = time.monotonic() + limit_s, [b""]
        while not parts[-1].endswith(b"\n"):
            if not select.select([number], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self._fail(f"did not finish within {limit_s:g} s")
            parts.append(os.read(number, 1 << 20))
            if not parts[-1]:
                self._fail("ended its process")
        answer = json.loads(b"".join(parts))
        assert isinstance(answer, dict)
        return answer

    def _fail(self, what: str) -> NoReturn:
        self.close()
        raise CheckpointError(f"{self.path} cannot be rendered: it {what}") from None
