"""kill -9 of the server in the middle of a purge: what it leaves is out of reach, and the next server erases it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs

from tests.faults.waiting import until
from tests.rpc import build as b
from tests.rpc.serving import refused

if TYPE_CHECKING:
    from tests.faults.processes import StartServer

_APPENDS, _MESSAGES = 8, 1_000


@pytest.mark.holds("P24")
async def test_a_purge_that_was_killed_is_finished_by_the_next_server(start_server: StartServer, fresh_db: str) -> None:
    server = await start_server(DATABASE_URL=fresh_db, KATA_RETENTION_INTERVAL="0.3")
    connection = await asyncpg.connect(fresh_db)
    try:
        async with server.dialed() as client:
            context_id = await client.create()
            for _ in range(_APPENDS):
                await client.append(context_id, [b.user("x") for _ in range(_MESSAGES)])
            await client.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
            request = cs.PurgeContextRequest(context_id=context_id, request_id="p")
            planned = await client.contexts.PurgeContext(cs.PurgeContextRequest(context_id=context_id, dry_run=True))

            async def left() -> int:
                count: int = await connection.fetchval("select count(*) from messages")
                return count

            async def is_stuck() -> bool:
                return 0 < await left() < _APPENDS * _MESSAGES

            async with connection.transaction():
                await connection.execute("select from messages where version = 4500 for update")
                purging = asyncio.ensure_future(client.contexts.PurgeContext(request))
                await until(is_stuck, "the middle of the purge")
                await server.kill()
            with pytest.raises(grpc.RpcError):
                await purging
        assert await left() > 0
        await server.start()
        async with server.dialed() as client:
            assert (await refused(client.get(context_id))).reason == "CONTEXT_NOT_FOUND"

            async def is_done() -> bool:
                return not await left() and not await connection.fetchval("select count(*) from revisions")

            await until(is_done, "the end of the purge")
            again = await client.contexts.PurgeContext(request)
            assert again.replayed
            assert list(again.receipt.erased) == list(planned.receipt.erased), "each row is counted once"
    finally:
        await connection.close()
