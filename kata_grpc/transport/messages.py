"""MessageService: decode, one call, encode. Messages go out as their stored bytes."""

from __future__ import annotations

from contextlib import aclosing
from hashlib import sha256
from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.codec import ROLE_OF_NUMBER, options_from_proto
from kata_grpc.domain.errors import ResponseTooLarge, ShuttingDown, WindowGone
from kata_grpc.domain.windows import Dialect, View, WindowOptions, WindowRequest
from kata_grpc.services.snapshots import At
from kata_grpc.services.windows import ContentDigest
from kata_grpc.transport.appending import AppendStream
from kata_grpc.transport.convert import (
    DIALECTS,
    KINDS,
    VIEWS,
    adjustment_to_proto,
    context_to_proto,
    header_to_proto,
    revision_to_proto,
    trailer_to_proto,
)
from kata_grpc.transport.drafts import drafts_of
from kata_grpc.transport.frames import CHUNK_MESSAGES, chunk, field, repeated
from kata_grpc.transport.importing import Import
from kata_grpc.transport.snapshots import at_of, show_deleted_of
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.repositories.windows import Page
    from kata_grpc.services.accounting import Window
    from kata_grpc.services.importing import Imports
    from kata_grpc.services.messages import Appended, Messages
    from kata_grpc.services.windows import Windows
    from kata_grpc.transport.calls import Dialog, Writer
    from kata_grpc.transport.draining import Draining

_ONE_MESSAGE = _PAGE_MESSAGES = b"\x0a"
_WINDOW_MESSAGES = b"\x12"
"""The tags of the messages in the answers of GetMessage, ListMessages and GetWindow."""
_LIST_LAYOUT = ">qqq"
"""The last version that the page before looked at, and version and revision of the snapshot that the walk is of."""
_HISTORY_LAYOUT = ">qq"
"""The revision up to which the page before looked, and the newest of the walk."""
_SENT_BYTES = 12
_RESUME_LAYOUT = f">qqq{_SENT_BYTES}s"
"""The snapshot's version and revision, the version of the last message that was sent, and the first bytes of a digest
of the header and of all that was sent: what goes on must go on with the same, and be the same behind it."""


_ATTEMPTS = 3
"""At a window whose messages go away while it is read: to a fork that has got a log of its own they have not."""


