"""Two engines, one set of prompts and parsers: all verbs, through the fake engine and through a server."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from omni_agent import ask, click, transcribe, watch
from omni_agent.engines.base import Engine, Message, Options
from omni_agent.engines.fake import FakeEngine
from omni_agent.engines.server import ServerEngine
from omni_agent.perception.model import ModelPerception
from omni_agent.types import to_json

ROW = "Robbery 102.1 25.5 76.6 90.0 22.9 67.1 12.1 2.5 9.5"


def reply(asked: str) -> str:
    """What both engines say, by the text of the question alone."""
    if "Reply once more" in asked:
        return json.dumps({"found": True, "answer": "12.1", "quotes": [{"page": "p1", "text": ROW}], "reason": ""})
    if "arrests for robbery" in asked:
        return "It is 12.1, I think."  # asked for once more
    if "Task Instruction" in asked:
        return "## Action:\nClick Client.\n\n## Code:\n```python\npyautogui.click(x=440, y=351)\n```"
    if "Transcribe this audio" in asked:
        return "And Mr. John Dashwood had then leisure."
    if "Write its minutes" in asked:
        line = {"text": "Mr. Dashwood", "segments": ["s1"]}
        return json.dumps({"topics": [line], "decisions": [], "actions": []})
    assert "You watch the video" in asked
    moment = {"start": 38, "end": 45, "at": 39, "seen": "Error 409", "said": ""}
    return json.dumps({"found": True, "answer": "Error 409.", "moments": [moment], "confidence": 1, "reason": ""})


def last_text(messages: Sequence[Message]) -> str:
    return str(messages[-1].parts[-1])


def thinking(asked: str) -> str:
    return "" if "Transcribe" in asked else "Let me see. It is there."


def results(engine: Engine, examples: Path, folder: Path, heard: list[str]) -> dict[str, Any]:
    """What all four tools make of the engine's replies, without times and costs, which differ."""
    eyes = ModelPerception(
        engine, options=Options(think=True, fps=0.2), listener=heard.append, voices=lambda s, g: tuple("A" for _ in g)
    )
    made: dict[str, Any] = {
        "ask": ask([examples / "report.pdf"], "How many arrests for robbery were of females?", engine=eyes),
        "click": click("Client dropdown", image=examples / "screenshot.png", engine=eyes),
        "transcribe": transcribe(examples / "speech.flac", engine=eyes, summary=True, speakers=True),
        "watch": watch(examples / "demo.mp4", "What error appears?", frames_dir=folder, engine=eyes),
    }
    differ: dict[str, Any] = {"engine": "", "timings": {}, "usage": None}
    shown = {}
    for name, result in made.items():
        fields = {field.name for field in dataclasses.fields(result)}
        shown[name] = to_json(dataclasses.replace(result, **{k: v for k, v in differ.items() if k in fields}))
    return shown


@pytest.mark.parametrize("apart", [True, False])
def test_every_verb_says_the_same_through_the_fake_engine_and_through_a_server(
    serve: Any, chat: Any, examples: Path, tmp_path: Path, apart: bool
) -> None:
    """`apart`: whether the server sends reasoning in a field of its own or inside its text."""

    def over_http(request: dict[str, Any]) -> Any:
        asked = request["messages"][-1]["content"][-1]["text"]
        thought, said = thinking(asked), reply(asked)
        assert request["chat_template_kwargs"]["enable_thinking"] is bool(thought)
        if thought and not apart:
            return chat.said(f"{thought}</think>\n\n{said}", size=4)
        pieces = [chat.event(reasoning_content=thought)] if thought else []
        pieces += [chat.event(content=said[at : at + 9]) for at in range(0, len(said), 9)]
        return chat.Answer([*pieces, chat.event(finish="stop"), chat.DONE])

    def in_process(messages: Sequence[Message]) -> str:
        asked = last_text(messages)
        return f"<think>{thinking(asked)}</think>{reply(asked)}" if thinking(asked) else reply(asked)

    server = serve(over_http)
    fake = FakeEngine(in_process)
    heard: dict[str, list[str]] = {"fake": [], "server": []}
    here = results(fake, examples, tmp_path, heard["fake"])
    there = results(ServerEngine(server.url, None, "omni"), examples, tmp_path, heard["server"])
    assert here == there
    assert re.sub(r"\s", "", "".join(heard["fake"])) == re.sub(r"\s", "", "".join(heard["server"])) != ""
    assert len(server.requests) == len(fake.calls)
    assert here["ask"]["citations"][0]["verified"] and here["click"]["point"]["image"] == [440, 351]
    assert here["transcribe"]["summary"]["topics"][0]["text"] == "Mr. Dashwood"
    assert here["watch"]["moments"][0]["frame"] is not None
    for (messages, options), request in zip(fake.calls, server.requests, strict=True):
        texts = [part for message in messages for part in message.parts if isinstance(part, str)]
        assert all(json.dumps(text)[1:-1] in json.dumps(request["messages"]) for text in texts)
        assert ("response_format" in request) == (options.schema is not None)
