"""Special ids, text to ids, and chat templates that behave or do not."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import make_checkpoint
from omni_agent.errors import CheckpointError
from omni_agent.runtime.config import read_config
from omni_agent.runtime.template import ChatTemplate
from omni_agent.runtime.tokenizer import Tokenizer

TURNS = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two", "reasoning_content": "hm"},
    {"role": "user", "content": "three"},
]


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder, read_config(folder))


def test_special_ids_are_the_released_ones(tokenizer: Tokenizer) -> None:
    special = tokenizer.special
    assert (special.turn_start, special.turn_end, special.think, special.end_think) == (10, 11, 12, 13)
    assert (special.image, special.sound) == (18, 27)
    assert tokenizer.end_ids == {2, 11}


def test_text_survives_the_round_trip(tokenizer: Tokenizer) -> None:
    text = "Grüße, 世界!\n\ttab \u0000 end"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.newline_ids() == {tokenizer.encode("\n")[0]}


def test_text_from_outside_cannot_spell_special_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("<|im_end|>") == [11]
    ids = tokenizer.encode_plain("<|im_end|>")
    assert 11 not in ids and tokenizer.decode(ids) == "<|im_end|>"
    assert tokenizer.encode("<|im_end|>") == [11]


def test_chat_follows_the_switches(tokenizer: Tokenizer) -> None:
    def text(**switches: bool) -> str:
        return tokenizer.decode(tokenizer.chat(TURNS, **switches), special=True)

    head = "<|im_start|>system\n<|im_end|>\n<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n"
    tail = "two<|im_end|>\n<|im_start|>user\nthree<|im_end|>\n<|im_start|>assistant\n"
    assert text() == head + "<think></think>" + tail + "<think>\n"
    assert text(enable_thinking=False) == head + "<think></think>" + tail + "<think></think>"
    kept = text(truncate_history_thinking=False)
    assert kept == head + "<think>\nhm\n</think>" + tail + "<think>\n"


def test_chat_with_tools_their_calls_and_their_results(tokenizer: Tokenizer) -> None:
    """Calls stand as the model writes them; results of neighbouring calls share one turn of the user."""
    tool = {"type": "function", "function": {"name": "add", "description": "Sum.", "parameters": {"type": "object"}}}
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": "1", "b": [2]}}}
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "go"}]},
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "4"},
    ]
    text = tokenizer.decode(tokenizer.chat(turns, tools=[tool]), special=True)
    assert text.startswith("<|im_start|>system\nS\n\n# Tools\n")
    assert "<name>add</name>\n<description>Sum.</description>\n<parameters>{" in text
    written = "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n[2]\n</parameter>\n"
    written += "</function>\n</tool_call>\n"
    results = "".join(f"<tool_response>\n{result}\n</tool_response>\n" for result in "34")
    assert text.partition("<|im_start|>user\n")[2] == (
        f"<image>go<|im_end|>\n<|im_start|>assistant\n<think></think>{written}{written}<|im_end|>\n"
        f"<|im_start|>user\n{results}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
    assert "# Tools" not in tokenizer.decode(tokenizer.chat(turns), special=True)


@pytest.mark.parametrize("text", ["<|im_end|>", "<think>", "<image>", "<so_start>"])
def test_a_missing_special_token_is_named(folder: Path, tmp_path: Path, text: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    value = json.loads((copy / "tokenizer.json").read_text())
    value["added_tokens"] = [item for item in value["added_tokens"] if item["content"] != text]
    value["model"]["vocab"]["gone"] = value["model"]["vocab"].pop(text)
    (copy / "tokenizer.json").write_text(json.dumps(value))
    with pytest.raises(CheckpointError) as caught:
        Tokenizer(copy, read_config(copy))
    assert f"has no single token for {text}" in str(caught.value)


def test_contradicting_ids_and_damaged_files(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    raw = make_checkpoint.config() | {"img_context_token_id": 19}
    (copy / "config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="img_context_token_id is 19, the tokenizer's id is 18"):
        Tokenizer(copy, read_config(copy))
    (copy / "config.json").write_text(json.dumps(make_checkpoint.config()))
    (copy / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(CheckpointError, match="no sound tokenizer"):
        Tokenizer(copy, read_config(copy))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        Tokenizer(copy, read_config(copy))


def template(tmp_path: Path, text: str, limit: float = 5.0) -> ChatTemplate:
    path = tmp_path / "chat_template.jinja"
    path.write_text(text)
    return ChatTemplate(path, time_limit_s=limit)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os.getcwd() }}",
        "{{ 'a' * 10 ** 12 }}",
        "{{ '%999999999999d'|format(1) }}",
        "{% for a in range(99999999) %}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ messages[0].role.nothing.more }}",
        "{{ lipsum.__globals__['os'].system('true') }}",
        "{{ namespace.__init__.__globals__ }}",
        "{% extends 'http://127.0.0.1/x' %}",
    ],
)
def test_hostile_and_broken_templates_end_in_an_error(tmp_path: Path, text: str) -> None:
    made = template(tmp_path, text)
    with pytest.raises(CheckpointError, match="cannot be rendered"):
        made.render(messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize(
    "text",
    [
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ ('{0.' ~ '__class__}').format(messages) }}",
        "{{ messages | attr('__class__') }}",
        "{{ messages | map(attribute='__class__') | list }}",
        "{{ self._TemplateReference__context }}",
        "{{ raise_exception.__globals__ }}",
        "{{ joiner.__init__ }}",
    ],
)
def test_a_template_that_reaches_for_python_gets_nothing(tmp_path: Path, text: str) -> None:
    try:
        written = template(tmp_path, text).render(messages=[{"role": "user", "content": "x"}])
    except CheckpointError:
        return
    assert written in ("", "[Undefined]")


def test_a_template_that_loops_for_hours_is_stopped(tmp_path: Path) -> None:
    """Three nested loops within the sandbox's own limit of 100,000 each: 10^15 rounds."""
    loops = "".join(f"{{% for {v} in range(99999) %}}" for v in "abc") + "{% endfor %}" * 3
    made, began = template(tmp_path, loops, limit=0.5), time.monotonic()
    with pytest.raises(CheckpointError, match=r"did not finish within 0\.5 s"):
        made.render()
    assert time.monotonic() - began < 60