class MessageServicer:
    """The methods of MessageService, under their names on the wire."""

    def __init__(
        self, messages: Messages, imports: Imports, windows: Windows, tokens: TokenMaker, draining: Draining
    ) -> None:
        self._messages = messages
        self._imports = imports
        self._windows = windows
        self._tokens = tokens
        self._draining = draining

    async def AppendMessages(self, tenant: TenantId, request: pb.AppendMessagesRequest) -> pb.AppendMessagesResponse:
        """Append a batch."""
        appended = await self._append(tenant, request)
        response = _appended(appended)
        response.context.CopyFrom(context_to_proto(appended.context()))
        return response

    async def _append(self, tenant: TenantId, request: pb.AppendMessagesRequest) -> Appended:
        check = Checker()
        context_id = check.context_id(request.context_id)
        drafts = drafts_of(check, request.messages, request.ByteSize())
        request_id = check.request_id(request.request_id)
        expected = request.expected_version if request.HasField("expected_version") else None
        check.at_least("expected_version", expected or 0, 0)
        check.done()
        return await self._messages.append(tenant, context_id, drafts, request_id, expected)

    async def StreamAppends(
        self, tenant: TenantId, requests: AsyncIterator[pb.StreamAppendsRequest], dialog: Dialog
    ) -> None:
        """Append batch after batch, to any contexts."""

        async def append(request: pb.AppendMessagesRequest) -> pb.AppendMessagesResponse:
            return _appended(await self._append(tenant, request))

        await AppendStream(append, dialog).run(requests, self._draining)

    async def ImportMessages(
        self, tenant: TenantId, requests: AsyncIterator[pb.ImportMessagesRequest]
    ) -> pb.ImportMessagesResponse:
        """Append batch after batch."""
        return await Import(self._messages, self._imports, self._draining).run(tenant, requests)

    async def GetMessage(self, tenant: TenantId, request: pb.GetMessageRequest) -> bytes:
        """Return one message."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        check.at_least("version", request.version, 1)
        view = VIEWS.get(check.known("view", request.view, VIEWS), View.CURRENT)
        show_deleted = show_deleted_of(check, request, view)
        at = at_of(check, request)
        check.done()
        record = await self._messages.get(tenant, context_id, request.version, at, view, show_deleted=show_deleted)
        return repeated(_ONE_MESSAGE, [record])

    async def ListMessages(self, tenant: TenantId, request: pb.ListMessagesRequest) -> bytes:
        """List a log."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        limit = check.page_size(request.page_size, limits.DEFAULT_MESSAGE_PAGE)
        newest_first = check.known("order", request.order, pb.ListOrder.values()) == pb.LIST_ORDER_DESCENDING
        for index, role in enumerate(request.roles):
            check.known(f"roles[{index}]", role, ROLE_OF_NUMBER)
        view = VIEWS.get(check.known("view", request.view, VIEWS), View.CURRENT)
        show_deleted = show_deleted_of(check, request, view)
        at = at_of(check, request)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = None
        if request.page_token:
            places = self._tokens.read("page_token", request.page_token, bound, _LIST_LAYOUT)
            after, version, revision = map(int, places)
            at = At(version, revision)
        snapshot, rows, goes_on = await self._messages.page(
            tenant,
            context_id,
            at,
            newest_first=newest_first,
            after=after,
            roles=[ROLE_OF_NUMBER[role] for role in request.roles],
            limit=limit,
            view=view,
            show_deleted=show_deleted,
        )
        page = repeated(_PAGE_MESSAGES, [row["record"] for row in rows])
        if goes_on is None:
            return page
        now = snapshot.version, snapshot.revision
        token = self._tokens.make(bound, _LIST_LAYOUT, goes_on, *now)
        return page + field(2, token.encode())

    async def ListHistory(self, tenant: TenantId, request: pb.ListHistoryRequest) -> pb.ListHistoryResponse:
        """List revisions."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        limit = check.page_size(request.page_size, limits.DEFAULT_HISTORY_PAGE)
        newest_first = check.known("order", request.order, pb.ListOrder.values()) != pb.LIST_ORDER_ASCENDING
        for index, kind in enumerate(request.kinds):
            check.known(f"kinds[{index}]", kind, KINDS)
        at = at_of(check, request)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = None
        if request.page_token:
            after, newest = map(int, self._tokens.read("page_token", request.page_token, bound, _HISTORY_LAYOUT))
            at = At(revision=newest)
        newest, found, looked = await self._messages.history(
            tenant,
            context_id,
            at,
            newest_first=newest_first,
            after=after,
            kinds={KINDS[kind] for kind in request.kinds},
            limit=limit,
        )
        response = pb.ListHistoryResponse(revisions=map(revision_to_proto, found))
        if looked is not None:
            response.next_page_token = self._tokens.make(bound, _HISTORY_LAYOUT, looked, newest)
        return response

    async def GetWindow(self, tenant: TenantId, request: pb.GetWindowRequest) -> bytes:
        """Return a whole window."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        wanted, options = _window_request(check, request)
        check.done()
        for _ in range(_ATTEMPTS):
            window = await self._windows.choose(tenant, context_id, wanted, options)
            answer = await self._window(window, render=request.render)
            if answer is not None:
                return answer
        raise WindowGone(str(context_id))

    async def _window(self, window: Window, *, render: bool) -> bytes | None:
        """Return a whole window; None where messages of it are not there any more."""
        digest = ContentDigest()
        parts = [field(1, header_to_proto(window).SerializeToString())]
        size = 0
        kept: list[Page] = []
        async with aclosing(self._windows.pages(window, _WINDOW_MESSAGES)) as pages:
            async for page in pages:
                kept.append(page)
                digest.add(page.digests)
                parts += _WINDOW_MESSAGES, page.records
                size += len(page.records)
                if size > limits.MAX_UNARY_WINDOW_BYTES:
                    raise ResponseTooLarge(size, limits.MAX_UNARY_WINDOW_BYTES)
        if digest.messages != window.message_count:
            return None
        rest = pb.GetWindowResponse(trailer=trailer_to_proto(window, digest.value()))
        if render:
            rendered = await self._windows.render(window, kept)
            rest.rendered_json = rendered.json_text
            rest.adjustments.extend(map(adjustment_to_proto, rendered.adjustments))
        return b"".join((*parts, rest.SerializeToString()))

    async def StreamWindow(self, tenant: TenantId, request: pb.StreamWindowRequest, writer: Writer) -> None:
        """Stream a window."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        wanted, options = _window_request(check, request)
        check.done()
        bound = bind(tenant, request, "resume_token")
        after, sent = 0, b""
        snapshot = None
        if request.resume_token:
            *places, last = self._tokens.read("resume_token", request.resume_token, bound, _RESUME_LAYOUT)
            assert isinstance(last, bytes)
            version, revision, after = map(int, places)
            snapshot, sent = (version, revision), last
        window = await self._windows.choose(tenant, context_id, wanted, options, snapshot)
        header = header_to_proto(window).SerializeToString(deterministic=True)
        digest = ContentDigest()
        if after:
            async with aclosing(self._windows.digests_until(window, after)) as before:
                async for digests in before:
                    digest.add(digests)
            if _sent(header, digest) != sent:
                raise WindowGone(str(context_id))
        await writer.write(field(1, header))
        now = window.snapshot_version, window.snapshot_revision
        async with aclosing(self._windows.pages(window, CHUNK_MESSAGES, after)) as pages:
            async for page in pages:
                digest.add(page.digests)
                token = self._tokens.make(bound, _RESUME_LAYOUT, *now, page.last_version, _sent(header, digest))
                await writer.write(chunk(page.records, token))
                if self._draining.started:
                    raise ShuttingDown
        if digest.messages != window.message_count:
            raise WindowGone(str(context_id))
        await writer.write(field(3, trailer_to_proto(window, digest.value()).SerializeToString()))


def _sent(header: bytes, digest: ContentDigest) -> bytes:
    """Return what stands in a resume token for a window that was sent in part."""
    return sha256(header + digest.value()).digest()[:_SENT_BYTES]


def _appended(appended: Appended) -> pb.AppendMessagesResponse:
    """Return where a batch stands, without the context."""
    response = pb.AppendMessagesResponse(
        first_version=appended.first_version, last_version=appended.last_version, revision=appended.revision
    )
    if appended.replayed:
        response.replayed = True
    for d in appended.differences:
        response.token_count_differences.add(index=d.index, given=d.given, counted=d.counted)
    return response


def _window_request(
    check: Checker, request: pb.GetWindowRequest | pb.StreamWindowRequest
) -> tuple[WindowRequest, WindowOptions]:
    budget, reserve = request.token_budget, request.reserve_tokens
    if not 1 <= budget <= limits.MAX_TOKEN_BUDGET:
        check.add("token_budget", f"is {budget}, not 1 to {limits.MAX_TOKEN_BUDGET}", "OUT_OF_BOUNDS")
    if not 0 <= reserve < max(budget, 1):
        check.add("reserve_tokens", f"is {reserve}, not 0 to less than token_budget", "OUT_OF_BOUNDS")
    at = at_of(check, request)
    if request.HasField("options"):
        check.window_options("options", request.options, budget - reserve)
    view = VIEWS.get(check.known("view", request.view, VIEWS), View.CURRENT)
    wanted = WindowRequest(
        token_budget=budget,
        reserve_tokens=reserve,
        tools_json=check.json_text("tools_json", request.tools_json, limits.MAX_TOOLS_BYTES),
        tokenizer=check.tokenizer(request.tokenizer),
        dialect=DIALECTS.get(check.known("dialect", request.dialect, DIALECTS), Dialect.OPENAI_CHAT),
        view=view,
        show_deleted=show_deleted_of(check, request, view),
        at_version=at.version,
        at_revision=at.revision,
        at_time=at.time,
        at_tag=at.tag,
    )
    return wanted, options_from_proto(request.options)
