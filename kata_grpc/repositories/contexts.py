"""Contexts, their names and their revisions, as rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from kata_grpc.db.errors import ConstraintViolated
from kata_grpc.db.query import load
from kata_grpc.domain.contexts import (
    Claim,
    Context,
    ContextSpec,
    ForkPoint,
    Origin,
    RevisionKind,
    StoredPolicy,
    TenantId,
    settings_digest,
)
from kata_grpc.domain.details import RemovalDetail, detail_from_json, detail_to_json
from kata_grpc.domain.errors import ContextExists, ContextPurged
from kata_grpc.domain.lineage import ENDLESS, Lineage, Segment
from kata_grpc.domain.overlays import Run, split

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.details import Detail
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/contexts.sql")

_NO_LABELS = "{}"
BEFORE_ALL = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
"""Where a walk from the newest context starts. Always a place, so that every page is read along the index."""

_CHILD_OF_FLAT = 2
"""Segments of a child whose parent's log begins with itself."""


def context_from_row(row: Row) -> Context:
    """Read a row of `contexts`."""
    origin = None
    if row["origin_format"] is not None:
        origin = Origin(row["origin_format"], row["origin_id"], row["origin_extra_json"])
    return Context(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        unique_name=row["unique_name"],
        labels=json.loads(row["labels"]) if row["labels"] != _NO_LABELS else {},
        metadata_json=row["metadata_json"],
        tokenizer=row["tokenizer"],
        origin=origin,
        create_time=row["create_time"],
        update_time=row["update_time"],
        delete_time=row["delete_time"],
        update_revision=row["update_revision"],
        latest_revision=row["latest_revision"],
        latest_version=row["latest_version"],
        total_tokens=row["total_tokens"],
        fork=ForkPoint(row["parent_id"], row["fork_version"], row["fork_revision"]) if row["parent_id"] else None,
        depth=row["depth"],
        has_removals=row["has_removals"],
    )


def lineage_of(context_id: UUID, fork_version: int | None, segments: Sequence[Sequence[Any]] | None) -> Lineage:
    """Read the segments of a context's row: those of its ancestors, none of a context that is no fork."""
    if segments is None or fork_version is None:
        return Lineage.root(context_id)
    inherited = (Segment(UUID(source), *numbers) for source, *numbers in segments)
    return Lineage((*inherited, Segment(context_id, fork_version + 1, ENDLESS, ENDLESS)))


def _with_lineage(row: Row) -> tuple[Context, Lineage]:
    segments = json.loads(row["segments"]) if row["segments"] else None
    return context_from_row(row), lineage_of(row["id"], row["fork_version"], segments)


def segments_json(lineage: Lineage) -> str:
    """Spell the segments of the ancestors as a context's row has them."""
    return json.dumps([[str(source), *numbers] for source, *numbers in lineage.segments[:-1]])


def _refusal(violated: ConstraintViolated, context_id: UUID, spec: ContextSpec) -> Exception:
    """Say why a context cannot be created."""
    if violated.constraint == "context_names_pk":
        return ContextExists(spec.name)
    if violated.constraint == "purged_contexts_pk":
        return ContextPurged(str(context_id))
    return violated


def _within(revision: Row, last: int) -> Row:
    """Return a revision as it is in the history of a lineage that has its log up to a version."""
    if revision["last_version"] <= last:
        return revision
    clipped = dict(cast("Mapping[str, Any]", revision)) | {"last_version": last}
    if (revision["first_version"] or 0) > last:
        clipped |= {"first_version": None, "role": None, "record_start": None}
    return clipped


