"""Everything that a call can be refused with.

KataError
├── InvalidRequest             one or more violations of the request's rules
├── MalformedRequest           bytes that are not the request's message
├── InvalidToken               a page or resume token that nobody made
├── TokenMismatch              a page or resume token of another call
├── RequestIdReused            a request_id with other content than at first
├── NotFound
│   ├── ContextNotFound
│   ├── ContextPurged
│   ├── MessageNotFound
│   ├── TagNotFound
│   └── CompactionNotFound
├── ContextExists              a unique name that a live context holds
├── TagExists                  a tag's name that the context has
├── Conflict                   not what the caller believed
│   ├── VersionConflict
│   └── EtagMismatch
├── CompactionInProgress       another one is under way
├── CompactionStale            under way no more, or not under this token
├── Precondition
│   ├── BudgetTooSmall
│   ├── NoLegalWindow
│   ├── WindowGone
│   ├── ContextNotDeleted
│   ├── TooManyOpenCalls
│   ├── ForkTooDeep
│   ├── TooManyForks
│   ├── ContextIsFlat
│   ├── SummaryRejected
│   ├── CompactionNotInForce
│   ├── NothingToCompact
│   ├── ContextHasForks
│   └── ResponseTooLarge
├── OutOfRange                 a version or revision beyond the latest, or before the earliest
├── TooManyWatchers
├── NoSummary                  whatever makes summaries made none
├── WriteContention            the database gave up between writers
├── StorageUnavailable         no database, or no free connection
├── ShuttingDown
└── DeadlineExceeded

Each class builds its own message from typed fields; nobody else formats text. How they look on the wire is
`kata_grpc.transport.status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class KataError(Exception):
    """A refusal that the caller is told about."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that a request breaks: the field's path, what is wrong, and a constant naming the rule."""

    field: str
    description: str
    reason: str = "INVALID"


class InvalidRequest(KataError):
    """The request breaks rules; all of them are listed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        listed = "; ".join(f"{v.field}: {v.description}" for v in self.violations[:5])
        more = len(self.violations) - 5
        super().__init__(listed + (f"; and {more} more" if more > 0 else ""))


class MalformedRequest(KataError):
    """The bytes are not a message of the request's type."""

    def __init__(self) -> None:
        super().__init__("The request's bytes are not a message of this method's request type.")


class InvalidToken(KataError):
    """A token that this service did not make."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} is not a token of this service; start again without it.")


class TokenMismatch(KataError):
    """A token that was made for another call."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} was made for another method or other parameters; start again without it.")


class RequestIdReused(KataError):
    """A request_id that stands for other content."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(f"request_id {request_id!r} was used before with other content; use a new one.")


class NotFound(KataError):
    """Something that is not there for this caller."""

    def __init__(self, resource_type: str, resource_name: str, message: str) -> None:
        self.resource_type = resource_type
        self.resource_name = resource_name
        super().__init__(message)


class ContextNotFound(NotFound):
    """No such live context of this tenant."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        super().__init__("kata.context.v1.Context", context_id, f"There is no context {context_id}.")


class ContextPurged(NotFound):
    """The context was purged."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        message = f"Context {context_id} was purged, and its id and request_id are used up; create another one."
        super().__init__("kata.context.v1.Context", context_id, message)


class MessageNotFound(NotFound):
    """The context has no message of this version."""

    def __init__(self, context_id: str, version: int) -> None:
        self.context_id = context_id
        self.version = version
        name = f"{context_id}/{version}"
        super().__init__("kata.context.v1.Message", name, f"Context {context_id} has no message of version {version}.")


class TagNotFound(NotFound):
    """The context has no tag of this name."""

    def __init__(self, context_id: str, tag: str) -> None:
        self.context_id = context_id
        self.tag = tag
        super().__init__("kata.context.v1.Tag", f"{context_id}/{tag}", f"Context {context_id} has no tag {tag!r}.")


class CompactionNotFound(NotFound):
    """The context made no such compaction."""

    def __init__(self, context_id: str, compaction_id: str) -> None:
        self.context_id = context_id
        self.compaction_id = compaction_id
        name = f"{context_id}/{compaction_id}"
        message = f"Context {context_id} made no compaction {compaction_id}."
        super().__init__("kata.context.v1.Compaction", name, message)


class TagExists(KataError):
    """The context has a tag of this name."""

    def __init__(self, context_id: str, tag: str) -> None:
        self.context_id = context_id
        self.tag = tag
        super().__init__(f"Context {context_id} has a tag {tag!r} already; say that it shall be moved.")


class ContextExists(KataError):
    """A live context of the tenant holds the unique name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"A live context already has the unique name {name!r}.")


