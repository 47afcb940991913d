"""Whatever the logits say, the answer is JSON that fits the schema; thinking before it is free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from omni_agent.errors import CheckpointError, EngineError, UsageError
from omni_agent.runtime.config import read_config
from omni_agent.runtime.grammar import Grammar, Matcher
from omni_agent.runtime.thinking import Budget, Markers, Watch
from omni_agent.runtime.tokenizer import Tokenizer

VOCABULARY = 320
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "found": {"type": "boolean"},
        "quotes": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"page": {"enum": ["p1", "p2"]}, "text": {"type": "string", "maxLength": 12}},
                "required": ["page", "text"],
                "additionalProperties": False,
            },
        },
        "score": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 99}, {"type": "null"}]},
    },
    "required": ["found", "quotes", "score"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder, read_config(folder))


@pytest.fixture(scope="module")
def grammar(tokenizer: Tokenizer) -> Grammar:
    return Grammar(tokenizer.json(), VOCABULARY, tokenizer.end_ids)


def draw(matcher: Matcher, generator: torch.Generator) -> int:
    logits = 3 * torch.randn(VOCABULARY, generator=generator)
    matcher.mask(logits)
    token = int(logits.argmax())
    assert logits[token] > -torch.inf, "nothing may follow"
    matcher.accept(token)
    return token


def fits(value: Any) -> bool:
    """SCHEMA by hand, so that nobody's validator has to be trusted."""
    return (
        isinstance(value, dict)
        and value.keys() == {"found", "quotes", "score"}
        and isinstance(value["found"], bool)
        and (value["score"] is None or (type(value["score"]) is int and 0 <= value["score"] <= 99))
        and isinstance(value["quotes"], list)
        and len(value["quotes"]) <= 3
        and all(
            isinstance(quote, dict)
            and quote.keys() == {"page", "text"}
            and quote["page"] in ("p1", "p2")
            and isinstance(quote["text"], str)
            and len(quote["text"]) <= 12
            for quote in value["quotes"]
        )
    )


@pytest.mark.parametrize("seed", range(12))
def test_random_logits_give_json_that_fits(grammar: Grammar, tokenizer: Tokenizer, seed: int) -> None:
    matcher, generator = grammar.constrain(SCHEMA), torch.Generator().manual_seed(seed)
    tokens: list[int] = []
    while not matcher.done:
        tokens.append(draw(matcher, generator))
        assert len(tokens) < 4000
    assert fits(json.loads(tokenizer.decode(tokens, special=True)))


def test_only_an_end_token_follows_a_whole_answer(grammar: Grammar, tokenizer: Tokenizer) -> None:
    matcher = grammar.constrain(SCHEMA)
    for token in tokenizer.encode('{"found": true,\n  "quotes": [], "score": null}'):
        assert not matcher.done
        logits = torch.zeros(2, VOCABULARY)
        matcher.mask(logits)
        assert (logits[:, token] == 0).all() and (logits[:, sorted(tokenizer.end_ids)] == -torch.inf).all()
        matcher.accept(token)
    assert matcher.done
    logits = torch.zeros(VOCABULARY)
    matcher.mask(logits)
    assert set((logits == 0).nonzero()[:, 0].tolist()) == tokenizer.end_ids
    matcher.accept(11)
    assert matcher.done


def test_thinking_is_free_and_the_answer_is_not(grammar: Grammar, tokenizer: Tokenizer) -> None:
    """The order of a real answer: an open think block that writes what it likes, its end, then the schema."""
    ids = tokenizer.special
    newline = tokenizer.encode("\n")
    markers = Markers(
        close=ids.end_think,
        newline=tuple(newline),
        after=(),
        newlines=tokenizer.newline_ids(),
        ends=tokenizer.end_ids,
    )
    watch = Watch(markers, Budget(soft=20, hard=40), open=True)
    matcher, generator = grammar.constrain(SCHEMA), torch.Generator().manual_seed(3)
    thought: list[int] = []
    answer: list[int] = []
    while not matcher.done:
        if watch.attentive:
            thought.append(watch.next(int(torch.randn(VOCABULARY, generator=generator).argmax())))
        else:
            answer.append(draw(matcher, generator))
    assert len(thought) > 10 and thought[-1] == ids.end_think
    assert fits(json.loads(tokenizer.decode(answer)))


def test_white_space_has_an_end(grammar: Grammar, tokenizer: Tokenizer) -> None:
    """A model that prefers blanks to everything still comes to the point."""
    matcher, blanks = grammar.constrain(SCHEMA), 0
    matcher.accept(tokenizer.encode("{")[0])
    for _ in range(100):
        logits = torch.zeros(VOCABULARY)
        logits[tokenizer.encode(" \n\t")] = 9.0
        matcher.mask(logits)
        token = int(logits.argmax())
        matcher.accept(token)
        blanks += token in tokenizer.encode(" \n\t")
        if blanks and token not in tokenizer.encode(" \n\t"):
            break
    assert 0 < blanks <= 33


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strang"}, "Invalid type: strang"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"$ref": "https://example.org/schema"}, "does not fetch"),
        ({"$ref": "#/nowhere"}, "/nowhere"),
        ({"type": "string", "pattern": "("}, "unclosed group"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "Unsatisfiable"),
        ({"type": "number", "maximum": float("nan")}, "no JSON schema"),
        ({"default": object()}, "no JSON schema"),
    ],
)
def test_schemas_that_cannot_be_enforced_are_refused(grammar: Grammar, schema: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        grammar.constrain(schema)
    assert words in str(caught.value)


def test_a_schema_nested_without_sense_ends_in_a_sentence(grammar: Grammar) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(UsageError):
        grammar.constrain(schema)


def test_a_token_that_was_excluded_is_an_error(grammar: Grammar, tokenizer: Tokenizer) -> None:
    matcher = grammar.constrain(SCHEMA)
    with pytest.raises(EngineError, match="held to its schema"):
        matcher.accept(tokenizer.encode("x")[0])


def test_a_tokenizer_that_is_none_is_an_error() -> None:
    with pytest.raises(CheckpointError):
        Grammar('{"model": 3}', VOCABULARY, [2])
