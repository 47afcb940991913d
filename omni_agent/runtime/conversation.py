"""A conversation as the language model reads it: the chat template's text with every part put back as ids or vectors.

Every text of a turn goes through the template as a stand-in, so that nothing a user, a document or a tool says can be
read as a mark of the template's. Parts stay in the order given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import torch

from omni_agent.errors import EngineError
from omni_agent.runtime import layout, video
from omni_agent.runtime.encoder_cache import EncoderCache
from omni_agent.runtime.encoders import Film
from omni_agent.runtime.evs import Saving
from omni_agent.runtime.images import picture_grids
from omni_agent.runtime.layout import Piece, Prompt
from omni_agent.runtime.tokenizer import Tokenizer

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]
Part = str | Pixels | Samples | Film
"""A text, a picture [H, W, 3] uint8, a recording [n] float32 mono at the encoder's rate, or a video."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. `role` as the template knows it; `thought` and `calls` (name, arguments) are an assistant's."""

    role: str
    parts: tuple[Part, ...]
    thought: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prompt ready for the model. `thinking`: it ends inside an open think block; `saving` is that of its videos.

    Of a conversation that goes on, `turns` are those that it was made of, their media encoded, and `switches` what the
    template was told."""

    prompt: Prompt
    thinking: bool
    saving: Saving
    turns: tuple[Turn, ...] = ()
    switches: dict[str, Any] = field(default_factory=dict)


class Composer:
    """Makes prompts for one checkpoint. `encoders` None: it reads text only."""

    def __init__(self, tokenizer: Tokenizer, encoders: EncoderCache | None, device: torch.device) -> None:
        self.tokenizer, self.encoders, self.device = tokenizer, encoders, device

    def prepare(
        self,
        turns: Sequence[Turn],
        *,
        room: int,
        think: bool,
        keep_thoughts: bool = False,
        tools: Sequence[dict[str, Any]] = (),
        evs_rate: float = 0.0,
        keep: bool = True,
        goes_on: bool = False,
    ) -> Prepared:
        """The prompt for `turns`, ready for the assistant's next. Pictures share what `room` tokens leave beside text,
        sound and video; whether all of it fits is the generator's to say. `goes_on`: it can be `followed`.

        Raises EngineError for media that this checkpoint cannot read or the device has no memory for, CheckpointError
        where the template fails.
        """
        messages, parts = _messages(turns, keep_thoughts, self.tokenizer)
        switches: dict[str, Any] = {"enable_thinking": think, "truncate_history_thinking": not keep_thoughts}
        if tools:
            switches["tools"] = layout.disarmed(tools, self.tokenizer)
        rendered = self.tokenizer.template.render(messages=messages, add_generation_prompt=True, **switches)
        room -= len(self.tokenizer.encode(rendered))
        pieces, saving = self._encoded(parts, room, evs_rate, keep)
        prompt = self._assembled(rendered, pieces)
        prepared = Prepared(prompt, self._ends_thinking(rendered), saving)
        if not goes_on:  # else the vectors of its media are held twice: in the prompt, and for the next one
            return prepared
        encoded = {id(part): piece for part, piece in zip(parts, pieces, strict=True) if not isinstance(part, str)}
        media = tuple(
            replace(turn, parts=tuple(encoded.get(id(part), part) for part in turn.parts))  # type: ignore[misc]
            for turn in turns
        )
        return replace(prepared, turns=media, switches=switches)

    def followed(self, prepared: Prepared, answer: Turn) -> Prompt:
        """The conversation with its answer and an empty next turn of the user's: as far as that, the prompt of whatever
        comes next is this one."""
        keep_thoughts = not prepared.switches["truncate_history_thinking"]
        messages, parts = _messages([*prepared.turns, answer, Turn("user", ())], keep_thoughts, self.tokenizer)
        rendered = self.tokenizer.template.render(messages=messages, add_generation_prompt=True, **prepared.switches)
        return self._assembled(rendered, parts)  # type: ignore[arg-type]  # no medium is left that is not encoded

    def _assembled(self, rendered: str, pieces: Sequence[str | Sequence[Piece]]) -> Prompt:
        return layout.assemble(layout.weave(rendered, pieces, self.tokenizer), self.tokenizer.special, self.device)

    def _encoded(
        self, parts: Sequence[Part], room: int, evs_rate: float, keep: bool
    ) -> tuple[list[str | Sequence[Piece]], Saving]:
        """Every part as a text or as pieces. Pictures come last, since they alone can take less."""
        films = {
            number: self._film(part, evs_rate, keep) for number, part in enumerate(parts) if isinstance(part, Film)
        }
        media = {number: pieces for number, (pieces, _) in films.items()}
        sounds = {number: part for number, part in enumerate(parts) if _is_sound(part)}
        media |= zip(sounds, self._sounds(list(sounds.values()), keep), strict=True)
        room -= sum(_length(pieces) for pieces in media.values())
        room -= sum(len(self.tokenizer.encode_plain(part)) for part in parts if isinstance(part, str))
        pictures = {number: part for number, part in enumerate(parts) if _is_picture(part)}
        media |= zip(pictures, self._pictures(list(pictures.values()), room, keep), strict=True)
        savings = [saving for _, saving in films.values()]
        saving = Saving(*(sum(getattr(one, part) for one in savings) for part in ("before", "after", "unchanged")))
        return [part if isinstance(part, str) else media[number] for number, part in enumerate(parts)], saving

    def _film(self, film: Film, rate: float, keep: bool) -> tuple[list[Piece], Saving]:
        encoders = self._need_encoders()
        tubelets, saving, key = encoders.film(film, rate, keep=keep)
        captions = [self.tokenizer.encode(text) for text in video.captions(film.indices, film.fps, encoders.vision)]
        return layout.video(tubelets, captions, self.tokenizer.special, key), saving

    def _sounds(self, recordings: Sequence[Samples], keep: bool) -> list[list[Piece]]:
        if not recordings:
            return []
        encoders = self._need_encoders()
        if encoders.sound is None:
            raise EngineError("this checkpoint has no sound encoder, so it cannot listen")
        heard = encoders.recordings(recordings, keep=keep)
        return [layout.sound(tokens, self.tokenizer.special, key) for tokens, key in heard]

    def _pictures(self, pictures: Sequence[Pixels], room: int, keep: bool) -> list[list[Piece]]:
        if not pictures:
            return []
        encoders = self._need_encoders()
        sizes = [(pixels.shape[1], pixels.shape[0]) for pixels in pictures]
        marks = 2 * len(pictures)
        grids = picture_grids(sizes, encoders.vision, max(room - marks, 1))
        seen = encoders.pictures(pictures, grids, keep=keep)
        return [layout.picture(tokens, self.tokenizer.special, key) for tokens, key in seen]

    def _need_encoders(self) -> EncoderCache:
        if self.encoders is None:
            raise EngineError("this checkpoint is the language model alone: it reads text, no pictures and no sound")
        return self.encoders

    def _ends_thinking(self, rendered: str) -> bool:
        """Whether the template left a think block open for the answer."""
        special = self.tokenizer.special
        ids = self.tokenizer.encode(rendered[rendered.rfind("<|im_start|>") :])
        marks = [number for number in ids if number in (special.think, special.end_think)]
        return bool(marks) and marks[-1] == special.think


