"""The method of ContextService that erases contexts: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import context_service_pb2 as pb

from kata_grpc.transport.convert import timestamp
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.purging import Purging, Receipt

NOTICE = (
    "Backups, archived write-ahead logs and snapshots that were made before may still hold these rows, and replicas do "
    "until they have caught up. The database writes over their space after a vacuum."
)


class PurgeServicer:
    """One method of ContextService, under its name on the wire."""

    def __init__(self, purging: Purging) -> None:
        self._purging = purging

    async def PurgeContext(self, tenant: TenantId, request: pb.PurgeContextRequest) -> pb.PurgeContextResponse:
        """Erase a context, or say what that would erase."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        request_id = check.request_id(request.request_id)
        check.done()
        if request.dry_run:
            receipt = await self._purging.preview(tenant, context_id, detach=request.detach_children)
        else:
            receipt = await self._purging.purge(tenant, context_id, request_id, detach=request.detach_children)
        return pb.PurgeContextResponse(
            receipt=receipt_to_proto(receipt), replayed=receipt.replayed, detached_count=receipt.detached
        )


def receipt_to_proto(receipt: Receipt) -> pb.PurgeReceipt:
    """Return a receipt with its tables in order."""
    proto = pb.PurgeReceipt(context_id=str(receipt.context_id), notice=NOTICE)
    if receipt.purge_time is not None:
        proto.purge_time.CopyFrom(timestamp(receipt.purge_time))
    for table, amount in sorted(receipt.erased.items()):
        proto.erased.add(table=table, row_count=amount.rows, byte_count=amount.bytes)
    return proto
