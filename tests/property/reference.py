"""What a window must be, told again as plainly as possible: by looking at the whole log.

Shares nothing with the engine but the framing constants of the dialects. Every question is answered by brute force:
which call a result answers, what a group costs, which run of groups is the longest that fits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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
    tail_first: int
    pinned_tokens: int
    tail_tokens: int
    pending: list[str]
    run: list[int]
    """The groups of the tail."""
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


@dataclass(frozen=True)
class Wanted:
    """What is asked for beyond a budget."""

    pinned: tuple[int, ...] = ()
    most: int = 0
    step: int = 0
    """How far the start moves at once; 0 for as little as it must."""
    min_gain: int = 0


@dataclass(frozen=True)
class Standing:
    """A compaction in force: what it hides, and what its summary costs."""

    covered: frozenset[int] = frozenset()
    tokens: int = 0


class Reference:
    """The windows of a log up to one version."""

    def __init__(
        self,
        log: Sequence[Told],
        framing: Framing,
        wanted: Wanted = Wanted(),
        removed: Collection[int] = (),
        redacted: Collection[int] = (),
        compaction: Standing = Standing(),
    ) -> None:
        """`removed` are versions; what answers a removed group is hidden with it.

        Of `redacted` messages the groups are hidden, whole. What a compaction covers is hidden but where it is pinned.
        """
        self.log = log
        self.stored = log
        """The log with the counts that stand in it, where the window is counted anew."""
        self.framing = framing
        self.wanted = wanted
        self.groups, unanswered = groups_of(log)
        self.erased = {self.groups[v - 1] for v in redacted if v <= len(log)} - {0}
        self.removed = removed
        self.hidden = self.within({*removed, *self.erased})
        unanswered = {s: k for s, k in unanswered.items() if s not in self.hidden | compaction.covered}
        asked = {self.groups[v - 1] for v in wanted.pinned if v <= len(log) and log[v - 1].role not in PINNED} - {0}
        shown = {v for start in asked - set(unanswered) for v in self.members(start)}
        talk = self.talk(self.hidden | self.within(compaction.covered))
        self.turn = max((v for v in talk if log[v - 1].role == "user" and not log[v - 1].results), default=0)
        self.covered = compaction.covered - shown
        self.summary, self.stands_for = compaction.tokens, max(compaction.covered, default=0)
        self.after = max(self.covered, default=0)
        """Behind which version the summary stands; 0 where there is none."""
        self.hidden |= self.within(self.covered) - shown
        self.unanswered = unanswered
        self.pins = [v for v, told in enumerate(log, start=1) if told.role in PINNED and v not in self.hidden]
        starts = self.talk(self.hidden)
        self.newest = max(starts, default=0)
        self.kept = sorted(asked - set(self.unanswered) - self.hidden)
        usable = [v for v in starts if v == self.newest or v not in self.unanswered]
        self.usable = [v for v in usable if v not in self.kept]

    def within(self, versions: Collection[int]) -> set[int]:
        """Versions, and what answers a group of them."""
        return {v for v, group in enumerate(self.groups, start=1) if v in versions or group in versions}

    def talk(self, hidden: Collection[int]) -> list[int]:
        """The first messages of groups."""
        return [
            v
            for v, group in enumerate(self.groups, start=1)
            if group == v and self.log[v - 1].role not in PINNED and v not in hidden
        ]

    def why_hidden(self, version: int) -> str:
        """A message's own reason goes before its group's."""
        for one in (version, self.groups[version - 1]):
            for reason, those in (
                ("REDACTED", self.erased),
                ("REMOVED", self.removed),
                ("COMPACTED", self.covered),
            ):
                if one in those:
                    return reason
        raise AssertionError(version)

    def content(self) -> int:
        """What the view costs without framing."""
        shown = {v for v, group in enumerate(self.groups, start=1) if group or self.log[v - 1].role in PINNED}
        visible = [self.log[v - 1] for v in shown - self.hidden]
        return sum(told.tokens for told in visible) + (self.summary if self.after else 0)

    def members(self, start: int) -> list[int]:
        return [v for v, group in enumerate(self.groups, start=1) if group == start]

    def cost(self, versions: Sequence[int]) -> int:
        told = [self.log[v - 1] for v in versions]
        per_message, per_item = self.framing.per_message, self.framing.per_item
        return sum(t.tokens + per_message + per_item * t.items for t in told)

    def whole(self, starts: Sequence[int], *, starts_on_user: bool) -> int:
        """What a window of the pinned messages and these groups costs; nothing when it is empty."""
        if not starts and not self.pins and not self.kept and not self.after:
            return 0
        labels = self.framing.per_label * len(self.pins)
        apart = self.apart(starts)
        kept = sorted({*apart, *(v for start in self.kept for v in self.members(start))})
        pinned = min((v for start in self.kept for v in self.members(start)), default=0)
        leads = pinned and not 0 < self.turn < pinned and not 0 < self.after < pinned
        opening = leads and starts_on_user and self.log[pinned - 1].role != "user"
        groups = sum(self.cost(self.members(start)) for start in starts)
        fixed = self.framing.prime + labels + (self.framing.opening if opening else 0)
        if self.after:
            fixed += self.summary + self.framing.per_message
        return fixed + self.cost(self.pins) + self.cost(kept) + groups

    def apart(self, starts: Sequence[int]) -> list[int]:
        """The message with which the user opened the turn, if it stands before these groups."""
        if not self.turn or self.turn in self.kept or (starts and self.turn >= starts[0]):
            return []
        return [self.turn]

    def runs(self) -> list[list[int]]:
        """Each run of newest groups, longest first."""
        empty = not self.usable or self.newest in self.kept
        return [self.usable[first:] for first in range(len(self.usable))] + ([[]] if empty else [])

    def costs(self, *, starts_on_user: bool) -> list[int]:
        """What each possible window costs, shortest first."""
        return [self.whole(run, starts_on_user=starts_on_user) for run in reversed(self.runs())]

    def may_start(self, start: int, *, starts_on_user: bool) -> bool:
        """Whether a tail may start with a group: with the user, or behind something."""
        before = [v for start in self.kept for v in self.members(start)] + ([self.after] if self.after else [])
        first = min([self.turn or len(self.log), *before])
        return not starts_on_user or self.log[start - 1].role == "user" or start > first

    def few(self, run: Sequence[int]) -> bool:
        count = sum(len(self.members(start)) for start in run)
        return not self.wanted.most or count <= self.wanted.most or run == [self.newest]

    def window(self, room: int, *, starts_on_user: bool) -> Expected | TooSmall | NoStart:
        """Returns the window whose cost is at most `room`."""
        if not self.log:
            return self._expected([], [], "")
        if starts_on_user and self.newest and not self.turn and not self.kept and not self.after:
            return NoStart()
        runs = self.runs()

        def cost(run: Sequence[int]) -> int:
            return self.whole(run, starts_on_user=starts_on_user)

        fitting = [run for run in runs if cost(run) <= room and self.few(run)]
        if not fitting:
            return TooSmall(min(map(cost, runs)))
        fits = fitting[0]
        blocked = ""
        older = [v for v in self.usable if v not in (*fits, *self.apart(fits))]
        if older:
            longer = [older[-1], *fits]
            # A count that would be too large is seen before the cost.
            blocked = "BUDGET" if self.few(longer) else "MAX_MESSAGES"
        run, moved = fits, ""
        if fits and self.wanted.step and blocked:
            run, moved = self.stepped(fits, starts_on_user=starts_on_user)
        if fits and run == fits:
            run = next(
                (fits[n:] for n in range(len(fits)) if self.may_start(fits[n], starts_on_user=starts_on_user)), fits
            )
            moved = "ILLEGAL_START"
        return self._expected(run, fits, blocked, moved)

    def stepped(self, fits: list[int], *, starts_on_user: bool) -> tuple[list[int], str]:
        """The longest run that fits and begins where the cost of the log so far crosses a multiple of the step."""
        step = max(self.wanted.step, self.wanted.min_gain)
        stored = Reference(self.stored, self.framing)
        before = {v: stored.cost([w for w in range(1, v) if w not in stored.pins]) for v in range(1, len(self.log) + 2)}
        possible = [v for v in self.usable if v not in self.apart(fits)]
        candidates = []
        for number in range(before[len(self.log) + 1] // step + 1):
            crossing = next(v for v in before if before[v] >= number * step)
            legal = [v for v in possible if v >= crossing and self.may_start(v, starts_on_user=starts_on_user)]
            candidates.append(legal[0] if legal else None)
        first = before[fits[0]] // step
        for number in range(first, min(first + 8, len(candidates))):
            start = candidates[number]
            if start is None:
                break
            previous = candidates[number - 1] if number and self.wanted.min_gain else None
            gains = not previous or before[start] - before[previous] >= self.wanted.min_gain
            if start >= fits[0] and gains:
                return fits[fits.index(start) :], "LOW_WATER"
        return fits, ""

    def _expected(self, run: Sequence[int], fits: Sequence[int], blocked: str, moved: str = "") -> Expected:
        tail = [v for start in run for v in self.members(start)]
        kept = [*self.apart(run), *(v for start in self.kept for v in self.members(start))] if self.log else []
        versions = sorted({*self.pins, *kept, *tail})
        fits_from = fits[0] if fits else len(self.log) + 1
        start = run[0] if run else len(self.log) + 1
        out = {}
        for v in range(1, len(self.log) + 1):
            if v in versions:
                continue
            group = self.groups[v - 1]
            if blocked and v < fits_from:
                out[v] = blocked
            elif fits_from <= v < start:
                out[v] = moved
            elif v in self.hidden:
                out[v] = self.why_hidden(v)
            elif group == 0:
                out[v] = "ORPHAN_RESULT"
            elif group in self.unanswered and group != self.newest:
                out[v] = "UNANSWERED_CALL"
            else:
                out[v] = "GROUP_OUT"
        return Expected(
            versions=versions,
            tail_first=run[0] if run else 0,
            pinned_tokens=sum(self.log[v - 1].tokens for v in [*self.pins, *kept]),
            tail_tokens=sum(self.log[v - 1].tokens for v in tail),
            pending=sorted(set(self.unanswered.get(self.newest, []))) if self.newest else [],
            run=list(run),
            out=out,
        )
