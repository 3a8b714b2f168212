"""Where an import goes on: which of its batches are there.

Batches are written one after the other under `<request_id>/<number>`, so that they are there without a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.repositories.contexts import ContextRepository

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Database
    from kata_grpc.domain.contexts import Context, TenantId


class Imports:
    """What an import asks of its context beside its appends."""

    def __init__(self, database: Database) -> None:
        self._contexts = ContextRepository(database)

    async def check_start(self, tenant: TenantId, context_id: UUID, request_id: str, first: int) -> None:
        """Raise unless the batches before `first` are there."""
        if first == 0 or await self._is_there(tenant, context_id, request_id, first - 1):
            return
        await self.context(tenant, context_id, deleted=False)
        raise OutOfRange("header.first_batch", first, await self.next_batch(tenant, context_id, request_id))

    async def next_batch(self, tenant: TenantId, context_id: UUID, request_id: str) -> int:
        """Find the number of the first batch that is not there, by doubling and then by halving."""
        there, missing = -1, 0
        while await self._is_there(tenant, context_id, request_id, missing):
            there, missing = missing, 2 * missing + 1
        while missing - there > 1:
            middle = (there + missing) // 2
            if await self._is_there(tenant, context_id, request_id, middle):
                there = middle
            else:
                missing = middle
        return missing

    async def context(self, tenant: TenantId, context_id: UUID, *, deleted: bool) -> Context:
        """Return the context for the answer: `deleted` or not where every batch was answered."""
        context = await self._contexts.get(context_id, tenant)
        if context is None or (context.delete_time is not None and not deleted):
            raise ContextNotFound(str(context_id))
        return context

    async def _is_there(self, tenant: TenantId, context_id: UUID, request_id: str, number: int) -> bool:
        return await self._contexts.find_claim(context_id, tenant, f"{request_id}/{number}") is not None
