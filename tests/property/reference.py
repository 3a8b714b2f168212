"""What a window must be, told again as plainly as possible: by looking at the whole log.

Shares nothing with the engine but the framing constants of the dialects. Every question is answered by brute force:
which call a result answers, what a group costs, which run of groups is the longest that fits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.domain.tokens import Framing

PINNED = ("system", "developer")


@dataclass(frozen=True)
class Told:
    """What a message says, as far as windows care."""

    role: str
    tokens: int
    calls: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    has_more: bool = False
    """Whether something stands beside the results."""

    @property
    def items(self) -> int:
        return len(self.calls) + len(self.results)


@dataclass(frozen=True)
class TooSmall:
    required: int


@dataclass(frozen=True)
class NoStart:
    pass


@dataclass(frozen=True)
class Expected:
    """A window: its versions, what it costs, and for each version that is out the reason."""

    versions: list[int]
    tokens: int
    tail_first: int
    pinned_tokens: int
    tail_tokens: int
    pending: list[str]
    out: dict[int, str] = field(default_factory=dict)


def groups_of(log: Sequence[Told]) -> tuple[list[int], dict[int, list[str]]]:
    """Returns each message's group (0 for an orphan result), and the unanswered calls of each group that has some."""
    made: list[tuple[str, int]] = []
    answered: set[int] = set()
    groups = []
    for version, told in enumerate(log, start=1):
        found = []
        for key in told.results:
            waiting = [place for place, (name, _) in enumerate(made) if name == key and place not in answered]
            if waiting:
                answered.add(waiting[-1])
                found.append(made[waiting[-1]][1])
        if found:
            groups.append(max(found))
        elif told.results and (told.role == "tool" or not told.has_more):
            groups.append(0)
        else:
            groups.append(version)
        made.extend((key, version) for key in told.calls)
    unanswered: dict[int, list[str]] = {}
    for place, (key, version) in enumerate(made):
        if place not in answered:
            unanswered.setdefault(version, []).append(key)
    return groups, unanswered


class Reference:
    """The windows of a log up to one version."""

    def __init__(self, log: Sequence[Told], framing: Framing) -> None:
        self.log = log
        self.framing = framing
        self.groups, self.unanswered = groups_of(log)
        self.pins = [v for v, told in enumerate(log, start=1) if told.role in PINNED]
        starts = [v for v, g in enumerate(self.groups, start=1) if g == v and v not in self.pins]
        self.newest = max(starts, default=0)
        self.usable = [v for v in starts if v == self.newest or v not in self.unanswered]
        self.turn = max((v for v in starts if log[v - 1].role == "user" and not log[v - 1].results), default=0)

    def members(self, start: int) -> list[int]:
        return [v for v, group in enumerate(self.groups, start=1) if group == start]

    def cost(self, versions: Sequence[int]) -> int:
        told = [self.log[v - 1] for v in versions]
        per_message, per_item = self.framing.per_message, self.framing.per_item
        return sum(t.tokens + per_message + per_item * t.items for t in told)

    def whole(self, starts: Sequence[int]) -> int:
        """What a window of the pinned messages and these groups costs; nothing when it is empty."""
        if not starts and not self.pins:
            return 0
        labels = self.framing.per_label * len(self.pins)
        turn = self.cost([self.turn]) if self.is_apart(starts) else 0
        groups = sum(self.cost(self.members(start)) for start in starts)
        return self.framing.prime + labels + self.cost(self.pins) + turn + groups

    def is_apart(self, starts: Sequence[int]) -> bool:
        """Whether the message with which the user opened the turn stands before these groups."""
        return bool(starts and 0 < self.turn < starts[0])

    def costs(self) -> list[int]:
        """What each possible window costs, shortest first."""
        return [self.whole(self.usable[first:]) for first in range(len(self.usable), -1, -1)]

    def window(self, room: int, *, starts_on_user: bool) -> Expected | TooSmall | NoStart:
        """Returns the window whose cost is at most `room`."""
        if not self.log:
            return self._expected([], [], blocked=False)
        possible = [self.usable[first:] for first in range(len(self.usable))] or [[]]
        if starts_on_user and self.usable and not self.turn:
            return NoStart()
        legal = [
            run
            for run in possible
            if not run or not starts_on_user or self.log[run[0] - 1].role == "user" or self.is_apart(run)
        ]
        fitting = [run for run in possible if self.whole(run) <= room]
        good = [run for run in legal if self.whole(run) <= room]
        if not good:
            return TooSmall(min(self.whole(run) for run in legal))
        return self._expected(max(good, key=len), max(fitting, key=len), blocked=len(fitting) < len(possible))

    def _expected(self, run: Sequence[int], fits: Sequence[int], *, blocked: bool) -> Expected:
        tail = [v for start in run for v in self.members(start)]
        apart = [self.turn] if self.is_apart(run) else []
        versions = sorted({*self.pins, *apart, *tail})
        out = {}
        for v in range(1, len(self.log) + 1):
            if v in versions:
                continue
            group = self.groups[v - 1]
            if fits and v < fits[0] and blocked:
                out[v] = "BUDGET"
            elif run and fits[0] <= v < run[0]:
                out[v] = "ILLEGAL_START"
            elif group == 0:
                out[v] = "ORPHAN_RESULT"
            elif group not in self.usable:
                out[v] = "UNANSWERED_CALL"
            else:
                out[v] = "GROUP_OUT"
        return Expected(
            versions=versions,
            tokens=self.whole(run),
            tail_first=run[0] if run else 0,
            pinned_tokens=sum(self.log[v - 1].tokens for v in [*self.pins, *apart]),
            tail_tokens=sum(self.log[v - 1].tokens for v in tail),
            pending=sorted(set(self.unanswered.get(self.newest, []))) if self.newest else [],
            out=out,
        )
