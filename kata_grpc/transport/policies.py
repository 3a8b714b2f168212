"""PolicyService: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as pb

from kata_grpc.codec import encode_policy
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.policies import Policies


class PolicyServicer:
    """The methods of PolicyService, under their names on the wire."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def GetPolicy(self, tenant: TenantId, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
        """Return the policy in force."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        check.done()
        stored = await self._policies.get(tenant, context_id)
        policy = policy_pb2.Policy.FromString(stored.policy) if stored.revision else None
        return pb.GetPolicyResponse(policy=policy, policy_revision=stored.revision)

    async def SetPolicy(self, tenant: TenantId, request: pb.SetPolicyRequest) -> pb.SetPolicyResponse:
        """Set the policy."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        check.window_options("policy.window", request.policy.window)
        check.retention("policy.retention", request.policy.retention)
        request_id = check.request_id(request.request_id)
        expected = request.expected_policy_revision if request.HasField("expected_policy_revision") else None
        check.at_least("expected_policy_revision", expected or 0, 0)
        check.done()
        newest_pin = max(request.policy.window.pinned_versions, default=0)
        stored, replayed = await self._policies.set(
            tenant, context_id, encode_policy(request.policy), newest_pin, expected, request_id
        )
        policy = policy_pb2.Policy.FromString(stored.policy)
        return pb.SetPolicyResponse(policy=policy, revision=stored.revision, replayed=replayed)
