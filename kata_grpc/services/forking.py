"""Forks: a context that goes on from a point of another one, and has what came before by reference."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.domain.contexts import Context, ContextSpec, StoredPolicy, TenantId
from kata_grpc.domain.errors import ForkTooDeep, TooManyForks, TooManyOpenCalls
from kata_grpc.limits import MAX_OPEN_CALLS
from kata_grpc.repositories.compactions import CompactionRepository
from kata_grpc.repositories.contexts import ContextRepository, context_from_row
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import check_claim, fingerprint, new_id
from kata_grpc.services.snapshots import At, Snapshot, Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Database
    from kata_grpc.services.messages import Draft, Messages


@dataclass(frozen=True, slots=True)
class ForkLimits:
    """How deep forks may be, and how many a context may have."""

    depth: int
    children: int


@dataclass(frozen=True, slots=True)
class Forked:
    """The child, with what was appended to it in the same step: `last_version` is below `first_version` for nothing."""

    context: Context
    replayed: bool
    first_version: int
    last_version: int
    pending: Sequence[str]


class Forks:
    """The use case of forking."""

    def __init__(
        self,
        database: Database,
        messages: Messages,
        limits: ForkLimits,
        changed: OnChange = unwatched,
        due: Callable[[], None] | None = None,
    ) -> None:
        """`due` is called when a child may be due for compaction."""
        self._db = database
        self._messages = messages
        self._limits = limits
        self._changed = changed
        self._due = due

    async def fork(
        self,
        tenant: TenantId,
        parent_id: UUID,
        at: At,
        spec: ContextSpec,
        policy: bytes | None,
        drafts: Sequence[Draft],
        request_id: str | None,
    ) -> Forked:
        """Make a child of a context, with a policy of its own or the parent's, and append to it."""
        child_id = new_id(tenant, "ForkContext", request_id)
        digest = self._messages.fingerprint(drafts)
        wanted = fingerprint(
            "ForkContext",
            {
                "parent": str(parent_id),
                "at": at.canonical,
                "name": spec.name,
                "labels": dict(spec.labels or {}),
                "metadata": json.loads(spec.metadata_json or "{}"),
                "unique_name": spec.unique_name,
                "policy": None if policy is None else policy.hex(),
                "messages": digest.hex(),
            },
        )
        if request_id is not None and (replayed := await self._replay(tenant, child_id, request_id, wanted, drafts)):
            return replayed
        snapshot = await Snapshots(self._db).find_point(tenant, parent_id, at)
        if snapshot.context.depth >= self._limits.depth:
            raise ForkTooDeep(str(parent_id), snapshot.context.depth + 1, self._limits.depth)
        if await ContextRepository(self._db).has_children(parent_id, tenant, self._limits.children):
            raise TooManyForks(str(parent_id), self._limits.children)
        inherited = await self._policy(tenant, snapshot) if policy is None else None
        made = await self._make(tenant, child_id, snapshot, spec, policy, inherited, drafts, request_id, wanted)
        if made is not None:
            return made
        # A twin was faster, the parent is gone, or it was flattened meanwhile.
        if request_id is not None and (replayed := await self._replay(tenant, child_id, request_id, wanted, drafts)):
            return replayed
        return await self.fork(tenant, parent_id, at, spec, policy, drafts, request_id)

    async def _policy(self, tenant: TenantId, snapshot: Snapshot) -> StoredPolicy | None:
        log = WindowRepository(self._db, snapshot.lineage, tenant)
        found = await log.policy(snapshot.revision)
        return StoredPolicy(*found) if found else None

    async def _make(
        self,
        tenant: TenantId,
        child_id: UUID,
        snapshot: Snapshot,
        spec: ContextSpec,
        policy: bytes | None,
        inherited: StoredPolicy | None,
        drafts: Sequence[Draft],
        request_id: str | None,
        wanted: bytes,
    ) -> Forked | None:
        """Write the child and its first messages, in one transaction; None where it is there or the parent is not."""
        tokenizer = snapshot.context.tokenizer
        prepared = await self._messages.prepare(child_id, drafts, tokenizer) if drafts else None
        async with self._db.transaction() as executor:
            made = await ContextRepository(executor).fork(
                child_id,
                snapshot.lineage.forked(child_id, snapshot.version, snapshot.revision),
                snapshot.context,
                spec,
                snapshot.revision,
                policy,
                inherited,
                await CompactionRepository(executor, tenant).in_force(snapshot.lineage, snapshot.revision),
                request_id,
                wanted,
            )
            if made is None:
                return None
            context, due = made
            if prepared is not None:
                (appended,) = await MessageRepository(executor).append([prepared.batch(tenant)], wait=True)
                if appended is None:
                    raise TooManyOpenCalls(str(snapshot.context.id), MAX_OPEN_CALLS)
                context = context_from_row(appended)
        self._changed(child_id, context.latest_revision)
        if due and self._due is not None:
            self._due()
        return await self._answer(tenant, context, drafts, replayed=False)

    async def _replay(
        self, tenant: TenantId, child_id: UUID, request_id: str, wanted: bytes, drafts: Sequence[Draft]
    ) -> Forked | None:
        context, claim = await ContextRepository(self._db).get_with_claim(child_id, tenant, request_id) or (None, None)
        if context is None or claim is None:
            return None
        check_claim(claim, request_id, wanted)
        return await self._answer(tenant, context, drafts, replayed=True)

    async def _answer(self, tenant: TenantId, context: Context, drafts: Sequence[Draft], *, replayed: bool) -> Forked:
        fork = context.fork
        assert fork is not None, "it was forked"
        found = await ContextRepository(self._db).get_with_lineage(context.id, tenant)
        assert found is not None, "it was found before"
        state = await WindowRepository(self._db, found[1], tenant).state(fork.version)
        pending = sorted(state.open_calls)
        return Forked(context, replayed, fork.version + 1, fork.version + len(drafts), pending)
