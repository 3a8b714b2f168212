"""PolicyService: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as pb

from kata_grpc.codec import RUNG_OF_NUMBER, compaction_policy_to_proto, encode_policy, settings_from_proto
from kata_grpc.domain.policy import NAMES, Layer, problems
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.policies import Policies


_LAYERS = {
    Layer.BUILT_IN: pb.POLICY_LAYER_BUILT_IN,
    Layer.TENANT: pb.POLICY_LAYER_TENANT,
    Layer.CONTEXT: pb.POLICY_LAYER_CONTEXT,
    Layer.REQUEST: pb.POLICY_LAYER_REQUEST,
}


class PolicyServicer:
    """Methods of PolicyService, under their names on the wire."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def GetPolicy(self, tenant: TenantId, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
        """Return the policy in force."""
        check = Checker()
        context_id = _scope(check, request)
        check.done()
        if context_id is None:
            found = await self._policies.get_of_tenant(tenant)
        else:
            found = await self._policies.get(tenant, context_id)
        stored = found.stored
        policy = policy_pb2.Policy.FromString(stored.policy) if stored.revision else None
        return pb.GetPolicyResponse(
            policy=policy,
            policy_revision=stored.revision,
            effective=compaction_policy_to_proto(found.effective),
            values=[
                pb.PolicyValue(field=name.removesuffix("_seconds"), layer=_LAYERS[found.effective.layers[name]])
                for name in NAMES
            ],
            tenant_policy_revision=found.tenant_revision,
        )

    async def SetPolicy(self, tenant: TenantId, request: pb.SetPolicyRequest) -> pb.SetPolicyResponse:
        """Set the policy."""
        check = Checker()
        context_id = _scope(check, request)
        check.window_options("policy.window", request.policy.window)
        check.retention("policy.retention", request.policy.retention)
        if context_id is None and request.policy.HasField("window"):
            check.add("policy.window", "is not for a tenant's policy", "WRONG_SCOPE")
        if context_id is None and request.policy.HasField("retention"):
            check.add("policy.retention", "is not for a tenant's policy", "WRONG_SCOPE")
        rungs = request.policy.compaction.rungs
        for index, rung in enumerate(rungs):
            check.known(f"policy.compaction.rungs[{index}]", rung, RUNG_OF_NUMBER)
        if all(rung in RUNG_OF_NUMBER for rung in rungs):
            check.violations += problems("policy.compaction", settings_from_proto(request.policy.compaction))
        request_id = check.request_id(request.request_id)
        expected = request.expected_policy_revision if request.HasField("expected_policy_revision") else None
        check.at_least("expected_policy_revision", expected or 0, 0)
        check.done()
        wanted = encode_policy(request.policy)
        if context_id is None:
            stored, replayed = await self._policies.set_of_tenant(tenant, wanted, expected, request_id)
        else:
            newest_pin = max(request.policy.window.pinned_versions, default=0)
            stored, replayed = await self._policies.set(tenant, context_id, wanted, newest_pin, expected, request_id)
        policy = policy_pb2.Policy.FromString(stored.policy)
        return pb.SetPolicyResponse(policy=policy, revision=stored.revision, replayed=replayed)


def _scope(check: Checker, request: pb.GetPolicyRequest | pb.SetPolicyRequest) -> UUID | None:
    """Return the context, None for the tenant."""
    check.known("scope", request.scope, pb.PolicyScope.values())
    if request.scope != pb.POLICY_SCOPE_TENANT:
        return check.context_id(request.context_id)
    if request.context_id:
        check.add("context_id", "is not for a tenant's policy", "WRONG_SCOPE")
    return None
