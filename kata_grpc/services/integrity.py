"""Whether the stored counters are what a recount gives, for `kata-grpc doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.repositories.integrity import IntegrityRepository

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.messages import Row

_PAGE = 100
_PAIRS = (
    ("latest_version", "messages"),
    ("latest_version", "last_version"),
    ("latest_revision", "revisions"),
    ("total_tokens", "tokens"),
    ("total_items", "items"),
    ("inexact_messages", "inexact"),
    ("pinned_tokens", "tokens_of_pinned"),
    ("pinned_messages", "pinned"),
    ("pinned_items", "items_of_pinned"),
)
"""What a context stores, and what its rows must add up to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One context that is not what its rows say."""

    context_id: UUID
    tenant_id: str
    difference: str


async def recount(database: Executor) -> AsyncIterator[tuple[int, list[Finding]]]:
    """Recount every context, a page at a time; yield how many there were and what was found."""
    contexts = IntegrityRepository(database)
    after: UUID | None = None
    while rows := await contexts.recount(after, _PAGE):
        yield len(rows), [finding for row in rows for finding in _findings(row)]
        after = rows[-1]["id"]


def _findings(row: Row) -> Iterator[Finding]:
    for stored, counted in _PAIRS:
        if row[stored] != row[counted]:
            yield _finding(row, f"{stored} is {row[stored]}, a recount of {counted} gives {row[counted]}")
    if row["bad_sums"]:
        yield _finding(row, f"{row['bad_sums']} messages have a version or a running sum that does not follow")
    if row["bad_digests"]:
        yield _finding(row, f"{row['bad_digests']} messages are not what their digest says")


def _finding(row: Row, difference: str) -> Finding:
    return Finding(row["id"], row["tenant_id"], difference)