class Conflict(KataError):
    """The context is not what the caller believed."""

    def __init__(self, expected: str, actual: str, message: str) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(message)


class VersionConflict(Conflict):
    """The context is not at the expected version."""

    def __init__(self, expected: int, actual: int) -> None:
        self.versions_since = actual - expected
        message = f"The context is at version {actual}, not at {expected}; read what is new and append again."
        super().__init__(str(expected), str(actual), message)


class EtagMismatch(Conflict):
    """The context was updated since its etag was read."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(expected, actual, "The context was updated since this etag was read; read it again.")


class CompactionInProgress(KataError):
    """Another compaction of the context is under way."""

    def __init__(self, context_id: str, compaction_id: str) -> None:
        self.context_id = context_id
        self.compaction_id = compaction_id
        super().__init__(f"Compaction {compaction_id} of context {context_id} is under way. Call again.")


class CompactionStale(KataError):
    """The compaction is not under way any more, or not under this token."""

    def __init__(self, context_id: str, compaction_id: str, state: str, why: str) -> None:
        self.context_id = context_id
        self.compaction_id = compaction_id
        self.state = state
        self.why = why
        super().__init__(f"Compaction {compaction_id} of context {context_id} is {state} ({why}); begin another one.")


class Precondition(KataError):
    """The state does not allow the call."""


class BudgetTooSmall(Precondition):
    """What must be in the window does not fit."""

    def __init__(
        self, required: int, budget: int, reserve: int, pinned: int, newest_group: int, *, turn: int = 0, tools: int = 0
    ) -> None:
        self.required = required
        self.turn = turn
        self.tools = tools
        self.budget = budget
        self.reserve = reserve
        self.pinned = pinned
        self.newest_group = newest_group
        super().__init__(
            f"The pinned messages ({pinned} tokens), the user's message of the open turn ({turn}), the newest group "
            f"({newest_group}), the tool schemas ({tools}) and the reserve ({reserve}) need {required} tokens with "
            f"framing; the budget is {budget}."
        )


class NoLegalWindow(Precondition):
    """No message may open a window of this dialect."""

    def __init__(self, dialect: str, snapshot_version: int) -> None:
        self.dialect = dialect
        self.snapshot_version = snapshot_version
        super().__init__(f"No message up to version {snapshot_version} may open a window in dialect {dialect}.")


class WindowGone(Precondition):
    """The window that a resume token goes on with is not what it was."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        super().__init__(f"The window of context {context_id} is not what it was; ask again without resume_token.")


class ContextNotDeleted(Precondition):
    """The context is live."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        super().__init__(f"Context {context_id} is not deleted.")


class TooManyOpenCalls(Precondition):
    """More tool calls would be open than a context may have."""

    def __init__(self, context_id: str, maximum: int) -> None:
        self.context_id = context_id
        self.maximum = maximum
        super().__init__(f"More than {maximum} tool calls of context {context_id} would be open; answer some first.")


class ForkTooDeep(Precondition):
    """The fork would be deeper than is allowed."""

    def __init__(self, context_id: str, depth: int, maximum: int) -> None:
        self.context_id = context_id
        self.depth = depth
        self.maximum = maximum
        super().__init__(f"A fork of context {context_id} would be {depth} deep; at most {maximum} are allowed.")


class TooManyForks(Precondition):
    """The context has as many forks as are allowed."""

    def __init__(self, context_id: str, maximum: int) -> None:
        self.context_id = context_id
        self.maximum = maximum
        super().__init__(f"Context {context_id} has {maximum} forks, and more are not allowed.")


class ContextIsFlat(Precondition):
    """The context reads no ancestor's log."""

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        super().__init__(f"Context {context_id} has all of its messages in its own log: there is nothing to flatten.")


