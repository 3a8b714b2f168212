"""Erasing contexts with all of their rows, and what is left of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/purging.sql")


class Amount(NamedTuple):
    """Rows of one table, and the bytes that they have."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Purged:
    """What is left of a purged context: what was erased so far, and up to which number rows remain; None for none."""

    purge_time: datetime
    request_id: str | None
    fingerprint: bytes
    erased: Mapping[str, Amount]
    remaining: int | None


class PurgeRepository:
    """Erases contexts of one tenant at a time."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def readers(self, context_id: UUID, tenant: TenantId, most: int) -> tuple[int, Sequence[UUID]]:
        """Return how many other contexts read a context's log, soft-deleted ones too, and the oldest of them."""
        row = await self._db.fetchrow(_SQL.count_readers, context_id, tenant, most)
        assert row is not None, "it counts"
        return row["count"], row["ids"]

    async def purge(self, context_id: UUID, tenant: TenantId, request_id: str | None, fingerprint: bytes) -> Purged:
        """Take the row of a locked context away; its other rows remain."""
        row = await self._db.fetchrow(_SQL.purge_context, context_id, tenant, request_id, fingerprint)
        assert row is not None, "the row is locked by this transaction"
        return _purged(row)

    async def find(self, context_id: UUID, tenant: TenantId) -> Purged | None:
        """Return what is left of a purged context."""
        row = await self._db.fetchrow(_SQL.find_purged, context_id, tenant)
        return _purged(row) if row else None

    async def lock(self, context_id: UUID, tenant: TenantId) -> Purged | None:
        """Return the same under a lock for which others wait who erase its rows."""
        row = await self._db.fetchrow(_SQL.lock_purged, context_id, tenant)
        return _purged(row) if row else None

    async def erase(self, context_id: UUID, tenant: TenantId, remaining: int, rows: int, max_bytes: int) -> Purged:
        """Erase the next rows of a purged context whose remainder is locked."""
        row = await self._db.fetchrow(_SQL.erase_rows, context_id, tenant, remaining, rows, max_bytes)
        assert row is not None, "the row is locked by this transaction"
        return _purged(row)

    async def measure(self, context_id: UUID, tenant: TenantId, first: int, last: int) -> dict[str, Amount]:
        """Return what would be erased of a range of numbers."""
        rows = await self._db.fetch(_SQL.measure_rows, context_id, tenant, first, last)
        return {row["name"]: Amount(row["rows"], row["bytes"]) for row in rows if row["rows"]}


def _purged(row: Row) -> Purged:
    erased = {name: Amount(**amount) for name, amount in json.loads(row["receipt"]).items()}
    return Purged(row["purge_time"], row["request_id"], row["fingerprint"], erased, row["remaining"])
