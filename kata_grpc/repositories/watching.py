"""What watches read, and what processes tell each other about changes of contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.db.query import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/watching.sql")

CHANNEL = "kata_changes"
LISTENERS_LOCK = 7737593596763988840
"""Of the advisory lock that processes hold together while they listen: "katawtch" in ASCII."""


class WatchRepository:
    """Looks at contexts for those who watch them."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def start(self, context_id: UUID, tenant: TenantId, version: int) -> Row | None:
        """Return how far the context's own log goes, and the revisions of the message `version` and of the next."""
        return await self._db.fetchrow(_SQL.find_watch_start, context_id, tenant, version)

    async def changed(
        self, believed: Sequence[tuple[UUID, TenantId, int]], *, within: float
    ) -> list[tuple[UUID, int | None]]:
        """Return the contexts that are not at the revision that is believed, with the one they are at; None if gone."""
        rows = await self._db.fetch(_SQL.find_changed_contexts, *zip(*believed, strict=True), within=within)
        return [(row["context_id"], row["latest_revision"]) for row in rows]

    async def tell(self, payloads: Sequence[str], *, within: float) -> bool:
        """Notify the processes that listen; tell whether there was any."""
        return bool(await self._db.fetch(_SQL.tell_listeners, LISTENERS_LOCK, CHANNEL, payloads, within=within))
