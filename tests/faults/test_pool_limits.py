"""More calls than connections: they wait their turn or are told when to come back, and PostgreSQL sees a few only."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1 import message_service_pb2 as ms

from tests.faults.clients import told_to_retry
from tests.faults.waiting import LOCKED_OUT, connections, direct, somebody
from tests.faults.workload import differences
from tests.rpc import build as b

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.clients import Client
    from tests.faults.processes import StartServer
    from tests.rpc.serving import FreshDatabase

_CALLS = 500
_POOL = 2
_SAMPLE_SECONDS = 0.01


@asynccontextmanager
async def _counted(url: str) -> AsyncIterator[list[int]]:
    """Counts connections to the database all the while."""
    samples: list[int] = []

    async def sample() -> None:
        async with direct(url) as other:
            while True:
                samples.append(await connections(other))
                await asyncio.sleep(_SAMPLE_SECONDS)

    task = asyncio.create_task(sample())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _call(client: Client, context_id: str, number: int) -> int:
    """Appends or reads until it succeeds; returns how often it was told to come back."""
    refusals = 0
    while True:
        try:
            if number % 2:
                await client.append(context_id, [b.user("x")], request_id=str(number), timeout=None)
            else:
                await client.messages.GetWindow(ms.GetWindowRequest(context_id=context_id, token_budget=1_000))
        except grpc.aio.AioRpcError as error:
            retry = told_to_retry(error)
            assert "busy" in retry.message or "free" in retry.message
            refusals += 1
            await asyncio.sleep(0.2)
        else:
            return refusals


@pytest.mark.holds("P1", "I12")
@pytest.mark.parametrize("workers", [1, 2])
async def test_500_calls_at_once_on_a_pool_of_2(
    fresh_url: FreshDatabase, start_server: StartServer, workers: int
) -> None:
    url = await fresh_url()
    async with _counted(url) as samples:
        server = await start_server(DATABASE_URL=url, KATA_POOL_MAX=str(_POOL), KATA_WORKERS=str(workers))
        async with server.dialed() as one, server.dialed() as two:
            context_id = await one.create()
            refusals = await asyncio.gather(*(_call((one, two)[n % 2], context_id, n) for n in range(_CALLS)))
            assert (await one.get(context_id)).latest_version == _CALLS // 2
    assert 0 < max(samples) <= workers * (_POOL + 1) + 1
    print(f"\n{_CALLS} calls on {workers} x {_POOL}: {sum(refusals)} told to come back, {max(samples)} connections")
    assert await differences(url) == []


@pytest.mark.holds("P1", "I12")
async def test_calls_that_get_no_connection_are_told_when_to_retry(
    fresh_url: FreshDatabase, start_server: StartServer
) -> None:
    """Both connections wait for a lock for longer than a call may wait for a connection."""
    url = await fresh_url()
    server = await start_server(DATABASE_URL=url, KATA_POOL_MAX=str(_POOL), KATA_POOL_ACQUIRE_TIMEOUT="1")
    async with server.dialed() as client, direct(url) as other, _counted(url) as samples:
        locked, free = await client.create(), await client.create()
        async with other.transaction():
            await other.execute("select 1 from contexts where id = $1 for update", locked)
            blocked = [asyncio.ensure_future(client.append(locked, [b.user("x")])) for _ in range(_POOL)]
            await somebody(other, f"{LOCKED_OUT} having count(*) = {_POOL}")
            calls = [asyncio.ensure_future(_call(client, free, number)) for number in range(_CALLS)]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.append(free, [b.user("y")], request_id="later")
            told_to_retry(caught.value)
        refusals = await asyncio.gather(*calls)
        assert sum(refusals) > 0
        assert [answer.last_version for answer in await asyncio.gather(*blocked)] in ([1, 2], [2, 1])
        assert (await client.append(free, [b.user("y")], request_id="later")).replayed is False
    assert max(samples) <= _POOL + 1 + 1
    assert await differences(url) == []
