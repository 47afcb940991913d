"""Messages in the form of OpenAI's chat protocol, with what vLLM and its like add to it for video.

Pictures, sounds and videos travel inside the request, as data URLs or base64; nothing is uploaded or linked. A clip
becomes an mp4 of exactly the frames that the options ask for, and the server is told to take them all; what share of
their tokens is left out is the server's own setting.
"""

from __future__ import annotations

import itertools
import json
import wave
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from omni_agent.engines.base import Message, Options, Part
from omni_agent.errors import EngineError
from omni_agent.media import image, mp4
from omni_agent.types import Clip, Picture, Sound

FRAME_SIDE = 1024  # longer sides are scaled down: the model makes about 672x384 of a frame
LARGE = 4 << 20  # bytes of a PNG above which a photograph is sent as JPEG

Wire = dict[str, Any]


def wired(messages: Sequence[Message], options: Options) -> list[Wire]:
    """The messages as the protocol's. Raises EngineError for a clip without a frame."""
    numbers = itertools.count(1)
    waiting: list[str] = []  # the ids of calls whose results come next
    return [_message(message, options, numbers, waiting) for message in messages]


def _message(message: Message, options: Options, numbers: itertools.count[int], waiting: list[str]) -> Wire:
    if message.role == "user":
        return {"role": "user", "content": _content(message.parts, options)}
    text = "".join(part for part in message.parts if isinstance(part, str))
    wire: Wire = {"role": message.role, "content": text}
    if message.role == "tool":
        wire["tool_call_id"] = waiting.pop(0) if waiting else "call_0"
    if message.thought and options.keep_thoughts:
        wire["reasoning"] = wire["reasoning_content"] = message.thought  # the name differs between versions of vLLM
    if message.calls:
        waiting[:] = [f"call_{next(numbers)}" for _ in message.calls]
        wire["tool_calls"] = [
            {"id": name, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
            for name, c in zip(waiting, message.calls, strict=True)
        ]
    return wire


def _content(parts: Sequence[Part], options: Options) -> list[Wire]:
    """The parts in their order. The server counts a video's times from its first frame; where that is in the middle of
    a longer one, the next text says so, and not before: the sound has to follow its video."""
    content: list[Wire] = []
    begins = 0.0
    for part in parts:
        if isinstance(part, str):
            told = f"(Time 0.00 of the video is second {begins:.2f} of the whole.)\n\n" if begins else ""
            content.append({"type": "text", "text": told + part})
            begins = 0.0
        elif isinstance(part, Picture):
            content.append({"type": "image_url", "image_url": {"url": _picture(part)}})
        elif isinstance(part, Sound):
            sound = {"data": _base64(_wav(part)), "format": "wav"}
            content.append({"type": "input_audio", "input_audio": sound})
        else:
            film, begins = _film(part, options)
            content.append({"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{_base64(film)}"}})
    return content


def _film(clip: Clip, options: Options) -> tuple[bytes, float]:
    """The clip's frames, evenly spread over it, as an mp4; and the time of the first."""
    every = max(1 / options.fps, clip.duration / options.max_frames)
    frames = itertools.islice(clip.frames(every=every, max_side=FRAME_SIDE), options.max_frames)
    first = next(frames, None)
    if first is None:
        raise EngineError("the video has no frame to look at")
    return mp4.encode((frame.picture for frame in itertools.chain([first], frames)), 1 / every), first.time


def _picture(picture: Picture) -> str:
    """Letters stay sharp as PNG; what is too large for that is a photograph."""
    png = image.png(picture)
    if len(png) <= LARGE:
        return f"data:image/png;base64,{_base64(png)}"
    return f"data:image/jpeg;base64,{_base64(image.jpeg(picture))}"


def _wav(sound: Sound) -> bytes:
    """16 bits mono."""
    import numpy as np

    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((np.clip(sound.samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
