"""The methods of ContextService about lineage: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from kata.context.v1 import context_service_pb2 as pb
from kata.context.v1 import lineage_pb2

from kata_grpc import limits
from kata_grpc.services.lineages import Point
from kata_grpc.services.snapshots import At
from kata_grpc.transport import frames
from kata_grpc.transport.convert import context_to_proto, timestamp
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.lineage import Relative, Segment
    from kata_grpc.services.flattening import Flattening
    from kata_grpc.services.lineages import Lineages, Side

_LINEAGE_LAYOUT = ">q16s"
"""Number and id of the last fork."""
_COMPARE_LAYOUT = ">qqqqqq"
"""Of either side: the version and revision up to which the walk goes, and the last version of the page before."""
LEFT_MESSAGES = b"\x2a"
RIGHT_MESSAGES = b"\x32"
"""The tags of the messages in the answer of CompareContexts."""


class LineageServicer:
    """Methods of ContextService, under their names on the wire."""

    def __init__(self, lineages: Lineages, flattening: Flattening, tokens: TokenMaker) -> None:
        self._lineages = lineages
        self._flattening = flattening
        self._tokens = tokens

    async def FlattenContext(self, tenant: TenantId, request: pb.FlattenContextRequest) -> pb.FlattenContextResponse:
        """Give a fork a log of its own."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        request_id = check.request_id(request.request_id)
        check.done()
        changed = await self._flattening.flatten(tenant, context_id, request_id)
        return pb.FlattenContextResponse(
            context=context_to_proto(changed.context), revision=changed.revision, replayed=changed.replayed
        )

    async def GetLineage(self, tenant: TenantId, request: pb.GetLineageRequest) -> pb.GetLineageResponse:
        """Return a context's lineage."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        limit = check.page_size(request.page_size, limits.DEFAULT_CONTEXT_PAGE)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = None
        if request.page_token:
            number, last_id = self._tokens.read("page_token", request.page_token, bound, _LINEAGE_LAYOUT)
            assert isinstance(number, int)
            assert isinstance(last_id, bytes)
            after = number, UUID(bytes=last_id)
        found = await self._lineages.get(tenant, context_id, after, limit)
        response = pb.GetLineageResponse(
            context=_relative_to_proto(found.context),
            ancestors=map(_relative_to_proto, found.ancestors),
            segments=map(_segment_to_proto, found.segments),
            children=map(_relative_to_proto, found.children),
        )
        if found.next is not None:
            number, child_id = found.next
            response.next_page_token = self._tokens.make(bound, _LINEAGE_LAYOUT, number, child_id.bytes)
        return response

    async def CompareContexts(self, tenant: TenantId, request: pb.CompareContextsRequest) -> bytes:
        """Compare two contexts."""
        check = Checker()
        left, right = _point(check, "left", request.left), _point(check, "right", request.right)
        limit = check.page_size(request.page_size, limits.DEFAULT_MESSAGE_PAGE)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = None
        if request.page_token:
            token = self._tokens.read("page_token", request.page_token, bound, _COMPARE_LAYOUT)
            left_version, left_revision, left_after, right_version, right_revision, right_after = map(int, token)
            left = Point(left.context_id, At(left_version, left_revision))
            right = Point(right.context_id, At(right_version, right_revision))
            after = left_after, right_after
        found = await self._lineages.compare(tenant, left, right, after, limit)
        response = pb.CompareContextsResponse(
            common_ancestor_id=str(found.ancestor_id or ""),
            shared_version=found.shared_version,
            left=_side_to_proto(found.left),
            right=_side_to_proto(found.right),
        )
        if found.more:
            places = [
                place
                for side in (found.left, found.right)
                for place in (side.snapshot.version, side.snapshot.revision, side.after)
            ]
            response.next_page_token = self._tokens.make(bound, _COMPARE_LAYOUT, *places)
        return b"".join(
            (
                response.SerializeToString(),
                frames.repeated(LEFT_MESSAGES, [row["record"] for row in found.left.rows]),
                frames.repeated(RIGHT_MESSAGES, [row["record"] for row in found.right.rows]),
            )
        )


def _point(check: Checker, field: str, point: lineage_pb2.ContextPoint) -> Point:
    version = point.at_version if point.HasField("at_version") else None
    revision = point.at_revision if point.HasField("at_revision") else None
    check.at_least(f"{field}.at_version", version or 0, 0)
    check.at_least(f"{field}.at_revision", revision or 0, 0)
    return Point(check.context_id(point.context_id, f"{field}.context_id"), At(version, revision))


def _relative_to_proto(relative: Relative) -> lineage_pb2.LineageContext:
    proto = lineage_pb2.LineageContext(
        context_id=str(relative.id),
        name=relative.name,
        depth=relative.depth,
        latest_version=relative.latest_version,
        latest_revision=relative.latest_revision,
        total_tokens=relative.total_tokens,
        create_time=timestamp(relative.create_time),
        has_forks=relative.has_forks,
    )
    if relative.fork is not None:
        proto.parent_id = str(relative.fork.parent_id)
        proto.fork_version, proto.fork_revision = relative.fork.version, relative.fork.revision
    if relative.delete_time is not None:
        proto.delete_time.CopyFrom(timestamp(relative.delete_time))
    return proto


def _segment_to_proto(segment: Segment) -> lineage_pb2.LineageSegment:
    return lineage_pb2.LineageSegment(
        context_id=str(segment.source),
        first_version=segment.first,
        last_version=segment.last,
        last_revision=segment.last_revision,
    )


def _side_to_proto(side: Side) -> lineage_pb2.ComparedContext:
    context = side.snapshot.context
    return lineage_pb2.ComparedContext(
        context_id=str(context.id),
        name=context.name,
        version=side.snapshot.version,
        revision=side.snapshot.revision,
        message_count=side.message_count,
        total_tokens=side.total_tokens,
    )
