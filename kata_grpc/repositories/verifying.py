"""A context with all that is stored about it, as rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kata_grpc.db.query import load
from kata_grpc.limits import PAGE_BYTES
from kata_grpc.repositories.contexts import lineage_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import RevisionKind, TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/verifying.sql")
_PAGE = 500
_COMPACTIONS = 50
"""Of a page: each has a summary."""


def lineage_from_row(row: Row) -> Lineage:
    """Read where the messages of a context are."""
    return lineage_of(row["id"], row["fork_version"], json.loads(row["segments"]) if row["segments"] else None)


class VerifyingRepository:
    """Reads everything about contexts of one tenant."""

    def __init__(self, executor: Executor, tenant: TenantId) -> None:
        self._db = executor
        self._tenant = tenant

    async def context(self, context_id: UUID) -> Row | None:
        """Return a context, and how far its rows go."""
        return await self._db.fetchrow(_SQL.get_whole_context, context_id, self._tenant)

    async def parent(self, parent_id: UUID) -> Row:
        """Return the context that a fork comes from, null in all columns without one, and whether it was purged."""
        row = await self._db.fetchrow(_SQL.get_origin, parent_id, self._tenant)
        assert row is not None, "it is joined to one row"
        return row

    async def detail_of_newest(self, context_id: UUID, kind: RevisionKind) -> str | None:
        """Return what the newest revision of a kind says."""
        row = await self._db.fetchrow(_SQL.find_revision_of_kind, context_id, self._tenant, kind)
        return row["detail"] if row else None

    async def fork_points(self, context_id: UUID, revision: int) -> list[tuple[int, int]]:
        """Return the revisions up to one at which a copied history was forked, each with its version."""
        rows = await self._db.fetch(_SQL.list_fork_points, context_id, self._tenant, revision)
        return [(row["revision"], row["fork_version"]) for row in rows]

    async def count(self, context_ids: Sequence[UUID]) -> int:
        """Return how many of some contexts there are."""
        count: int = await self._db.fetchval(_SQL.count_contexts, context_ids, self._tenant)
        return count

    async def revision(self, context_id: UUID, revision: int) -> Row | None:
        """Return one revision."""
        return await self._db.fetchrow(_SQL.get_revision, context_id, self._tenant, revision)

    async def state(self, context_id: UUID, version: int) -> Row | None:
        """Return the running state beside a message."""
        return await self._db.fetchrow(_SQL.get_message_state, context_id, self._tenant, version)

    async def revisions(self, lineage: Lineage, after: int, last: int) -> AsyncIterator[Row]:
        """Yield revisions of a range of a context's own with what they set, in order."""
        sources = [segment.source for segment in lineage.segments]
        while rows := await self._db.fetch(
            _SQL.list_whole_revisions, lineage.own.source, self._tenant, after, last, _PAGE, sources
        ):
            for row in rows:
                yield row
            after = rows[-1]["revision"]

    async def messages(self, context_id: UUID, after: int, last: int) -> AsyncIterator[Sequence[Row]]:
        """Yield pages of messages of a range, in order."""
        while rows := await self._db.fetch(
            _SQL.list_whole_messages, context_id, self._tenant, after, last, PAGE_BYTES, _PAGE
        ):
            yield rows
            after = rows[-1]["version"]

    async def removals(self, context_id: UUID, revision: int) -> list[tuple[int, int, bool]]:
        """Return the runs that a revision removed or brought back."""
        rows = await self._db.fetch(_SQL.list_removals_of, context_id, self._tenant, revision)
        return [(row["first_version"], row["last_version"], row["removed"]) for row in rows]

    async def unredacted(self, lineage: Lineage, ranges: Sequence[tuple[int, int]]) -> int | None:
        """Return a version in some ranges whose content was not erased."""
        segments = lineage.segments
        version: int | None = await self._db.fetchval(
            _SQL.find_unredacted,
            self._tenant,
            [s.source for s in segments],
            [s.first for s in segments],
            [s.last for s in segments],
            [first for first, _ in ranges],
            [last for _, last in ranges],
        )
        return version

    async def beside(self, context_id: UUID, revisions: tuple[int, int], versions: tuple[int, int]) -> Row:
        """Return how many rows stand beside the revisions and versions of ranges, which begin above their first."""
        row = await self._db.fetchrow(_SQL.count_beside, context_id, self._tenant, *revisions, *versions)
        assert row is not None, "it counts"
        return row

    async def overlays(self, lineage: Lineage, revision: int) -> Row:
        """Return whether anything of a lineage was removed up to a revision, and whether anything was erased."""
        segments = lineage.segments
        row = await self._db.fetchrow(
            _SQL.has_overlays,
            self._tenant,
            [s.source for s in segments],
            [s.last for s in segments],
            [min(s.last_revision, revision) for s in segments],
        )
        assert row is not None, "it counts"
        return row

    async def compactions(self, lineage: Lineage, last: int) -> AsyncIterator[Row]:
        """Yield the compactions that a context committed up to a revision."""
        after: object = "00000000-0000-0000-0000-000000000000"
        sources = [segment.source for segment in lineage.segments]
        context_id = lineage.own.source
        while rows := await self._db.fetch(
            _SQL.list_whole_compactions, context_id, self._tenant, after, last, sources, _COMPACTIONS
        ):
            for row in rows:
                yield row
            after = rows[-1]["compaction_id"]

    async def tags(self, context_id: UUID) -> AsyncIterator[Row]:
        """Yield the tags of a context."""
        after = ""
        while rows := await self._db.fetch(_SQL.list_whole_tags, context_id, self._tenant, after, _PAGE):
            for row in rows:
                yield row
            after = rows[-1]["name"]
