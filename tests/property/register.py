"""What contexts must answer to writes, told as plainly as possible: a log, its claims and whether it is deleted.

Shares nothing with the service. Every method returns what a caller must be told: the place of a write, or the reason of
its refusal, found in the order of checks: replay, existence, limits, expected version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_OPEN_CALLS = 256

Change = Literal["CreateContext", "UpdateContext", "DeleteContext", "UndeleteContext"]


@dataclass(frozen=True)
class Said:
    """A message: a user's text, or an assistant's tool calls."""

    text: str = ""
    calls: int = 0


@dataclass(frozen=True)
class Done:
    """Where a change stands; `first` and `last` are 0 for one that appends nothing."""

    revision: int
    first: int = 0
    last: int = 0
    replayed: bool = False

    def again(self) -> Done:
        return Done(self.revision, self.first, self.last, replayed=True)


@dataclass(frozen=True)
class Refusal:
    """A reason, and the numbers that go with it."""

    reason: str
    expected: int | None = None
    actual: int | None = None


Answer = Done | Refusal
REUSED = Refusal("REQUEST_ID_REUSED")
NOT_FOUND = Refusal("CONTEXT_NOT_FOUND")


@dataclass
class Register:
    """One context."""

    name: str
    log: list[Said] = field(default_factory=list)
    history: list[tuple[str, Done]] = field(default_factory=list)
    """Every change but the creation, with its request_id."""
    claims: dict[str, tuple[object, Done]] = field(default_factory=dict)
    deleted: bool = False

    def append(self, said: Sequence[Said], request_id: str, expected: int | None) -> Answer:
        asked = ("AppendMessages", tuple(said))
        if claimed := self._claimed(request_id, asked):
            return claimed
        if self.deleted:
            return NOT_FOUND
        if sum(one.calls for one in (*self.log, *said)) > MOST_OPEN_CALLS:
            return Refusal("TOO_MANY_OPEN_CALLS")
        if expected is not None and expected != len(self.log):
            return Refusal("VERSION_CONFLICT", expected, len(self.log))
        first = len(self.log) + 1
        self.log.extend(said)
        return self._done(request_id, asked, first, len(self.log))

    def change(self, method: Change, request_id: str, name: str = "") -> Answer:
        asked = (method, name)
        if claimed := self._claimed(request_id, asked):
            return claimed
        if method == "UndeleteContext":
            if not self.deleted:
                return Refusal("CONTEXT_NOT_DELETED")
        elif self.deleted:
            return NOT_FOUND
        if method == "UpdateContext":
            self.name = name
        else:
            self.deleted = method == "DeleteContext"
        return self._done(request_id, asked)

    def created(self, request_id: str) -> None:
        """The creation is revision 0, and the claim of its request_id."""
        if request_id:
            self.claims[request_id] = (("CreateContext", self.name), Done(0))

    def _claimed(self, request_id: str, asked: object) -> Answer | None:
        if request_id not in self.claims:
            return None
        before, done = self.claims[request_id]
        return done.again() if before == asked else REUSED

    def _done(self, request_id: str, asked: object, first: int = 0, last: int = 0) -> Done:
        done = Done(len(self.history) + 1, first, last)
        self.history.append((request_id, done))
        if request_id:
            self.claims[request_id] = (asked, done)
        return done
