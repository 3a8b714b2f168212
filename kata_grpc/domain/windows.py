"""Windows: the longest run of newest groups that fits a budget beside the pinned messages.

Pure rules over counts; nothing here reads or waits. A group is found by its first version: a message whose
`group_version` is its own version starts one, a result of an earlier call carries that call's, an orphan result has 0.
Groups are ordered by where they start, the run is contiguous in that order, and it stops at the first group that does
not fit. System and developer messages are pinned: counted first, in every window, and no group of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.domain.messages import PINNED_ROLES, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kata_grpc.domain.tokens import Framing

ENGINE_VERSION = "1"
"""Names the rules of this module; changes when an equal request may give another window."""


class Dialect(StrEnum):
    """A provider's API."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"

    @property
    def starts_on_user(self) -> bool:
        """Whether the first message after the pinned ones must be a user's."""
        return self in (Dialect.ANTHROPIC, Dialect.GEMINI)


class View(StrEnum):
    """Which overlays apply."""

    CURRENT = "current"
    AS_THEN = "as_then"
    RAW = "raw"


class Accuracy(StrEnum):
    """How a window's content was counted."""

    EXACT = "exact"
    ESTIMATED = "estimated"


class ExclusionReason(StrEnum):
    """Why a message is not in the window."""

    BUDGET = "budget"
    ORPHAN_RESULT = "orphan_result"
    UNANSWERED_CALL = "unanswered_call"
    GROUP_OUT = "group_out"
    ILLEGAL_START = "illegal_start"


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


class Cost(NamedTuple):
    """What messages cost, in parts that add up: content tokens, messages, and structural items."""

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


class TailSelector:
    """Takes groups from the newest on while they fit `allowance`; fed with messages in falling version order.

    A group other than the newest that still waits for a result was abandoned: it is passed over, for a model must not
    see an unanswered call in the middle.
    """

    def __init__(self, allowance: int, framing: Framing, open_groups: Collection[int]) -> None:
        self.allowance = allowance
        self.newest = 0
        self.start = 0
        self.taken = Cost()
        self.opening = 0
        self.opening_taken = Cost()
        self.blocked: Cost | None = None
        self._framing = framing
        self._open = frozenset(open_groups)
        self._waiting: dict[int, Cost] = {}

    def feed(self, entry: Entry) -> bool:
        """Look at the next older message; True when nothing older can be taken."""
        # In plain numbers: a window is chosen from as many entries as it has messages, at each call.
        version, group, role, tokens, items = entry
        if self.blocked is not None:
            return True
        if role in PINNED_ROLES:
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
        if total.framed(self._framing) > self.allowance:
            self.blocked = Cost(tokens, messages, items)
            return True
        self.start, self.taken = group, total
        if role == Role.USER:
            self.opening, self.opening_taken = group, total
        return False

    def abandon(self) -> frozenset[int]:
        """Return every group that is passed over wherever it stands: open, and not the newest."""
        return self._open - {self.newest}

    def skip_to(self, start: int, taken: Cost, waiting: Mapping[int, Cost]) -> None:
        """Go on below `start`, everything from there on being taken at a cost known from running sums.

        `waiting` holds the cost of members, from `start` on, of groups that begin before it.
        """
        self.start, self.taken = start, taken
        self.opening, self.opening_taken = 0, Cost()
        self._waiting = dict(waiting)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A run of versions that are not in the window."""

    first: int
    last: int
    reason: ExclusionReason


def exclude(entries: Iterable[Entry], start: int, passed_over: Collection[int]) -> list[Excluded]:
    """Say of messages in rising order which are not in the tail from `start` on, and why, in runs."""
    runs: list[Excluded] = []
    for entry in entries:
        if entry.pinned:
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
