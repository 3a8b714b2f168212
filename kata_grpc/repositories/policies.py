"""Policies of tenants, and what is due by a policy, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import load
from kata_grpc.domain.compactions import CompactionState
from kata_grpc.domain.contexts import StoredPolicy, TenantId
from kata_grpc.repositories.contexts import BEFORE_ALL

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Executor

_SQL = load("kata_grpc.repositories", "sql/policies.sql")
_DUE_SQL = load("kata_grpc.repositories", "sql/due.sql")


class Due(NamedTuple):
    """When a context is looked at next: its running tokens, its version, in so many seconds; None for never."""

    tokens: int | None = None
    version: int | None = None
    seconds: float | None = None


class Ended(NamedTuple):
    """How a compaction ended, and how many seconds ago."""

    state: CompactionState
    ago: float


class PolicyRepository:
    """Reads and writes policies of tenants, and marks contexts."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def of_tenant(self, tenant: TenantId) -> StoredPolicy:
        """Return the policy in force of a tenant."""
        row = await self._db.fetchrow(_SQL.get_tenant_policy, tenant)
        return StoredPolicy(row["revision"], row["policy"]) if row else StoredPolicy(0, b"")

    async def tenant_claim(self, tenant: TenantId, request_id: str) -> tuple[StoredPolicy, bytes] | None:
        """Return the policy that a request_id set, and the fingerprint of that request."""
        row = await self._db.fetchrow(_SQL.find_tenant_claim, tenant, request_id)
        return (StoredPolicy(row["revision"], row["policy"]), row["fingerprint"]) if row else None

    async def set_of_tenant(
        self, tenant: TenantId, policy: bytes, before: int, request_id: str | None, fingerprint: bytes, due: Due
    ) -> int | None:
        """Set a tenant's policy behind that of a revision; return its revision, None where another was faster."""
        revision: int | None = await self._db.fetchval(
            _SQL.set_tenant_policy, tenant, policy, request_id, fingerprint, before, due.tokens, due.version
        )
        return revision

    async def mark_contexts(self, tenant: TenantId, page: int) -> None:
        """Have all contexts of a tenant looked at again, page by page."""
        before = BEFORE_ALL
        while row := await self._db.fetchrow(_SQL.mark_contexts, tenant, *before, page):
            before = row["create_time"], row["id"]

    async def mark_context(self, context_id: UUID, tenant: TenantId) -> None:
        """Have a context looked at again."""
        await self._db.execute(_SQL.mark_context, context_id, tenant)

    async def claim_due(self, limit: int, seconds: float) -> list[tuple[UUID, TenantId]]:
        """Take contexts that are due, for a while."""
        rows = await self._db.fetch(_DUE_SQL.claim_due, limit, seconds)
        return [(row["id"], TenantId(row["tenant_id"])) for row in rows]

    async def set_alarm(self, context_id: UUID, tenant: TenantId, due: Due) -> None:
        """Say when a context is looked at next."""
        await self._db.execute(_SQL.set_alarm, context_id, tenant, *due)

    async def last_compactions(self, context_id: UUID, tenant: TenantId, limit: int) -> list[Ended]:
        """Return how the newest compactions of a context ended, newest first."""
        rows = await self._db.fetch(_SQL.last_compactions, context_id, tenant, limit)
        return [Ended(CompactionState(row["state"]), row["ago"]) for row in rows]

    async def seconds_since_change(self, context_id: UUID, tenant: TenantId) -> float:
        """Return how long ago a context changed."""
        seconds: float | None = await self._db.fetchval(_SQL.seconds_since_change, context_id, tenant)
        return seconds or 0.0
