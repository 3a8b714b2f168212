"""What retention looks at, over all tenants, and whose turn it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.db.query import load
from kata_grpc.domain.contexts import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/retention.sql")


class RetentionRepository:
    """Reads contexts of all tenants, and holds the turn of a process."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def take_turn(self, holder: UUID, seconds: float, between_runs: float) -> bool | None:
        """Make it this process's turn; return whether a run is due, None where it is another's turn."""
        due: bool | None = await self._db.fetchval(_SQL.take_turn, holder, seconds, between_runs)
        return due

    async def end_turn(self, holder: UUID, *, ran: bool) -> None:
        """End this process's turn."""
        await self._db.execute(_SQL.end_turn, holder, ran)

    async def unfinished(self, limit: int) -> list[tuple[UUID, TenantId]]:
        """Return purged contexts that have rows to erase."""
        rows = await self._db.fetch(_SQL.list_unfinished, limit)
        return [(row["context_id"], TenantId(row["tenant_id"])) for row in rows]

    async def count_unfinished(self) -> int:
        """Return how many purged contexts have rows to erase."""
        count: int = await self._db.fetchval(_SQL.count_unfinished)
        return count

    async def next_tenant(self, before: str) -> TenantId | None:
        """Return the next tenant that has contexts."""
        tenant: str | None = await self._db.fetchval(_SQL.next_tenant, before)
        return None if tenant is None else TenantId(tenant)

    async def scan(self, tenant: TenantId, before: tuple[datetime, UUID], limit: int) -> Sequence[Row]:
        """Return a page of contexts, newest first."""
        return await self._db.fetch(_SQL.scan_contexts, tenant, *before, limit)

    async def read_by_others(self, tenant: TenantId, deleted_too: Mapping[UUID, bool]) -> set[UUID]:
        """Return those contexts whose logs others read, live ones or, where that is said, any."""
        rows = await self._db.fetch(_SQL.find_read, tenant, list(deleted_too), list(deleted_too.values()))
        return {row["id"] for row in rows}
