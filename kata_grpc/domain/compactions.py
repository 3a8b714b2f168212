"""Compactions: overlays that hide old groups of a log and put a summary in their place. What to hide is decided here.

A compaction says all of what it hides, what those before it hid included, so that the newest one that holds says
everything about a view. Pure rules over counts; nothing here reads or waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from kata_grpc.domain.messages import PINNED_ROLES
from kata_grpc.domain.overlays import Run, merged
from kata_grpc.domain.windows import Cost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a compaction would hide: `added` beyond what is hidden already, `covered` in all.

    `gain` is what the groups in `added` cost, the target of the summary not yet taken off. `before` is what the view
    costs now, of which its summary `previous_tokens`, all in content tokens of the context's tokenizer.
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

    @property
    def after(self) -> int:
        """What the view costs afterwards, at most."""
        return self.before - self.gain - self.previous_tokens + self.summary_target if self.added else self.before

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
    def replaced_tokens(self) -> int:
        """What its summary takes the place of: the groups that it hides, and the summary before it."""
        replaced: int = self.plan["gain"] + self.plan["previous_tokens"]
        return replaced


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan is held to: `target` is what the view may cost afterwards, None to hide all that may be hidden."""

    preserve_recent: int
    target: int | None
    min_gain: int = 0
    summary_tokens: int = 0


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
) -> Plan:
    """Decide which groups to hide, from the oldest on.

    `entries` are the messages that no compaction hides, in order, each with whether it is visible at all; `previous` is
    what is hidden already, which costs `hidden`, and its summary `summary_tokens`. `turn`, `open_groups` and `pinned`
    are groups that stay whatever their age.
    """
    groups: dict[int, _Group] = {}
    before = summary_tokens
    held: list[Held] = []
    for entry, visible in entries:
        if not visible:
            continue
        before += entry.tokens
        if entry.role in PINNED_ROLES:
            held.append(Held(entry.version, Protection.SYSTEM))
        elif entry.group_version:
            group = groups.setdefault(entry.group_version, _Group(entry.group_version))
            group.cost = group.cost.plus(entry.cost)
    order = sorted(groups.values(), key=lambda group: group.first)
    recent = {group.first for group in order[max(0, len(order) - limits.preserve_recent) :]}
    eligible = []
    for group in order:
        why = _protection(group.first, turn, open_groups, pinned, recent)
        if why is None:
            eligible.append(group)
        else:
            held.append(Held(group.first, why))
    chosen: list[_Group] = []
    gain = 0
    for group in eligible:
        target = summary_target(limits.summary_tokens, hidden.tokens + gain, gain, summary_tokens)
        if limits.target is not None and before - gain - summary_tokens + target <= limits.target:
            break
        chosen.append(group)
        gain += group.cost.tokens
    inside = _inside(entries, chosen)
    added = _runs(inside)
    while len(added) + len(previous) > MAX_COVERED_RUNS and len(chosen) > 1:
        del chosen[len(chosen) // 2 :]
        inside = _inside(entries, chosen)
        added = _runs(inside)
    gain = sum(group.cost.tokens for group in chosen)
    target = summary_target(limits.summary_tokens, hidden.tokens + gain, gain, summary_tokens)
    nothing = None
    if not chosen:
        below = limits.target is not None and before <= limits.target
        nothing = Nothing.BELOW_TARGET if below else Nothing.ALL_PROTECTED if order else Nothing.EMPTY
    elif target < _SMALLEST_SUMMARY or gain + summary_tokens - target < max(1, limits.min_gain):
        nothing = Nothing.GAIN_TOO_SMALL
    return Plan(
        added=tuple(added),
        covered=tuple(merged([*previous, *added])),
        groups=len(chosen),
        messages=sum(group.cost.messages for group in chosen),
        gain=gain,
        before=before,
        previous_tokens=summary_tokens,
        hidden_tokens=hidden.tokens + sum(entry.tokens for entry in inside),
        hidden_messages=hidden.messages + len(inside),
        visible_messages=sum(visible for _, visible in entries),
        visible_groups=len(order),
        summary_target=target,
        held=tuple(sorted(held)),
        nothing=nothing,
    )


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
