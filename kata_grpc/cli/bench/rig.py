"""What all measurements stand on: both servers, a client of each, one bare connection to the database, and the data."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from kata_grpc.cli.bench import processes
from kata_grpc.cli.bench.data import SQL, Filled, Scale, fill
from kata_grpc.cli.bench.floor import HOLD
from kata_grpc.db import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path
    from uuid import UUID

    from google.protobuf.message import Message as Proto
    from kata.context.v1.context_service_pb2_grpc import ContextServiceAsyncStub
    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from kata_grpc.db.query import Query

TENANT = "default"
_SERVICE = pb.DESCRIPTOR.services_by_name["MessageService"]
_CHANNEL = (("grpc.max_receive_message_length", -1),)


@dataclass(frozen=True, slots=True)
class Client:
    """A channel to a server, and what is called through it."""

    channel: grpc.aio.Channel
    contexts: ContextServiceAsyncStub
    messages: MessageServiceAsyncStub

    async def raw(self, method: str, request: Proto) -> list[bytes]:
        """Return the answer of a method as the bytes of its frames."""
        path = f"/{_SERVICE.full_name}/{method}"
        data = request.SerializeToString()
        if _SERVICE.methods_by_name[method].server_streaming:
            stream = self.channel.unary_stream(path, bytes, bytes)
            return [frame async for frame in stream(data)]
        unary = self.channel.unary_unary(path, bytes, bytes)
        return [await unary(data)]


@asynccontextmanager
async def client(server: processes.Server) -> AsyncIterator[Client]:
    """Open a channel of its own."""
    # A channel of its own connection: gRPC would share one between channels of the same arguments.
    options = (*_CHANNEL, ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(server.address, options=options) as channel:
        yield Client(channel, ContextServiceStub(channel), MessageServiceStub(channel))


@dataclass(frozen=True, slots=True)
class Rig:
    """What is measured, and what with."""

    service: processes.Server
    floor: processes.Server
    client: Client
    floor_client: Client
    connection: connect.Connection
    home: Path
    url: str
    scale: Scale
    data: Filled
    say: Callable[[str], None]

    async def hold(self, method: str, context_id: UUID, request: Proto) -> list[bytes]:
        """Have the server without a database answer a request as the service answers it now."""
        frames = await self.client.raw(method, request)

        async def requests() -> AsyncIterator[bytes]:
            yield f"{method} {context_id}".encode()
            for frame in frames:
                yield frame

        hold = self.floor_client.channel.stream_unary(HOLD, bytes, bytes)
        await hold(requests())
        return frames

    async def prepared(self, query: Query) -> Callable[..., Awaitable[Sequence[Any]]]:
        """Prepare a statement on the bare connection and returns its fetch."""
        statement = await self.connection.prepare(query.text, name=query.name)
        return statement.fetch

    async def busy_connections(self) -> int:
        """Return how many of the service's connections are at work."""
        count: int = await self.connection.fetchval(SQL.busy_connections.text)
        return count


@asynccontextmanager
async def assemble(home: Path, url: str, scale: Scale, say: Callable[[str], None]) -> AsyncIterator[Rig]:
    """Start both servers over the database at `url`, and fills it."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            processes.service(home, {"DATABASE_URL": url, "KATA_MIGRATE": "on", "KATA_LOG_LEVEL": "warning"})
        )
        floor = await stack.enter_async_context(processes.floor(home))
        to_service = await stack.enter_async_context(client(service))
        to_floor = await stack.enter_async_context(client(floor))
        connection = await connect.open_connection(url)
        stack.push_async_callback(connection.close)
        # As the service has it: the floors differ from it in what they leave out, not in their settings.
        await connection.execute("set plan_cache_mode = force_generic_plan; set jit = off")
        say(f"filling {2 * scale.long_messages:,} messages by SQL, and recounting them")
        data = await fill(connection, to_service.contexts, scale)
        yield Rig(service, floor, to_service, to_floor, connection, home, url, scale, data, say)
