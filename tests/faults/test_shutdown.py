"""SIGTERM in the middle of work: calls end, streams stop where they go on elsewhere, nothing is left."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kata.context.v1 import message_service_pb2 as ms

from tests.faults.clients import told_to_retry
from tests.faults.processes import has_ended, processes_in, rounds
from tests.faults.stalled import stalled_call
from tests.faults.waiting import LOCKED_OUT, connections, direct, somebody, until
from tests.faults.workload import Workload
from tests.rpc import build as b
from tests.rpc.serving import read_error

if TYPE_CHECKING:
    from tests.faults.clients import Client
    from tests.faults.processes import StartServer
    from tests.rpc.serving import FreshDatabase

_GRACE = 35.0
_PROMPT = 15.0
"""When nothing keeps a server busy it does not use its grace."""
_STREAMS = 5
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def _stream(client: Client, request: ms.StreamWindowRequest) -> Any:
    """Makes the call that leaves frames as they were sent."""
    method = "/kata.context.v1.MessageService/StreamWindow"
    return client.channel.unary_stream(method, ms.StreamWindowRequest.SerializeToString)(request)


async def _frames(client: Client, request: ms.StreamWindowRequest) -> list[bytes]:
    return [frame async for frame in _stream(client, request)]


def _token(frame: bytes) -> str:
    return ms.StreamWindowResponse.FromString(frame).chunk.resume_token


async def _interrupted(stream: Any, first: list[bytes]) -> list[bytes]:
    """Reads on until the server says that it stops, which is after a whole frame."""
    try:
        while (frame := await stream.read()) is not grpc.aio.EOF:
            first.append(frame)
    except grpc.aio.AioRpcError as error:
        told_to_retry(error, "SHUTTING_DOWN")
        return first
    pytest.fail("the stream ended as if nothing had happened")


@pytest.mark.holds("I2", "I3", "P2")
@rounds(short=1)
async def test_sigterm_in_the_middle_of_streams_and_appends(start_server: StartServer, rounds: int) -> None:
    server = await start_server()
    for number in range(rounds):
        async with server.dialed() as client, server.dialed() as writer:
            context_id = await client.create()
            for _ in range(4):
                await client.append(context_id, [b.user(f"{number} " + "x" * 20_000)] * 500)
            request = ms.StreamWindowRequest(context_id=context_id, token_budget=10_000_000)
            whole = await _frames(client, request)
            assert len(whole) > 20

            streams = [_stream(client, request) for _ in range(_STREAMS)]
            begun = [[await stream.read(), await stream.read()] for stream in streams]
            health: Any = health_pb2_grpc.HealthStub(writer.channel)
            watch = health.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == _SERVING
            work = Workload([await client.create() for _ in range(2)], seed=number)
            writers = [asyncio.ensure_future(_write_until_told(work, writer)) for _ in range(4)]
            await until(lambda: len(work.acknowledged) > 20, "appends")  # noqa: B023 - awaited here

            postmaster = server.postmaster()
            async with direct(server.url) as other:
                locked = await client.create()
                async with other.transaction():
                    await other.execute("select 1 from contexts where id = $1 for update", locked)
                    slow = asyncio.ensure_future(client.append(locked, [b.user("x")], request_id="slow"))
                    await somebody(other, LOCKED_OUT)
                    server.terminate()
                    assert (await watch.read()).status == _NOT_SERVING
                assert (await slow).last_version == 1, "a call that runs ends"
            parts = await asyncio.gather(*map(_interrupted, streams, begun))
            await asyncio.gather(*writers)
            assert await server.ended(_PROMPT) == 0
        assert has_ended(postmaster)
        assert processes_in(server.data_dir) == []
        assert not (server.data_dir / "postgres" / "postmaster.pid").exists()
        assert "still in use" not in server.log

        await server.start()
        async with server.dialed() as client:
            for part in parts:
                assert 1 < len(part) < len(whole)
                request.resume_token = _token(part[-1])
                header, *rest = await _frames(client, request)
                assert header == whole[0]
                assert [*part, *rest] == whole
            stored = await work.check(client, server.url)
            await work.repeat(client, stored)
            assert (await client.append(locked, [b.user("x")], request_id="slow")).replayed


async def _write_until_told(work: Workload, client: Client) -> None:
    """Appends until the server stops: each call is acknowledged or refused in one known way."""
    while True:
        try:
            await work.next_batch().send(client)
        except grpc.aio.AioRpcError as error:
            typed = any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
            known = not typed or read_error(error).reason == "SHUTTING_DOWN"
            assert known, error  # noqa: PT017 - one of several writers
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017 - one of several writers
            return


@pytest.mark.holds("P2", "I12")
async def test_sigterm_leaves_no_connection(fresh_url: FreshDatabase, start_server: StartServer) -> None:
    """With a database of its own the server closes what it opened, in all of its workers."""
    url = await fresh_url()
    server = await start_server(DATABASE_URL=url, KATA_WORKERS="2")
    async with server.dialed() as client, direct(url) as other:
        work = Workload([await client.create()], seed=1)
        writers = [asyncio.ensure_future(_write_until_told(work, client)) for _ in range(8)]
        await until(lambda: len(work.acknowledged) > 20, "appends")
        server.terminate()
        await asyncio.gather(*writers)
        assert await server.ended(_PROMPT) == 0
        assert await connections(other) == 0


@pytest.mark.holds("I12")
async def test_clients_that_only_listen_do_not_hold_up_the_end(
    fresh_url: FreshDatabase, start_server: StartServer
) -> None:
    """Watchers of the health, as each balancer has one: even one that takes nothing."""
    server = await start_server(DATABASE_URL=await fresh_url())
    request = health_pb2.HealthCheckRequest().SerializeToString()
    path = "/grpc.health.v1.Health/Watch"
    with stalled_call(server.address, path, request, 0), stalled_call(server.address, path, request):
        assert await server.health(_SERVING)
        begun = time.monotonic()
        server.terminate()
        assert await server.ended(_GRACE + 10) == 0
        assert time.monotonic() - begun < _PROMPT
