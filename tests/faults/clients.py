"""Clients of a server in another process: a channel of their own each, quick to connect again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc import error_details_pb2
from kata.context.v1 import context_pb2, message_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from tests.rpc.serving import Refused, read_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from kata.context.v1.context_service_pb2_grpc import ContextServiceAsyncStub
    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
CALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Client:
    """A connection to a server, and what tests ask of it."""

    channel: grpc.aio.Channel
    contexts: ContextServiceAsyncStub
    messages: MessageServiceAsyncStub

    async def create(self, **fields: Any) -> str:
        """Creates a context and returns its id."""
        created = await self.contexts.CreateContext(cs.CreateContextRequest(**fields), timeout=CALL_SECONDS)
        return created.context.context_id

    async def get(self, context_id: str) -> context_pb2.Context:
        """Reads a context."""
        return (await self.contexts.GetContext(cs.GetContextRequest(context_id=context_id))).context

    async def append(
        self,
        context_id: str,
        messages: Sequence[message_pb2.Message],
        *,
        timeout: float | None = CALL_SECONDS,  # noqa: ASYNC109 - the deadline that gRPC sends
        **fields: Any,
    ) -> ms.AppendMessagesResponse:
        """Appends a batch."""
        request = ms.AppendMessagesRequest(context_id=context_id, messages=messages, **fields)
        return await self.messages.AppendMessages(request, timeout=timeout)

    async def log(self, context_id: str) -> list[message_pb2.Message]:
        """Reads the whole log."""
        found: list[message_pb2.Message] = []
        request = ms.ListMessagesRequest(context_id=context_id, page_size=1_000)
        while True:
            page = await self.messages.ListMessages(request, timeout=CALL_SECONDS)
            found.extend(page.messages)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def history(self, context_id: str) -> list[ms.Revision]:
        """Reads all revisions, oldest first."""
        found: list[ms.Revision] = []
        request = ms.ListHistoryRequest(context_id=context_id, page_size=1_000, order=ms.LIST_ORDER_ASCENDING)
        while True:
            page = await self.messages.ListHistory(request, timeout=CALL_SECONDS)
            found.extend(page.revisions)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


@asynccontextmanager
async def dial(address: str) -> AsyncIterator[Client]:
    """Connects to a server."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        yield Client(channel, ContextServiceStub(channel), MessageServiceStub(channel))


def told_to_retry(error: grpc.RpcError, reason: str = "STORAGE_UNAVAILABLE") -> Refused:
    """Holds an error to what a server says whose database is away or busy: when to call again."""
    refused = read_error(error)
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, reason), refused.message
    assert refused.detail(error_details_pb2.RetryInfo()).retry_delay.ToMilliseconds() > 0
    return refused
