"""A server of the same kind without a database: it answers with bytes that were prepared, under the service's names.

Run as a module; `KATA_LISTEN` says where. The bytes of a context come through the method `Hold`: first the context's id
with the method, then the frames of the answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from kata.context.v1 import message_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOLD = "/bench.Floor/Hold"
_Context = grpc.aio.ServicerContext[Any, Any]


class Floor:
    """Holds prepared answers by method and context."""

    def __init__(self) -> None:
        self._frames: dict[bytes, list[bytes]] = {}

    async def hold(self, requests: AsyncIterator[bytes], _: _Context) -> bytes:
        """Take the frames of one answer."""
        key = await anext(requests)
        self._frames[key] = [frame async for frame in requests]
        return b""

    async def stream_window(self, request: pb.StreamWindowRequest, context: _Context) -> None:
        """Send the frames of a stream."""
        for frame in self._frames[b"StreamWindow " + request.context_id.encode()]:
            await context.write(frame)

    async def get_window(self, request: pb.GetWindowRequest, _: _Context) -> bytes:
        """Send a whole window."""
        return self._frames[b"GetWindow " + request.context_id.encode()][0]

    async def append_messages(self, request: pb.AppendMessagesRequest, _: _Context) -> bytes:
        """Answer as an append does."""
        return self._frames[b"AppendMessages " + request.context_id.encode()][0]

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the methods; answers are bytes already."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "StreamWindow": grpc.unary_stream_rpc_method_handler(self.stream_window, pb.StreamWindowRequest.FromString),
            "GetWindow": grpc.unary_unary_rpc_method_handler(self.get_window, pb.GetWindowRequest.FromString),
            "AppendMessages": grpc.unary_unary_rpc_method_handler(
                self.append_messages, pb.AppendMessagesRequest.FromString
            ),
        }
        service = pb.DESCRIPTOR.services_by_name["MessageService"].full_name
        return (
            grpc.method_handlers_generic_handler(service, methods),
            grpc.method_handlers_generic_handler(
                "bench.Floor", {"Hold": grpc.stream_unary_rpc_method_handler(self.hold)}
            ),
        )


async def _serve(listen: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers(Floor().handlers())
    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    server.add_insecure_port(listen)
    await server.start()
    await status.set("", health_pb2.HealthCheckResponse.SERVING)
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve(os.environ["KATA_LISTEN"]))
