"""Copying what a fork reads in its ancestors' logs, as rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kata_grpc.db.query import load
from kata_grpc.repositories.contexts import context_from_row, segments_json

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import Context, ForkPoint, TenantId
    from kata_grpc.domain.lineage import Lineage

_SQL = load("kata_grpc.repositories", "sql/flattening.sql")


class FlatteningRepository:
    """Copies what one fork inherits into its own log, and has it read that alone."""

    def __init__(self, executor: Executor, tenant: TenantId, lineage: Lineage, fork: ForkPoint) -> None:
        self._db = executor
        self._tenant = tenant
        self._lineage = lineage
        self._fork = fork

    @property
    def _id(self) -> UUID:
        return self._lineage.own.source

    async def copied_version(self) -> int:
        """Return the newest version that was copied; 0 before the first."""
        version: int | None = await self._db.fetchval(_SQL.copied_version, self._id, self._tenant, self._fork.version)
        return version or 0

    async def copy_messages(self, first: int, limit: int, max_bytes: int) -> int | None:
        """Copy messages from a version on, as many as one log has and the limits allow; return the last version.

        None: the context or what it reads there is gone.
        """
        segment = self._lineage.between(first, self._fork.version)[0]
        last: int | None = await self._db.fetchval(
            _SQL.copy_messages, segment.source, self._tenant, self._id, first, segment.last, limit, max_bytes
        )
        return last

    async def copied_revision(self) -> int:
        """Return the newest revision that was copied; -1 before that of the root's creation, which is 0."""
        revision: int | None = await self._db.fetchval(
            _SQL.copied_revision, self._id, self._tenant, self._fork.revision
        )
        return -1 if revision is None else revision

    async def copy_revisions(self, first: int, limit: int) -> int:
        """Copy revisions from one on, as many as one log has and the limit allows; return the last of them."""
        segment = self._lineage.at_revision(first)
        last = min(first + limit - 1, segment.last_revision)
        await self._db.execute(_SQL.copy_revisions, segment.source, self._tenant, self._id, first, last, segment.last)
        return last

    async def copy_overlays(self) -> None:
        """Copy policies and removals, which no ancestor changes any more as far as the fork knows them."""
        sources, first, last, versions = self._inherited()
        await self._db.execute(_SQL.copy_policies, self._id, self._tenant, sources, first, last)
        await self._db.execute(_SQL.copy_removals, self._id, self._tenant, sources, first, last, versions)

    def _inherited(self) -> tuple[list[UUID], list[int], list[int], list[int]]:
        """Return source, first and last revision and last version of each part that an ancestor made."""
        parts = self._lineage.revisions(0, self._fork.revision)
        return [p[0] for p in parts], [p[1] for p in parts], [p[2] for p in parts], [p[3] for p in parts]

    async def switch(self, request_id: str | None, fingerprint: bytes) -> Context:
        """Copy what is erased and what was compacted by now, and have the locked context read its own log alone."""
        sources = self._lineage.columns(self._fork.version)
        await self._db.execute(_SQL.copy_redactions, self._id, self._tenant, *sources)
        await self._db.execute(_SQL.copy_compactions, self._id, self._tenant, *self._inherited())
        detail = json.dumps({"segments": json.loads(segments_json(self._lineage))})
        row = await self._db.fetchrow(_SQL.flatten_context, self._id, self._tenant, request_id, fingerprint, detail)
        assert row is not None, "the row is locked by this transaction"
        return context_from_row(row)
