"""Migrations go down and up again over content, and a server finds it unchanged."""

from __future__ import annotations

from hashlib import sha256

import asyncpg
import pytest

from kata_grpc.codec import decode_body
from kata_grpc.db import migrate
from tests.rpc import build as b
from tests.rpc.serving import loop, serve

pytestmark = [loop, pytest.mark.holds("P8")]


async def test_content_survives_a_step_back_and_forth(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        context_id = (await server.create(name="kept", labels={"a": "b"})).context_id
        await server.append(context_id, b.system("Be brief."), b.user("Hello"), b.calls("1"), b.result("1"))
        before = await server.window(context_id, 1_000), await server.get(context_id)

    await migrate.downgrade(fresh_db, "0001")
    await _check_bodies(fresh_db)
    await migrate.upgrade(fresh_db)

    async with serve(fresh_db) as server:
        assert (await server.window(context_id, 1_000), await server.get(context_id)) == before
        assert (await server.append(context_id, b.user("Again"))).first_version == 5


async def test_every_step_goes_down_over_content_and_up_again(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        await server.append((await server.create()).context_id, b.user("Hello"))

    await migrate.downgrade(fresh_db, "base")
    await migrate.upgrade(fresh_db)

    async with serve(fresh_db) as server:
        assert (await server.append((await server.create()).context_id, b.user("Hello"))).first_version == 1


async def _check_bodies(url: str) -> None:
    """Before schema 0003 a message was stored as its content alone, of which it keeps the digest."""
    connection = await asyncpg.connect(url)
    try:
        bodies = await connection.fetch("select digest, body from messages order by version")
    finally:
        await connection.close()
    assert [sha256(row["body"]).digest() for row in bodies] == [row["digest"] for row in bodies]
    assert decode_body(bodies[1]["body"]).text == "Hello"
