"""Walking through all that is stored, for the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from kata_grpc.db.query import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/integrity.sql")
BEFORE_ALL = UUID(int=0)


class IntegrityRepository:
    """Finds contexts of all tenants, and rows of none."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def contexts(self, after: UUID, limit: int) -> Sequence[Row]:
        """Return a page of contexts with their tenants."""
        return await self._db.fetch(_SQL.list_contexts, after, limit)

    async def find(self, context_id: UUID) -> Row | None:
        """Return one context with its tenant."""
        return await self._db.fetchrow(_SQL.find_context, context_id)

    async def stray_rows(self, limit: int) -> Sequence[Row]:
        """Return rows of contexts that are not there, and names that are held for nothing."""
        return [*await self._db.fetch(_SQL.list_stray_rows, limit), *await self._db.fetch(_SQL.list_stray_names, limit)]
