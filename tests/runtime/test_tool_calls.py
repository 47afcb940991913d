"""Tool calls as the model writes them, in pieces, whole and broken."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_agent.runtime.tool_calls import LONGEST_CALL, Call, ToolCalls, decode

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "move",
            "description": "Move a piece.",
            "parameters": {
                "type": "object",
                "properties": {
                    "x": {"type": "integer"},
                    "share": {"type": "number"},
                    "fast": {"type": "boolean"},
                    "note": {"type": "string"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "place": {"$ref": "#/$defs/Place"},
                    "maybe": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
                    "kind": {"enum": ["a", "b"]},
                    "level": {"enum": [1, 2]},
                    "either": {"type": ["integer", "string"]},
                    "any": {},
                },
                "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string"}}}},
            },
        },
    },
    {"type": "function", "function": {"name": "stop"}},
]


def written(name: str = "move", **values: str) -> str:
    parameters = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"


def read(*pieces: str) -> list[str | Call]:
    """What comes out, neighbouring texts joined."""
    calls = ToolCalls(TOOLS)
    out: list[str | Call] = []
    for item in [item for piece in pieces for item in calls.feed(piece)] + list(calls.close()):
        last = out[-1] if out else None
        if isinstance(item, str) and isinstance(last, str):
            out[-1] = last + item
        else:
            out.append(item)
    return out


def test_text_calls_and_text_keep_their_order() -> None:
    two = "Let me see.\n" + written(x="3") + "\n" + written("stop") + "\nDone."
    assert read(two) == ["Let me see.\n", Call("move", {"x": 3}), Call("stop", {}), "Done."]


@given(st.lists(st.integers(0, 400), max_size=12))
def test_pieces_of_any_size_mean_the_same(cuts: list[int]) -> None:
    """Markers may be split anywhere; what looks like the beginning of one and is none comes out unchanged."""
    whole = "a < b <tool <tool_cal" + written(x="3", note="<b>") + written("stop") + " <tool_call"
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[a:b] for a, b in pairwise(ends)]
    assert read(*pieces) == [
        "a < b <tool <tool_cal",
        Call("move", {"x": 3, "note": "<b>"}),
        Call("stop", {}),
        "<tool_call",
    ]


def test_text_is_not_held_back_for_longer_than_needed() -> None:
    calls = ToolCalls(TOOLS)
    assert list(calls.feed("1 < 2")) == ["1 < 2"]
    assert list(calls.feed(" and <tool")) == [" and "]
    assert list(calls.feed("box>")) == ["<toolbox>"]
    assert list(calls.close()) == []


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("x", "42", 42),
        ("x", "-7.0", -7),
        ("share", "0.5", 0.5),
        ("share", "2", 2),
        ("fast", "true", True),
        ("fast", "False", False),
        ("note", "42", "42"),
        ("note", "true", "true"),
        ("note", "two\n\n  lines\n", "two\n\n  lines\n"),
        ("note", "", ""),
        ("note", "an </parameter> and a </function> in it", "an </parameter> and a </function> in it"),
        ("note", "<parameter=x>\n1", "<parameter=x>\n1"),
        ("note", "__import__('os').system('true')", "__import__('os').system('true')"),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("place", '{"city": "Łódź"}', {"city": "Łódź"}),
        ("maybe", "null", None),
        ("maybe", "None", None),
        ("maybe", '{"city": "x"}', {"city": "x"}),
        ("kind", "a", "a"),
        ("level", "2", 2),
        ("either", "12", 12),
        ("either", "twelve", "twelve"),
        ("any", "[1]", "[1]"),
        ("unnamed", "12", "12"),
    ],
)
def test_values_are_what_the_schema_says(key: str, text: str, value: object) -> None:
    (call,) = read(written(**{key: text}))
    assert isinstance(call, Call)
    assert call.arguments == {key: value} and type(call.arguments[key]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        written("launch"),  # nobody offered it
        written(x="five"),
        written(x="1.5"),
        written(x="NaN"),
        written(share="Infinity"),
        written(share="true"),
        written(fast="1"),
        written(x="__import__('os')"),
        written(x="9" * 5000),  # more digits than Python turns into a number
        written(tags="['a']"),
        written(tags="[" * 50_000),
        written(place='"city"'),
        written(x="1").replace("</parameter>", ""),
        written(x="1").replace("</function>", ""),
        written(x="1").replace("<function=move>", "<function=>"),
        written(x="1").replace("<parameter=x>", "x = "),
        "<tool_call>\n" + '{"name": "move", "arguments": {"x": 1}}' + "\n</tool_call>",
        "<tool_call></tool_call>",
        written(x="1\n</parameter>\n<parameter=x>\n2"),
    ],
)
def test_what_is_no_sound_call_stays_text(text: str) -> None:
    """And the next call is read all the same."""
    assert read("a" + text + "b" + written("stop")) == ["a" + text + "b", Call("stop", {})]


def test_a_call_that_is_cut_off_stays_text() -> None:
    whole = "a" + written(x="3")
    for size in range(2, len(whole)):
        assert read(whole[:size]) == [whole[:size]]


def test_a_call_without_end_is_bounded() -> None:
    calls = ToolCalls(TOOLS)
    out: list[str | Call] = []
    for _ in range(LONGEST_CALL // 1000 + 2):
        out += list(calls.feed(" " * 1000 if out else "<tool_call>" + "x" * 989))
    assert out and all(isinstance(item, str) for item in out)
    assert "".join(map(str, out)).startswith("<tool_call>xxx")


def test_markers_without_end_cost_no_more_than_their_length() -> None:
    """Half a million characters of beginnings, in one call, are read in one pass."""
    text = "<tool_call>\n<function=move>" + "<parameter=x>\n</parameter>" * 9000 + "\n</tool_call>"
    assert read(text) == [text]


def test_schemas_that_name_themselves_or_nothing() -> None:
    loop = {"$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert decode("1", {"$ref": "#/$defs/a"}, loop) == "1"
    assert decode("1", {"$ref": "#/$defs/b"}, loop) == "1"
    wide = {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 8}}}
    assert decode("1", {"$ref": "#/$defs/a"}, wide) == "1"
