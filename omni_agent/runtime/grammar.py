"""A JSON schema that an answer must fit: the grammar engine is llguidance, this is its door.

llguidance (MIT) rather than xgrammar: it needs no other package, where xgrammar needs a version of apache-tvm-ffi that
mamba-ssm's pins exclude, and it refuses the parts of a schema that it does not enforce instead of ignoring them.

A matcher sees the tokens of the answer alone. While the model thinks nobody asks it, so thinking is free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from omni_agent.errors import CheckpointError, EngineError, MissingExtra, UsageError
from omni_agent.runtime import call_grammar
from omni_agent.runtime.tool_calls import CLOSE, OPEN

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# Between the tokens of JSON: a line break and an indentation. Without a bound a model may write blank lines for ever.
WHITE_SPACE = r"\n? {0,32}"


class Grammar:
    """What a vocabulary can spell; made once a model (a second of work for 131,072 tokens).

    `tokenizer_json` is the text of the checkpoint's tokenizer.json, `vocab_size` the width of its logits, `end_ids` the
    tokens that end an answer. Raises MissingExtra without llguidance.
    """

    def __init__(self, tokenizer_json: str, vocab_size: int, end_ids: Iterable[int]) -> None:
        try:
            from llguidance import LLTokenizer
        except ImportError as error:
            raise MissingExtra("gpu", "an answer that fits a JSON schema") from error
        try:
            self._vocabulary: LLTokenizer = LLTokenizer(tokenizer_json, n_vocab=vocab_size, eos_token=sorted(end_ids))
        except ValueError as error:
            raise CheckpointError(f"this tokenizer cannot be held to a JSON schema: {error}") from error
        self.vocab_size = vocab_size

    def constrain(self, schema: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()) -> Matcher:
        """A matcher for one answer: a text that fits the schema or, where functions are offered, calls of them.

        `tools` are in OpenAI's form. Raises UsageError for a schema that is none, or that cannot be enforced whole.
        """
        from llguidance import LLMatcher

        try:
            if tools:
                grammar = LLMatcher.grammar_from_lark(self._either(schema, tools))
            else:
                text = json.dumps(schema, allow_nan=False)
                grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_pattern": WHITE_SPACE})
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"this is no JSON schema: {error}") from error
        wrong, why = LLMatcher.validate_grammar_with_warnings(grammar, self._vocabulary)
        if wrong:
            reason = " ".join(why[0].split())[:300]
            raise UsageError(f"an answer cannot be held to this schema: {reason}", hint="leave that part of it out")
        return Matcher(LLMatcher(self._vocabulary, grammar, log_level=0), self.vocab_size)

    def _either(self, schema: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> str:
        whole = {**schema, "x-guidance": {"whitespace_pattern": WHITE_SPACE}}
        answer = f"start: answer | calls\nanswer: %json {json.dumps(whole, allow_nan=False)}\n"
        return answer + call_grammar.rules(tools, self._mark(OPEN), self._mark(CLOSE), WHITE_SPACE)

    def _mark(self, text: str) -> str:
        """A mark of tool calls as a Lark term: its token, or its letters where the vocabulary has none."""
        ids = self._vocabulary.tokenize_str(text)
        return f"<[{ids[0]}]>" if len(ids) == 1 else json.dumps(text)


class Matcher:
    """Follows one answer, token by token: `mask`, draw, `accept`, until `done`."""

    def __init__(self, backend: LLMatcher, vocab_size: int) -> None:
        self._backend = backend
        self._vocab_size = vocab_size
        self._bits = torch.arange(32, dtype=torch.int32)

    @property
    def done(self) -> bool:
        """The answer fits the schema and is whole: only an end token can follow, or has followed."""
        return bool(self._backend.is_stopped())

    def mask(self, logits: Tensor) -> None:
        """Set the logits [..., vocab] of every token that cannot come next to -inf, in place, on their device.

        Raises EngineError where the grammar engine gives up (a schema of extreme branching).
        """
        words = torch.frombuffer(bytearray(self._backend.compute_bitmask()), dtype=torch.int32)
        self._check()
        words, bits = words.to(logits.device), self._bits.to(logits.device)
        allowed = ((words[:, None] >> bits) & 1).bool().flatten()[: self._vocab_size]
        logits.masked_fill_(~allowed, -torch.inf)

    def accept(self, token: int) -> None:
        """The token that was drawn. Raises EngineError for one that the mask excluded."""
        if not self._backend.consume_token(token):
            self._check()

    def _check(self) -> None:
        if self._backend.is_error():
            reason = self._backend.get_error().partition("<state>")[0].strip()
            raise EngineError(f"the answer cannot be held to its schema any longer: {reason}")


class Held:
    """Draws like `draw`, but only tokens that `matcher` allows; while `free()`, as in a think block, any token."""

    def __init__(self, draw: Callable[[Tensor], Tensor], matcher: Matcher, free: Callable[[], bool]) -> None:
        self._draw, self._matcher, self._free = draw, matcher, free

    @torch.inference_mode()
    def __call__(self, logits: Tensor) -> Tensor:
        """logits [1, vocab] fp32, which it changes -> token [1] int64. Waits for the device: the next mask needs it."""
        if self._free():
            return self._draw(logits)
        self._matcher.mask(logits)
        token = self._draw(logits)
        self._matcher.accept(int(token))
        return token
