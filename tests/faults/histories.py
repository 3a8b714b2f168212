"""Whether what callers saw of a context can have happened one call after the other, each between its start and its end.

A context is a register of a version and a log. The versions in the answers say in which order the writes came about, so
that nothing has to be searched for: write number i needs a moment t(i) with t(1) <= t(2) <= …, each within its bounds,
and every bound is known. A caller that saw the state after k writes puts t(k) before its end and t(k + 1) behind its
start. The earliest moments that satisfy the lower bounds either satisfy the upper ones too, or none do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Appended:
    """The batch stands at these versions."""

    first: int
    last: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """The context was at another version than expected, and nothing was written."""

    actual: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A reader found the context at a version."""

    version: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call as its caller saw it: an append under a key, or a read without one.

    All attempts with a key ask for the same. Without an outcome the caller does not know what came of it, and it may
    come about at any time from its start on.
    """

    invoked: float
    returned: float = math.inf
    key: str = ""
    expected: int | None = None
    outcome: Appended | Conflict | Seen | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch of the log, as it is read when all is over."""

    key: str
    first: int
    last: int


@dataclass(slots=True)
class _Write:
    """One write, and the bounds of its moment."""

    entry: Entry
    not_before: float = -math.inf
    not_after: float = math.inf
    attempts: list[Attempt] = field(default_factory=list)


def violations(history: Sequence[Attempt], log: Sequence[Entry]) -> list[str]:
    """Return why the history and the log it left cannot both be true; nothing if they can."""
    wrong = list(_log_faults(log))
    writes = {entry.key: _Write(entry) for entry in log}
    if wrong or len(writes) < len(log):
        return wrong or ["a key is in the log twice"]
    ordered = [writes[entry.key] for entry in log]
    after = {0: 0} | {entry.last: number for number, entry in enumerate(log, start=1)}
    for attempt in history:
        if attempt.key in writes:
            writes[attempt.key].attempts.append(attempt)
    for attempt in history:
        match attempt.outcome:
            case Appended():
                if attempt.key not in writes:
                    wrong.append(f"{attempt} was acknowledged and is not in the log")
            case Conflict(actual=version) | Seen(version=version):
                if version not in after:
                    wrong.append(f"{attempt} saw a version at which no batch ends")
                    continue
                _bound(ordered, after[version], attempt)
                if isinstance(attempt.outcome, Conflict):
                    wrong += _conflict_faults(attempt, after[version], after, writes)
            case None:
                pass
    for write in ordered:
        wrong += _write_faults(write)
    return wrong or list(_order_faults(ordered))


def _log_faults(log: Sequence[Entry]) -> Iterator[str]:
    end = 0
    for entry in log:
        if entry.first != end + 1 or entry.last < entry.first:
            yield f"{entry} does not follow version {end}"
        end = entry.last


def _bound(ordered: Sequence[_Write], seen: int, attempt: Attempt) -> None:
    """Somebody saw the state after `seen` writes."""
    if seen:
        ordered[seen - 1].not_after = min(ordered[seen - 1].not_after, attempt.returned)
    if seen < len(ordered):
        ordered[seen].not_before = max(ordered[seen].not_before, attempt.invoked)


def _conflict_faults(attempt: Attempt, seen: int, after: dict[int, int], writes: dict[str, _Write]) -> Iterator[str]:
    assert isinstance(attempt.outcome, Conflict)
    if attempt.expected is None or attempt.expected == attempt.outcome.actual:
        yield f"{attempt} is no conflict"
    elif attempt.key in writes and after[writes[attempt.key].entry.last] <= seen:
        yield f"{attempt} should have been a replay"


def _write_faults(write: _Write) -> Iterator[str]:
    """Hold a write to the answers of those who asked for it, and bound it by them."""
    entry = write.entry
    answered = [a for a in write.attempts if isinstance(a.outcome, Appended)]
    writers = [a for a in answered if isinstance(a.outcome, Appended) and not a.outcome.replayed]
    unknown = [a for a in write.attempts if a.outcome is None]
    if len(writers) > 1:
        yield f"{entry} was written twice: {writers}"
    possible = writers or unknown
    if not possible:
        yield f"{entry} was written by nobody"
        return
    for attempt in answered:
        assert isinstance(attempt.outcome, Appended)
        if (attempt.outcome.first, attempt.outcome.last) != (entry.first, entry.last):
            yield f"{attempt} was told another place than {entry}"
    if possible[0].expected not in (None, entry.first - 1):
        yield f"{entry} does not stand where it was to"
    write.not_before = max(write.not_before, min(a.invoked for a in possible))
    write.not_after = min(write.not_after, *(a.returned for a in answered), math.inf)


def _order_faults(ordered: Sequence[_Write]) -> Iterator[str]:
    moment = -math.inf
    for write in ordered:
        moment = max(moment, write.not_before)
        if moment > write.not_after:
            yield f"{write.entry} was there at {write.not_after}, and cannot have been before {moment}"
