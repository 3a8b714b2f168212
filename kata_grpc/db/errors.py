"""What the driver's failures mean to a caller: one mapping, keyed on SQLSTATE and constraint names, never on text.

Repositories see domain errors and `ConstraintViolated`; anything else that comes out of the database is a defect of
this program and passes through unchanged, to be logged and answered as internal.
"""

from __future__ import annotations

import asyncpg

from kata_grpc.domain import errors

CONTENTION = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: the statement was rolled back whole."""
CANCELLED = "57014"

_UNAVAILABLE_CLASSES = frozenset({"08", "53", "58"})
"""Connection exceptions, insufficient resources, system errors."""
_UNAVAILABLE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "25006"})
"""Shutdown, crash, start-up, session time-outs, and a former primary that is now read-only."""
_CONSTRAINTS = frozenset({"23502", "23503", "23505", "23514", "23P01"})


class StartupError(Exception):
    """The process cannot start; the message is one sentence for its operator."""


class ConstraintViolated(Exception):  # noqa: N818 - named as the domain's errors are
    """A row broke a named rule of the schema; the repository that wrote it knows what the name means."""

    def __init__(self, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(f"constraint {constraint} was violated")


def sqlstate(error: BaseException) -> str:
    """Return the five characters that PostgreSQL sent, or nothing."""
    return str(getattr(error, "sqlstate", None) or "")


def is_out_of_step(error: BaseException) -> bool:
    """Tell whether the driver lost track of a connection: it was used between the server's last words and its end."""
    return isinstance(error, asyncpg.InternalClientError)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether the failure is one of the connection or the server, and not of the statement."""
    state = sqlstate(error)
    if state:
        return state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)


def translate(error: Exception, within: float, *, connection_lost: bool = False) -> Exception:
    """Choose the error that the caller of a statement sees; `within` is the bound, in seconds, that it had."""
    state = sqlstate(error)
    if state == CANCELLED or isinstance(error, TimeoutError):
        return errors.DeadlineExceeded(within)
    lost = connection_lost and isinstance(error, asyncpg.InterfaceError)
    if lost or is_unavailable(error) or is_out_of_step(error):
        return errors.StorageUnavailable()
    if state in CONTENTION:
        return errors.WriteContention()
    constraint = getattr(error, "constraint_name", None) or getattr(error, "column_name", None)
    if state in _CONSTRAINTS and constraint:
        return ConstraintViolated(str(constraint))
    return error
