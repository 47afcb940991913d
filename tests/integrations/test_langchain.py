"""The LangChain tools: the conformance suites, and what those suites do not look at: what the tools say."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from omni_agent.engines.fake import FakeEngine
from omni_agent.integrations.langchain import AskTool, ClickTool, TranscribeTool, WatchTool, omni_tools
from omni_agent.perception.model import ModelPerception

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES.parent))
from examples.langchain_agent import CALLS, conversation  # noqa: E402

ARGUMENTS: dict[str, dict[str, Any]] = {name: arguments for name, arguments in CALLS}
TOOLS = {"omni_ask": AskTool, "omni_click": ClickTool, "omni_transcribe": TranscribeTool, "omni_watch": WatchTool}


pytestmark = pytest.mark.usefixtures("shared_cache")  # the suites call each tool many times


class Setup:
    """What both suites ask for; each class below names its tool."""

    tool_name: str

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return TOOLS[self.tool_name]

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"allowed_dirs": [EXAMPLES]}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return ARGUMENTS[self.tool_name]


class TestAskUnit(Setup, ToolsUnitTests):
    tool_name = "omni_ask"


class TestClickUnit(Setup, ToolsUnitTests):
    tool_name = "omni_click"


class TestTranscribeUnit(Setup, ToolsUnitTests):
    tool_name = "omni_transcribe"


class TestWatchUnit(Setup, ToolsUnitTests):
    tool_name = "omni_watch"


class TestAskIntegration(Setup, ToolsIntegrationTests):
    tool_name = "omni_ask"


class TestClickIntegration(Setup, ToolsIntegrationTests):
    tool_name = "omni_click"


class TestTranscribeIntegration(Setup, ToolsIntegrationTests):
    tool_name = "omni_transcribe"


class TestWatchIntegration(Setup, ToolsIntegrationTests):
    tool_name = "omni_watch"


def call(tool: BaseTool, arguments: dict[str, Any]) -> ToolMessage:
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert isinstance(message, ToolMessage)
    return message


def tools(**options: Any) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in omni_tools(**{"allowed_dirs": [EXAMPLES], **options})}


def test_an_agent_with_a_scripted_model_gets_something_from_every_tool() -> None:
    said = {message.name: message for message in conversation() if isinstance(message, ToolMessage)}
    assert list(said) == list(TOOLS)
    for message in said.values():
        assert message.status == "success" and message.artifact["found"], message.text
        assert json.loads(json.dumps(message.artifact)) == message.artifact


def test_the_content_shows_the_evidence_and_the_artifact_is_the_json_contract() -> None:
    message = call(tools()["omni_ask"], ARGUMENTS["omni_ask"])
    citation = message.artifact["citations"][0]
    assert citation["verified"] and f"page {citation['page']} (verified)" in message.text
    assert citation["quote"] in message.text and message.artifact["answer"] in message.text
    assert {"found", "answer", "citations", "confidence", "engine", "usage", "timings"} <= set(message.artifact)


def test_a_quote_that_the_model_made_up_is_shown_as_not_verified() -> None:
    """The evidence is checked by omni, whatever engine claims it."""
    reply = {"found": True, "answer": "Nine.", "quotes": [{"page": "p1", "text": "the moon is made of green cheese"}]}
    eyes = ModelPerception(FakeEngine([json.dumps({**reply, "confidence": 1, "reason": ""})]))
    message = call(tools(engine=eyes)["omni_ask"], {**ARGUMENTS["omni_ask"], "pages": "1"})
    assert "NOT verified" in message.text and message.artifact["citations"][0]["verified"] is False


def test_what_is_not_there_is_said_to_the_model_as_a_plain_answer() -> None:
    arguments = {**ARGUMENTS["omni_click"], "target": "Launch the rocket button"}
    message = call(tools()["omni_click"], arguments)
    assert message.status == "success" and message.artifact["found"] is False
    assert message.text.startswith("Not on the screen")


def test_files_outside_the_allowed_folders_are_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside.pdf"
    inside.mkdir()
    outside.write_bytes((EXAMPLES / "report.pdf").read_bytes())
    link = inside / "link.pdf"
    link.symlink_to(outside)
    tool = tools(allowed_dirs=[inside])["omni_ask"]
    for name in (outside, link, inside / ".." / "outside.pdf", "-"):
        message = call(tool, {"files": [str(name)], "question": "q"})
        assert message.status == "error" and "outside the folders" in message.text, name


def test_the_default_folder_is_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = call(omni_tools()[0], ARGUMENTS["omni_ask"])
    assert message.status == "error" and str(tmp_path) in message.text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("omni_ask", {"files": ["missing.pdf"], "question": "q"}),
        ("omni_transcribe", {"file": "report.pdf"}),
        ("omni_watch", {"video": "call.ogg", "question": "q"}),
        ("omni_click", {"target": " ", "image": "screenshot.png"}),
    ],
)
def test_a_mistake_is_told_to_the_model_in_a_sentence(tool: str, arguments: dict[str, Any]) -> None:
    here = {
        key: [str(EXAMPLES / name) for name in value] if key == "files" else str(EXAMPLES / value)
        for key, value in arguments.items()
        if key in ("files", "file", "video", "image")
    }
    message = call(tools()[tool], {**arguments, **here})
    assert message.status == "error" and message.text.endswith(".") and "Traceback" not in message.text


@pytest.mark.parametrize("name", ["a\0b", "~nobody-of-that-name/x.pdf"])
def test_what_is_no_file_name_is_told_and_does_not_stop_the_agent(name: str) -> None:
    assert call(tools()["omni_ask"], {"files": [name], "question": "q"}).status == "error"


def test_arguments_of_the_wrong_form_are_told_too() -> None:
    assert call(tools()["omni_ask"], {"files": [], "question": "q"}).status == "error"


def test_async_says_the_same() -> None:
    tool = tools()["omni_click"]
    request = {"type": "tool_call", "id": "1", "name": tool.name, "args": ARGUMENTS["omni_click"]}
    assert asyncio.run(tool.ainvoke(request)).text == call(tool, ARGUMENTS["omni_click"]).text


def test_called_at_once_each_says_what_it_says_alone() -> None:
    """LangChain runs the tools that one message calls in threads."""
    asked = [(name, arguments) for name, arguments in CALLS] * 2
    alone = [call(tools()[name], arguments).text for name, arguments in asked]

    async def together() -> list[str]:
        messages = [
            tools()[name].ainvoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})
            for name, arguments in asked
        ]
        return [message.text for message in await asyncio.gather(*messages)]

    assert asyncio.run(together()) == alone


def test_the_click_tool_cannot_act() -> None:
    """Nothing in its arguments, and nothing that it loads, can press."""
    assert set(tools()["omni_click"].args) == {"target", "image", "screen"}
    call(tools()["omni_click"], ARGUMENTS["omni_click"])
    assert "pyautogui" not in sys.modules
