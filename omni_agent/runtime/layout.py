"""The sequence that the language model reads: text and encoded media as ids, and the vectors that replace some.

A conversation goes through the chat template with a stand-in for every part; `weave` puts the parts back, so a user's
text is never read as marks, and media need no spelling. `assemble` makes one sequence of it.

A medium stands in the text as one placeholder id a vector, between its start and end ids. Several videos, pictures and
sounds may follow each other; the attention has no positions of its own, so an index in the sequence is all a token has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from omni_agent.errors import EngineError
from omni_agent.runtime.segments import declared_cuts
from omni_agent.runtime.tokenizer import SpecialIds, Tokenizer


class Vectors(NamedTuple):
    """Encoded tokens [n, hidden] and the placeholder id that stands for each.

    `key` names their content: equal keys mean equal vectors (see `encoder_cache`). Without one a kept prompt is
    recognised by the vectors themselves, which costs a look at every byte of them.
    """

    placeholder: int
    values: torch.Tensor
    key: str = ""


class Cut(NamedTuple):
    """A place at which a prompt's state may be kept, put in by whoever knows that much will be asked again up to it."""


CUT = Cut()

Piece = Sequence[int] | Vectors | Cut


def picture(tokens: torch.Tensor, ids: SpecialIds, key: str = "") -> list[Piece]:
    """A picture's tokens [n, hidden] between their marks."""
    return [[ids.image_start], Vectors(ids.image, tokens, key), [ids.image_end]]


def video(
    tubelets: Sequence[torch.Tensor], captions: Sequence[Sequence[int]], ids: SpecialIds, key: str = ""
) -> list[Piece]:
    """A video's tubelets, each after its caption's ids; a tubelet of which nothing was kept keeps caption and marks.

    `key` names the video together with the share of it that was left out.
    """
    assert len(tubelets) == len(captions), f"{len(tubelets)} tubelets, {len(captions)} captions"
    keys = [f"{key}/{number}" if key else "" for number in range(len(tubelets))]
    told = zip(tubelets, captions, keys, strict=True)
    return [piece for tokens, text, name in told for piece in (text, *picture(tokens, ids, name))]


def sound(tokens: torch.Tensor, ids: SpecialIds, key: str = "") -> list[Piece]:
    """A recording's tokens [n, hidden] between their marks; the sound of a video goes right after `video`."""
    return [[ids.sound_start], Vectors(ids.sound, tokens, key), [ids.sound_end]]


@dataclass(frozen=True, slots=True)
class Run:
    """A medium's vectors in the sequence: `count` of them from `start`, named by `key` or, without one, by nothing."""

    start: int
    count: int
    key: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """ids int64 [N] with placeholders; `values` [M, hidden] replace the embeddings at `places` int64 [M], ascending.

    `runs` name all the media in order, `cuts` are the positions at which prefill always stops (see `segments`).
    """

    ids: torch.Tensor
    places: torch.Tensor
    values: torch.Tensor
    runs: tuple[Run, ...] = ()
    cuts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def embedded(self, embed: Callable[[torch.Tensor], torch.Tensor], start: int = 0) -> torch.Tensor:
        """[N - start, hidden] from position `start` on, given the model's own `embed(ids)`."""
        hidden = embed(self.ids[start:])
        first = sum(min(max(start - run.start, 0), run.count) for run in self.runs)
        places, values = self.places[first:] - start, self.values[first:]
        if not len(places):
            return hidden
        assert values.shape[1] == hidden.shape[1], f"{values.shape[1]} wide media, {hidden.shape[1]} wide text"
        return hidden.index_copy(0, places, values.to(hidden.dtype))


def of_text(ids: Sequence[int], device: torch.device | str = "cpu") -> Prompt:
    """A prompt of token ids alone, cut nowhere but at the prefill's own chunks."""
    nowhere = torch.empty(0, dtype=torch.long, device=device)
    return Prompt(torch.tensor(ids, dtype=torch.long, device=device), nowhere, torch.empty(0, 0, device=device))


