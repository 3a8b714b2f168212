"""The method of ContextService that verifies: decode, one call, encode."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from kata.context.v1 import context_service_pb2 as pb

from kata_grpc.services.integrity import verify
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.db.pool import Database
    from kata_grpc.domain.contexts import TenantId


class VerifyServicer:
    """One method of ContextService, under its name on the wire."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def VerifyContext(self, tenant: TenantId, request: pb.VerifyContextRequest) -> pb.VerifyContextResponse:
        """Verify a context."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        check.done()
        verified = await verify(self._db, tenant, context_id)
        response = pb.VerifyContextResponse(
            version=verified.version,
            revision=verified.revision,
            message_count=verified.messages,
            revision_count=verified.revisions,
        )
        if verified.difference is not None:
            response.difference.CopyFrom(pb.Difference(**asdict(verified.difference)))
        return response
