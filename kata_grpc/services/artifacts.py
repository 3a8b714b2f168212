"""The artifacts of a context, found in its messages when they are asked for: nothing of them is stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.codec import decode_record
from kata_grpc.compaction import Artifact, ArtifactKind, Look, Numbered, Runs, call_artifact, look
from kata_grpc.domain.windows import View
from kata_grpc.limits import ARTIFACT_BYTES
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.overlays import Overlays
from kata_grpc.services.snapshots import At, Snapshot, Snapshots, is_current
from kata_grpc.summarisers import Aside

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from kata_grpc.compaction import ToolRun
    from kata_grpc.db.pool import Database
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.messages import Row

_AT_ONCE = 2
"""Pages that are looked through at a time: each thread that computes has every call wait some 5 ms for its turn."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What artifacts are asked for: kinds, and a range of versions; the last of the snapshot where there is none."""

    kinds: frozenset[ArtifactKind]
    first: int = 1
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The artifacts of the versions `first` to `last` of a snapshot, and whether there are more to look at."""

    snapshot: Snapshot
    artifacts: Sequence[Artifact]
    first: int
    last: int
    more: bool


class Artifacts:
    """The use case of ListArtifacts."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._messages = MessageRepository(database)
        self._snapshots = Snapshots(database)
        self._aside = Aside()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def page(
        self,
        tenant: TenantId,
        context_id: UUID,
        at: At,
        asked: Asked,
        *,
        after: int,
        limit: int,
        view: View = View.CURRENT,
        show_deleted: bool = False,
    ) -> Page:
        """Return the artifacts of a page of messages beyond version `after`."""
        snapshot = await self._snapshots.find_viewed(tenant, context_id, at, view, show_deleted=show_deleted)
        first = max(asked.first, after + 1)
        until = snapshot.version if asked.last is None else min(asked.last, snapshot.version)
        rows, more = await self._messages.page(
            snapshot.lineage,
            tenant,
            newest_first=False,
            after=first - 1,
            up_to=until,
            roles=None,
            max_bytes=ARTIFACT_BYTES,
            limit=limit,
        )
        last = rows[-1]["version"] if more else until
        overlays = self._overlays(tenant, snapshot, view)
        kinds = asked.kinds
        seen = await self._look(rows, overlays, kinds, Runs())
        calls: list[ToolRun] = []
        if ArtifactKind.TOOL_CALL in kinds:
            groups = {row["version"]: row["group_version"] for row in rows}
            calls = await self._calls(tenant, snapshot, overlays, seen, groups, last)
        if not await is_current(self._db, tenant, snapshot.lineage):
            return await self.page(
                tenant, context_id, at, asked, after=after, limit=limit, view=view, show_deleted=show_deleted
            )
        return Page(snapshot, [*seen.found, *map(call_artifact, calls)], first, last, more)

    def _overlays(self, tenant: TenantId, snapshot: Snapshot, view: View) -> Overlays | None:
        """Return what hides messages; None where nothing does. A redacted one has no content, wherever it is shown."""
        if view is View.RAW or not snapshot.context.has_removals:
            return None
        log = WindowRepository(self._db, snapshot.lineage, tenant)
        return Overlays(log, view, snapshot.version, snapshot.revision, redactions=False)

    async def _look(
        self, rows: Sequence[Row], overlays: Overlays | None, kinds: Collection[ArtifactKind], runs: Runs
    ) -> Look:
        visible = rows if overlays is None else await overlays.visible(rows)
        async with self._turn:
            messages = await asyncio.to_thread(_decoded, visible)
            return await self._aside.work(look, messages, kinds=kinds, runs=runs)

    async def _calls(
        self,
        tenant: TenantId,
        snapshot: Snapshot,
        overlays: Overlays | None,
        seen: Look,
        groups: Mapping[int, int],
        last: int,
    ) -> list[ToolRun]:
        """Return the calls of a page that ends at `last`, with the answers that stand behind it in their groups."""
        calls, runs, place = seen.answered, seen.runs, last
        while waiting := [run for run in runs.unanswered() if run.version <= last]:
            of_groups = {groups[run.version] for run in waiting}
            rows = await self._messages.rest_of_groups(
                snapshot.lineage, tenant, of_groups, place, snapshot.version, ARTIFACT_BYTES
            )
            if not rows:
                calls += waiting
                break
            place = rows[-1]["version"]
            rest = await self._look(rows, overlays, (), runs)
            calls += (run for run in rest.answered if run.version <= last)
            runs = rest.runs
        return sorted(calls, key=lambda run: (run.version, run.part))


def _decoded(rows: Sequence[Row]) -> list[Numbered]:
    return [Numbered(row["version"], decode_record(row["record"])) for row in rows]