def assemble(pieces: Iterable[Piece], ids: SpecialIds, device: torch.device | str = "cpu") -> Prompt:
    """One sequence of all the pieces.

    Raises EngineError where the text itself holds a placeholder id: a user's words must never pass for a medium.
    """
    sequence: list[int] = []
    places: list[int] = []
    values: list[torch.Tensor] = []
    runs: list[Run] = []
    marked: list[int] = []
    for piece in pieces:
        if isinstance(piece, Cut):
            marked.append(len(sequence))
        elif isinstance(piece, Vectors):
            runs.append(Run(len(sequence), len(piece.values), piece.key))
            places += range(len(sequence), len(sequence) + len(piece.values))
            sequence += [piece.placeholder] * len(piece.values)
            values.append(piece.values)
        else:
            if ids.image in piece or ids.sound in piece:
                raise EngineError("the text holds a placeholder of media that are not there")
            sequence += piece
    joined = torch.cat([part.to(device) for part in values]) if values else torch.empty(0, 0, device=device)
    assert len(joined) == len(places), f"{len(joined)} vectors for {len(places)} places"
    return Prompt(
        torch.tensor(sequence, dtype=torch.long, device=device),
        torch.tensor(places, dtype=torch.long, device=device),
        joined,
        tuple(runs),
        declared_cuts(sequence, ids, marked),
    )


# Private use: no template writes them, and no text from outside meets the template with them in it.
OPEN, CLOSE, MARK = "\ue000", "\ue001", "\ue002"


def stand_in(number: int) -> str:
    """What the chat template is given in place of a conversation's part of that number, counted from 0."""
    return f"{OPEN}{number}{CLOSE}"


def disarmed(value: Any, tokenizer: Tokenizer) -> Any:
    """Plain data for the template to read, such as tools: where a string or key of it spells a mark, a stand-in that
    `weave` turns back into letters. A template asks what such strings are, so they cannot be stood for whole."""
    marks = sorted((*tokenizer.added_texts, OPEN, CLOSE, MARK), key=len, reverse=True)  # the longer one first
    spelled = re.compile("|".join(map(re.escape, marks)))

    def disarm(value: Any) -> Any:
        if isinstance(value, str):
            return spelled.sub(lambda found: f"{MARK}{_code(found[0])}{CLOSE}", value)
        if isinstance(value, Mapping):
            return {disarm(key): disarm(item) for key, item in value.items()}
        return [disarm(item) for item in value] if isinstance(value, list | tuple) else value

    return disarm(value)


def _code(text: str) -> str:
    return "-".join(str(ord(letter)) for letter in text)


def _letters(code: str) -> str:
    return "".join(chr(int(number)) for number in code.split("-"))


def weave(rendered: str, parts: Sequence[str | Sequence[Piece]], tokenizer: Tokenizer) -> list[Piece]:
    """What the template rendered, with each stand-in replaced by its part: a text, or the pieces of a medium.

    Raises EngineError where the template dropped, repeated or moved a part.
    """
    split = re.split(f"{OPEN}(\\d+){CLOSE}", rendered)
    if [int(number) for number in split[1::2]] != list(range(len(parts))):
        raise EngineError("the chat template dropped, repeated or moved a part of the conversation")
    pieces: list[Piece] = []
    run: list[tuple[str, bool]] = []  # a stretch of text, and whether it is the template's own
    for position, text in enumerate(split):
        part = parts[int(text)] if position % 2 else ""
        if position % 2 == 0:
            own = re.split(f"{MARK}([\\d-]+){CLOSE}", text)
            run += [(_letters(said), False) if number % 2 else (said, True) for number, said in enumerate(own)]
        elif isinstance(part, str):
            run.append((part, False))
        else:
            pieces += [_encoded(run, tokenizer), *part]
            run = []
    return [*pieces, _encoded(run, tokenizer)]


def _encoded(run: list[tuple[str, bool]], tokenizer: Tokenizer) -> list[int]:
    """Ids of the stretches as one text, the way the model was trained; apart, where joined they would spell marks."""
    joined = tokenizer.encode("".join(text for text, _ in run))
    marks = [number for text, own in run if own for number in tokenizer.encode(text) if number in tokenizer.added_ids]
    if [number for number in joined if number in tokenizer.added_ids] == marks:
        return joined
    return [number for text, own in run for number in (tokenizer.encode(text) if own else tokenizer.encode_plain(text))]
