"""Removing messages from the view of a context, and bringing them back: overlays, which change no message."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING

from kata_grpc.domain.details import RemovalDetail
from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.domain.overlays import Run, merged
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import check_claim, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Database, Executor
    from kata_grpc.domain.contexts import Context, RevisionKind, TenantId
    from kata_grpc.domain.lineage import Lineage


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed or restored, whole groups."""

    context: Context
    revision: int
    replayed: bool
    runs: Sequence[Run]


class Removals:
    """The use cases of removing and restoring."""

    def __init__(self, database: Database, changed: OnChange = unwatched) -> None:
        self._db = database
        self._changed = changed

    async def change(
        self, tenant: TenantId, context_id: UUID, kind: RevisionKind, ranges: Sequence[Run], request_id: str | None
    ) -> Removed:
        """Remove (`kind` REMOVE) or restore (RESTORE) all groups that have a message in some ranges."""
        wanted = fingerprint(f"{kind.title()}Messages", {"ranges": merged(ranges)})
        async with self._db.transaction() as executor:
            contexts = ContextRepository(executor)
            found = await contexts.lock_with_lineage(context_id, tenant)
            if found is None:
                raise ContextNotFound(str(context_id))
            before, lineage = found
            if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
                check_claim(claim, request_id, wanted)
                assert isinstance(claim.detail, RemovalDetail), "its fingerprint is that of a removal"
                return Removed(before, claim.revision, True, list(starmap(Run, claim.detail.ranges)))
            if before.delete_time is not None:
                raise ContextNotFound(str(context_id))
            last = max(run.last for run in ranges)
            if last > before.latest_version:
                raise OutOfRange("ranges", last, before.latest_version)
            runs = await _whole_groups(executor, tenant, before, lineage, merged(ranges))
            context = await contexts.change_removals(context_id, tenant, kind, runs, request_id, wanted)
        self._changed(context_id, context.latest_revision)
        return Removed(context, context.latest_revision, False, runs)


async def _whole_groups(
    executor: Executor, tenant: TenantId, context: Context, lineage: Lineage, ranges: Sequence[Run]
) -> list[Run]:
    """Return ranges with all that belongs to the groups of their messages.

    A long range is not read: what its groups have outside of it are answers to calls that are open at its ends.
    """
    log = WindowRepository(executor, lineage, tenant)
    groups: set[int] = set()
    if singles := [run.first for run in ranges if run.first == run.last]:
        groups.update((await MessageRepository(executor).groups_of(lineage, tenant, singles)).values())
    for first, last in ranges:
        if first == last:
            continue
        before, after = (await log.state(first - 1)).open_groups, (await log.state(last)).open_groups
        groups.update(entry.group_version for entry in await log.group_members(before, first, last))
        groups.update(group for group in after if group >= first)
    groups.discard(0)
    members = await log.group_members(groups, 1, context.latest_version) if groups else []
    return merged([*ranges, *(Run(entry.version, entry.version) for entry in members)])
