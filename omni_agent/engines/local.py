"""The full model on this machine's GPU."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from omni_agent.engines.base import Done, Event, Message, Options, Text, Thought, ToolCall
from omni_agent.engines.clock import Clock
from omni_agent.engines.line import Line
from omni_agent.engines.turn import turn
from omni_agent.errors import MissingExtra, Unavailable
from omni_agent.types import Progress, Usage, no_progress

if TYPE_CHECKING:
    from omni_agent.runtime.chat import Chat, Said
    from omni_agent.runtime.conversation import Prepared
    from omni_agent.runtime.generate import End
    from omni_agent.runtime.sampling import Sampling
    from omni_agent.runtime.tool_calls import Call

REPOSITORY = "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16"
MOST_NOTES = 8  # that wait to be told
THINKING_TOKENS, INSTRUCT_TOKENS = 20_480, 1_024  # the model card's max_tokens with thinking on and off


class LocalEngine:
    """A checkpoint folder on a device of this machine, loaded when it is first needed and then kept.

    `cache` is a folder in which the states of prompts are kept for later questions; None keeps nothing. What is dropped
    there, or cannot be kept, `note` is told while somebody asks.

    Conversations that come at the same time, from several threads, decode together; what memory has no room for waits.
    `device` "cpu" is for small checkpoints.
    """

    name = "local"
    at_once = 8  # runtime.batch.SLOTS; where memory allows fewer, the others wait here

    def __init__(
        self,
        folder: Path,
        *,
        context: int = 131_072,
        device: Literal["cuda", "cpu"] = "cuda",
        progress: Progress = no_progress,
        cache: Path | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._folder, self._context, self._device, self._progress = folder, context, device, progress
        self._cache, self._note = cache, note
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)  # of whatever thread found something
        self._chat: Chat | None = None
        self._line = Line()  # one piece of work on the device at a time, each conversation after the other
        self._places = threading.Semaphore(0)  # for conversations; as many as there is memory for, once it is loaded

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        clock = Clock()
        with clock.runs("load"), self._line:
            chat = self._loaded()
        with self._places:
            with self._line, clock.runs("encode"):
                prepared = self._prepared(chat, messages, options, clock)
            self._tell()
            yield from self._reply(chat, prepared, options, clock)

    def _prepared(self, chat: Chat, messages: Sequence[Message], options: Options, clock: Clock) -> Prepared:
        return chat.prepare(
            [turn(message, options, clock) for message in messages],
            think=options.think,
            max_tokens=_max_tokens(options),
            keep_thoughts=options.keep_thoughts,
            tools=options.tools,
            evs_rate=options.evs,
            keep=options.keep,
            goes_on=options.goes_on and options.keep,
        )

    def _reply(self, chat: Chat, prepared: Prepared, options: Options, clock: Clock) -> Iterator[Event]:
        from omni_agent.runtime.conversation import Turn
        from omni_agent.runtime.generate import End
        from omni_agent.runtime.tool_calls import ToolCalls

        calls = ToolCalls(options.tools)
        called, thoughts, words = False, "", ""
        part = "prefill"
        pieces = chat.reply(
            prepared,
            sampling=_sampling(options),
            max_tokens=_max_tokens(options),
            think_budget=options.think_budget,
            schema=options.schema,
            tools=options.tools,
            keep=options.keep,
        )
        with self._closing(pieces):
            while True:
                with clock.runs(part), self._line:
                    piece = next(pieces)
                self._tell()
                if isinstance(piece, End):
                    break
                part = "think" if piece.thought else "answer"
                if piece.thought:
                    thoughts += piece.text
                    yield Thought(piece.text)
                    continue
                words += piece.text
                for said in calls.feed(piece.text):
                    called = called or not isinstance(said, str)
                    yield _event(said)
        yield from (_event(said) for said in calls.close())
        yield Done("calls" if called and piece.reason == "stop" else piece.reason, _usage(piece, prepared, clock))
        if options.goes_on and options.keep and not called:
            with self._line:
                chat.follow(prepared, Turn("assistant", (words,), thoughts))

    @contextmanager
    def _closing(self, pieces: Generator[Said | End, None, None]) -> Iterator[None]:
        """Give up what was not asked for, in turn as any other work on the device."""
        try:
            yield
        finally:
            with self._line:
                pieces.close()

    def _tell(self) -> None:
        """Pass on what was noted, in the thread of somebody who asks: reading and writing have threads of their own."""
        while self._notes:
            with suppress(IndexError):  # another thread was quicker
                self._note(self._notes.popleft())

    def _loaded(self) -> Chat:
        if self._chat is None:
            from omni_agent.runtime.chat import Chat

            self._chat = Chat(
                self._folder,
                device=self._device,
                context=self._context,
                progress=self._progress,
                cache=self._cache,
                note=self._notes.append,
            )
            self._places.release(self._chat.at_once)
        return self._chat


def _max_tokens(options: Options) -> int:
    return options.max_tokens or (THINKING_TOKENS if options.think else INSTRUCT_TOKENS)


def _usage(end: End, prepared: Prepared, clock: Clock) -> Usage:
    saving = prepared.saving
    video = (saving.after, saving.before, saving.unchanged)
    return Usage(end.prompt, end.thought, end.answer, *video, end.restored, clock.seconds)


def _event(said: str | Call) -> Text | ToolCall:
    return Text(said) if isinstance(said, str) else ToolCall(said.name, said.arguments)


def _sampling(options: Options) -> Sampling:
    """The model card's settings for the mode, with what the caller named in their place."""
    from omni_agent.runtime.sampling import INSTRUCT, THINKING, Sampling

    card = THINKING if options.think else INSTRUCT
    warm = options.temperature is not None and options.top_k is None  # a temperature alone asks for more than one token
    return Sampling(
        temperature=card.temperature if options.temperature is None else options.temperature,
        top_p=card.top_p if options.top_p is None else options.top_p,
        top_k=options.top_k if options.top_k is not None else 0 if warm else card.top_k,
        seed=options.seed,
    )


def check(model_path: Path | None = None, device: Literal["cuda", "cpu"] = "cuda") -> Path:
    """The checkpoint's folder, once it is sure that the full model can be tried here.

    Raises Unavailable, with the next step, when a card, a library or the weights are missing.
    """
    if device == "cuda":
        cards()
    if any(find_spec(name) is None for name in ("torch", "transformers", "safetensors")):
        raise MissingExtra("gpu", "the full model")
    folder = model_path or downloaded()
    if folder is None or not (folder / "config.json").is_file():
        where = f"{folder} holds no checkpoint" if folder else "the full model's weights are not on this machine"
        raise Unavailable(where, hint="omni model get downloads them (66 GB); the setting 'model_path' names a folder")
    return folder


def downloaded() -> Path | None:
    """The released checkpoint's folder in the Hugging Face cache, if it is there."""
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(REPOSITORY, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def cards() -> tuple[str, ...]:
    """The NVIDIA cards the driver sees, as "name, memory". Raises Unavailable when there are none."""
    hint = "the full model needs an NVIDIA card with 80 GB; --engine lite runs without one"
    program = shutil.which("nvidia-smi")
    if program is None:
        raise Unavailable("no NVIDIA GPU driver on this machine", hint=hint)
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        seen = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"the NVIDIA driver does not answer ({error})", hint=hint) from error
    found = tuple(line.strip() for line in seen if line.strip())
    if not found:
        raise Unavailable("the NVIDIA driver sees no card", hint=hint)
    return found
