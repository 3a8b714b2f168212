"""Windows: the longest run of newest groups that fits a budget beside the messages that are always in.

Pure rules over counts; nothing here reads or waits. A group is found by its first version: a message whose
`group_version` is its own version starts one, a result of an earlier call carries that call's, an orphan result has 0.
Groups are ordered by where they start, the run (the tail) is contiguous in that order, and it stops at the first group
that does not fit. Counted first and in every window are system and developer messages, groups that were pinned, and the
newest message of the user's that starts a group (the turn): a tail that does not reach it stands behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.domain.messages import PINNED_ROLES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from kata_grpc.domain.tokens import Framing

ENGINE_VERSION = "2"
"""Names the rules of this module; changes when an equal request may give another window."""


class Dialect(StrEnum):
    """A provider's API."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"

    @property
    def starts_on_user(self) -> bool:
        """Whether the first message after those of the system must be a user's."""
        return self in (Dialect.ANTHROPIC, Dialect.GEMINI)


class View(StrEnum):
    """Which overlays apply."""

    CURRENT = "current"
    AS_THEN = "as_then"
    RAW = "raw"


class Accuracy(StrEnum):
    """What a window's tokens are worth: what a provider counts, at least that, or an estimate from above."""

    EXACT = "exact"
    UPPER_BOUND = "upper_bound"
    ESTIMATED = "estimated"


class ExclusionReason(StrEnum):
    """Why a message is not in the window."""

    BUDGET = "budget"
    ORPHAN_RESULT = "orphan_result"
    UNANSWERED_CALL = "unanswered_call"
    GROUP_OUT = "group_out"
    ILLEGAL_START = "illegal_start"
    MAX_MESSAGES = "max_messages"
    LOW_WATER = "low_water"
    REMOVED = "removed"
    REDACTED = "redacted"
    COMPACTED = "compacted"


@dataclass(frozen=True, slots=True)
class Steps:
    """Move the start of the tail in steps: down to `low_water_tokens` when the budget is full, not at each message.

    A step that would free fewer than `min_gain_tokens` is passed over for the next one.
    """

    low_water_tokens: int
    min_gain_tokens: int = 0
    off: bool = False


