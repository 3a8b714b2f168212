"""The policies of contexts and tenants: what shapes windows where a request does not say, and what is compacted when.

Every one that was set is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.codec import decode_settings
from kata_grpc.domain.contexts import StoredPolicy
from kata_grpc.domain.errors import ContextNotFound, OutOfRange, RequestIdReused, VersionConflict
from kata_grpc.domain.policy import CompactionPolicy, CompactionSettings, Measure, alarm, resolve
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.policies import Due, PolicyRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import check_claim

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from kata_grpc.db.pool import Database, Executor
    from kata_grpc.domain.contexts import TenantId

_MARKED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it was set, of a tenant or a context, and what holds of compaction with all layers."""

    stored: StoredPolicy
    effective: CompactionPolicy
    tenant_revision: int


async def effective_policy(
    executor: Executor, tenant: TenantId, context_id: UUID, request: CompactionSettings | None = None
) -> Policy:
    """Return what holds of a live context. Raises ContextNotFound."""
    stored = await ContextRepository(executor).policy(context_id, tenant)
    if stored is None:
        raise ContextNotFound(str(context_id))
    of_tenant = await PolicyRepository(executor).of_tenant(tenant)
    layers = (decode_settings(of_tenant.policy), decode_settings(stored.policy), request)
    return Policy(stored, resolve(*layers), of_tenant.revision)


class Policies:
    """The use cases of PolicyService that are about policies."""

    def __init__(
        self, database: Database, changed: OnChange = unwatched, due: Callable[[], None] | None = None
    ) -> None:
        """`due` is called when contexts are to be looked at by another policy."""
        self._db = database
        self._changed = changed
        self._due = due

    async def get(self, tenant: TenantId, context_id: UUID) -> Policy:
        """Return the policy in force of a context."""
        return await effective_policy(self._db, tenant, context_id)

    async def get_of_tenant(self, tenant: TenantId) -> Policy:
        """Return the policy in force of a tenant."""
        stored = await PolicyRepository(self._db).of_tenant(tenant)
        return Policy(stored, resolve(decode_settings(stored.policy)), stored.revision)

    async def set(
        self,
        tenant: TenantId,
        context_id: UUID,
        policy: bytes,
        newest_pin: int,
        expected_revision: int | None,
        request_id: str | None,
    ) -> tuple[StoredPolicy, bool]:
        """Set a policy that pins no version beyond `newest_pin`; return it, and whether this is a replay."""
        wanted = sha256(b"SetPolicy" + policy).digest()
        async with self._db.transaction() as executor:
            contexts = ContextRepository(executor)
            context = await contexts.lock(context_id, tenant)
            if context is None:
                raise ContextNotFound(str(context_id))
            if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
                check_claim(claim, request_id, wanted)
                return await contexts.find_policy(context_id, tenant, claim.revision), True
            before = await contexts.policy(context_id, tenant)
            if before is None:
                raise ContextNotFound(str(context_id))
            if newest_pin > context.latest_version:
                raise OutOfRange("policy.window.pinned_versions", newest_pin, context.latest_version)
            if expected_revision is not None and before.revision != expected_revision:
                raise VersionConflict(expected_revision, before.revision)
            revision = await contexts.set_policy(context, policy, request_id, wanted)
            # Whoever compacts in the background looks at it, and finds when it is due by the new policy.
            await PolicyRepository(executor).mark_context(context_id, tenant)
        self._changed(context_id, revision)
        if self._due is not None:
            self._due()
        return StoredPolicy(revision, policy), False

    async def set_of_tenant(
        self, tenant: TenantId, policy: bytes, expected_revision: int | None, request_id: str | None
    ) -> tuple[StoredPolicy, bool]:
        """Set the policy of a tenant; return it, and whether this is a replay."""
        wanted = sha256(b"SetTenantPolicy" + policy).digest()
        policies = PolicyRepository(self._db)
        due = _due_when_new(resolve(decode_settings(policy)))
        while True:
            if request_id is not None and (found := await policies.tenant_claim(tenant, request_id)):
                stored, fingerprint = found
                if fingerprint != wanted:
                    raise RequestIdReused(request_id)
                return stored, True
            before = await policies.of_tenant(tenant)
            if expected_revision is not None and before.revision != expected_revision:
                raise VersionConflict(expected_revision, before.revision)
            revision = await policies.set_of_tenant(tenant, policy, before.revision, request_id, wanted, due)
            if revision is not None:
                break
        await policies.mark_contexts(tenant, _MARKED_AT_ONCE)
        if self._due is not None:
            self._due()
        return StoredPolicy(revision, policy), False


def _due_when_new(policy: CompactionPolicy) -> Due:
    """Return when a context that is new is looked at."""
    more = alarm(policy, Measure(0, 0, 0))
    return Due(more.tokens, more.messages)
