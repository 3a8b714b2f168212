"""Tags as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.db.query import load
from kata_grpc.domain.contexts import Tag

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/tags.sql")


def _tag_from_row(row: Row) -> Tag:
    return Tag(row["name"], row["version"], row["revision"], row["update_time"])


class TagRepository:
    """Reads and writes tags of one context at a time."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def find(self, context_id: UUID, tenant: TenantId, name: str) -> Tag | None:
        """Return a tag."""
        row = await self._db.fetchrow(_SQL.find_tag, context_id, tenant, name)
        return _tag_from_row(row) if row else None

    async def list(self, context_id: UUID, tenant: TenantId, after: str, limit: int) -> list[Tag]:
        """Return tags by name, from the one after a name on."""
        return [_tag_from_row(row) for row in await self._db.fetch(_SQL.list_tags, context_id, tenant, after, limit)]

    async def put(self, context_id: UUID, tenant: TenantId, tag: Tag) -> None:
        """Set a tag of a locked context, or move it."""
        await self._db.execute(_SQL.put_tag, context_id, tenant, tag.name, tag.version, tag.revision, tag.update_time)

    async def drop(self, context_id: UUID, tenant: TenantId, name: str) -> None:
        """Delete a tag of a locked context."""
        await self._db.execute(_SQL.drop_tag, context_id, tenant, name)
