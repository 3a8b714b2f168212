"""Which version and revision of a context a call is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import ContextNotFound, OutOfRange, TagNotFound
from kata_grpc.domain.windows import View
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.repositories.tags import TagRepository

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.domain.lineage import Lineage


@dataclass(frozen=True, slots=True)
class At:
    """What a caller names: messages up to a version, overlays up to a revision; the latest where nothing is said.

    A time or a tag stands for both, and alone.
    """

    version: int | None = None
    revision: int | None = None
    time: datetime | None = None
    tag: str | None = None

    @property
    def canonical(self) -> list[object]:
        """What fingerprints have of it: what was said, and not what it means by then."""
        return [self.version, self.revision, self.time and self.time.isoformat(), self.tag]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A context as it is now, where its messages are, and the version and revision that a call is about."""

    context: Context
    lineage: Lineage
    version: int
    revision: int


async def is_current(executor: Executor, tenant: TenantId, lineage: Lineage) -> bool:
    """Tell whether a context is where it was believed to be, so that what was read there was all that there is.

    Where it is not, it was purged, or flattened, and what it had read before may be purged.
    """
    found = await ContextRepository(executor).get_with_lineage(lineage.own.source, tenant)
    return found is not None and found[1] == lineage


class Snapshots:
    """Finds snapshots."""

    def __init__(self, executor: Executor) -> None:
        self._contexts = ContextRepository(executor)
        self._messages = MessageRepository(executor)
        self._tags = TagRepository(executor)

    async def find(self, tenant: TenantId, context_id: UUID, at: At, *, show_deleted: bool = False) -> Snapshot:
        """Return the snapshot that is named, of a live context unless a deleted one will do.

        Raises ContextNotFound, OutOfRange or TagNotFound.
        """
        found = await self._contexts.get_with_lineage(context_id, tenant)
        if found is None or (found[0].delete_time is not None and not show_deleted):
            raise ContextNotFound(str(context_id))
        context, lineage = found
        if at.tag is not None:
            tag = await self._tags.find(context_id, tenant, at.tag)
            if tag is None:
                raise TagNotFound(str(context_id), at.tag)
            return Snapshot(context, lineage, tag.version, tag.revision)
        if at.time is not None:
            at = At(revision=await self._contexts.revision_at(lineage, tenant, at.time, context.latest_revision))
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

    async def find_viewed(
        self, tenant: TenantId, context_id: UUID, at: At, view: View, *, show_deleted: bool = False
    ) -> Snapshot:
        """Return a snapshot whose revision is that of the view: AS_THEN knows what was known when a version was new."""
        snapshot = await self.find(tenant, context_id, at, show_deleted=show_deleted)
        if view is View.AS_THEN and at.version is not None and at.revision is None:
            revision = await self._messages.revision_of(snapshot.lineage, tenant, at.version) if at.version else 0
            return replace(snapshot, revision=revision)
        return snapshot

    async def find_point(self, tenant: TenantId, context_id: UUID, at: At) -> Snapshot:
        """Return a snapshot whose revision has its version: a point where a log can go on. Raises OutOfRange."""
        snapshot = await self.find(tenant, context_id, at)
        if at.version is not None and at.revision is not None:
            newest = await self._contexts.version_at(snapshot.lineage, tenant, at.revision)
            if at.version > newest:
                raise OutOfRange("at_version", at.version, newest)
        return snapshot
