"""langchain-postgres behind the least of a gRPC server: grpc.aio on uvloop, one call of the library for each append.

It takes and gives the messages of Kata's own AppendMessages, so that the bytes on the wire are the same. Run as a
module it is the server, until its standard input ends; `Library` starts that and calls it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

import grpc
import uvloop
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_pb2 import ROLE_USER
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from bench.peers.libraries import Turn, langchain
from bench.peers.libraries.service import request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub


class Library:
    """A server in a process of its own, and a channel to it."""

    _process: asyncio.subprocess.Process
    _channel: grpc.aio.Channel
    _messages: MessageServiceAsyncStub

    async def open(self, address: str) -> None:
        """Start the server, and connect to it."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, address), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        if self._process.stdout is None:
            raise TypeError("the process was started with a pipe")
        port = int(await self._process.stdout.readline())
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._messages = MessageServiceStub(self._channel)

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Append in one call."""
        await self._messages.AppendMessages(request(str(uuid5(NAMESPACE_OID, thread)), turns))

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Not served: reading is compared in process."""
        raise NotImplementedError

    async def close(self) -> None:
        """Disconnect, and end the server."""
        await self._channel.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


async def _serve(address: str) -> None:
    library = langchain.Library()
    await library.open(address)

    async def append(asked: pb.AppendMessagesRequest, _: Any) -> pb.AppendMessagesResponse:
        turns = [Turn(message.role == ROLE_USER, message.text) for message in asked.messages]
        await library.append(asked.context_id, turns)
        return pb.AppendMessagesResponse()

    method = grpc.unary_unary_rpc_method_handler(
        append, pb.AppendMessagesRequest.FromString, pb.AppendMessagesResponse.SerializeToString
    )
    server = grpc.aio.server()
    service = pb.DESCRIPTOR.services_by_name["MessageService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"AppendMessages": method}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    # However the process that started this one ends, its end of the pipe is closed then.
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)
    await library.close()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
