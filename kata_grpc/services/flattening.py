"""Flattening: a fork gets a log of its own, with all that it read in its ancestors'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc import limits
from kata_grpc.domain.errors import ContextIsFlat, ContextNotFound
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.flattening import FlatteningRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.contexts import Changed
from kata_grpc.services.requests import check_claim, fingerprint

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Database
    from kata_grpc.domain.contexts import ForkPoint, TenantId
    from kata_grpc.domain.lineage import Lineage

_WANTED = fingerprint("FlattenContext", {})


class Flattening:
    """The use case of flattening."""

    def __init__(self, database: Database, changed: OnChange = unwatched) -> None:
        self._db = database
        self._changed = changed

    async def flatten(
        self, tenant: TenantId, context_id: UUID, request_id: str | None, *, deleted_too: bool = False
    ) -> Changed:
        """Copy what a fork inherits, batch by batch, and then have it read that.

        Each batch is a transaction of its own; whoever is stopped leaves what was copied, where the next one goes on.
        A soft-deleted fork is flattened only where that is said.
        """
        contexts = ContextRepository(self._db)
        context, claim = await contexts.get_with_claim(context_id, tenant, request_id) or (None, None)
        if context is not None and claim is not None and request_id is not None:
            check_claim(claim, request_id, _WANTED)
            return Changed(context, claim.revision, replayed=True)
        found = await contexts.get_with_lineage(context_id, tenant)
        if found is None or (found[0].delete_time is not None and not deleted_too):
            raise ContextNotFound(str(context_id))
        context, lineage = found
        if context.fork is not None and not lineage.is_flat:
            log = FlatteningRepository(self._db, tenant, lineage, context.fork)
            if await self._copy(log, context.fork):
                return await self._switch(tenant, lineage, context.fork, request_id, deleted_too=deleted_too)
        # It may be so, or gone, since the claim was looked for.
        if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
            check_claim(claim, request_id, _WANTED)
            return Changed(context, claim.revision, replayed=True)
        if await contexts.get(context_id, tenant) is None:
            raise ContextNotFound(str(context_id))
        raise ContextIsFlat(str(context_id))

    @staticmethod
    async def _copy(log: FlatteningRepository, fork: ForkPoint) -> bool:
        """Copy all; tell whether there was all of it to copy."""
        version: int | None = await log.copied_version()
        while version is not None and version < fork.version:
            version = await log.copy_messages(version + 1, limits.FLATTEN_MESSAGES, limits.FLATTEN_BYTES)
        if version is None:
            return False
        revision = await log.copied_revision()
        while revision < fork.revision:
            revision = await log.copy_revisions(revision + 1, limits.FLATTEN_REVISIONS)
        await log.copy_overlays()
        return True

    async def _switch(
        self, tenant: TenantId, lineage: Lineage, fork: ForkPoint, request_id: str | None, *, deleted_too: bool
    ) -> Changed:
        context_id = lineage.own.source
        async with self._db.transaction() as executor:
            contexts = ContextRepository(executor)
            before = await contexts.lock_against_forks(context_id, tenant)
            if before is None:
                raise ContextNotFound(str(context_id))
            if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
                check_claim(claim, request_id, _WANTED)
                return Changed(before, claim.revision, replayed=True)
            if before.delete_time is not None and not deleted_too:
                raise ContextNotFound(str(context_id))
            now = await contexts.get_with_lineage(context_id, tenant)
            if now is None or now[1].is_flat:
                raise ContextIsFlat(str(context_id))
            log = FlatteningRepository(executor, tenant, lineage, fork)
            changed = await log.switch(request_id, _WANTED)
        self._changed(context_id, changed.latest_revision)
        return Changed(changed, changed.latest_revision, replayed=False)
