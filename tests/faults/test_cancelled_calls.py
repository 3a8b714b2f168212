"""Clients that hang up at random moments: no connection, transaction, lock or memory stays behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1 import message_service_pb2 as ms

from tests.faults.processes import rounds
from tests.faults.waiting import LOCKED_OUT, direct, nothing_held, somebody
from tests.faults.workload import differences
from tests.rpc import build as b
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from tests.faults.clients import Client
    from tests.faults.processes import StartServer
    from tests.rpc.serving import FreshDatabase

_CALLS = 250
_AT_ONCE = 25
_WARM_ROUNDS = 1
_MOST_BYTES = 12 * 2**20
"""How much the server may grow after the first rounds, in however many more."""
_POOL = 2
_Call = Callable[["Client", str, int], Awaitable[object]]


async def _append(client: Client, context_id: str, number: int) -> object:
    return await client.append(context_id, [b.user("x" * 1_000)] * 20, request_id=f"request {number}")


async def _import(client: Client, context_id: str, number: int) -> object:
    async def frames() -> AsyncIterator[ms.ImportMessagesRequest]:
        yield ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=context_id))
        for _ in range(20):
            yield ms.ImportMessagesRequest(batch=ms.ImportBatch(messages=[b.user("x")] * 10))

    return await client.messages.ImportMessages(frames())


async def _window(client: Client, context_id: str, number: int) -> object:
    return await client.messages.GetWindow(ms.GetWindowRequest(context_id=context_id, token_budget=20_000))


async def _stream(client: Client, context_id: str, number: int) -> object:
    request = ms.StreamWindowRequest(context_id=context_id, token_budget=1_000_000)
    return [frame async for frame in client.messages.StreamWindow(request)]


async def _list(client: Client, context_id: str, number: int) -> object:
    return await client.messages.ListMessages(ms.ListMessagesRequest(context_id=context_id, page_size=1_000))


async def _watch(client: Client, context_id: str, number: int) -> object:
    async with watching(client.messages, context_id, from_version=0, include_messages=True) as watch:
        return await watch.caught_up()


_KINDS: tuple[_Call, ...] = (_append, _import, _window, _stream, _list, _watch)


async def _hang_up(chance: random.Random, client: Client, long: str, written: str) -> int:
    """Makes many calls and drops each at a random moment; returns how many ended before that."""
    gate = asyncio.Semaphore(_AT_ONCE)
    ended = 0
    patience = 0.02

    async def one(number: int) -> None:
        nonlocal ended, patience
        kind = chance.choice(_KINDS)
        context_id = written if kind in {_append, _import} else long
        async with gate:
            call = asyncio.ensure_future(kind(client, context_id, number))
            done, _ = await asyncio.wait([call], timeout=chance.expovariate(1 / patience))
            ended += len(done)
            patience *= 0.95 if done else 1.05  # as fast as the machine is now, so that about half of them end
            call.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await call

    await asyncio.gather(*map(one, range(_CALLS)))
    return ended


@pytest.mark.holds("I3", "I11", "P2")
@rounds(short=2)
async def test_calls_cut_at_random_leave_nothing(
    fresh_url: FreshDatabase, start_server: StartServer, rounds: int
) -> None:
    url = await fresh_url()
    server = await start_server(DATABASE_URL=url, KATA_POOL_MAX=str(_POOL))
    chance = random.Random(rounds)
    async with server.dialed() as client, direct(url) as other:
        long = await client.create()
        await client.append(long, [b.user("x" * 2_000)] * 1_000)
        resident: list[int] = []
        for _ in range(_WARM_ROUNDS + rounds):
            ended = await _hang_up(chance, client, long, await client.create())
            assert 0 < ended < _CALLS
            await nothing_held(other, _POOL)
            resident.append(server.resident())
        later = resident[-max(2, rounds // 2) :]  # the least of them: what is free but not given back comes and goes
        grown = min(later) - resident[_WARM_ROUNDS - 1]
        print(f"\n{rounds * _CALLS} calls cut off: {grown / 2**20:+.1f} MiB")
        assert grown < _MOST_BYTES
        assert (await client.append(await client.create(), [b.user("x")])).last_version == 1
    assert await differences(url) == []
    server.terminate()
    assert await server.ended(20) == 0
    assert "a call failed" not in server.log
    assert "still in use" not in server.log


@pytest.mark.holds("I11", "P2")
async def test_a_killed_client_leaves_nothing(fresh_url: FreshDatabase, start_server: StartServer) -> None:
    """A client that is killed says nothing: its connection closes, with calls waiting for a lock and streams open."""
    url = await fresh_url()
    server = await start_server(DATABASE_URL=url, KATA_POOL_MAX=str(_POOL))
    async with direct(url) as other:
        async with server.dialed() as client:
            long = await client.create()
            await client.append(long, [b.user("x" * 20_000)] * 500)
            request = ms.StreamWindowRequest(context_id=long, token_budget=10_000_000)
            streams = [client.messages.StreamWindow(request) for _ in range(10)]
            for stream in streams:
                await stream.read()
            async with other.transaction():
                await other.execute("select 1 from contexts where id = $1 for update", long)
                calls = [asyncio.ensure_future(client.append(long, [b.user("y")])) for _ in range(10)]
                await somebody(other, LOCKED_OUT)
                await client.channel.close()
                await asyncio.gather(*calls, return_exceptions=True)
        await nothing_held(other, _POOL)
        async with server.dialed() as client:
            before = (await client.get(long)).latest_version
            assert (await client.append(long, [b.user("z")])).last_version == before + 1
    assert await differences(url) == []
