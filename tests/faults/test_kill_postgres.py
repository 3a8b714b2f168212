"""kill -9 of PostgreSQL, all of its processes, under the running server: clients are told to wait, it comes back."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, suppress

import grpc
import psutil
import pytest
from kata.context.v1 import message_service_pb2 as ms

from tests.faults.clients import Client, told_to_retry
from tests.faults.processes import StartServer, has_ended, rounds
from tests.faults.waiting import until
from tests.faults.workload import Workload

_CLIENTS = 4
_WRITERS_OF_EACH = 4


async def _read_windows(client: Client, context_id: str, stop: asyncio.Event) -> None:
    """Reads windows both ways; they too may only be told to wait."""
    while not stop.is_set():
        try:
            await client.messages.GetWindow(ms.GetWindowRequest(context_id=context_id, token_budget=5_000))
            request = ms.StreamWindowRequest(context_id=context_id, token_budget=1_000_000)
            frames = [frame async for frame in client.messages.StreamWindow(request)]
            assert frames[-1].WhichOneof("frame") == "trailer"
        except grpc.aio.AioRpcError as error:
            told_to_retry(error)
            await asyncio.sleep(0.05)


def kill_postgres(postmaster: psutil.Process) -> None:
    """Ends a PostgreSQL as a lack of memory would, but all of it."""
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.holds("I1", "I3", "I4", "I7", "P2")
@rounds(short=1)
async def test_the_server_outlives_its_postgres(start_server: StartServer, rounds: int) -> None:
    server = await start_server()
    chance = random.Random(rounds)
    for number in range(rounds):
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(server.dialed()) for _ in range(_CLIENTS)]
            work = Workload([await clients[0].create() for _ in range(3)], seed=number)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for client in clients * _WRITERS_OF_EACH:
                    group.create_task(work.write_through(client, stop))
                group.create_task(_read_windows(clients[0], work.contexts[0], stop))
                before = chance.randint(20, 150)
                await until(lambda: len(work.acknowledged) >= before, "appends")  # noqa: B023 - awaited here
                killed = server.postmaster()
                kill_postgres(killed)
                await until(lambda: has_ended(killed), "PostgreSQL's end")  # noqa: B023 - awaited here
                so_far = len(work.acknowledged)
                await until(lambda: len(work.acknowledged) >= so_far + 100, "appends afterwards")  # noqa: B023 - awaited here
                stop.set()
            assert work.refusals, "clients saw the outage"
            assert server.postmaster().pid != killed.pid
            server.remember_postgres()
            stored = await work.check(clients[0], server.url)
            assert stored == {batch.request_id for batch in work.batches}
            await work.repeat(clients[0], stored)
    server.terminate()
    assert await server.ended(20) == 0
    assert "still in use" not in server.log, "the outage left no connection taken"
