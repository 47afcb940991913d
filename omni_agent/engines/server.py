"""The full model behind an OpenAI-compatible server that the user names."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from omni_agent.engines.base import Event, Message, Options
from omni_agent.engines.chunks import Reply
from omni_agent.engines.wire import wired
from omni_agent.errors import EngineError, MissingExtra, OmniError, Unavailable, UsageError

if TYPE_CHECKING:
    import openai

TIMEOUT_S = 600.0  # between two pieces of an answer; a long video is read before the first
CONNECT_S = 10.0
RETRIES = 2  # for a server that is busy or breaks before it answers; its own Retry-After is kept to
GRACE = 1024  # tokens after the thinking budget in which a thought may end by itself, as the model card has it
# The model card's settings, with thinking on and off.
THINKING: dict[str, Any] = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 20_480}
INSTRUCT: dict[str, Any] = {"temperature": 0.2, "top_k": 1, "max_tokens": 1_024}


def check(base_url: str | None = None, api_key: str | None = None, model: str | None = None) -> None:
    """Raise Unavailable, with the next step, when no server can be asked, UsageError for an address that is none.

    Nothing is sent."""
    if find_spec("openai") is None:
        raise MissingExtra("server", "asking a server")
    if not base_url:
        raise Unavailable("no server is named", hint="set OMNI_BASE_URL, for example to http://localhost:8000/v1")
    if not _is_http(base_url):
        raise UsageError("the server's address is no http address", hint="for example http://localhost:8000/v1")
    if not model:
        raise Unavailable("the server's model is not named", hint="set OMNI_MODEL to the name that it serves it under")


def _is_http(base_url: str) -> bool:
    try:
        parts = urlsplit(base_url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


def place(base_url: str) -> str:
    """Host and port of an address, without the password that may stand in it."""
    parts = urlsplit(base_url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


class ServerEngine:
    """A model that a server serves under the name `model`. Redirects are not followed: the key is for this server."""

    name = "server"
    at_once = 4  # requests: enough for a server that batches, few enough for one that does not

    def __init__(self, base_url: str, api_key: str | None, model: str, *, timeout_s: float = TIMEOUT_S) -> None:
        check(base_url, api_key, model)
        self._base_url, self._api_key, self._model, self._timeout_s = base_url, api_key, model, timeout_s
        self._place = place(base_url)
        self._client: openai.OpenAI | None = None
        self._connecting = threading.Lock()

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        import openai

        began = time.perf_counter()
        request = _request(self._model, messages, options)
        sent = time.perf_counter()
        reply = Reply(options.think, self._place, {"media": sent - began}, sent)
        try:
            with self._connected().chat.completions.create(**request) as answer:
                yield from reply.events(answer)
        except openai.OpenAIError as error:
            raise self._mapped(error) from error

    def _connected(self) -> openai.OpenAI:
        with self._connecting:
            return self._client or self._connect()

    def _connect(self) -> openai.OpenAI:
        import openai

        timeout = openai.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))
        self._client = openai.OpenAI(
            base_url=self._base_url,
            api_key=self._api_key or "none",
            max_retries=RETRIES,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(follow_redirects=False, timeout=timeout),
        )
        self._client.organization = self._client.project = None  # those of the environment are another server's
        return self._client

    def _mapped(self, error: openai.OpenAIError) -> OmniError:
        """One sentence about what went wrong, and the next step."""
        import openai

        if isinstance(error, openai.APITimeoutError):
            return EngineError(f"{self._place} did not answer within {self._timeout_s:g} seconds")
        if isinstance(error, openai.APIConnectionError):
            return Unavailable(
                f"the connection to {self._place} failed ({self._plain(_cause(error))})",
                hint="is the server running, and is OMNI_BASE_URL its address?",
            )
        if not isinstance(error, openai.APIStatusError):
            return EngineError(f"{self._place} failed while it answered: {self._plain(_message(error))}")
        status, said = error.status_code, self._plain(_message(error))
        if status in (401, 403):
            return Unavailable(f"{self._place} does not accept the key ({status})", hint="set OMNI_API_KEY")
        if status == 404:
            return Unavailable(
                f"{self._place} has no model {self._model!r} at that address: {said}",
                hint="set OMNI_MODEL to a name that it serves; OMNI_BASE_URL usually ends in /v1",
            )
        if status == 429:
            after = error.response.headers.get("retry-after", "")
            return EngineError(
                f"{self._place} has too much to do: {said}", hint=f"try again in {after} s" if after else "try later"
            )
        if 300 <= status < 400:
            return Unavailable(
                f"{self._place} sends elsewhere ({status}), and the key is not sent after it",
                hint="set OMNI_BASE_URL to the server itself",
            )
        if status < 500:
            return EngineError(
                f"{self._place} refused the request ({status}): {said}",
                hint="where it is too long for that server, lower the setting 'context' to what it holds",
            )
        return EngineError(f"{self._place} failed ({status}): {said}")

    def _plain(self, text: str) -> str:
        """A server's words in a line, without the key that some repeat."""
        if self._api_key:
            text = text.replace(self._api_key, "…")
        return " ".join(text.split())[:300] or "it says no more"


def _request(model: str, messages: Sequence[Message], options: Options) -> dict[str, Any]:
    """The request as the client takes it; what the protocol does not know goes into `extra_body`."""
    wish = {n: getattr(options, n) for n in ("temperature", "top_p", "top_k", "seed", "max_tokens")}
    card = dict(THINKING if options.think else INSTRUCT)
    if options.temperature is not None:
        card.pop("top_k", None)  # a temperature alone asks for more than the likeliest token
    chosen = card | {name: value for name, value in wish.items() if value is not None}
    template: dict[str, Any] = {
        "enable_thinking": options.think,
        "truncate_history_thinking": not options.keep_thoughts,
    }
    extra: dict[str, Any] = {"chat_template_kwargs": template}
    if "top_k" in chosen:
        extra["top_k"] = chosen.pop("top_k")
    if options.think and options.think_budget is not None:
        template["reasoning_budget"] = options.think_budget
        extra["thinking_token_budget"] = options.think_budget + GRACE
    sent = wired(messages, options)
    if any(isinstance(m["content"], list) and any(p["type"] == "video_url" for p in m["content"]) for m in sent):
        extra["media_io_kwargs"] = {"video": {"num_frames": options.max_frames}}  # the mp4 holds no more than wanted
    request = {"model": model, "messages": sent, "stream": True, "stream_options": {"include_usage": True}, **chosen}
    if options.schema is not None:
        form = {"name": "reply", "schema": options.schema, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": form}
    if options.tools:
        request["tools"] = list(options.tools)
    return {**request, "extra_body": extra}


def _message(error: openai.OpenAIError) -> str:
    """What the server says in the body of an error."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else body
    return said if isinstance(said, str) else str(error)


def _cause(error: BaseException) -> str:
    return str(error.__cause__ or error) or type(error.__cause__ or error).__name__
