"""Tags: names of a context's snapshots, which stay where they are until they are moved or deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.domain.contexts import Claim, Context, RevisionKind, Tag, TenantId
from kata_grpc.domain.details import TagDetail
from kata_grpc.domain.errors import ContextNotFound, TagExists, TagNotFound
from kata_grpc.domain.lineage import Lineage
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.tags import TagRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.messages import revision_from_row
from kata_grpc.services.requests import check_claim, fingerprint
from kata_grpc.services.snapshots import At, Snapshots

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Database, Executor


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag as a revision set it, and whether an earlier call had done so."""

    tag: Tag
    revision: int
    replayed: bool


class Tags:
    """The use cases of tags."""

    def __init__(self, database: Database, changed: OnChange = unwatched) -> None:
        self._db = database
        self._changed = changed

    async def put(
        self, tenant: TenantId, context_id: UUID, name: str, at: At, *, move: bool, request_id: str | None
    ) -> Tagged:
        """Set a tag, or move the one of this name where that is wanted. Raises TagExists where it is not."""
        wanted = fingerprint("TagVersion", {"name": name, "at": at.canonical, "move": move})
        async with self._db.transaction() as executor:
            contexts, tags = ContextRepository(executor), TagRepository(executor)
            context, claim = await _locked(executor, tenant, context_id, request_id, wanted)
            if claim is not None:
                return await _as_set(contexts, tenant, context_id, claim.revision)
            _check_live(context)
            before = await tags.find(context_id, tenant, name)
            if before is not None and not move:
                raise TagExists(str(context_id), name)
            snapshot = await Snapshots(executor).find_point(tenant, context_id, at)
            previous = (before.version, before.revision) if before else (None, None)
            detail = TagDetail(name, snapshot.version, snapshot.revision, *previous)
            revision, time = await contexts.take_revision(
                context_id, tenant, RevisionKind.TAG, detail, request_id, wanted
            )
            tag = Tag(name, snapshot.version, snapshot.revision, time)
            await tags.put(context_id, tenant, tag)
        self._changed(context_id, revision)
        return Tagged(tag, revision, replayed=False)

    async def delete(self, tenant: TenantId, context_id: UUID, name: str, request_id: str | None) -> tuple[int, bool]:
        """Delete a tag; return the revision that did, and whether it was of an earlier call."""
        wanted = fingerprint("DeleteTag", {"name": name})
        async with self._db.transaction() as executor:
            tags = TagRepository(executor)
            context, claim = await _locked(executor, tenant, context_id, request_id, wanted)
            if claim is not None:
                return claim.revision, True
            _check_live(context)
            before = await tags.find(context_id, tenant, name)
            if before is None:
                raise TagNotFound(str(context_id), name)
            detail = TagDetail(name, None, None, before.version, before.revision)
            revision, _ = await ContextRepository(executor).take_revision(
                context_id, tenant, RevisionKind.UNTAG, detail, request_id, wanted
            )
            await tags.drop(context_id, tenant, name)
        self._changed(context_id, revision)
        return revision, False

    async def list(self, tenant: TenantId, context_id: UUID, after: str, limit: int) -> list[Tag]:
        """Return tags by name, from the one after a name on."""
        context = await ContextRepository(self._db).get(context_id, tenant)
        if context is None:
            raise ContextNotFound(str(context_id))
        _check_live(context)
        return await TagRepository(self._db).list(context_id, tenant, after, limit)


async def _locked(
    executor: Executor, tenant: TenantId, context_id: UUID, request_id: str | None, wanted: bytes
) -> tuple[Context, Claim | None]:
    """Lock a context; return it, deleted or not, and what the request_id stands for in it."""
    contexts = ContextRepository(executor)
    context = await contexts.lock(context_id, tenant)
    if context is None:
        raise ContextNotFound(str(context_id))
    claim = None
    if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
        check_claim(claim, request_id, wanted)
    return context, claim


async def _as_set(contexts: ContextRepository, tenant: TenantId, context_id: UUID, revision: int) -> Tagged:
    """Return the tag as a revision set it, whatever became of it."""
    (row,) = await contexts.list_revisions(
        Lineage.root(context_id), tenant, revision, revision, newest_first=False, limit=1, preview_bytes=0
    )
    made = revision_from_row(row)
    detail = made.detail
    assert isinstance(detail, TagDetail), "its fingerprint is that of a tag"
    assert detail.version is not None, "it set the tag"
    assert detail.revision is not None, "it set the tag"
    return Tagged(Tag(detail.name, detail.version, detail.revision, made.create_time), revision, replayed=True)


def _check_live(context: Context) -> None:
    if context.delete_time is not None:
        raise ContextNotFound(str(context.id))
