"""Text to token ids and back, the special ids this runtime relies on, and the chat template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_agent.errors import CheckpointError, MissingExtra
from omni_agent.runtime.config import ModelConfig, read_json, read_text
from omni_agent.runtime.template import ChatTemplate
from omni_agent.types import well_formed

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

TOKENIZER_LIMIT = 256 << 20  # bytes; the released file has 17 MB
SPECIALS = {
    "turn_start": "<|im_start|>",
    "turn_end": "<|im_end|>",
    "think": "<think>",
    "end_think": "</think>",
    "image": "<image>",
    "image_start": "<img>",
    "image_end": "</img>",
    "sound": "<so_embedding>",
    "sound_start": "<so_start>",
    "sound_end": "<so_end>",
}
CALL_MARKS = ("<tool_call>", "</tool_call>")  # part of what the model says, however the file classes them


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """Ids of the special tokens, looked up in the tokenizer by their text."""

    turn_start: int
    turn_end: int
    think: int
    end_think: int
    image: int
    image_start: int
    image_end: int
    sound: int
    sound_start: int
    sound_end: int
    user: tuple[int, ...] = ()  # the word after `turn_start` where a user's turn begins; it may be several ids


class Tokenizer:
    """The tokenizer of a checkpoint folder.

    Raises CheckpointError when a special token is missing, is not one id, or contradicts config.json.
    """

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        self._backend = _backend(folder / "tokenizer.json")
        self.vocab_size = self._backend.get_vocab_size()
        added = self._backend.get_added_tokens_decoder()
        self.added_ids = frozenset(added)  # those that a spelling alone can make
        self.added_texts = tuple(token.content for token in added.values() if token.content)
        self.silent_ids = frozenset(  # never part of a text
            number
            for number, token in added.items()
            if token.content not in CALL_MARKS and (token.special or token.content in SPECIALS.values())
        )
        if self.vocab_size > config.text.vocab_size:
            raise CheckpointError(
                f"{folder / 'tokenizer.json'} knows {self.vocab_size} tokens, the model {config.text.vocab_size}"
            )
        special = {name: self._one(text, folder) for name, text in SPECIALS.items()}
        self.special = SpecialIds(**special, user=tuple(self.encode("user")))
        for key, meant, found in (
            ("img_context_token_id", config.image_token, self.special.image),
            ("sound_context_token_id", config.sound_token, self.special.sound),
        ):
            if meant is not None and meant != found:
                raise CheckpointError(f"{folder}: config.json's {key} is {meant}, the tokenizer's id is {found}")
        self.end_ids = frozenset({*config.text.eos_ids, self.special.turn_end, *_generation_ends(folder)})
        self.template = ChatTemplate(folder / "chat_template.jinja")

    def encode(self, text: str) -> list[int]:
        """Ids of a text whose special tokens are spelled out; nothing is added at the ends."""
        return list(self._backend.encode(well_formed(text), add_special_tokens=False).ids)

    def encode_plain(self, text: str) -> list[int]:
        """Ids of a text that comes from outside: what looks like a special token there is only letters."""
        self._backend.encode_special_tokens = True
        try:
            return list(self._backend.encode(well_formed(text), add_special_tokens=False).ids)
        finally:
            self._backend.encode_special_tokens = False

    def decode(self, ids: list[int], *, special: bool = False) -> str:
        """Text of ids; special tokens are left out unless `special`."""
        return str(self._backend.decode(ids, skip_special_tokens=not special))

    def speller(self) -> Callable[[int], str]:
        """A function that is given the ids of an answer one by one and returns the text that each completes.

        Special tokens are left out, the marks of tool calls excepted; bytes of a letter wait for the rest of it.
        """
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)

        def spell(number: int) -> str:
            return "" if number in self.silent_ids else stream.step(self._backend, number) or ""

        return spell

    def chat(self, messages: list[dict[str, Any]], **switches: Any) -> list[int]:
        """Ids of a conversation under the checkpoint's template, ready for the answer."""
        return self.encode(self.template.render(messages=messages, add_generation_prompt=True, **switches))

    def json(self) -> str:
        """The tokenizer as the text of a tokenizer.json, for libraries that have their own reader of it."""
        return str(self._backend.to_str())

    def newline_ids(self) -> frozenset[int]:
        """Every token whose text ends a line: where thinking may be cut softly."""
        # Byte-level vocabularies write the newline byte as Ċ (U+010A).
        return frozenset(number for text, number in self._backend.get_vocab().items() if "\u010a" in text)

    def _one(self, text: str, folder: Path) -> int:
        number = self._backend.token_to_id(text)
        if number is None or self._backend.encode(text, add_special_tokens=False).ids != [number]:
            raise CheckpointError(f"{folder / 'tokenizer.json'} has no single token for {text}")
        return int(number)


def _backend(path: Path) -> Backend:
    try:
        from tokenizers import Tokenizer as Backend
    except ImportError as error:
        raise MissingExtra("gpu", "the tokenizer") from error
    text = read_text(path, TOKENIZER_LIMIT)
    try:
        return Backend.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{path} is no sound tokenizer: {error}", hint="download it again") from error


def _generation_ends(folder: Path) -> list[int]:
    """The end ids of generation_config.json, which names more than config.json does; none when the file is absent."""
    path = folder / "generation_config.json"
    value = read_json(path).get("eos_token_id", []) if path.is_file() else []
    ids = value if isinstance(value, list) else [value]
    if any(type(item) is not int or item < 0 for item in ids):
        raise CheckpointError(f"{path}: 'eos_token_id' is {value!r}")
    return ids
