"""What the recount finds when a stored byte is not what was written."""

from __future__ import annotations

import asyncpg
import pytest

from kata_grpc.db.pool import Database
from kata_grpc.services.integrity import recount
from tests.rpc import build as b
from tests.rpc.serving import loop, serve


@loop
@pytest.mark.holds("I1")
async def test_a_flipped_byte_anywhere_in_a_message_is_found(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        context_id = (await server.create()).context_id
        await server.append(context_id, b.user("Hello"), b.calls("1"), b.result("1"))
    database = await Database.open(fresh_db)
    connection = await asyncpg.connect(fresh_db)

    async def found() -> list[str]:
        return [finding.difference async for _, findings in recount(database) for finding in findings]

    try:
        assert await found() == []
        record = await connection.fetchval("select record from messages where version = 2")
        for place in range(len(record)):
            flipped = bytearray(record)
            flipped[place] ^= 1 << place % 8
            await connection.execute("update messages set record = $1 where version = 2", bytes(flipped))
            assert await found() == ["1 messages are not what their digest says"], place
        await connection.execute("update messages set record = $1 where version = 2", record)
        assert await found() == []
    finally:
        await connection.close()
        await database.close()
