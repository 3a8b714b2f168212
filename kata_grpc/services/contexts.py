"""Creating, finding and changing contexts."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kata_grpc.domain.contexts import Context, ContextSpec, RevisionKind, TenantId, settings_digest
from kata_grpc.domain.details import UpdateDetail
from kata_grpc.domain.errors import ContextNotDeleted, ContextNotFound, EtagMismatch
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import check_claim, fingerprint, new_id

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.db.pool import Database, Executor

Change = Callable[[Context], Context]


@dataclass(frozen=True, slots=True)
class Changed:
    """A context after a change, the revision of the change, and whether an earlier call had made it."""

    context: Context
    revision: int
    replayed: bool


class Contexts:
    """The use cases of ContextService."""

    def __init__(self, database: Database, changed: OnChange = unwatched) -> None:
        self._db = database
        self._changed = changed
        self._contexts = ContextRepository(database)

    async def create(self, tenant: TenantId, spec: ContextSpec, request_id: str | None) -> tuple[Context, bool]:
        """Create a context, or finds the one that the request_id created; say which."""
        wanted = fingerprint(
            "CreateContext",
            {
                "name": spec.name,
                "labels": dict(spec.labels or {}),
                "metadata": json.loads(spec.metadata_json or "{}"),
                "tokenizer": spec.tokenizer,
                "unique_name": spec.unique_name,
                "origin": spec.origin and [spec.origin.format, spec.origin.id, spec.origin.extra_json],
            },
        )
        context_id = new_id(tenant, "CreateContext", request_id)
        if created := await self._contexts.create(context_id, tenant, spec, request_id, wanted):
            return created, False
        assert request_id is not None, "an id that is taken follows from a request_id"
        context, claim = await self._contexts.get_with_claim(context_id, tenant, request_id) or (None, None)
        if context is None or claim is None:
            raise ContextNotFound(str(context_id))
        check_claim(claim, request_id, wanted)
        return context, True

    async def get(self, tenant: TenantId, context_id: UUID) -> Context:
        """Return a context, deleted or not."""
        if context := await self._contexts.get(context_id, tenant):
            return context
        raise ContextNotFound(str(context_id))

    async def list(
        self,
        tenant: TenantId,
        *,
        labels: Mapping[str, str],
        name_prefix: str,
        show_deleted: bool,
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[Context]:
        """Return contexts, newest first."""
        return await self._contexts.list(tenant, labels, name_prefix, show_deleted, after, limit)

    async def update(
        self,
        tenant: TenantId,
        context_id: UUID,
        values: ContextSpec,
        paths: Collection[str],
        etag: str,
        request_id: str | None,
    ) -> Changed:
        """Change the fields named by `paths` (name, labels, metadata, unique_name) to those of `values`."""
        fields: dict[str, object] = {
            "name": values.name,
            "labels": dict(values.labels or {}),
            "metadata": json.loads(values.metadata_json or "{}"),
            "unique_name": values.unique_name,
        }
        wanted = fingerprint("UpdateContext", {path: fields[path] for path in paths})

        def change(context: Context) -> Context:
            return replace(
                context,
                name=values.name if "name" in paths else context.name,
                labels=dict(values.labels or {}) if "labels" in paths else context.labels,
                metadata_json=values.metadata_json if "metadata" in paths else context.metadata_json,
                unique_name=values.unique_name if "unique_name" in paths else context.unique_name,
            )

        detail = UpdateDetail(tuple(sorted(paths)))
        return await self._change(tenant, context_id, RevisionKind.UPDATE, change, etag, request_id, wanted, detail)

    async def delete(self, tenant: TenantId, context_id: UUID, etag: str, request_id: str | None) -> Changed:
        """Soft-deletes a context."""
        wanted = fingerprint("DeleteContext", {})
        return await self._change(tenant, context_id, RevisionKind.DELETE, None, etag, request_id, wanted)

    async def undelete(self, tenant: TenantId, context_id: UUID, request_id: str | None) -> Changed:
        """Brings a soft-deleted context back."""
        wanted = fingerprint("UndeleteContext", {})
        return await self._change(tenant, context_id, RevisionKind.UNDELETE, None, "", request_id, wanted)

    async def _change(
        self,
        tenant: TenantId,
        context_id: UUID,
        kind: RevisionKind,
        change: Change | None,
        etag: str,
        request_id: str | None,
        wanted: bytes,
        detail: UpdateDetail | None = None,
    ) -> Changed:
        async with self._db.transaction() as executor:
            contexts = ContextRepository(executor)
            before = await contexts.lock(context_id, tenant)
            if before is None:
                raise ContextNotFound(str(context_id))
            if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
                check_claim(claim, request_id, wanted)
                return Changed(before, claim.revision, replayed=True)
            if kind is RevisionKind.UNDELETE and before.delete_time is None:
                raise ContextNotDeleted(str(context_id))
            if kind is not RevisionKind.UNDELETE and before.delete_time is not None:
                raise ContextNotFound(str(context_id))
            if etag and etag != before.etag:
                raise EtagMismatch(etag, before.etag)
            after = change(before) if change else before
            await _move_name(executor, before, after, kind)
            if detail is not None:
                detail = replace(detail, settings=settings_digest(after))
            changed = await contexts.change(
                after,
                deleted=kind is RevisionKind.DELETE,
                kind=kind,
                request_id=request_id,
                fingerprint=wanted,
                detail=detail,
            )
        self._changed(context_id, changed.latest_revision)
        return Changed(changed, changed.latest_revision, replayed=False)


async def _move_name(executor: Executor, before: Context, after: Context, kind: RevisionKind) -> None:
    """Frees and holds unique names, which only live contexts have."""
    contexts = ContextRepository(executor)
    held = before.unique_name and bool(before.name) and kind is not RevisionKind.UNDELETE
    wants = after.unique_name and bool(after.name) and kind is not RevisionKind.DELETE
    if held and wants and before.name == after.name:
        return
    if held:
        await contexts.free_name(before)
    if wants:
        await contexts.hold_name(after)
