"""The methods of MessageService that change views: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.domain.contexts import RevisionKind
from kata_grpc.domain.overlays import Run
from kata_grpc.transport.convert import context_to_proto, ranges_to_proto
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.removing import Removals


class RemovalServicer:
    """Two methods of MessageService, under their names on the wire."""

    def __init__(self, removals: Removals) -> None:
        self._removals = removals

    async def RemoveMessages(self, tenant: TenantId, request: pb.RemoveMessagesRequest) -> pb.RemoveMessagesResponse:
        """Remove messages."""
        return pb.RemoveMessagesResponse(**await self._change(tenant, RevisionKind.REMOVE, request))

    async def RestoreMessages(self, tenant: TenantId, request: pb.RestoreMessagesRequest) -> pb.RestoreMessagesResponse:
        """Restore messages."""
        return pb.RestoreMessagesResponse(**await self._change(tenant, RevisionKind.RESTORE, request))

    async def _change(
        self, tenant: TenantId, kind: RevisionKind, request: pb.RemoveMessagesRequest | pb.RestoreMessagesRequest
    ) -> dict[str, Any]:
        check = Checker()
        context_id = check.context_id(request.context_id)
        ranges = version_ranges(check, "ranges", request.ranges)
        request_id = check.request_id(request.request_id)
        check.done()
        removed = await self._removals.change(tenant, context_id, kind, ranges, request_id)
        return {
            "revision": removed.revision,
            "replayed": removed.replayed,
            "ranges": ranges_to_proto(removed.runs),
            "context": context_to_proto(removed.context),
        }


def version_ranges(check: Checker, field: str, given: Sequence[pb.VersionRange]) -> list[Run]:
    """Read ranges of versions, at least one."""
    if not 1 <= len(given) <= limits.MAX_VERSION_RANGES:
        check.add(field, f"has {len(given)} ranges, not 1 to {limits.MAX_VERSION_RANGES:,}", "OUT_OF_BOUNDS")
    for index, one in enumerate(given):
        check.at_least(f"{field}[{index}].first_version", one.first_version, 1)
        check.at_least(f"{field}[{index}].last_version", one.last_version, one.first_version)
    return [Run(one.first_version, one.last_version) for one in given]
