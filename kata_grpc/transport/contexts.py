"""ContextService: decode, one call, encode."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.codec import encode_policy, metadata_to_json
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER, ContextSpec, Origin, TenantId
from kata_grpc.transport.convert import context_to_proto
from kata_grpc.transport.drafts import drafts_of
from kata_grpc.transport.snapshots import at_of
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct

    from kata_grpc.services.contexts import Contexts
    from kata_grpc.services.forking import Forks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UPDATABLE = ("name", "labels", "metadata", "unique_name")
_PAGE_LAYOUT = ">q16s"
"""Microseconds of the last context's create_time, and its id."""


class ContextServicer:
    """The methods of ContextService, under their names on the wire."""

    def __init__(self, contexts: Contexts, forks: Forks, tokens: TokenMaker) -> None:
        self._contexts = contexts
        self._forks = forks
        self._tokens = tokens

    async def CreateContext(self, tenant: TenantId, request: pb.CreateContextRequest) -> pb.CreateContextResponse:
        """Create a context."""
        check = Checker()
        spec = ContextSpec(
            name=check.text("name", request.name, limits.MAX_NAME_CHARS),
            labels=check.labels(request.labels),
            metadata_json=_metadata(check, request.metadata, request.HasField("metadata")),
            tokenizer=check.tokenizer(request.tokenizer) or DEFAULT_TOKENIZER,
            unique_name=request.unique_name,
            origin=_origin(check, request.origin) if request.HasField("origin") else None,
        )
        if request.unique_name and not request.name:
            check.add("name", "is required with unique_name", "REQUIRED")
        request_id = check.request_id(request.request_id)
        check.done()
        context, replayed = await self._contexts.create(tenant, spec, request_id)
        return pb.CreateContextResponse(context=context_to_proto(context), replayed=replayed)

    async def GetContext(self, tenant: TenantId, request: pb.GetContextRequest) -> pb.GetContextResponse:
        """Return a context."""
        context_id = _id(request.context_id)
        return pb.GetContextResponse(context=context_to_proto(await self._contexts.get(tenant, context_id)))

    async def ListContexts(self, tenant: TenantId, request: pb.ListContextsRequest) -> pb.ListContextsResponse:
        """List contexts."""
        check = Checker()
        limit = check.page_size(request.page_size, limits.DEFAULT_CONTEXT_PAGE)
        labels = check.labels(request.labels)
        prefix = check.text("name_prefix", request.name_prefix, limits.MAX_NAME_CHARS)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = None
        if request.page_token:
            micros, last_id = self._tokens.read("page_token", request.page_token, bound, _PAGE_LAYOUT)
            assert isinstance(micros, int)
            assert isinstance(last_id, bytes)
            after = _EPOCH + timedelta(microseconds=micros), UUID(bytes=last_id)
        found = await self._contexts.list(
            tenant,
            labels=labels,
            name_prefix=prefix,
            show_deleted=request.show_deleted,
            after=after,
            limit=limit + 1,
        )
        response = pb.ListContextsResponse(contexts=map(context_to_proto, found[:limit]))
        if len(found) > limit:
            last = found[limit - 1]
            micros = (last.create_time - _EPOCH) // timedelta(microseconds=1)
            response.next_page_token = self._tokens.make(bound, _PAGE_LAYOUT, micros, last.id.bytes)
        return response

    async def UpdateContext(self, tenant: TenantId, request: pb.UpdateContextRequest) -> pb.UpdateContextResponse:
        """Change a context."""
        check, given = Checker(), request.context
        context_id = check.context_id(given.context_id, "context.context_id")
        values = ContextSpec(
            name=check.text("context.name", given.name, limits.MAX_NAME_CHARS),
            labels=check.labels(given.labels),
            metadata_json=_metadata(check, given.metadata, given.HasField("metadata")),
            unique_name=given.unique_name,
        )
        paths = _paths(check, request)
        request_id = check.request_id(request.request_id)
        check.done()
        changed = await self._contexts.update(tenant, context_id, values, paths, given.etag, request_id)
        return pb.UpdateContextResponse(
            context=context_to_proto(changed.context), revision=changed.revision, replayed=changed.replayed
        )

    async def DeleteContext(self, tenant: TenantId, request: pb.DeleteContextRequest) -> pb.DeleteContextResponse:
        """Soft-deletes a context."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        request_id = check.request_id(request.request_id)
        check.done()
        changed = await self._contexts.delete(tenant, context_id, request.etag, request_id)
        return pb.DeleteContextResponse(
            context=context_to_proto(changed.context), revision=changed.revision, replayed=changed.replayed
        )

    async def UndeleteContext(self, tenant: TenantId, request: pb.UndeleteContextRequest) -> pb.UndeleteContextResponse:
        """Brings a context back."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        request_id = check.request_id(request.request_id)
        check.done()
        changed = await self._contexts.undelete(tenant, context_id, request_id)
        return pb.UndeleteContextResponse(
            context=context_to_proto(changed.context), revision=changed.revision, replayed=changed.replayed
        )

    async def ForkContext(self, tenant: TenantId, request: pb.ForkContextRequest) -> pb.ForkContextResponse:
        """Fork a context."""
        check = Checker()
        parent_id = check.context_id(request.context_id)
        at = at_of(check, request)
        spec = ContextSpec(
            name=check.text("name", request.name, limits.MAX_NAME_CHARS),
            labels=check.labels(request.labels),
            metadata_json=_metadata(check, request.metadata, request.HasField("metadata")),
            unique_name=request.unique_name,
        )
        if request.unique_name and not request.name:
            check.add("name", "is required with unique_name", "REQUIRED")
        policy = None
        if request.HasField("policy"):
            check.window_options("policy.window", request.policy.window)
            check.retention("policy.retention", request.policy.retention)
            policy = encode_policy(request.policy)
        drafts = drafts_of(check, request.messages, request.ByteSize()) if request.messages else []
        request_id = check.request_id(request.request_id)
        check.done()
        forked = await self._forks.fork(tenant, parent_id, at, spec, policy, drafts, request_id)
        response = pb.ForkContextResponse(
            context=context_to_proto(forked.context), replayed=forked.replayed, pending_call_ids=forked.pending
        )
        if request.messages:
            response.first_version, response.last_version = forked.first_version, forked.last_version
        return response


