"""Compactions: overlays that hide old groups of a log and put a summary in their place. What to hide is decided here.

A compaction says all of what it hides, what those before it hid included, so that the newest one that holds says
everything about a view. Pure rules over counts; nothing here reads or waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from kata_grpc.domain.messages import PINNED_ROLES, Role
from kata_grpc.domain.overlays import Run, merged
from kata_grpc.domain.policy import Rung
from kata_grpc.domain.shaping import Reshaping
from kata_grpc.domain.windows import Cost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.domain.windows import Entry

MAX_COVERED_RUNS = 4_096
"""How many runs of versions a compaction may hide; what breaks a run are messages that stay, within it."""

_LEAST_SUMMARY, _MOST_SUMMARY = 200, 8_192
"""Tokens of a summary whose size nobody says."""
_SMALLEST_SUMMARY = 100
"""In fewer tokens there is room for little but what names a summary."""


MARK = "[kata:summary:"
"""What the text of a summary in a window begins with. No user's or system message may begin with it."""


def marked(compaction_id: UUID, first: int, last: int, text: str) -> str:
    """Return a summary as it is sent: behind a line that names it and says what it stands for."""
    return f"{MARK}{compaction_id.hex[:8]}] It stands for messages {first} to {last}, and is data from them.\n{text}"


class CompactionState(StrEnum):
    """How far a compaction is. Only a committed one hides anything."""

    BEGUN = "begun"
    COMMITTED = "committed"
    ABANDONED = "abandoned"
    FAILED = "failed"
    EXPIRED = "expired"


class CompactionOrigin(StrEnum):
    """Who wanted a compaction."""

    CALLER = "caller"
    REQUEST = "request"
    POLICY = "policy"


class Protection(StrEnum):
    """Why a group is not hidden."""

    SYSTEM = "system"
    RECENT = "recent"
    PINNED = "pinned"
    PENDING = "pending"
    TURN = "turn"


class Nothing(StrEnum):
    """Why there is nothing to compact."""

    EMPTY = "empty"
    ALL_PROTECTED = "all_protected"
    BELOW_TARGET = "below_target"
    GAIN_TOO_SMALL = "gain_too_small"


class Held(NamedTuple):
    """A group that stays, and why."""

    first: int
    why: Protection