class SummaryRejected(Precondition):
    """What should stand for hidden messages is no summary of them."""

    def __init__(self, context_id: str, compaction_id: str, why: Sequence[str]) -> None:
        self.context_id = context_id
        self.compaction_id = compaction_id
        self.why = ", ".join(why)
        super().__init__(
            f"The summary of compaction {compaction_id} was rejected ({self.why}); everything is as it was."
        )


class CompactionNotInForce(Precondition):
    """The compaction is not the one in force, or holds no more."""

    def __init__(self, context_id: str, compaction_id: str) -> None:
        self.context_id = context_id
        self.compaction_id = compaction_id
        super().__init__(f"Compaction {compaction_id or '(any)'} of context {context_id} is not in force.")


class NothingToCompact(Precondition):
    """No group would be hidden."""

    def __init__(self, context_id: str, why: str) -> None:
        self.context_id = context_id
        self.why = why
        super().__init__(f"There is nothing to compact in context {context_id}: {why.replace('_', ' ')}.")


class ContextHasForks(Precondition):
    """Other contexts read the context's log."""

    def __init__(self, context_id: str, count: int, fork_ids: Sequence[str]) -> None:
        self.context_id = context_id
        self.count = count
        self.fork_ids = tuple(fork_ids)
        super().__init__(
            f"Forks read the log of context {context_id}, {count} in all: purge them first, or flatten them, as "
            "detach_children does."
        )


class ResponseTooLarge(Precondition):
    """The answer does not fit one unary response."""

    def __init__(self, size: int, maximum: int) -> None:
        self.size = size
        self.maximum = maximum
        super().__init__(f"The window has {size} bytes, more than {maximum} in one response; use StreamWindow.")


class OutOfRange(KataError):
    """A version or revision beyond the latest or, where `earliest` is given, before that."""

    def __init__(self, field: str, value: int, latest: int, earliest: int | None = None) -> None:
        self.field = field
        self.value = value
        self.latest = latest
        self.earliest = earliest
        bound = f"the latest is {latest}" if earliest is None else f"the earliest is {earliest}"
        super().__init__(f"{field} is {value}; {bound}.")


class TooManyWatchers(KataError):
    """This worker has as many watches as it takes."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        super().__init__(f"This server has {maximum} watches and takes no more now. Call again later.")


class NoSummary(KataError):
    """Whatever makes summaries made none; `retry_after` is how many seconds it wants to be left alone, if it says."""

    def __init__(self, context_id: str, compaction_id: str, why: str, retry_after: float | None = None) -> None:
        self.context_id = context_id
        self.compaction_id = compaction_id
        self.why = why
        self.retry_after = retry_after
        super().__init__(f"There is no summary for compaction {compaction_id} ({why}); everything is as it was.")


class WriteContention(KataError):
    """The database gave up between concurrent writers; nothing was written."""

    def __init__(self) -> None:
        super().__init__("Concurrent writers got in each other's way; nothing was written. Call again.")


class StorageUnavailable(KataError):
    """No database, or no free connection in time."""

    def __init__(self, message: str = "The database cannot be reached or is busy. Call again.") -> None:
        super().__init__(message)


class ShuttingDown(KataError):
    """The server is stopping."""

    def __init__(self) -> None:
        super().__init__("The server is stopping. Call again.")


class DeadlineExceeded(KataError):
    """A bound on waiting passed."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        super().__init__(f"The call took longer than {timeout_seconds:g} s.")