def test_a_template_whose_constants_take_for_ever_is_stopped(tmp_path: Path) -> None:
    """Sums of constants are worked out when the template is compiled, before anything of it runs."""
    with pytest.raises(CheckpointError, match=r"did not finish|ended its process|too much memory"):
        template(tmp_path, "{{ 9 ** (9 ** (9 ** 9)) }}", limit=0.5).render()


def test_a_template_that_writes_without_end_is_stopped(tmp_path: Path) -> None:
    made = template(tmp_path, "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}")
    with pytest.raises(CheckpointError, match=r"too much|ended its process"):
        made.render()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ raise_exception('a system message must come first') }}", "a system message must come first"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ messages[0].role.nothing.more }}", "has no attribute 'nothing'"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
    ],
)
def test_what_a_template_complains_about_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        template(tmp_path, text).render(messages=[{"role": "user", "content": "x"}])
    assert words in str(caught.value)


def test_a_template_works_again_after_a_failure(tmp_path: Path) -> None:
    made = template(tmp_path, "{% if bad %}{{ 'a' * 10 ** 12 }}{% endif %}hello {{ name }}")
    for _ in range(2):
        with pytest.raises(CheckpointError):
            made.render(bad=True, name="x")
        assert made.render(bad=False, name="Zoë") == "hello Zoë"
    made.close()
    assert made.render(bad=False, name="again") == "hello again"


def test_oversized_and_missing_templates(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"too many for a chat_template\.jinja"):
        template(tmp_path, "x" * (2 << 20))
    with pytest.raises(CheckpointError, match="is missing"):
        ChatTemplate(tmp_path / "none.jinja")


def test_half_a_surrogate_pair_is_no_crash(tokenizer: Tokenizer) -> None:
    """What a shell passes on from another encoding, and what a file's name may hold."""
    for encode in (tokenizer.encode, tokenizer.encode_plain):
        assert tokenizer.decode(encode("caf\udce9")) == "caf\ufffd"
        assert tokenizer.decode(encode("\U0001f600 é")) == "\U0001f600 é"
