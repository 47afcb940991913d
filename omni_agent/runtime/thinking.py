"""When thinking must end: the budget at token level.

Past the soft limit the think block is closed at the next newline; at the hard limit, or where the model wants to end
its turn in the middle of a thought, it is closed by force. Either way an answer follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits in tokens; None: no soft limit. `hard` is always there, so that room for an answer remains."""

    soft: int | None
    hard: int

    @staticmethod
    def of(budget: int | None, max_tokens: int, grace: int = 1024) -> Budget:
        """The card's scheme: soft at `budget`, hard `grace` later; a quarter of `max_tokens` is left to answer."""
        room = max(0, max_tokens - max(1, max_tokens // 4))
        return Budget(soft=budget, hard=room if budget is None else min(budget + grace, room))


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """Ids that the watch needs: `close` is `</think>`, `after` what follows it when it is put in by us, `newline` one
    line break, `newlines` every token that holds one."""

    close: int
    newline: tuple[int, ...]
    after: tuple[int, ...]
    newlines: frozenset[int]
    ends: frozenset[int]


@dataclass(slots=True)
class Watch:
    """Follows one answer from the first token after the prompt and says what must be put in.

    `open`: the prompt ended inside a think block and it is not closed yet.
    """

    markers: Markers
    budget: Budget
    open: bool
    spent: int = 0
    _put: list[int] = field(default_factory=list)

    def next(self, token: int) -> int:
        """The token that really comes next, given the one the model chose."""
        if not self.open:
            return self._put.pop(0) if self._put else token
        if not self._put and (token in self.markers.ends or self.spent >= self.budget.hard):
            self._put = [*self.markers.newline, self.markers.close, *self.markers.after]
        token = self._put.pop(0) if self._put else token
        if token == self.markers.close:
            self.open = False
            return token
        self.spent += 1
        soft = self.budget.soft
        if not self._put and soft is not None and self.spent >= soft and token in self.markers.newlines:
            self._put = [self.markers.close, *self.markers.after]
        return token

    @property
    def attentive(self) -> bool:
        """Whether the next token may be another than the model chose."""
        return self.open or bool(self._put)
