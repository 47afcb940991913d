"""The server engine against a server of the suite's own: what is sent, what comes back, and everything that breaks."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from omni_agent import ask, doctor
from omni_agent.engines.base import Done, Event, Message, Options, Text, Thought, ToolCall
from omni_agent.engines.server import ServerEngine, check
from omni_agent.engines.thoughts import Splitter
from omni_agent.errors import EngineError, MissingExtra, OmniError, Unavailable, UsageError
from omni_agent.types import Frame, Picture, Sound, Usage

KEY = "sk-secret-key-123"
HELLO = [Message("user", ("Hello?",))]


def asked(server: Any, messages: list[Message] = HELLO, options: Options = Options(), **more: Any) -> list[Event]:
    return list(ServerEngine(server.url, KEY, "omni", **more).stream(messages, options))


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def thought(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Thought))


# --- many questions ---------------------------------------------------------------------------------------------------


def scripted(chat: Any, crowd: dict[str, int], lock: threading.Lock, slow: float = 0.1) -> Callable[[Any], Any]:
    """Answers "Number n?" with n after a while, counting how many wait at a time."""

    def script(request: Any) -> Any:
        asked = re.findall(r"Number (\d+)", json.dumps(request["messages"]))[-1]
        with lock:
            crowd["inside"] = crowd.get("inside", 0) + 1
            crowd["most"] = max(crowd.get("most", 0), crowd["inside"])
        time.sleep(slow)
        with lock:
            crowd["inside"] -= 1
        if asked == "3":
            return chat.failed(500, {"error": {"message": "no memory"}})
        reply = {"found": True, "answer": f"It is {asked}.", "quotes": [], "confidence": 1, "reason": ""}
        return chat.said(json.dumps(reply))

    return script


def omni(folder: Any, server: Any, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMNI_BASE_URL": server.url, "OMNI_MODEL": "omni", "OMNI_API_KEY": KEY}
    command = [sys.executable, "-m", "omni_agent", "ask", *arguments, "--engine", "server"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_a_file_of_questions_goes_out_four_at_a_time_and_comes_back_in_order(
    serve: Any, chat: Any, tmp_path: Any
) -> None:
    crowd: dict[str, int] = {}
    server = serve(scripted(chat, crowd, threading.Lock()))
    (tmp_path / "a.txt").write_text("The keeper of the light is Ada Marsh.")
    (tmp_path / "asked.txt").write_text("\n".join(f"Number {n}?" for n in range(12)))
    running = omni(tmp_path, server, "a.txt", "--questions", "asked.txt")
    out, err = running.communicate(timeout=200)
    lines = [json.loads(line) for line in out.splitlines()]
    assert running.returncode == 4, err
    assert [line["question"] for line in lines] == [f"Number {n}?" for n in range(12)]
    assert [line["answer"] for line in lines] == [f"It is {n}." if n != 3 else "" for n in range(12)]
    assert "no memory" in lines[3]["error"] and KEY not in out + err
    assert 2 <= crowd["most"] <= 4


def test_c_goes_on_with_the_conversation_unless_other_pages_are_meant(serve: Any, chat: Any, tmp_path: Any) -> None:
    """`-c` sends the turns before it; a first question, and one about other pages, stands by itself."""
    quote = {"page": "p1", "text": "The keeper of the light is Ada Marsh."}
    written = json.dumps({"found": True, "answer": "Ada", "quotes": [quote], "confidence": 1, "reason": ""})
    server = serve(lambda request: chat.said(written))
    (tmp_path / "a.txt").write_text("The keeper of the light is Ada Marsh.\n")
    for arguments in (["a.txt", "Who keeps it?"], ["-c", "Since when?"], ["-c", "--pages", "1", "Where?"]):
        running = omni(tmp_path, server, *arguments)
        out, err = running.communicate(timeout=120)
        assert running.returncode == 0 and out.startswith("Ada"), err
    first, second, third = ([message["role"] for message in request["messages"]] for request in server.requests)
    assert first == third == ["user"] and second == ["user", "assistant", "user"]
    turns = [json.dumps(message) for message in server.requests[1]["messages"]]
    assert "Who keeps it?" in turns[0] and "Ada" in turns[1] and "Since when?" in turns[2]


def test_ctrl_c_ends_a_batch_at_once(serve: Any, chat: Any, tmp_path: Any) -> None:
    """What was answered stands on stdout; nobody waits for a server that does not answer."""
    crowd: dict[str, int] = {}
    lock, held = threading.Lock(), threading.Event()
    answer = scripted(chat, crowd, lock, 0.0)

    def script(request: Any) -> Any:
        if "Number 0?" not in json.dumps(request["messages"]):
            held.wait(60)
        return answer(request)

    server = serve(script)
    (tmp_path / "a.txt").write_text("The keeper of the light is Ada Marsh.")
    (tmp_path / "asked.txt").write_text("\n".join(f"Number {n}?" for n in range(12)))
    running = omni(tmp_path, server, "a.txt", "--questions", "asked.txt")
    assert running.stdout is not None
    first = running.stdout.readline()
    running.send_signal(signal.SIGINT)
    rest, err = running.communicate(timeout=50)
    held.set()
    assert running.returncode == 130 and "goes on from there" in err and "Traceback" not in err
    assert json.loads(first)["answer"] == "It is 0." and rest == ""


# --- what is sent -----------------------------------------------------------------------------------------------------


@dataclass
class Film:
    """A clip of one grey level a second, from `begin` on."""

    duration: float
    begin: float = 0.0

    def frames(self, *, every: float, max_side: int = 1280, start: float = 0.0) -> Iterator[Frame]:
        time = start
        while time < self.duration:
            yield Frame(self.begin + time, Picture(np.full((36, 64, 3), int(time) * 20, np.uint8)))
            time += every

    def sound(self) -> Sound | None:
        return None


def test_a_conversation_arrives_whole_and_in_order(serve: Any, chat: Any) -> None:
    server = serve(lambda request: chat.said("Fine."))
    pixels = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3)
    samples = np.sin(np.arange(1600) / 9).astype(np.float32) * 0.5
    film = Film(10.0, begin=120.0)
    parts = (Picture(pixels), "See this.", film, Sound(samples), "And this.")
    asked(server, [Message("system", ("Be brief.",)), Message("user", parts)], Options(fps=0.5, max_frames=4))
    system, user = server.requests[0]["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    kinds = [part["type"] for part in user["content"]]
    assert kinds == ["image_url", "text", "video_url", "input_audio", "text"]
    picture, _, video, sound, last = user["content"]
    data = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert (np.asarray(Image.open(io.BytesIO(data))) == pixels).all()
    with wave.open(io.BytesIO(base64.b64decode(sound["input_audio"]["data"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 1600)
        heard = np.frombuffer(file.readframes(1600), "<i2") / 32767
    assert np.abs(heard - samples).max() < 1e-3
    data = base64.b64decode(video["video_url"]["url"].removeprefix("data:video/mp4;base64,"))
    with av.open(io.BytesIO(data), "r") as container:
        frames = [(f.time, f.to_ndarray(format="rgb24").mean()) for f in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx([0.0, 2.5, 5.0, 7.5])  # 4 frames spread over 10 s
    assert [grey for _, grey in frames] == pytest.approx([0, 40, 100, 140], abs=4)
    assert last["text"].endswith("And this.") and "second 120.00" in last["text"]
    assert server.requests[0]["media_io_kwargs"] == {"video": {"num_frames": 4}}


def test_thinking_sampling_schema_and_tools_are_in_the_request(serve: Any, chat: Any) -> None:
    server = serve(lambda request: chat.said("{}"))
    schema = {"type": "object", "properties": {}}
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    wish = Options(think=True, think_budget=500, keep_thoughts=True, top_k=7, seed=3, schema=schema, tools=(tool,))
    asked(server, HELLO, wish)
    sent = server.requests[0]
    assert sent["model"] == "omni" and sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
    assert sent["chat_template_kwargs"] == {
        "enable_thinking": True,
        "reasoning_budget": 500,
        "truncate_history_thinking": False,
    }
    assert sent["thinking_token_budget"] == 500 + 1024
    assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["seed"]) == (0.6, 0.95, 7, 3)  # the model card's
    assert sent["max_tokens"] == 20_480
    assert sent["response_format"]["json_schema"]["schema"] == schema and sent["tools"] == [tool]
    asked(server, HELLO, Options(max_tokens=9))
    plain = server.requests[1]
    assert plain["chat_template_kwargs"] == {"enable_thinking": False, "truncate_history_thinking": True}
    assert (plain["temperature"], plain["top_k"], plain["max_tokens"]) == (0.2, 1, 9)
    assert not {"thinking_token_budget", "response_format", "tools", "media_io_kwargs", "seed"} & set(plain)
    asked(server, HELLO, Options(temperature=0.9))
    assert "top_k" not in server.requests[2]  # a temperature alone asks for more than the likeliest token


def test_calls_and_their_results_go_back_under_the_same_ids(serve: Any, chat: Any) -> None:
    server = serve(lambda request: chat.said("Done."))
    calls = (ToolCall("look", {"at": "here"}), ToolCall("hear", {}))
    talk = [
        *HELLO,
        Message("assistant", ("",), thought="I should look.", calls=calls),
        Message("tool", ("a door",)),
        Message("tool", ("a bell",)),
    ]
    asked(server, talk, Options(keep_thoughts=True))
    _, assistant, first, second = server.requests[0]["messages"]
    assert assistant["reasoning_content"] == "I should look."
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert [json.loads(call["function"]["arguments"]) for call in assistant["tool_calls"]] == [{"at": "here"}, {}]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids and first["content"] == "a door"
    asked(server, talk)
    assert "reasoning_content" not in server.requests[1]["messages"][1]


def test_the_key_goes_to_the_server_and_nothing_of_the_environments_account(
    serve: Any, chat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    server = serve(lambda request: chat.said("Fine."))
    asked(server)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}" and server.headers[0]["path"] == "/v1/chat/completions"
    list(ServerEngine(server.url, None, "omni").stream(HELLO, Options()))
    assert "somebody" not in str(server.headers) and "org-secret" not in str(server.headers)
    assert "project-secret" not in str(server.headers)
    assert KEY not in repr(ServerEngine(server.url, KEY, "omni"))


# --- what comes back --------------------------------------------------------------------------------------------------


def test_an_answer_is_streamed_and_ends_with_what_it_cost(serve: Any, chat: Any) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "completion_tokens_details": {"reasoning_tokens": 20},
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    pieces = [chat.event(content="Hel"), chat.event(content="lo."), chat.event(finish="stop"), chat.event(usage=usage)]
    events = asked(serve(lambda request: chat.Answer([*pieces, chat.DONE])))
    assert [event.text for event in events if isinstance(event, Text)] == ["Hel", "lo."]
    done = events[-1]
    assert isinstance(done, Done) and done.finish == "stop"
    assert (done.usage.prompt_tokens, done.usage.reasoning_tokens, done.usage.answer_tokens) == (100, 20, 10)
    assert done.usage.cached_tokens == 64 and set(done.usage.seconds) == {"media", "prefill", "answer"}


def test_a_server_that_counts_nothing_costs_nothing(serve: Any, chat: Any) -> None:
    events = asked(serve(lambda request: chat.Answer([chat.event(content="Hi."), chat.event(finish="length")])))
    done = events[-1]
    assert isinstance(done, Done) and done.finish == "length"
    assert (done.usage.prompt_tokens, done.usage.answer_tokens) == (0, 0) and text(events) == "Hi."


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own(serve: Any, chat: Any, field: str) -> None:
    pieces = [chat.event(**{field: "Let me "}), chat.event(**{field: "see."}), chat.event(content="It is <think> 4.")]
    server = serve(lambda request: chat.Answer([*pieces, chat.event(finish="stop"), chat.DONE]))
    events = asked(server, HELLO, Options(think=True))
    assert thought(events) == "Let me see." and text(events) == "It is <think> 4."


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("reply", ["<think>Let me see.</think>\n\nIt is 4.", "Let me see.</think>\n\nIt is 4."])
def test_reasoning_inside_the_text_however_it_is_cut(serve: Any, chat: Any, reply: str, size: int) -> None:
    """With and without the opening tag, which some servers leave in the prompt."""
    events = asked(serve(lambda request: chat.said(reply, size=size)), HELLO, Options(think=True))
    assert thought(events) == "Let me see." and text(events) == "It is 4."


def test_an_answer_always_comes_and_a_thought_that_was_cut_is_none(serve: Any, chat: Any) -> None:
    whole = asked(serve(lambda request: chat.said("It is 4.")), HELLO, Options(think=True))
    assert text(whole) == "It is 4."  # a server that did not think at all
    cut = asked(serve(lambda request: chat.said("Let me think", finish="length")), HELLO, Options(think=True))
    assert text(cut) == "" and thought(cut) == "Let me think"
    off = asked(serve(lambda request: chat.said("a </think> in a text")), HELLO, Options())
    assert text(off) == "a </think> in a text"


@given(st.text("a<>/think \n", max_size=40), st.lists(st.integers(1, 6)), st.booleans(), st.booleans())
def test_where_a_reply_is_cut_changes_nothing(reply: str, sizes: list[int], thinks: bool, cut: bool) -> None:
    def split(pieces: list[str]) -> tuple[str, str]:
        splitter = Splitter(thinks)
        events = [event for piece in pieces for event in splitter.feed(piece)]
        events += splitter.close(cut=cut)
        return thought(list(events)), text(list(events))

    pieces, rest = [], reply
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert split([*pieces, rest]) == split([reply])


def test_tool_calls_are_put_together(serve: Any, chat: Any) -> None:
    def call(index: int, **function: str) -> bytes:
        made: bytes = chat.event(tool_calls=[{"index": index, "id": "x", "type": "function", "function": function}])
        return made

    pieces = [call(0, name="look", arguments='{"a'), call(1, name="hear", arguments="")]
    pieces += [call(0, arguments='t": 1}'), chat.event(finish="tool_calls"), chat.DONE]
    events = asked(serve(lambda request: chat.Answer(pieces)))
    assert [event for event in events if isinstance(event, ToolCall)] == [
        ToolCall("look", {"at": 1}),
        ToolCall("hear", {}),
    ]
    assert isinstance(events[-1], Done) and events[-1].finish == "calls"
    for wrong in ('{"at": ', "[1]"):
        broken = [call(0, name="look", arguments=wrong), chat.event(finish="tool_calls")]
        with pytest.raises(EngineError, match="arguments"):
            asked(serve(lambda request, broken=broken: chat.Answer(broken)))


# --- what breaks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "match", "hint"),
    [
        (401, Unavailable, "does not accept the key", "OMNI_API_KEY"),
        (403, Unavailable, "does not accept the key", "OMNI_API_KEY"),
        (404, Unavailable, "no model 'omni'", "OMNI_MODEL"),
        (429, EngineError, "too much to do", "try again in 300 s"),
        (400, EngineError, "refused the request .400.: Too long", "context"),
        (413, EngineError, "refused the request .413.", ""),
        (500, EngineError, "failed .500.", ""),
        (503, EngineError, "failed .503.", ""),
    ],
)
def test_an_error_is_one_sentence_without_the_key(
    serve: Any, chat: Any, status: int, kind: type[OmniError], match: str, hint: str
) -> None:
    body = {"error": {"message": f"Too long\n\x1b[31m for {KEY}", "code": status}}
    server = serve(lambda request: chat.failed(status, body, Retry_After="300"))
    with pytest.raises(kind, match=match) as caught:
        asked(server)
    assert hint in caught.value.hint and KEY not in str(caught.value) and "\n" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(serve: Any, chat: Any) -> None:
    answers = [
        chat.Answer([b"{}"], 429, {"Content-Type": "application/json", "Retry-After": "0.05"}),
        chat.said("Now."),
    ]
    waiting = iter(answers)
    server = serve(lambda request: next(waiting))
    assert text(asked(server)) == "Now." and len(server.requests) == 2


def test_a_redirect_is_not_followed_with_the_key(serve: Any, chat: Any) -> None:
    thief = serve(lambda request: chat.said("Thank you."))
    for status in (301, 302, 307, 308):
        location = {"Location": f"{thief.url}/chat/completions"}
        server = serve(lambda request, s=status, to=location: chat.Answer([b""], s, to))
        with pytest.raises(Unavailable, match="sends elsewhere"):
            asked(server)
    assert thief.requests == []


def test_no_server_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        engine = ServerEngine(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", KEY, "omni")
        with pytest.raises(Unavailable, match=r"connection to 127.0.0.1:.* failed") as caught:
            list(engine.stream(HELLO, Options()))
    assert "OMNI_BASE_URL" in caught.value.hint


def test_a_server_that_is_silent_is_given_up(serve: Any, chat: Any) -> None:
    def silent() -> Iterator[bytes]:
        yield chat.event(content="Let me")
        server.cancelled.wait(3)
        yield chat.event(content=" see")

    server = serve(lambda request: chat.Answer(silent()))
    with pytest.raises(EngineError, match=r"did not answer within 0.3 seconds"):
        asked(server, timeout_s=0.3)


BROKEN: dict[str, Callable[[Any], Any]] = {
    "cut in the middle": lambda chat: chat.Answer([chat.event(content="Hel")], ends=False),
    "cut inside an event": lambda chat: chat.Answer(
        [chat.event(content="Hel"), b'data: {"choices": [{"del'], ends=False
    ),
    "no finish": lambda chat: chat.Answer([chat.event(content="Hel"), chat.DONE]),
    "no JSON": lambda chat: chat.Answer([chat.event(content="Hel"), b"data: {oops\n\n"]),
    "not UTF-8": lambda chat: chat.Answer([b"data: \xff\xfe\n\n"]),
    "a web page": lambda chat: chat.Answer([b"<html>Welcome</html>"], headers={"Content-Type": "text/html"}),
    "nothing": lambda chat: chat.Answer([]),
    "another form": lambda chat: chat.Answer(
        [b'data: {"choices": [[1, 2], "x"]}\n\ndata: 5\n\ndata: {"choices": 7}\n\n']
    ),
    "an error event": lambda chat: chat.Answer([b'data: {"error": {"message": "out of memory", "code": 500}}\n\n']),
    "a filter": lambda chat: chat.Answer([chat.event(content="Hel"), chat.event(finish="content_filter")]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_stream_is_an_error_and_never_half_an_answer(serve: Any, chat: Any, how: str) -> None:
    server = serve(lambda request: BROKEN[how](chat))
    with pytest.raises((EngineError, Unavailable)) as caught:
        asked(server)
    assert "127.0.0.1" in str(caught.value) and "\n" not in str(caught.value)
    if how == "an error event":
        assert "out of memory" in str(caught.value)


def test_closing_early_hangs_up(serve: Any, chat: Any) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield chat.event(content="word " * 200)

    server = serve(lambda request: chat.Answer(endless()))
    stream = ServerEngine(server.url, KEY, "omni").stream(HELLO, Options())
    assert isinstance(next(stream), Text)
    stream.close()  # type: ignore[attr-defined]
    assert server.cancelled.wait(10)


def test_what_is_missing_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="no server is named") as caught:
        check()
    assert "OMNI_BASE_URL" in caught.value.hint
    with pytest.raises(Unavailable, match="model is not named"):
        check("http://localhost:8000/v1", KEY, None)
    for wrong in ("localhost:8000", "ftp://host/v1", "http:///v1", "http://host:99999/", "http://[::1"):
        with pytest.raises(UsageError, match="no http address"):
            check(wrong, KEY, "omni")
    check("http://localhost:8000/v1", None, "omni")
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra) as absent:
        check("http://localhost:8000/v1", KEY, "omni")
    assert "omni-agent[server]" in absent.value.hint


def test_usage_is_a_plain_sum(serve: Any, chat: Any) -> None:
    done = asked(serve(lambda request: chat.said("Two words.")))[-1]
    assert isinstance(done, Done) and (done.usage + Usage(prompt_tokens=1)).prompt_tokens == 12


def test_a_tool_asks_the_server_that_the_settings_name(
    serve: Any, chat: Any, examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda request: chat.said('{"found": false, "answer": "", "quotes": [], "reason": "not there"}'))
    monkeypatch.setenv("OMNI_BASE_URL", server.url.replace("http://", "http://user:word@"))
    monkeypatch.setenv("OMNI_API_KEY", KEY)
    with pytest.raises(Unavailable, match="model is not named"):
        ask([examples / "report.pdf"], "Who is the director?", engine="server")
    monkeypatch.setenv("OMNI_MODEL", "omni")
    result = ask([examples / "report.pdf"], "Who is the director?", engine="server")
    assert not result.found and result.reason == "not there" and result.engine == "server"
    finding = next(finding for finding in doctor().findings if finding.part == "engine server")
    assert finding.ok and "omni at 127.0.0.1:" in finding.detail and "word" not in finding.detail
    assert KEY not in finding.detail


def test_from_the_command_line_the_result_is_on_stdout_and_the_key_nowhere(
    serve: Any, chat: Any, examples: Any, tmp_path: Any
) -> None:
    row = "Robbery 102.1 25.5 76.6 90.0 22.9 67.1 12.1 2.5 9.5"
    quotes = [{"page": "p1", "text": row}]
    found = {"found": True, "answer": "12.1 thousand", "quotes": quotes, "confidence": 1, "reason": ""}
    answers = [chat.said(json.dumps(found)), chat.failed(401, {"error": {"message": f"Bad key {KEY}"}})]
    waiting = iter(answers)
    server = serve(lambda request: next(waiting))
    named = {"OMNI_BASE_URL": server.url, "OMNI_API_KEY": KEY, "OMNI_MODEL": "omni"}
    command = [
        sys.executable,
        "-m",
        "omni_agent",
        "ask",
        "--engine",
        "server",
        str(examples / "report.pdf"),
        "How many?",
    ]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=os.environ | named, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    done = run()
    assert done.returncode == 0 and done.stdout.startswith("12.1 thousand") and "(verified)" in done.stdout, done.stderr
    refused = run()
    assert refused.returncode == 5 and refused.stdout == "" and "OMNI_API_KEY" in refused.stderr
    assert "Traceback" not in refused.stderr and KEY not in done.stdout + done.stderr + refused.stderr
