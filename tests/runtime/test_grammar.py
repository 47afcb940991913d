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
from omni_agent.runtime.tool_calls import Call, ToolCalls

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


ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["a"],
    "additionalProperties": False,
}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "find",
            "parameters": {
                "type": "object",
                "properties": {
                    "where": {"type": "string"},
                    "unit": {"enum": ["m", "km"]},
                    "far": {"$ref": "#/$defs/far"},
                    "exact": {"type": "boolean"},
                },
                "required": ["where", "far"],
                "$defs": {"far": {"type": "integer", "minimum": 0, "maximum": 99}},
            },
        },
    },
    {"type": "function", "function": {"name": "stop"}},
]


def said(grammar: Grammar, tokenizer: Tokenizer, text: str) -> bool:
    """Whether an answer to ANSWER and TOOLS may be this text, whole."""
    matcher = grammar.constrain(ANSWER, TOOLS)
    for token in [*tokenizer.encode(text), tokenizer.special.turn_end]:
        logits = torch.zeros(VOCABULARY)
        matcher.mask(logits)
        if logits[token] < 0:
            return False
        matcher.accept(token)
    return True


def call(body: str) -> str:
    return f"<tool_call>\n<function={body}</function>\n</tool_call>"


WHERE, FAR = '<parameter=where>\na <b> </c>\n\n"d\n</parameter>\n', "<parameter=far>\n7\n</parameter>\n"


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ('{"a": 3}', True),
        ('{"a": 30}', False),
        ("I would say", False),
        (call("stop>\n"), True),
        (call("stop>\n") + "\n" + call("stop>\n"), True),
        (call("stop>\n") + '{"a": 3}', False),
        ('{"a": 3}' + call("stop>\n"), False),
        (call(f"find>\n{WHERE}{FAR}"), True),
        (call(f"find>\n{WHERE}<parameter=unit>\nkm\n</parameter>\n{FAR}"), True),
        (call(f"find>\n{WHERE}<parameter=unit>\nmiles\n</parameter>\n{FAR}"), False),
        (call(f"find>\n{WHERE}"), False),  # without what it requires
        (call(f"find>\n{WHERE}{FAR}{FAR}"), False),
        (call(f"find>\n{WHERE}{FAR}<parameter=other>\n1\n</parameter>\n"), False),
        (call("find>\n" + WHERE + FAR.replace("7", "700")), False),
        (call("find>\n" + WHERE + FAR.replace("7", "seven")), False),
        (call("fly>\n"), False),
        (call("stop>\n").removesuffix("</tool_call>"), False),
    ],
)
def test_with_functions_on_offer_it_is_the_schema_or_calls(
    grammar: Grammar, tokenizer: Tokenizer, text: str, allowed: bool
) -> None:
    assert said(grammar, tokenizer, text) == allowed


@pytest.mark.parametrize("seed", range(12))
def test_random_logits_give_an_answer_or_calls_that_can_be_read(
    grammar: Grammar, tokenizer: Tokenizer, seed: int
) -> None:
    matcher, generator = grammar.constrain(ANSWER, TOOLS), torch.Generator().manual_seed(seed)
    if seed % 2:
        matcher.accept(tokenizer.encode("<tool_call>")[0])
    tokens = tokenizer.encode("<tool_call>") if seed % 2 else []
    while not matcher.done and not (tokens and tokens[-1] in tokenizer.end_ids) and len(tokens) < 400:
        tokens.append(draw(matcher, generator))
    text = tokenizer.decode(tokens, special=True)
    if text.startswith("{"):
        assert json.loads(text).keys() == {"a"}
    else:
        calls = ToolCalls(TOOLS)
        read = [*calls.feed(text.removesuffix("<|im_end|>").removesuffix("</s>")), *calls.close()]
        whole = [one for one in read if isinstance(one, Call)]
        assert [*map(type, read)] in ([Call] * len(whole), [Call] * len(whole) + [str])  # the last may be cut off
        for one in whole:
            assert one.name == "stop" or ({"where", "far"} <= one.arguments.keys() and 0 <= one.arguments["far"] <= 99)


@pytest.mark.parametrize("name", ["", "a\nb", "a>b", "x" * 201])
def test_a_name_that_no_call_can_write_is_refused(grammar: Grammar, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be written in a call"):
        grammar.constrain(ANSWER, [{"type": "function", "function": {"name": name}}])


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
