"""The full model on this machine's GPU."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from omni_agent.engines.base import Done, Event, Message, Options, Text, Thought, ToolCall
from omni_agent.errors import EngineError, MissingExtra, Unavailable
from omni_agent.types import Clip, Frame, Picture, Progress, Sound, Usage, no_progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from omni_agent.runtime.chat import Chat
    from omni_agent.runtime.conversation import Part as RuntimePart
    from omni_agent.runtime.conversation import Turn
    from omni_agent.runtime.encoders import Film
    from omni_agent.runtime.sampling import Sampling
    from omni_agent.runtime.tool_calls import Call

REPOSITORY = "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16"
THINKING_TOKENS, INSTRUCT_TOKENS = 20_480, 1_024  # the model card's max_tokens with thinking on and off
FRAME_SIDE = 1920  # longer sides are scaled down first: the encoder makes 672x384 of a frame, whatever it gets


class LocalEngine:
    """A checkpoint folder on a device of this machine, loaded when it is first needed and then kept.

    `cache` is a folder in which the states of prompts are kept for later questions; None keeps nothing.

    One conversation at a time; others wait their turn. `device` "cpu" is for small checkpoints.
    """

    name = "local"

    def __init__(
        self,
        folder: Path,
        *,
        context: int = 131_072,
        device: Literal["cuda", "cpu"] = "cuda",
        progress: Progress = no_progress,
        cache: Path | None = None,
    ) -> None:
        self._folder, self._context, self._device, self._progress = folder, context, device, progress
        self._cache = cache
        self._chat: Chat | None = None
        self._turn = threading.Lock()

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        with self._turn:
            yield from self._stream(messages, options)

    def _stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        from omni_agent.runtime.generate import End
        from omni_agent.runtime.tool_calls import ToolCalls

        clock = _Clock()
        with clock.runs("load"):
            chat = self._loaded()
        max_tokens = options.max_tokens or (THINKING_TOKENS if options.think else INSTRUCT_TOKENS)
        with clock.runs("encode"):
            prepared = chat.prepare(
                [_turn(message, options, clock) for message in messages],
                think=options.think,
                max_tokens=max_tokens,
                keep_thoughts=options.keep_thoughts,
                tools=options.tools,
                evs_rate=options.evs,
                keep=options.keep,
            )
        calls = ToolCalls(options.tools)
        called = False
        part = "prefill"
        pieces = chat.reply(
            prepared,
            sampling=_sampling(options),
            max_tokens=max_tokens,
            think_budget=options.think_budget,
            schema=options.schema,
            tools=options.tools,
            keep=options.keep,
        )
        with closing(pieces):
            while True:
                with clock.runs(part):
                    piece = next(pieces)
                if isinstance(piece, End):
                    break
                part = "think" if piece.thought else "answer"
                if piece.thought:
                    yield Thought(piece.text)
                    continue
                for said in calls.feed(piece.text):
                    called = called or not isinstance(said, str)
                    yield _event(said)
        yield from (_event(said) for said in calls.close())
        saving = prepared.saving
        usage = Usage(
            piece.prompt,
            piece.thought,
            piece.answer,
            saving.after,
            saving.before,
            piece.restored,
            clock.seconds,
        )
        yield Done("calls" if called and piece.reason == "stop" else piece.reason, usage)

    def _loaded(self) -> Chat:
        if self._chat is None:
            from omni_agent.runtime.chat import Chat

            self._chat = Chat(
                self._folder, device=self._device, context=self._context, progress=self._progress, cache=self._cache
            )
        return self._chat


def _event(said: str | Call) -> Text | ToolCall:
    return Text(said) if isinstance(said, str) else ToolCall(said.name, said.arguments)


class _Clock:
    """Where the time goes; what runs inside another part is taken out of that one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = 0.0

    @contextmanager
    def runs(self, part: str) -> Iterator[None]:
        outer, self._inside = self._inside, 0.0
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[part] = self.seconds.get(part, 0.0) + spent - self._inside
            self._inside = outer + spent


def _turn(message: Message, options: Options, clock: _Clock) -> Turn:
    from omni_agent.runtime.conversation import Turn

    parts: list[RuntimePart] = []
    for part in message.parts:
        if isinstance(part, Picture):
            parts.append(part.pixels)
        elif isinstance(part, Sound):
            parts.append(part.samples)
        elif isinstance(part, str):
            parts.append(part)
        else:
            parts.append(_film(part, options, clock))
    calls = tuple((call.name, call.arguments) for call in message.calls)
    return Turn(message.role, tuple(parts), message.thought, calls)


def _film(clip: Clip, options: Options, clock: _Clock) -> Film:
    """The clip's frames evenly spread over it, told apart by whole milliseconds as a source of 1000 frames a second:
    so the captions say the true times, whatever the file's own rate."""
    from omni_agent.runtime.encoders import Film

    every = max(1 / options.fps, clip.duration / options.max_frames)
    milliseconds: list[int] = []
    frames = itertools.islice(clip.frames(every=every, max_side=FRAME_SIDE), options.max_frames)
    first = next(frames, None)
    if first is None:
        raise EngineError("the video has no frame to look at")

    def pixels() -> Iterator[npt.NDArray[np.uint8]]:
        frame: Frame | None = first
        while frame is not None:
            milliseconds.append(round(frame.time * 1000))
            yield frame.picture.pixels
            with clock.runs("media"):
                frame = next(frames, None)

    height, width = first.picture.pixels.shape[:2]
    return Film(pixels(), width, height, milliseconds, 1000.0)


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