class Step(NamedTuple):
    """What one rung does: to how many messages, and what the view costs before and after it, at most."""

    rung: Rung
    messages: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a compaction would hide: `added` beyond what is hidden already, `covered` in all; `reshaping` in all, too.

    `freed` is what is left out of messages that are not hidden, beyond what was already; `gain` is what the groups in
    `added` cost, the target of the summary not yet taken off. `before` is what the view costs now, of which its summary
    `previous_tokens`, all in content tokens of the context's tokenizer.
    """

    added: tuple[Run, ...]
    covered: tuple[Run, ...]
    groups: int
    messages: int
    gain: int
    before: int
    previous_tokens: int
    hidden_tokens: int
    hidden_messages: int
    visible_messages: int
    visible_groups: int
    summary_target: int
    held: tuple[Held, ...] = ()
    nothing: Nothing | None = None
    freed: int = 0
    reshaping: Reshaping = Reshaping()  # noqa: RUF009 - it does not change
    steps: tuple[Step, ...] = ()

    @property
    def after(self) -> int:
        """What the view costs afterwards, at most."""
        return self.steps[-1].after if self.steps else self.before

    @property
    def last(self) -> int:
        """The last version that is hidden."""
        return self.covered[-1].last if self.covered else 0


@dataclass(frozen=True, slots=True)
class Compaction:
    """A compaction, as it is stored."""

    context_id: UUID
    id: UUID
    state: CompactionState
    token: int
    origin: CompactionOrigin
    create_time: datetime
    lease_time: datetime
    end_time: datetime | None
    revision: int
    request_id: str
    fingerprint: bytes
    previous_id: UUID | None
    previous_revision: int
    base_version: int
    base_revision: int
    policy_revision: int
    covered: tuple[Run, ...]
    added: tuple[Run, ...]
    plan: Mapping[str, Any]
    """The numbers of the plan, and what the summary took."""
    summariser: str
    reason: str
    summary: str
    summary_tokens: int
    summary_state: str
    erased: bool

    @property
    def last(self) -> int:
        """The last version that it hides."""
        return self.covered[-1].last if self.covered else 0

    @property
    def reshaping(self) -> Reshaping:
        """What it leaves out of messages that it does not hide."""
        stored = self.plan.get("reshaping") or {}
        return Reshaping(
            tuple(Run(*run) for run in stored.get("cleared", ())),
            tuple(Run(*run) for run in stored.get("elided", ())),
            stored.get("max_part_tokens", 0),
        )

    @property
    def replaced_tokens(self) -> int:
        """What its summary takes the place of: the groups that it hides, and the summary before it."""
        replaced: int = self.plan["gain"] + self.plan["previous_tokens"]
        return replaced


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan is held to: `target` is what the view may cost afterwards, None to hide all that may be hidden.

    Rungs are taken in order until the target is reached.
    """

    preserve_recent: int
    target: int | None
    min_gain: int = 0
    summary_tokens: int = 0
    rungs: tuple[Rung, ...] = (Rung.SUMMARISE,)
    keep_results: int = 0
    max_part_tokens: int = 0

    @property
    def reshape(self) -> tuple[Rung, ...]:
        """The rungs that leave something out of messages, where they matter: not if everything is hidden anyway."""
        if self.target is None and Rung.SUMMARISE in self.rungs:
            return ()
        return tuple(rung for rung in self.rungs if rung is not Rung.SUMMARISE)


@dataclass(slots=True)
class _Group:
    first: int
    cost: Cost = Cost()  # noqa: RUF009 - it does not change


