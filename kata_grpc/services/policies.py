"""The policies of contexts: what shapes windows where a request does not say. Every one that was set is kept."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.domain.contexts import StoredPolicy
from kata_grpc.domain.errors import ContextNotFound, OutOfRange, VersionConflict
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import check_claim

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Database
    from kata_grpc.domain.contexts import TenantId


class Policies:
    """The use cases of PolicyService."""

    def __init__(self, database: Database, changed: OnChange = unwatched) -> None:
        self._db = database
        self._changed = changed

    async def get(self, tenant: TenantId, context_id: UUID) -> StoredPolicy:
        """Return the policy in force."""
        if policy := await ContextRepository(self._db).policy(context_id, tenant):
            return policy
        raise ContextNotFound(str(context_id))

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
        self._changed(context_id, revision)
        return StoredPolicy(revision, policy), False