class ContextRepository:
    """Reads and writes contexts of one tenant at a time."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def create(
        self, context_id: UUID, tenant: TenantId, spec: ContextSpec, request_id: str | None, fingerprint: bytes
    ) -> Context | None:
        """Create a context; None when the id is taken.

        Raises ContextExists for a unique name that is held, ContextPurged for an id that was purged.
        """
        origin = spec.origin
        try:
            row = await self._db.fetchrow(
                _SQL.insert_context,
                context_id,
                tenant,
                spec.name,
                spec.unique_name,
                json.dumps(dict(spec.labels or {})),
                spec.metadata_json,
                spec.tokenizer,
                origin and origin.format,
                origin and origin.id,
                origin and origin.extra_json,
                request_id,
                fingerprint,
                settings_digest(spec),
            )
        except ConstraintViolated as violated:
            raise _refusal(violated, context_id, spec) from violated
        return context_from_row(row) if row else None

    async def fork(
        self,
        child_id: UUID,
        lineage: Lineage,
        parent: Context,
        spec: ContextSpec,
        revision: int,
        policy: bytes | None,
        inherited: StoredPolicy | None,
        in_force: tuple[int, UUID | None],
        request_id: str | None,
        fingerprint: bytes,
    ) -> tuple[Context, bool] | None:
        """Create a child of a live context that knows it up to a revision; say whether it may be due for compaction.

        None when its id is taken, or there is no such context, or it reads other logs than is believed.

        Raises ContextExists for a unique name that is held, ContextPurged for an id that was purged.
        """
        version = lineage.own.first - 1
        try:
            row = await self._db.fetchrow(
                _SQL.insert_fork,
                child_id,
                parent.tenant_id,
                spec.name,
                spec.unique_name,
                json.dumps(dict(spec.labels or {})),
                spec.metadata_json,
                parent.id,
                version,
                revision,
                segments_json(lineage),
                lineage.source(version) if version else parent.id,
                lineage.at_revision(revision).source,
                policy,
                inherited and inherited.policy,
                inherited.revision if inherited else 0,
                request_id,
                fingerprint,
                len(lineage.segments) == _CHILD_OF_FLAT,
                *reversed(in_force),
                settings_digest(replace(spec, tokenizer=parent.tokenizer)),
            )
        except ConstraintViolated as violated:
            raise _refusal(violated, child_id, spec) from violated
        return (context_from_row(row), row["due_time"] is not None) if row else None

    async def has_children(self, context_id: UUID, tenant: TenantId, count: int) -> bool:
        """Return whether a context has at least so many forks."""
        numbered: int | None = await self._db.fetchval(_SQL.newest_child, context_id, tenant)
        if numbered is None or numbered < count:
            return False
        return bool(await self._db.fetchval(_SQL.count_children, context_id, tenant, count) >= count)

    async def version_at(self, lineage: Lineage, tenant: TenantId, revision: int) -> int:
        """Return the newest version that a lineage had at a revision."""
        segment = lineage.at_revision(revision)
        version: int | None = await self._db.fetchval(_SQL.version_at_revision, segment.source, tenant, revision)
        return min(version or 0, segment.last)

    async def revision_at(self, lineage: Lineage, tenant: TenantId, time: datetime, latest: int) -> int:
        """Return the newest revision up to the latest that a lineage had at a time; 0 before the first."""
        if not latest:
            return 0
        sources, first, last, _ = zip(*lineage.revisions(1, latest), strict=True)
        step = 1 << latest.bit_length() - 1
        found: int = await self._db.fetchval(_SQL.find_revision_at, tenant, sources, first, last, time, step)
        return found

    async def get(self, context_id: UUID, tenant: TenantId) -> Context | None:
        """Return the context, deleted or not."""
        row = await self._db.fetchrow(_SQL.get_context, context_id, tenant)
        return context_from_row(row) if row else None

    async def get_with_lineage(self, context_id: UUID, tenant: TenantId) -> tuple[Context, Lineage] | None:
        """Return the context, deleted or not, and where its messages are."""
        row = await self._db.fetchrow(_SQL.get_context, context_id, tenant)
        return _with_lineage(row) if row else None

    async def get_with_claim(
        self, context_id: UUID, tenant: TenantId, request_id: str | None
    ) -> tuple[Context, Claim | None] | None:
        """Return the context and what `request_id` stands for in it, as of one moment."""
        row = await self._db.fetchrow(_SQL.get_context_and_claim, context_id, tenant, request_id)
        if row is None:
            return None
        claim = None
        if row["claim_revision"] is not None:
            claim = Claim(
                row["claim_revision"],
                RevisionKind(row["claim_kind"]),
                row["claim_first_version"] or 0,
                row["claim_last_version"],
                row["claim_fingerprint"],
            )
        return context_from_row(row), claim

    async def lock(self, context_id: UUID, tenant: TenantId) -> Context | None:
        """Return the context under its row lock, until the transaction ends."""
        found = await self.lock_with_lineage(context_id, tenant)
        return found and found[0]

    async def lock_with_lineage(self, context_id: UUID, tenant: TenantId) -> tuple[Context, Lineage] | None:
        """Return the context under its row lock, and where its messages are."""
        row = await self._db.fetchrow(_SQL.lock_context, context_id, tenant)
        return _with_lineage(row) if row else None

    async def lock_against_forks(self, context_id: UUID, tenant: TenantId) -> Context | None:
        """Return the context under a lock that forks of it wait for, too."""
        row = await self._db.fetchrow(_SQL.lock_against_forks, context_id, tenant)
        return context_from_row(row) if row else None

    async def find_claim(self, context_id: UUID, tenant: TenantId, request_id: str) -> Claim | None:
        """Return what `request_id` stands for in the context."""
        row = await self._db.fetchrow(_SQL.find_claim, context_id, tenant, request_id)
        if row is None:
            return None
        kind = RevisionKind(row["kind"])
        detail = detail_from_json(kind, row["detail"])
        return Claim(row["revision"], kind, row["first_version"] or 0, row["last_version"], row["fingerprint"], detail)

    async def list(
        self,
        tenant: TenantId,
        labels: Mapping[str, str],
        name_prefix: str,
        show_deleted: bool,
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[Context]:
        """Return contexts, newest first, from the one after `after` on."""
        escaped = name_prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        create_time, last_id = after or BEFORE_ALL
        asked = (tenant, escaped + "%", show_deleted, create_time, last_id, limit)
        if labels:
            rows = await self._db.fetch(_SQL.list_contexts_with_labels, *asked, json.dumps(dict(labels)))
        else:
            rows = await self._db.fetch(_SQL.list_contexts, *asked)
        return [context_from_row(row) for row in rows]

    async def change(
        self,
        context: Context,
        *,
        deleted: bool,
        kind: RevisionKind,
        request_id: str | None,
        fingerprint: bytes,
        detail: Detail | None = None,
    ) -> Context:
        """Write name, labels, metadata and deletion of a locked context, and take a revision."""
        row = await self._db.fetchrow(
            _SQL.change_context,
            context.id,
            context.tenant_id,
            context.name,
            context.unique_name,
            json.dumps(dict(context.labels)),
            context.metadata_json,
            deleted,
            kind is RevisionKind.UPDATE,
            kind,
            request_id,
            fingerprint,
            detail and detail_to_json(detail),
        )
        assert row is not None, "the row is locked by this transaction"
        return context_from_row(row)

    async def take_revision(
        self,
        context_id: UUID,
        tenant: TenantId,
        kind: RevisionKind,
        detail: Detail,
        request_id: str | None,
        fingerprint: bytes,
    ) -> tuple[int, datetime]:
        """Take a revision of a locked context whose row it does not change; return it and its time."""
        row = await self._db.fetchrow(
            _SQL.take_revision, context_id, tenant, kind, request_id, fingerprint, detail_to_json(detail)
        )
        assert row is not None, "the row is locked by this transaction"
        return row["revision"], row["create_time"]

    async def policy(self, context_id: UUID, tenant: TenantId) -> StoredPolicy | None:
        """Return the policy in force of a live context; None where there is no such context."""
        row = await self._db.fetchrow(_SQL.get_policy, context_id, tenant)
        return None if row is None or row["deleted"] else StoredPolicy(row["policy_revision"], row["policy"] or b"")

    async def find_policy(self, context_id: UUID, tenant: TenantId, revision: int) -> StoredPolicy:
        """Return the policy that a revision set."""
        return StoredPolicy(revision, await self._db.fetchval(_SQL.find_policy, context_id, tenant, revision) or b"")

    async def set_policy(self, context: Context, policy: bytes, request_id: str | None, fingerprint: bytes) -> int:
        """Set the policy of a locked context; return the revision that it took."""
        revision: int = await self._db.fetchval(
            _SQL.set_policy, context.id, context.tenant_id, policy, request_id, fingerprint
        )
        return revision

    async def change_removals(
        self,
        context_id: UUID,
        tenant: TenantId,
        kind: RevisionKind,
        runs: Sequence[Run],
        request_id: str | None,
        fingerprint: bytes,
    ) -> Context:
        """Remove runs of versions from the view of a locked context, or bring them back."""
        rows = list(split(runs))
        row = await self._db.fetchrow(
            _SQL.change_removals,
            context_id,
            tenant,
            kind,
            kind is RevisionKind.REMOVE,
            [run.first for run in rows],
            [run.last for run in rows],
            detail_to_json(RemovalDetail(tuple(runs))),
            request_id,
            fingerprint,
        )
        assert row is not None, "the row is locked by this transaction"
        return context_from_row(row)

    async def hold_name(self, context: Context) -> None:
        """Make the context's unique name its own. Raises ContextExists."""
        try:
            await self._db.execute(_SQL.hold_name, context.tenant_id, context.name, context.id)
        except ConstraintViolated as violated:
            raise ContextExists(context.name) from violated

    async def free_name(self, context: Context) -> None:
        """Give the context's unique name up."""
        await self._db.execute(_SQL.free_name, context.tenant_id, context.name, context.id)

    async def list_revisions(
        self,
        lineage: Lineage,
        tenant: TenantId,
        first: int,
        last: int,
        *,
        newest_first: bool,
        kinds: Collection[RevisionKind] = (),
        limit: int,
        preview_bytes: int,
    ) -> Sequence[Row]:
        """Return rows of a range of the history, each with the first bytes of its first message's record."""
        page: list[Row] = []
        query, parts = _SQL.list_revisions_after, lineage.revisions(first, last)
        if newest_first:
            query, parts = _SQL.list_revisions_before, parts[::-1]
        for source, begin, end, last_version in parts:
            rows = await self._db.fetch(
                query, source, tenant, begin, end, list(kinds) or None, limit - len(page), preview_bytes
            )
            page += [_within(row, last_version) for row in rows]
            if len(page) == limit:
                break
        return page

    async def token_key(self) -> bytes:
        """Return the key under which page and resume tokens of this database are made."""
        key: bytes = await self._db.fetchval(_SQL.get_token_key)
        return key
