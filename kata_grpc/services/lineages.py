"""Where contexts come from, what was forked from them, and what two of them have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import ContextNotFound
from kata_grpc.limits import COMPARED_BYTES, MAX_ANCESTORS
from kata_grpc.repositories.lineage import BEFORE_ALL, LineageRepository
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.snapshots import At, Snapshot, Snapshots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.lineage import Relative, Segment
    from kata_grpc.domain.messages import Row


@dataclass(frozen=True, slots=True)
class Kinship:
    """A context among those that it comes from and those that come from it.

    `segments` end where the context is now; `next` is the place behind the last of `children`, None behind all.
    """

    context: Relative
    ancestors: Sequence[Relative]
    segments: Sequence[Segment]
    children: Sequence[Relative]
    next: tuple[int, UUID] | None


@dataclass(frozen=True, slots=True)
class Point:
    """A context at a moment."""

    context_id: UUID
    at: At


@dataclass(frozen=True, slots=True)
class Side:
    """What one of two contexts has beyond the shared version: how much, and a page of its messages.

    `after` is the version up to which the page goes.
    """

    snapshot: Snapshot
    message_count: int
    total_tokens: int
    rows: Sequence[Row]
    after: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two contexts have in common, and a page of what they have not; `more` says that there is another one."""

    ancestor_id: UUID | None
    shared_version: int
    left: Side
    right: Side
    more: bool


class Lineages:
    """The use cases of lineage."""

    def __init__(self, database: Executor) -> None:
        self._db = database
        self._lineage = LineageRepository(database)

    async def get(self, tenant: TenantId, context_id: UUID, after: tuple[int, UUID] | None, limit: int) -> Kinship:
        """Return the lineage of a context, deleted or not, with a page of its forks."""
        found = await self._lineage.path(context_id, tenant, MAX_ANCESTORS)
        if found is None:
            raise ContextNotFound(str(context_id))
        (*ancestors, context), lineage = found
        children = await self._lineage.children(context_id, tenant, after or BEFORE_ALL, limit + 1)
        page = children[:limit]
        own = lineage.own._replace(last=context.latest_version, last_revision=context.latest_revision)
        behind = (page[-1][1], page[-1][0].id) if len(children) > limit else None
        return Kinship(context, ancestors, (*lineage.segments[:-1], own), [child for child, _ in page], behind)

    async def compare(
        self, tenant: TenantId, left: Point, right: Point, after: tuple[int, int] | None, limit: int
    ) -> Comparison:
        """Compare two contexts, and return a page of what each has beyond `after`, or beyond the shared version."""
        snapshots = Snapshots(self._db)
        one = await snapshots.find(tenant, left.context_id, left.at)
        other = await snapshots.find(tenant, right.context_id, right.at)
        shared = 0
        if most := min(one.version, other.version):
            shared = await self._lineage.shared_version(tenant, one.lineage, other.lineage, most)
        left_after, right_after = after or (shared, shared)
        of_left = await self._side(tenant, one, shared, left_after, limit)
        of_right = await self._side(tenant, other, shared, right_after, limit)
        return Comparison(
            await self._common_ancestor(tenant, left.context_id, right.context_id),
            shared,
            of_left,
            of_right,
            more=any(side.after < side.snapshot.version for side in (of_left, of_right)),
        )

    async def _common_ancestor(self, tenant: TenantId, left: UUID, right: UUID) -> UUID | None:
        of_left, of_right = [await self._line(tenant, context_id) for context_id in (left, right)]
        return next((context_id for context_id in of_left if context_id in of_right), None)

    async def _line(self, tenant: TenantId, context_id: UUID) -> list[UUID]:
        """Return a context and those that it comes from, the nearest first, also one that was purged."""
        found = await self._lineage.path(context_id, tenant, MAX_ANCESTORS)
        if found is None:
            raise ContextNotFound(str(context_id))
        path, _ = found
        line = [relative.id for relative in reversed(path)]
        return [*line, path[0].fork.parent_id] if path[0].fork else line

    async def _side(self, tenant: TenantId, snapshot: Snapshot, shared: int, start: int, limit: int) -> Side:
        log = WindowRepository(self._db, snapshot.lineage, tenant)
        rows, _ = await MessageRepository(self._db).page(
            snapshot.lineage,
            tenant,
            newest_first=False,
            after=start,
            up_to=snapshot.version,
            roles=None,
            max_bytes=COMPARED_BYTES,
            limit=limit,
        )
        until, since = await log.state(snapshot.version), await log.state(shared)
        return Side(
            snapshot,
            snapshot.version - shared,
            until.tokens - since.tokens,
            rows,
            rows[-1]["version"] if rows else snapshot.version,
        )
