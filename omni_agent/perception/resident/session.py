"""One client's requests to the resident engine, in order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from omni_agent.engines.wanted import still_wanted
from omni_agent.errors import EngineError, OmniError
from omni_agent.perception.audience import Audience, audience
from omni_agent.perception.base import Perception
from omni_agent.perception.resident.address import log_path
from omni_agent.perception.resident.lines import Lines
from omni_agent.perception.resident.remote import stand_ins
from omni_agent.perception.resident.turns import Turns
from omni_agent.perception.resident.values import Nonsense
from omni_agent.perception.resident.wire import Request, Talk, Wire

GREETING_S = 10.0  # that a client may take to say what it wants
CALLBACK_S = 300.0  # that a client may take to read a page while others cannot have the turn
VERBS = frozenset(name for name in vars(Perception) if not name.startswith("_")) - {"name", "at_once"}
log = logging.getLogger("omni.resident")


class Session:
    """One connection of a client's. `perceive` gives what answers it, `lines` are those of all clients' pages. With
    `shares` the turn is given up while the client is asked for something."""

    def __init__(
        self, wire: Wire, client: int, turns: Turns, lines: Lines, perceive: Callable[[], Perception], *, shares: bool
    ) -> None:
        self._wire, self._client, self._turns, self._lines = wire, client, turns, lines
        self._perceive, self._shares = perceive, shares
        self._talk = Talk(wire, self._serve)
        self._holds = False  # the turn

    def run(self) -> None:
        """Serve until the client hangs up."""
        while True:
            self._wire.patience_s = GREETING_S
            message = self._wire.receive()
            self._wire.patience_s = None if self._shares else CALLBACK_S
            self._talk.handle(*message)

    def _serve(self, request: Request) -> Any:
        """Run one verb of the perception, inside the turn."""
        if len(request) != 3 or request[0] not in VERBS or not isinstance(request[2], dict):
            raise Nonsense(f"no request: {str(request)[:40]}")
        verb, arguments, named = request
        arguments = self._stand_ins(arguments)
        named = {key: self._stand_ins(value) for key, value in named.items()}
        audience.set(Audience(*named.pop("audience", ())))  # of this thread alone
        if self._holds:  # asked from within another request of this client's
            return self._run(verb, arguments, named)
        self._take(named.get("progress"))
        try:
            self._turns.given += 1
            return self._run(verb, arguments, named)
        finally:
            self._give()

    def _stand_ins(self, value: Any) -> Any:
        return stand_ins(value, self._ask, self._talk.tell, self._lines)

    def _run(self, verb: str, arguments: list[Any], named: dict[str, Any]) -> Any:
        still_wanted.set(self._wire.still_there)  # of this thread alone
        try:
            return getattr(self._perceive(), verb)(*arguments, **named)
        except OmniError:
            raise
        except Exception as error:  # the last line of this process's work, as the command line's is of a command's
            log.exception("a fault in %s", verb)
            raise EngineError(
                f"a fault in omni itself: {type(error).__name__}: {error}", hint=f"see {log_path()}; please report it"
            ) from error

    def _ask(self, *request: Any) -> Any:
        """Ask the client for something, and let others have the turn meanwhile where that is allowed."""
        if not self._shares:
            return self._talk.ask(*request)
        self._give()
        try:
            return self._talk.ask(*request)
        finally:
            self._take()

    def _take(self, progress: Callable[..., None] | None = None) -> None:
        def waits() -> None:
            if progress is not None:
                progress("waiting for the engine's other work", 0, None)

        self._turns.take(self._client, self._wire.still_there, waits)
        self._holds = True

    def _give(self) -> None:
        if self._holds:
            self._holds = False
            self._turns.give()
