"""Reasoning told from answer where a server sends both as one text: `<think>…</think>` then the answer."""

from __future__ import annotations

from collections.abc import Iterator

from omni_agent.engines.base import Text, Thought

OPEN, CLOSE = "<think>", "</think>"


class Splitter:
    """Takes a reply piece by piece, wherever a tag is cut.

    `thinks`: the model was told to think, so that a reply without an opening tag may be in the middle of a thought (the
    tag stood in the prompt). If then no closing tag ever comes, it was the answer all along: `close` says it again.
    """

    def __init__(self, thinks: bool) -> None:
        self._thinks = thinks
        self._state = "begin"  # then "thought", then "answer"
        self._held = ""
        self._thought: list[str] = []
        self._opened = False

    def feed(self, piece: str) -> Iterator[Thought | Text]:
        self._held += piece
        if self._state == "begin":
            start = self._held.lstrip()
            if OPEN.startswith(start[: len(OPEN)]) and len(start) < len(OPEN):
                return
            self._opened = start.startswith(OPEN)
            self._held = start.removeprefix(OPEN)
            self._state = "thought" if self._opened or self._thinks else "answer"
        if self._state == "thought":
            before, tag, after = self._held.partition(CLOSE)
            if tag:
                yield from self._thinking(before)
                self._state, self._held = "gap", after
            else:
                keep = next((n for n in range(len(CLOSE) - 1, 0, -1) if self._held.endswith(CLOSE[:n])), 0)
                self._held, out = self._held[len(self._held) - keep :], self._held[: len(self._held) - keep]
                yield from self._thinking(out)
        if self._state == "gap":  # the empty lines between a thought and the answer
            self._held = self._held.lstrip()
            self._state = "answer" if self._held else "gap"
        if self._state == "answer" and self._held:
            held, self._held = self._held, ""
            yield Text(held)

    def close(self, *, cut: bool) -> Iterator[Thought | Text]:
        """What is still held back. `cut`: the reply ended at its length, so a thought without an end is one."""
        if self._state == "begin" and self._held:
            self._state = "thought" if self._thinks and cut else "answer"
            yield Thought(self._held) if self._state == "thought" else Text(self._held)
        elif self._state == "thought":
            yield from self._thinking(self._held)
            if not self._opened and not cut and self._thought:
                yield Text("".join(self._thought))

    def _thinking(self, text: str) -> Iterator[Thought]:
        if text:
            self._thought.append(text)
            yield Thought(text)
