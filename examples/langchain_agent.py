"""A LangChain agent that uses all four tools on the files beside this script. Run: python examples/langchain_agent.py

The chat model is scripted, so that this runs without a key: put any LangChain chat model in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from omni_agent.integrations.langchain import omni_tools

HERE = Path(__file__).parent
CALLS: list[tuple[str, dict[str, Any]]] = [
    (
        "omni_ask",
        {"files": [str(HERE / "report.pdf")], "question": "How many arrests for robbery were of females in 2009?"},
    ),
    ("omni_click", {"target": "Client dropdown", "image": str(HERE / "screenshot.png")}),
    ("omni_transcribe", {"file": str(HERE / "call.ogg"), "summary": True}),
    ("omni_watch", {"video": str(HERE / "demo.mp4"), "question": "What error message appears?"}),
]


class ScriptedModel(BaseChatModel):
    """Calls each tool in turn, then says that it is done."""

    turn: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ScriptedModel:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage("Done.")
        if self.turn < len(CALLS):
            name, arguments = CALLS[self.turn]
            message = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{self.turn}"}])
            self.turn += 1
        return ChatResult(generations=[ChatGeneration(message=message)])


def conversation() -> Iterator[BaseMessage]:
    """Run the agent once and yield what was said."""
    agent = create_agent(ScriptedModel(), omni_tools(allowed_dirs=[HERE]))
    yield from agent.invoke({"messages": [HumanMessage("Tell me about these files.")]})["messages"]


if __name__ == "__main__":
    for message in conversation():
        if isinstance(message, ToolMessage):
            print(f"== {message.name}\n{message.text}\n")
