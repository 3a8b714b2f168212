"""The method of MessageService that erases content: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.domain.overlays import Run, merged
from kata_grpc.transport.convert import context_to_proto, redaction_to_proto
from kata_grpc.transport.removing import version_ranges
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.redacting import Redactions


class RedactionServicer:
    """One method of MessageService, under its name on the wire."""

    def __init__(self, redactions: Redactions) -> None:
        self._redactions = redactions

    async def RedactMessages(self, tenant: TenantId, request: pb.RedactMessagesRequest) -> pb.RedactMessagesResponse:
        """Redact messages."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        ranges = _ranges(check, request)
        reason = check.text("reason", request.reason, limits.MAX_REASON_CHARS)
        request_id = check.request_id(request.request_id)
        check.done()
        redacted = await self._redactions.redact(tenant, context_id, ranges, reason, request_id)
        return pb.RedactMessagesResponse(
            revision=redacted.revision,
            replayed=redacted.replayed,
            receipt=redaction_to_proto(redacted.receipt),
            context=context_to_proto(redacted.context),
        )


def _ranges(check: Checker, request: pb.RedactMessagesRequest) -> list[Run]:
    """Read which messages are meant: by version, by range, or by both."""
    if not request.versions and not request.ranges:
        check.add("versions", "is required where there are no ranges", "REQUIRED")
        return []
    most = limits.MAX_REDACTED_MESSAGES
    if len(request.versions) > most:
        check.add("versions", f"has {len(request.versions):,} versions, more than {most:,}", "TOO_MANY")
        return []
    for index, version in enumerate(request.versions):
        check.at_least(f"versions[{index}]", version, 1)
    ranges = version_ranges(check, "ranges", request.ranges) if request.ranges else []
    ranges += [Run(version, version) for version in request.versions]
    count = sum(max(run.last - run.first + 1, 0) for run in merged(ranges))
    if count > most:
        check.add("ranges", f"have {count:,} messages with versions, more than {most:,}", "TOO_MANY")
    return ranges
