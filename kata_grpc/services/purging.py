"""Purging: a context is erased for good, with everything that belongs to it alone.

First its row goes, in one transaction, and with it every way to what it holds; then the rest, in short ones. Whoever is
stopped leaves rows that nobody can reach, and the next one goes on there.
"""

from __future__ import annotations

import asyncio
from contextvars import Context as Variables
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc import limits
from kata_grpc.domain.errors import (
    ContextHasForks,
    ContextIsFlat,
    ContextNotDeleted,
    ContextNotFound,
    ContextPurged,
    RequestIdReused,
)
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.purging import Amount, PurgeRepository
from kata_grpc.services.requests import check_claim, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.db.pool import Database, Executor
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.repositories.purging import Purged
    from kata_grpc.services.flattening import Flattening


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased of a context by table, or would be, and how many forks were detached before, or would be."""

    context_id: UUID
    purge_time: datetime | None
    erased: Mapping[str, Amount]
    detached: int = 0
    replayed: bool = False


class Purging:
    """The use case of purging."""

    def __init__(self, database: Database, flattening: Flattening) -> None:
        self._db = database
        self._flattening = flattening
        self._erasing: set[asyncio.Task[Purged]] = set()

    async def close(self) -> None:
        """Stop erasing; what remains is left to the next run of retention."""
        for task in self._erasing:
            task.cancel()
        await asyncio.gather(*self._erasing, return_exceptions=True)

    async def purge(self, tenant: TenantId, context_id: UUID, request_id: str | None, *, detach: bool) -> Receipt:
        """Erase a soft-deleted context whose log no other one reads; with `detach`, copy it for those that do first.

        A caller that goes away does not stop it. Raises ContextNotFound, ContextPurged, ContextNotDeleted,
        ContextHasForks or RequestIdReused.
        """
        wanted = fingerprint("PurgeContext", {"detach_children": detach})
        detached = await self._detach(tenant, context_id, request_id, wanted) if detach else 0
        purged, replayed = await self._take(tenant, context_id, request_id, wanted)
        if purged.remaining is not None:
            # In a context of its own: the deadline of the call is not that of the work.
            task = asyncio.create_task(self._erase(tenant, context_id), context=Variables())
            self._erasing.add(task)
            task.add_done_callback(self._erasing.discard)
            purged = await asyncio.shield(task)
        return Receipt(context_id, purged.purge_time, purged.erased, detached, replayed)

    async def take(self, tenant: TenantId, context_id: UUID, update_time: datetime) -> None:
        """Make a context unreachable that has not changed since a time; its rows remain, for `erase_some`.

        Raises ContextNotFound, ContextPurged, ContextNotDeleted or ContextHasForks.
        """
        async with self._db.transaction() as executor:
            context = await ContextRepository(executor).lock_against_forks(context_id, tenant)
            if context is not None and context.update_time != update_time:
                raise ContextNotDeleted(str(context_id))
            await _check(executor, tenant, context_id, context, detach=False)
            await PurgeRepository(executor).purge(context_id, tenant, None, fingerprint("Retention", {}))

    async def preview(self, tenant: TenantId, context_id: UUID, *, detach: bool) -> Receipt:
        """Return what `purge` would do; it raises what that would raise."""
        context = await ContextRepository(self._db).get(context_id, tenant)
        readers = await _check(self._db, tenant, context_id, context, detach=detach)
        assert context is not None, "it was checked"
        erased: dict[str, Amount] = {}
        last = max(context.latest_version, context.latest_revision)
        for first in range(0, last + 1, limits.MEASURED_NUMBERS):
            found = await PurgeRepository(self._db).measure(
                context_id, tenant, first, first + limits.MEASURED_NUMBERS - 1
            )
            for name, (rows, size) in found.items():
                before = erased.get(name, Amount(0, 0))
                erased[name] = Amount(before.rows + rows, before.bytes + size)
        return Receipt(context_id, None, erased, readers)

    async def erase_some(self, tenant: TenantId, context_id: UUID) -> Purged | None:
        """Erase a batch of what remains of a purged context; return its receipt, None if nothing remained."""
        async with self._db.transaction() as executor:
            repository = PurgeRepository(executor)
            purged = await repository.lock(context_id, tenant)
            if purged is None or purged.remaining is None:
                return None
            return await repository.erase(
                context_id, tenant, purged.remaining, limits.PURGE_ROWS, limits.PURGE_MESSAGE_BYTES
            )

    async def _erase(self, tenant: TenantId, context_id: UUID) -> Purged:
        while await self.erase_some(tenant, context_id):
            pass
        purged = await PurgeRepository(self._db).find(context_id, tenant)
        assert purged is not None, "what is left of a context stays"
        return purged

    async def _take(
        self, tenant: TenantId, context_id: UUID, request_id: str | None, wanted: bytes
    ) -> tuple[Purged, bool]:
        """Take the context's row away, unless an earlier call has; tell which."""
        async with self._db.transaction() as executor:
            # Who forks it now has the row, and shows to the statement after the wait; who comes later finds no row.
            context = await ContextRepository(executor).lock_against_forks(context_id, tenant)
            if context is None:
                purged = await PurgeRepository(executor).find(context_id, tenant)
                return _replayed(purged, context_id, request_id, wanted), True
            if request_id is not None and (
                claim := await ContextRepository(executor).find_claim(context_id, tenant, request_id)
            ):
                check_claim(claim, request_id, wanted)
            await _check(executor, tenant, context_id, context, detach=False)
            return await PurgeRepository(executor).purge(context_id, tenant, request_id, wanted), False

    async def _detach(self, tenant: TenantId, context_id: UUID, request_id: str | None, wanted: bytes) -> int:
        """Flatten all that read the context's log; return how many that were."""
        contexts = ContextRepository(self._db)
        context = await contexts.get(context_id, tenant)
        if context is None:
            return 0
        if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
            check_claim(claim, request_id, wanted)
        await _check(self._db, tenant, context_id, context, detach=True)
        detached = 0
        while True:
            _, readers = await PurgeRepository(self._db).readers(context_id, tenant, limits.PURGE_READERS)
            if not readers:
                return detached
            for reader in readers:
                try:
                    await self._flattening.flatten(tenant, reader, None, deleted_too=True)
                except (ContextIsFlat, ContextNotFound):
                    continue  # somebody else was faster
                detached += 1


async def _check(
    executor: Executor, tenant: TenantId, context_id: UUID, context: Context | None, *, detach: bool
) -> int:
    """Return how many others read the log of a context that can be purged: none, unless they are to be detached."""
    repository = PurgeRepository(executor)
    if context is None:
        if await repository.find(context_id, tenant):
            raise ContextPurged(str(context_id))
        raise ContextNotFound(str(context_id))
    if context.delete_time is None:
        raise ContextNotDeleted(str(context_id))
    readers, first = await repository.readers(context_id, tenant, limits.NAMED_READERS)
    if readers and not detach:
        raise ContextHasForks(str(context_id), readers, tuple(map(str, first)))
    return readers


def _replayed(purged: Purged | None, context_id: UUID, request_id: str | None, wanted: bytes) -> Purged:
    if purged is None:
        raise ContextNotFound(str(context_id))
    if request_id is None or purged.request_id != request_id:
        raise ContextPurged(str(context_id))
    if purged.fingerprint != wanted:
        raise RequestIdReused(request_id)
    return purged
