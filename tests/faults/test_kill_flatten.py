"""kill -9 of the server in the middle of a flattening: what it leaves is read by nobody, and the next one goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs

from tests.faults.waiting import until
from tests.rpc import build as b

if TYPE_CHECKING:
    from tests.faults.clients import Client
    from tests.faults.processes import StartServer

_APPENDS, _MESSAGES = 8, 1_000


async def verify(client: Client, context_id: str) -> None:
    found = await client.contexts.VerifyContext(cs.VerifyContextRequest(context_id=context_id))
    assert not found.HasField("difference"), found.difference


@pytest.mark.holds("I2", "P14")
async def test_a_flattening_that_was_killed_is_done_by_the_next_call(start_server: StartServer, fresh_db: str) -> None:
    server = await start_server(DATABASE_URL=fresh_db)
    connection = await asyncpg.connect(fresh_db)
    try:
        async with server.dialed() as client:
            parent_id = await client.create()
            for batch in range(_APPENDS):
                await client.append(parent_id, [b.user(f"{batch}.{n}") for n in range(_MESSAGES)])
            forked = await client.contexts.ForkContext(cs.ForkContextRequest(context_id=parent_id))
            context_id = forked.context.context_id
            await client.append(context_id, [b.user("mine")])
            before = await client.log(context_id)
            request = cs.FlattenContextRequest(context_id=context_id, request_id="f")

            async def copied() -> int:
                count: int = await connection.fetchval("select count(*) from messages where origin_id is not null")
                return count

            async with connection.transaction():
                await connection.execute(
                    "select from messages where context_id = $1 and version = 7500 for update", parent_id
                )
                flattening = asyncio.ensure_future(client.contexts.FlattenContext(request))
                await until(copied, "the middle of the flattening")
                await server.kill()
            with pytest.raises(grpc.RpcError):
                await flattening
        assert 0 < await copied() < _APPENDS * _MESSAGES
        await server.start()
        async with server.dialed() as client:
            assert (await client.get(context_id)).depth == 1
            assert await client.log(context_id) == before
            await verify(client, context_id)
            flattened = await client.contexts.FlattenContext(request)
            assert (flattened.replayed, flattened.context.depth) == (False, 0)
            assert await copied() == _APPENDS * _MESSAGES
            assert await client.log(context_id) == before
            await verify(client, context_id)
    finally:
        await connection.close()