def summary_target(wanted: int, hidden: int, gain: int, previous: int) -> int:
    """Return how many tokens a summary may take: what is wanted, or a fifth of what it stands for, but less than that.

    `hidden` is all that it covers, `gain` what is newly hidden, `previous` what the summary before it takes.
    """
    target = wanted or min(max(hidden // 5, _LEAST_SUMMARY), _MOST_SUMMARY)
    return max(0, min(target, (gain + previous) // 2))


def plan(
    entries: Sequence[tuple[Entry, bool]],
    previous: Sequence[Run],
    *,
    hidden: Cost,
    summary_tokens: int,
    turn: int,
    open_groups: Collection[int],
    pinned: Collection[int],
    limits: Limits,
    reshaping: Reshaping = Reshaping(),  # noqa: B008 - it does not change
    shorter: Mapping[Rung, Mapping[int, int]] = MappingProxyType({}),
) -> Plan:
    """Decide what to leave out of which messages and which groups to hide, from the oldest on.

    `entries` are the messages that no compaction hides, in order, each with whether it is visible at all; `previous` is
    what is hidden already, which costs `hidden`, and its summary `summary_tokens`; `reshaping` is what is left out
    already, which the entries' costs know of. `turn`, `open_groups` and `pinned` are groups that stay whatever their
    age. `shorter` says by rung what messages would cost that it makes shorter.
    """
    planning = _Planning(entries, limits, summary_tokens, hidden.tokens)
    planning.protect(turn, open_groups, pinned)
    before = planning.total
    steps: list[Step] = []
    for rung in limits.rungs:
        if rung is Rung.SUMMARISE:
            step = planning.hide(MAX_COVERED_RUNS - len(previous))
        elif rung in limits.reshape:
            step = planning.shorten(rung, shorter.get(rung, {}))
        else:
            continue
        if step.messages:
            steps.append(step)
    added = _runs(planning.inside)
    gain = sum(group.cost.tokens for group in planning.chosen)
    plan = Plan(
        added=tuple(added),
        covered=tuple(merged([*previous, *added])),
        groups=len(planning.chosen),
        messages=sum(group.cost.messages for group in planning.chosen),
        gain=gain,
        before=before,
        previous_tokens=summary_tokens,
        hidden_tokens=hidden.tokens + sum(planning.tokens[entry.version] for entry in planning.inside),
        hidden_messages=hidden.messages + len(planning.inside),
        visible_messages=sum(visible for _, visible in entries),
        visible_groups=len(planning.groups),
        summary_target=planning.summary_target if planning.chosen else 0,
        held=tuple(sorted(planning.held)),
        freed=planning.freed,
        reshaping=planning.reshaped(reshaping),
        steps=tuple(steps),
    )
    return replace(plan, nothing=_nothing(plan, limits, too_small=planning.too_small))


def _nothing(plan: Plan, limits: Limits, *, too_small: bool) -> Nothing | None:
    if not plan.steps:
        if limits.target is not None and plan.before <= limits.target:
            return Nothing.BELOW_TARGET
        return Nothing.ALL_PROTECTED if plan.visible_groups else Nothing.EMPTY
    gain = plan.before - plan.after
    return Nothing.GAIN_TOO_SMALL if too_small or gain < max(1, limits.min_gain) else None


class _Planning:
    """What is known of a view while rungs are taken, each of which leaves less of it."""

    def __init__(
        self, entries: Sequence[tuple[Entry, bool]], limits: Limits, summary_tokens: int, hidden_tokens: int
    ) -> None:
        self._entries = entries
        self._limits = limits
        self._summary_tokens = summary_tokens
        self._hidden_tokens = hidden_tokens
        self.tokens = {entry.version: entry.tokens for entry, _ in entries}
        self.total = summary_tokens + sum(entry.tokens for entry, visible in entries if visible and entry.in_windows)
        """What the view costs."""
        groups: dict[int, _Group] = {}
        self.held: list[Held] = []
        for entry, visible in entries:
            if not visible:
                continue
            if entry.role in PINNED_ROLES:
                self.held.append(Held(entry.version, Protection.SYSTEM))
            elif entry.group_version:
                group = groups.setdefault(entry.group_version, _Group(entry.group_version))
                group.cost = group.cost.plus(entry.cost)
        self.groups = sorted(groups.values(), key=lambda group: group.first)
        self.eligible: list[_Group] = []
        self.chosen: list[_Group] = []
        """Groups that are hidden."""
        self.inside: list[Entry] = []
        """Messages that are hidden with them."""
        self.summary_target = 0
        self.too_small = False
        """Whether the summary would take nearly as much as what it stands for."""
        self.freed = 0
        self._cut: dict[Rung, int] = {}

    def protect(self, turn: int, open_groups: Collection[int], pinned: Collection[int]) -> None:
        """Find the groups that may be hidden, and why others may not."""
        recent = {group.first for group in self.groups[max(0, len(self.groups) - self._limits.preserve_recent) :]}
        for group in self.groups:
            why = _protection(group.first, turn, open_groups, pinned, recent)
            if why is None:
                self.eligible.append(group)
            else:
                self.held.append(Held(group.first, why))

    def _enough(self, total: int) -> bool:
        return self._limits.target is not None and total <= self._limits.target

    def shorten(self, rung: Rung, shorter: Mapping[int, int]) -> Step:
        """Leave something out of messages of groups that are neither protected nor hidden."""
        hidden = {group.first for group in self.chosen}
        groups = {group.first: group for group in self.eligible if group.first not in hidden}
        before, count = self.total, 0
        kept = self._kept_results(shorter) if rung is Rung.CLEAR_TOOL_RESULTS else frozenset()
        for entry, visible in self._entries:
            if self._enough(self.total):
                break
            version = entry.version
            saved = self.tokens[version] - shorter.get(version, self.tokens[version])
            if saved <= 0 or not visible or entry.group_version not in groups or version in kept:
                continue
            self.tokens[version] -= saved
            groups[entry.group_version].cost = groups[entry.group_version].cost.minus(Cost(saved))
            self.freed += saved
            self.total -= saved
            self._cut[rung] = version
            count += 1
        return Step(rung, count, before, self.total)

    def _kept_results(self, shorter: Collection[int]) -> frozenset[int]:
        """Return the messages that have the newest tool results."""
        kept: set[int] = set()
        left = self._limits.keep_results
        for entry, visible in reversed(self._entries):
            if left <= 0:
                break
            if visible and (entry.role == Role.TOOL or entry.version in shorter):
                kept.add(entry.version)
                left -= max(entry.items, 1)
        return frozenset(kept)

    def hide(self, most_runs: int) -> Step:
        """Hide groups behind a summary."""
        before, summary = self.total, self._summary_tokens
        gain = 0
        for group in self.eligible:
            target = self._target(gain)
            if self._enough(before - gain - (summary - target if self.chosen else 0)):
                break
            self.chosen.append(group)
            gain += group.cost.tokens
        self.inside = _inside(self._entries, self.chosen)
        while len(_runs(self.inside)) > most_runs and len(self.chosen) > 1:
            del self.chosen[len(self.chosen) // 2 :]
            self.inside = _inside(self._entries, self.chosen)
        gain = sum(group.cost.tokens for group in self.chosen)
        self.summary_target = self._target(gain)
        self.too_small = self.summary_target < _SMALLEST_SUMMARY or gain + summary <= self.summary_target
        if self.too_small and self.freed:
            # What is left out of messages is worth having without a summary, too.
            self.chosen, self.inside, self.too_small = [], [], False
        if self.chosen:
            self.total = before - gain - summary + self.summary_target
        return Step(Rung.SUMMARISE, sum(group.cost.messages for group in self.chosen), before, self.total)

    def _target(self, gain: int) -> int:
        return summary_target(self._limits.summary_tokens, self._hidden_tokens + gain, gain, self._summary_tokens)

    def reshaped(self, previous: Reshaping) -> Reshaping:
        """Return what is left out in all: of no message that is protected, and was whole before."""
        cleared, elided = (
            merged([*runs, *self._shortened(rung)])
            for rung, runs in (
                (Rung.CLEAR_TOOL_RESULTS, previous.cleared),
                (Rung.ELIDE_PARTS, previous.elided),
            )
        )
        most = previous.max_part_tokens or self._limits.max_part_tokens
        return Reshaping(tuple(cleared), tuple(elided), most if elided else 0)

    def _shortened(self, rung: Rung) -> Iterator[Run]:
        """Yield the versions up to where a rung came, but those of groups that are protected."""
        eligible = {group.first for group in self.eligible}
        last = self._cut.get(rung, 0)
        for entry, visible in self._entries:
            if entry.version > last:
                break
            if not visible or entry.group_version in eligible or entry.role in PINNED_ROLES:
                yield Run(entry.version, entry.version)


def _protection(
    first: int, turn: int, open_groups: Collection[int], pinned: Collection[int], recent: Collection[int]
) -> Protection | None:
    for why, those in (
        (Protection.PENDING, open_groups),
        (Protection.PINNED, pinned),
        (Protection.TURN, (turn,)),
        (Protection.RECENT, recent),
    ):
        if first in those:
            return why
    return None


def _inside(entries: Sequence[tuple[Entry, bool]], chosen: Iterable[_Group]) -> list[Entry]:
    """Return the messages that are hidden with some groups: all up to their last one, but what is visible and stays."""
    groups = {group.first for group in chosen}
    if not groups:
        return []
    last = max(entry.version for entry, _ in entries if entry.group_version in groups)
    return [
        entry
        for entry, visible in entries
        if entry.version <= last
        and (entry.group_version in groups or not visible or (not entry.group_version and not entry.pinned))
    ]


def _runs(entries: Iterable[Entry]) -> list[Run]:
    return merged(Run(entry.version, entry.version) for entry in entries)
