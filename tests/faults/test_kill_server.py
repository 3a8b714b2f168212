"""kill -9 of the server in the middle of appends; its PostgreSQL is left running, and the next start copes."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from tests.faults.processes import StartServer, has_ended, rounds
from tests.faults.waiting import until
from tests.faults.workload import Workload

_CLIENTS = 4
_WRITERS_OF_EACH = 4


@pytest.mark.holds("I1", "I3", "I4", "I7", "P2")
@rounds(short=1)
async def test_what_a_killed_server_acknowledged_is_there(start_server: StartServer, rounds: int) -> None:
    server = await start_server()
    chance = random.Random(rounds)
    for number in range(rounds):
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(server.dialed()) for _ in range(_CLIENTS)]
            work = Workload([await clients[0].create() for _ in range(3)], seed=number)
            enough = chance.randint(20, 150)
            async with asyncio.TaskGroup() as writers:
                for client in clients * _WRITERS_OF_EACH:
                    writers.create_task(work.write_until_lost(client))
                await until(lambda work=work, enough=enough: len(work.acknowledged) >= enough, "appends")  # type: ignore[misc]
                await server.kill()
            assert len(work.batches) > len(work.acknowledged), "the kill came in the middle"
        left_behind = server.postmaster()
        await server.start()
        assert has_ended(left_behind)
        async with server.dialed() as client:
            stored = await work.check(client, server.url)
            await work.repeat(client, stored)
            await work.check(client, server.url)
