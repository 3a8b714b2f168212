"""Which version and revision of a context a call is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.repositories.contexts import ContextRepository

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.domain.lineage import Lineage


@dataclass(frozen=True, slots=True)
class At:
    """What a caller names: messages up to a version, overlays up to a revision; the latest where nothing is said."""

    version: int | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A live context as it is now, where its messages are, and the version and revision that a call is about."""

    context: Context
    lineage: Lineage
    version: int
    revision: int


class Snapshots:
    """Finds snapshots."""

    def __init__(self, executor: Executor) -> None:
        self._contexts = ContextRepository(executor)

    async def find(self, tenant: TenantId, context_id: UUID, at: At) -> Snapshot:
        """Return the snapshot that is named. Raises ContextNotFound or OutOfRange."""
        found = await self._contexts.get_with_lineage(context_id, tenant)
        if found is None or found[0].delete_time is not None:
            raise ContextNotFound(str(context_id))
        context, lineage = found
        for name, asked, latest in (
            ("at_version", at.version, context.latest_version),
            ("at_revision", at.revision, context.latest_revision),
        ):
            if asked is not None and asked > latest:
                raise OutOfRange(name, asked, latest)
        revision = context.latest_revision if at.revision is None else at.revision
        if at.version is not None:
            version = at.version
        elif at.revision is not None:
            version = await self._contexts.version_at(lineage, tenant, at.revision)
        else:
            version = context.latest_version
        return Snapshot(context, lineage, version, revision)