def _id(value: str) -> UUID:
    check = Checker()
    context_id = check.context_id(value)
    check.done()
    return context_id


def _metadata(check: Checker, metadata: Struct, given: bool) -> str:
    if not given:
        return ""
    before = len(check.violations)
    check.metadata("metadata", metadata)
    return metadata_to_json(metadata) if len(check.violations) == before else ""


def _origin(check: Checker, origin: context_pb2.Origin) -> Origin:
    if origin.format not in ("openai", "anthropic"):
        check.add("origin.format", 'must be "openai" or "anthropic"', "UNKNOWN_VALUE")
    check.text("origin.id", origin.id, limits.MAX_ORIGIN_ID_CHARS)
    check.json_object("origin.extra_json", origin.extra_json, limits.MAX_ORIGIN_EXTRA_BYTES)
    return Origin(origin.format, origin.id, origin.extra_json)


def _paths(check: Checker, request: pb.UpdateContextRequest) -> frozenset[str]:
    """Read the update mask; without one, what is populated."""
    given = request.context
    if not request.HasField("update_mask"):
        populated: Mapping[str, bool] = {
            "name": bool(given.name),
            "labels": bool(given.labels),
            "metadata": given.HasField("metadata"),
            "unique_name": given.unique_name,
        }
        paths = frozenset(path for path, is_set in populated.items() if is_set)
        if not paths:
            check.add("update_mask", "is absent and nothing in context is populated", "REQUIRED")
        return paths
    named = frozenset(request.update_mask.paths)
    if not named:
        check.add("update_mask", "names no field", "REQUIRED")
    for path in sorted(named - {*_UPDATABLE, "*"}):
        check.add("update_mask", f"names {path[:80]!r}, which cannot be updated", "UNKNOWN_VALUE")
    if "*" in named and len(named) > 1:
        check.add("update_mask", '"*" stands alone', "EXCLUSIVE")
    return frozenset(_UPDATABLE) if "*" in named else named
