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

    async def flatten(self, tenant: TenantId, context_id: UUID, request_id: str | None) -> Changed:
        """Copy what a fork inherits, batch by batch, and then have it read that.

        Each batch is a transaction of its own; whoever is stopped leaves what was copied, where the next one goes on.
        """
        contexts = ContextRepository(self._db)
        context, claim = await contexts.get_with_claim(context_id, tenant, request_id) or (None, None)
        if context is not None and claim is not None and request_id is not None:
            check_claim(claim, request_id, _WANTED)
            return Changed(context, claim.revision, replayed=True)
        found = await contexts.get_with_lineage(context_id, tenant)
        if found is None or found[0].delete_time is not None:
            raise ContextNotFound(str(context_id))
        context, lineage = found
        if context.fork is not None and not lineage.is_flat:
            await self._copy(FlatteningRepository(self._db, tenant, lineage, context.fork), context.fork)
            return await self._switch(tenant, lineage, context.fork, request_id)
        # It may be so since the claim was looked for.
        if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
            check_claim(claim, request_id, _WANTED)
            return Changed(context, claim.revision, replayed=True)
        raise ContextIsFlat(str(context_id))

    @staticmethod
    async def _copy(log: FlatteningRepository, fork: ForkPoint) -> None:
        version = await log.copied_version()
        while version < fork.version:
            version = await log.copy_messages(version + 1, limits.FLATTEN_MESSAGES, limits.FLATTEN_BYTES)
        revision = await log.copied_revision()
        while revision < fork.revision:
            revision = await log.copy_revisions(revision + 1, limits.FLATTEN_REVISIONS)
        await log.copy_overlays()

    async def _switch(self, tenant: TenantId, lineage: Lineage, fork: ForkPoint, request_id: str | None) -> Changed:
        context_id = lineage.own.source
        async with self._db.transaction() as executor:
            contexts = ContextRepository(executor)
            log = FlatteningRepository(executor, tenant, lineage, fork)
            before = await log.lock()
            if before is None:
                raise ContextNotFound(str(context_id))
            if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
                check_claim(claim, request_id, _WANTED)
                return Changed(before, claim.revision, replayed=True)
            if before.delete_time is not None:
                raise ContextNotFound(str(context_id))
            now = await contexts.get_with_lineage(context_id, tenant)
            if now is None or now[1].is_flat:
                raise ContextIsFlat(str(context_id))
            changed = await log.switch(request_id, _WANTED)
        self._changed(context_id, changed.latest_revision)
        return Changed(changed, changed.latest_revision, replayed=False)
