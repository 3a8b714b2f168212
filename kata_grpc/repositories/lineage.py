"""What contexts are to each other, as rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from kata_grpc.db.query import load
from kata_grpc.domain.contexts import ForkPoint
from kata_grpc.domain.lineage import Lineage, Relative
from kata_grpc.repositories.contexts import lineage_of

if TYPE_CHECKING:
    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/lineage.sql")

BEFORE_ALL = (0, UUID(int=0))
"""Where a walk over forks starts: the number and id that all are beyond."""


class LineageRepository:
    """Reads how the contexts of a tenant come from each other."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def path(self, context_id: UUID, tenant: TenantId, most: int) -> tuple[list[Relative], Lineage] | None:
        """Return a context, deleted or not, behind at most so many of its ancestors, and where its messages are."""
        rows = await self._db.fetch(_SQL.get_ancestors, context_id, tenant, most)
        if not rows:
            return None
        segments = json.loads(rows[-1]["segments"]) if rows[-1]["segments"] else None
        return list(map(_relative, rows)), lineage_of(context_id, rows[-1]["fork_version"], segments)

    async def children(
        self, context_id: UUID, tenant: TenantId, after: tuple[int, UUID], limit: int
    ) -> list[tuple[Relative, int]]:
        """Return forks beyond a number and an id, in the order in which they were made, each with its number."""
        rows = await self._db.fetch(_SQL.list_children, context_id, tenant, *after, limit)
        return [(_relative(row), row["child_number"]) for row in rows]

    async def shared_version(self, tenant: TenantId, left: Lineage, right: Lineage, most: int) -> int:
        """Return the last version, up to `most`, that two lineages have of the same log."""
        version: int = await self._db.fetchval(
            _SQL.find_shared_version, tenant, *left.columns(most), *right.columns(most), most + 1
        )
        return version


def _relative(row: Row) -> Relative:
    fork = ForkPoint(row["parent_id"], row["fork_version"], row["fork_revision"]) if row["parent_id"] else None
    return Relative(
        row["id"],
        row["name"],
        fork,
        row["depth"],
        row["latest_version"],
        row["latest_revision"],
        row["total_tokens"],
        row["create_time"],
        row["delete_time"],
        row["has_forks"],
    )
