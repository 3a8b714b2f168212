"""The methods of ContextService about tags: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.transport.convert import timestamp
from kata_grpc.transport.snapshots import at_of
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import Tag, TenantId
    from kata_grpc.services.tagging import Tags

_PAGE_LAYOUT = f">{limits.MAX_TAG_CHARS}s"
"""The name of the last tag of the page before, with zeros behind it."""


class TagServicer:
    """The methods about tags, under their names on the wire."""

    def __init__(self, tags: Tags, tokens: TokenMaker) -> None:
        self._tags = tags
        self._tokens = tokens

    async def TagVersion(self, tenant: TenantId, request: pb.TagVersionRequest) -> pb.TagVersionResponse:
        """Set a tag."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        name = check.tag("name", request.name)
        at = at_of(check, request)
        request_id = check.request_id(request.request_id)
        check.done()
        tagged = await self._tags.put(tenant, context_id, name, at, move=request.move, request_id=request_id)
        return pb.TagVersionResponse(tag=_tag_to_proto(tagged.tag), revision=tagged.revision, replayed=tagged.replayed)

    async def ListTags(self, tenant: TenantId, request: pb.ListTagsRequest) -> pb.ListTagsResponse:
        """List tags."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        limit = check.page_size(request.page_size, limits.DEFAULT_TAG_PAGE)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = ""
        if request.page_token:
            (last,) = self._tokens.read("page_token", request.page_token, bound, _PAGE_LAYOUT)
            assert isinstance(last, bytes)
            after = last.rstrip(b"\x00").decode()
        found = await self._tags.list(tenant, context_id, after, limit + 1)
        response = pb.ListTagsResponse(tags=map(_tag_to_proto, found[:limit]))
        if len(found) > limit:
            response.next_page_token = self._tokens.make(bound, _PAGE_LAYOUT, found[limit - 1].name.encode())
        return response

    async def DeleteTag(self, tenant: TenantId, request: pb.DeleteTagRequest) -> pb.DeleteTagResponse:
        """Delete a tag."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        name = check.tag("name", request.name)
        request_id = check.request_id(request.request_id)
        check.done()
        revision, replayed = await self._tags.delete(tenant, context_id, name, request_id)
        return pb.DeleteTagResponse(revision=revision, replayed=replayed)


def _tag_to_proto(tag: Tag) -> context_pb2.Tag:
    proto = context_pb2.Tag(name=tag.name, version=tag.version, revision=tag.revision)
    proto.update_time.CopyFrom(timestamp(tag.update_time))
    return proto