def _messages(
    turns: Sequence[Turn], keep_thoughts: bool, tokenizer: Tokenizer
) -> tuple[list[dict[str, Any]], list[Part]]:
    """What the template is given, and the parts that its stand-ins stand for, in order."""
    parts: list[Part] = []

    def stands_for(part: Part) -> str:
        parts.append(part)
        return layout.stand_in(len(parts) - 1)

    last_user = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=-1)
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(turns):
        message: dict[str, Any] = {"role": turn.role}
        if turn.thought and (keep_thoughts or number > last_user):  # the template drops the others
            message["reasoning_content"] = stands_for(turn.thought)
        message["content"] = "".join(stands_for(part) for part in turn.parts if not isinstance(part, str) or part)
        if turn.calls:
            plain = [(layout.disarmed(name, tokenizer), _texts(arguments, tokenizer)) for name, arguments in turn.calls]
            message["tool_calls"] = [
                {
                    "type": "function",
                    "function": {"name": name, "arguments": {key: stands_for(text) for key, text in texts.items()}},
                }
                for name, texts in plain
            ]
        messages.append(message)
    return messages, parts


def _texts(arguments: dict[str, Any], tokenizer: Tokenizer) -> dict[str, str]:
    """Arguments as the texts that the model itself would write: strings as they are, anything else as JSON."""
    return {
        layout.disarmed(key, tokenizer): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in arguments.items()
    }


def _is_sound(part: Part) -> TypeGuard[Samples]:
    return isinstance(part, np.ndarray) and part.ndim == 1


def _is_picture(part: Part) -> TypeGuard[Pixels]:
    return isinstance(part, np.ndarray) and part.ndim == 3


def _length(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.values) if isinstance(piece, layout.Vectors) else len(piece) for piece in pieces)
