"""Real servers for tests: over a database of their own, behind a real socket, with stubs to call them.

Tests of this kind share one event loop, so that one server serves all of them; see `loop` in the modules. A test that
needs a server to itself, for its faults, its limits or its tenant, starts one with `serve`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from kata.context.v1 import context_pb2, message_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from kata_grpc.app import Server
from kata_grpc.config import Settings
from kata_grpc.domain.contexts import TenantId
from kata_grpc.transport.auth import FixedTenant

if TYPE_CHECKING:
    from kata.context.v1.context_service_pb2_grpc import ContextServiceAsyncStub
    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub
    from kata.context.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub

loop = pytest.mark.asyncio(loop_scope="session")

_CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

FreshDatabase = Callable[[], Awaitable[str]]
"""Makes a migrated database and returns its URL."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, its database, and how to call it."""

    server: Server
    url: str
    channel: grpc.aio.Channel
    contexts: ContextServiceAsyncStub
    messages: MessageServiceAsyncStub
    policies: PolicyServiceAsyncStub

    async def create(self, **fields: Any) -> context_pb2.Context:
        """Creates a context."""
        return (await self.contexts.CreateContext(cs.CreateContextRequest(**fields))).context

    async def append(self, context_id: str, *messages: message_pb2.Message, **fields: Any) -> ms.AppendMessagesResponse:
        """Appends one batch."""
        return await self.messages.AppendMessages(
            ms.AppendMessagesRequest(context_id=context_id, messages=messages, **fields)
        )

    async def log(self, context_id: str, **fields: Any) -> list[message_pb2.Message]:
        """Returns the whole log."""
        found: list[message_pb2.Message] = []
        request = ms.ListMessagesRequest(context_id=context_id, page_size=1_000, **fields)
        while True:
            page = await self.messages.ListMessages(request)
            found.extend(page.messages)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def get(self, context_id: str) -> context_pb2.Context:
        """Reads a context."""
        return (await self.contexts.GetContext(cs.GetContextRequest(context_id=context_id))).context

    async def window(self, context_id: str, token_budget: int, **fields: Any) -> ms.GetWindowResponse:
        """Reads a window in one answer."""
        return await self.messages.GetWindow(
            ms.GetWindowRequest(context_id=context_id, token_budget=token_budget, **fields)
        )

    async def stream(self, context_id: str, token_budget: int, **fields: Any) -> list[ms.StreamWindowResponse]:
        """Reads the frames of a window."""
        request = ms.StreamWindowRequest(context_id=context_id, token_budget=token_budget, **fields)
        return [frame async for frame in self.messages.StreamWindow(request)]

    async def query(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Asks the database itself."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    async def rows(self) -> dict[str, int]:
        """Counts what is stored, but not what flattening has copied."""
        tables = ("contexts", "context_names", "revisions where origin_id is null", "messages where origin_id is null")
        counts = ", ".join(f"(select count(*) from {table}) as {table.partition(' ')[0]}" for table in tables)
        return dict((await self.query(f"select {counts}, (select sum(latest_revision) from contexts) as changes"))[0])


@asynccontextmanager
async def serve(url: str, tenant: str = "default", **settings: Any) -> AsyncIterator[Running]:
    """Runs a server over a migrated database."""
    server = Server(
        Settings(listen="127.0.0.1:0", database_url=url, **settings), authenticator=FixedTenant(TenantId(tenant))
    )
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address, options=_CHANNEL_OPTIONS) as channel:
            yield Running(
                server,
                url,
                channel,
                ContextServiceStub(channel),
                MessageServiceStub(channel),
                PolicyServiceStub(channel),
            )
    finally:
        await server.stop(0)


@dataclass(frozen=True, slots=True)
class Refused:
    """An error as a client finds it."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    status: status_pb2.Status

    @property
    def violations(self) -> list[tuple[str, str]]:
        """Field and reason of each violation."""
        bad = self.detail(error_details_pb2.BadRequest())
        return [(violation.field, violation.reason) for violation in bad.field_violations]

    def detail(self, wanted: Any) -> Any:
        """Fills `wanted` from the detail of its type, which must be there once."""
        (found,) = [detail for detail in self.status.details if detail.Is(wanted.DESCRIPTOR)]
        found.Unpack(wanted)
        return wanted


def read_error(error: grpc.RpcError) -> Refused:
    """Takes an error apart, holding it to the rules for every error: a Status whose first detail is ErrorInfo."""
    assert isinstance(error, grpc.aio.AioRpcError)
    trailing = dict(error.trailing_metadata() or ())
    raw = trailing.get("grpc-status-details-bin")
    assert isinstance(raw, bytes), f"{error.code()} without details: {error.details()}"
    status = status_pb2.Status.FromString(raw)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info), "the first detail is ErrorInfo"
    assert info.domain == "kata.context.v1"
    return Refused(error.code(), status.message, info.reason, dict(info.metadata), status)


def methods(channel: grpc.aio.Channel) -> Any:
    """Returns the channel for calls in bytes, which its types do not know."""
    return channel


async def refused(call: Awaitable[Any]) -> Refused:
    """Awaits a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return read_error(caught.value)


def unknown_id() -> str:
    """Returns an id that no context has."""
    return str(uuid4())
