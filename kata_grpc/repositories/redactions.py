"""Erasing the content of messages, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import load
from kata_grpc.domain.details import detail_to_json
from kata_grpc.repositories.contexts import context_from_row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.db.query import Query
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.domain.details import RedactionDetail
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/redactions.sql")


class Tombstone(NamedTuple):
    """What stands in the place of a message: in whose log it was appended, its version, and its record."""

    owner: UUID
    version: int
    record: bytes


class Erased(NamedTuple):
    """A row of which the content is gone."""

    context_id: UUID
    version: int
    group_version: int


class RedactionRepository:
    """Erases messages of one tenant, within a transaction."""

    def __init__(self, executor: Executor, tenant: TenantId) -> None:
        self._db = executor
        self._tenant = tenant

    async def find(self, lineage: Lineage, versions: Sequence[int]) -> Sequence[Row]:
        """Return what stays of some messages, in order, with their owners and whether they were erased before."""
        sources = lineage.columns(max(versions))
        return await self._db.fetch(_SQL.find_messages_to_erase, self._tenant, *sources, versions)

    async def lock(self, logs: Collection[UUID]) -> None:
        """Lock contexts, so that what is made of their messages was begun before and is found, or is made after."""
        await self._db.fetch(_SQL.lock_logs, list(logs), self._tenant)

    async def next_stamp(self, context_id: UUID) -> datetime:
        """Return the time of the next revision of a locked context."""
        time: datetime = await self._db.fetchval(_SQL.next_stamp, context_id, self._tenant)
        return time

    async def erase(self, tombstones: Sequence[Tombstone], revision: int) -> list[Erased]:
        """Erase messages that are not erased yet, in the logs to which they were appended."""
        return await self._erase(_SQL.erase_messages, tombstones, revision)

    async def erase_copies(self, tombstones: Sequence[Tombstone], revision: int) -> list[Erased]:
        """Erase their copies. One that was being made of a copy shows only after a wait for it: call it again."""
        return await self._erase(_SQL.erase_copies, tombstones, revision)

    async def _erase(self, query: Query, tombstones: Sequence[Tombstone], revision: int) -> list[Erased]:
        owners, versions, records = zip(*tombstones, strict=True)
        rows = await self._db.fetch(query, self._tenant, owners, versions, records, revision)
        return [Erased(row["context_id"], row["version"], row["group_version"]) for row in rows]

    async def keep(self, erased: Sequence[Erased]) -> None:
        """Note which messages were erased."""
        await self._db.execute(_SQL.keep_redactions, self._tenant, *zip(*erased, strict=True))

    async def erase_embeddings(self, logs: Sequence[UUID], versions: Sequence[int]) -> int:
        """Erase the embeddings of messages; return how many there were."""
        count: int = await self._db.fetchval(_SQL.erase_embeddings, self._tenant, logs, versions)
        return count

    async def take_revision(
        self, context_id: UUID, time: datetime, detail: RedactionDetail, request_id: str | None, fingerprint: bytes
    ) -> Context:
        """Take the revision of a locked context."""
        row = await self._db.fetchrow(
            _SQL.redact_context, context_id, self._tenant, time, detail_to_json(detail), request_id, fingerprint
        )
        assert row is not None, "the row is locked by this transaction"
        return context_from_row(row)