@dataclass(frozen=True, slots=True)
class Clearing:
    """Leave out what tools answered long ago, but for the newest `keep_results` and the named tools.

    What is cleared grows by steps of `min_gain_tokens` of the log, and nothing is cleared for less.
    """

    keep_results: int
    exclude_tools: tuple[str, ...] = ()
    min_gain_tokens: int = 0
    off: bool = False


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How windows are shaped, beyond their budget. None says nothing, so that the layer below decides; 0 is off."""

    max_messages: int | None = None
    pinned_versions: tuple[int, ...] = ()
    pinned_labels: tuple[str, ...] = ()
    max_part_tokens: int | None = None
    clearing: Clearing | None = None
    steps: Steps | None = None

    @property
    def reshapes(self) -> bool:
        """Whether messages may be sent otherwise than they are stored."""
        return self.clearing is not None or bool(self.max_part_tokens)

    def over(self, below: WindowOptions) -> WindowOptions:
        """Return what holds of these options and those of the layer below: what these say first; pins of both."""
        clearing = self.clearing or below.clearing
        steps = self.steps or below.steps
        return WindowOptions(
            max_messages=below.max_messages if self.max_messages is None else self.max_messages,
            pinned_versions=tuple(sorted({*below.pinned_versions, *self.pinned_versions})),
            pinned_labels=tuple(sorted({*below.pinned_labels, *self.pinned_labels})),
            max_part_tokens=below.max_part_tokens if self.max_part_tokens is None else self.max_part_tokens,
            clearing=None if clearing is None or clearing.off else clearing,
            steps=None if steps is None or steps.off else steps,
        )


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """What a caller asks for, in tokens of `tokenizer` ("" is the context's)."""

    token_budget: int
    reserve_tokens: int = 0
    tools_json: str = ""
    tokenizer: str = ""
    dialect: Dialect = Dialect.OPENAI_CHAT
    view: View = View.CURRENT
    at_version: int | None = None
    at_revision: int | None = None
    at_time: datetime | None = None
    at_tag: str | None = None
    show_deleted: bool = False


class Cost(NamedTuple):
    """What messages cost, in parts that add up: content tokens, messages, and items, surcharges among them."""

    tokens: int = 0
    messages: int = 0
    items: int = 0

    def plus(self, other: Cost) -> Cost:
        """Add two costs."""
        return Cost(self.tokens + other.tokens, self.messages + other.messages, self.items + other.items)

    def minus(self, other: Cost) -> Cost:
        """Take a part away."""
        return Cost(self.tokens - other.tokens, self.messages - other.messages, self.items - other.items)

    def framed(self, framing: Framing) -> int:
        """Return the tokens with the dialect's framing, without the prime that a window costs once."""
        return self.tokens + framing.per_message * self.messages + framing.per_item * self.items


class Entry(NamedTuple):
    """What selection needs of one message."""

    version: int
    group_version: int
    role: str
    tokens: int
    items: int

    @property
    def in_windows(self) -> bool:
        """Whether it may be in a window at all: what answers no call is in none."""
        return self.group_version != 0 or self.pinned

    @property
    def pinned(self) -> bool:
        """Whether the message is in every window."""
        return self.role in PINNED_ROLES

    @property
    def cost(self) -> Cost:
        """What the message costs."""
        return Cost(self.tokens, 1, self.items)


@dataclass(frozen=True, slots=True)
class RunningState:
    """The sums over a log up to and including `version`, and the tool calls open after it (key to group versions)."""

    version: int = 0
    tokens: int = 0
    items: int = 0
    inexact: int = 0
    pinned_tokens: int = 0
    pinned_messages: int = 0
    pinned_items: int = 0
    turn_version: int = 0
    open_calls: Mapping[str, list[int]] = field(default_factory=dict)

    @property
    def pinned(self) -> Cost:
        """What the pinned messages cost."""
        return Cost(self.pinned_tokens, self.pinned_messages, self.pinned_items)

    @property
    def unpinned(self) -> Cost:
        """What all other messages cost, orphan results included."""
        return Cost(self.tokens, self.version, self.items).minus(self.pinned)

    @property
    def open_groups(self) -> frozenset[int]:
        """The groups that have unanswered calls."""
        return frozenset(group for groups in self.open_calls.values() for group in groups)

    def pending(self, group: int) -> tuple[str, ...]:
        """List the keys of the unanswered calls of one group."""
        return tuple(sorted(key for key, groups in self.open_calls.items() if group in groups))


@dataclass(frozen=True, slots=True)
class Kept:
    """Groups that are in the window wherever they stand, with all their messages up to the snapshot, in order."""

    entries: tuple[Entry, ...] = ()

    @property
    def groups(self) -> frozenset[int]:
        """Where they start."""
        return frozenset(entry.group_version for entry in self.entries)

    def cost(self, from_version: int = 0) -> Cost:
        """Return what those of their messages cost that stand at a version or behind it."""
        total = Cost()
        for entry in self.entries:
            if entry.version >= from_version:
                total = total.plus(entry.cost)
        return total

    def before(self, version: int) -> tuple[int, ...]:
        """Return the versions of those of their messages that stand before one."""
        return tuple(entry.version for entry in self.entries if entry.version < version)

    def plus(self, entry: Entry) -> Kept:
        """Keep one message more, which is a group of its own."""
        return Kept(tuple(sorted((*self.entries, entry))))


class TailSelector:
    """Takes groups from the newest on while they fit `allowance`; fed with messages in falling version order.

    A group other than the newest that still waits for a result was abandoned: it is passed over, for a model must not
    see an unanswered call in the middle. The newest group is taken whatever `most` messages are.
    """

    def __init__(
        self,
        allowance: int,
        framing: Framing,
        open_groups: Collection[int],
        kept: Collection[int] = (),
        most: int = 0,
    ) -> None:
        self.allowance = allowance
        self.newest = 0
        self.start = 0
        self.taken = Cost()
        self.blocked: Cost | None = None
        self.too_many = False
        self._framing = framing
        self._open = frozenset(open_groups)
        self._kept = frozenset(kept)
        self._most = most
        self._waiting: dict[int, Cost] = {}

    def feed(self, entry: Entry) -> bool:
        """Look at the next older message; True when nothing older can be taken."""
        # In plain numbers: a window is chosen from as many entries as it has messages, at each call.
        version, group, role, tokens, items = entry
        if self.blocked is not None:
            return True
        if role in PINNED_ROLES or group in self._kept:
            if group == version and not self.newest and role not in PINNED_ROLES:
                self.newest = group
            return False
        if group < version:
            if group:
                self._waiting[group] = self._waiting.get(group, Cost()).plus(entry.cost)
            return False
        messages = 1
        if self._waiting and (waiting := self._waiting.pop(group, None)):
            tokens, messages, items = waiting.plus(entry.cost)
        if not self.newest:
            self.newest = group
        elif group in self._open:
            return False
        taken = self.taken
        total = Cost(taken.tokens + tokens, taken.messages + messages, taken.items + items)
        self.too_many = bool(self._most and group != self.newest and total.messages > self._most)
        if self.too_many or total.framed(self._framing) > self.allowance:
            self.blocked = Cost(tokens, messages, items)
            return True
        self.start, self.taken = group, total
        return False

    @property
    def refused(self) -> Cost | None:
        """What the newest group costs where it does not fit."""
        return self.blocked if not self.start and self.newest not in self._kept else None

    def abandon(self) -> frozenset[int]:
        """Return every group that is passed over wherever it stands: open, and not the newest."""
        return self._open - {self.newest}

    def skip_to(self, start: int, taken: Cost, waiting: Mapping[int, Cost]) -> None:
        """Go on below `start`, everything from there on being taken at a cost known from running sums.

        `waiting` holds the cost of members, from `start` on, of groups that begin before it.
        """
        self.start, self.taken = start, taken
        self._waiting = dict(waiting)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A run of versions that are not in the window."""

    first: int
    last: int
    reason: ExclusionReason


def exclude(
    entries: Iterable[Entry], start: int, passed_over: Collection[int], kept: Collection[int] = ()
) -> list[Excluded]:
    """Say of messages in rising order which are neither kept nor in the tail from `start` on, and why, in runs."""
    runs: list[Excluded] = []
    for entry in entries:
        if entry.pinned or entry.group_version in kept:
            continue
        if entry.group_version == 0:
            reason = ExclusionReason.ORPHAN_RESULT
        elif entry.group_version in passed_over:
            reason = ExclusionReason.UNANSWERED_CALL
        elif entry.group_version < start:
            reason = ExclusionReason.GROUP_OUT
        else:
            continue
        if runs and runs[-1].last == entry.version - 1 and runs[-1].reason is reason:
            runs[-1] = Excluded(runs[-1].first, entry.version, reason)
        else:
            runs.append(Excluded(entry.version, entry.version, reason))
    return runs
