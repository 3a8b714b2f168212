"""Recounting what is stored, for the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.db.query import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/integrity.sql")


class IntegrityRepository:
    """Reads contexts beside what their rows add up to."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def recount(self, after: UUID | None, limit: int) -> Sequence[Row]:
        """Return a page of contexts with stored and recounted numbers."""
        return await self._db.fetch(_SQL.recount_contexts, after, limit)
