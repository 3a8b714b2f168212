"""Migrations: up, down and up again, one process at a time, and a schema that does not fit is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kata_grpc.db import migrate
from kata_grpc.db.errors import StartupError
from kata_grpc.db.migrate import SchemaState, SchemaStatus
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.db.query import Query
from tests.integration.processes import kata

if TYPE_CHECKING:
    from tests.databases import Databases


async def state_of(url: str) -> SchemaState:
    database = await Database.open(url, PoolOptions(size=1))
    try:
        return await migrate.schema_state(database)
    finally:
        await database.close()


@pytest.mark.holds("P8")
async def test_up_down_and_up_again(empty_db: str) -> None:
    assert (await state_of(empty_db)).status is SchemaStatus.EMPTY
    await migrate.upgrade(empty_db)
    assert (await state_of(empty_db)).status is SchemaStatus.CURRENT
    await migrate.downgrade(empty_db, "-1")
    assert (await state_of(empty_db)).status is SchemaStatus.BEHIND
    await migrate.downgrade(empty_db, "base")
    assert (await state_of(empty_db)).status is SchemaStatus.EMPTY
    await migrate.upgrade(empty_db)
    assert (await state_of(empty_db)).status is SchemaStatus.CURRENT


async def test_servers_that_start_together_migrate_once(empty_db: str) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_db) for _ in range(5)))
    assert (await state_of(empty_db)).status is SchemaStatus.CURRENT


async def test_unknown_steps_are_one_sentence(fresh_db: str) -> None:
    with pytest.raises(StartupError, match="Can't locate revision"):
        await migrate.upgrade(fresh_db, "9999")


@pytest.mark.holds("P3")
async def test_every_state_has_its_sentence(fresh_db: str, postgres: Databases) -> None:
    database = await Database.open(fresh_db, PoolOptions(size=1))
    assert str(await migrate.schema_state(database)).endswith("as this version needs.")
    await database.execute(Query("q", "update alembic_version set version_num = 'from_the_future'"))
    ahead = await migrate.schema_state(database)
    assert ahead.status is SchemaStatus.AHEAD
    assert "from_the_future, ahead of" in str(ahead)
    await database.execute(Query("q", "drop table alembic_version"))
    foreign = await migrate.schema_state(database)
    assert foreign.status is SchemaStatus.FOREIGN
    await database.close()


@pytest.mark.holds("P3")
@pytest.mark.parametrize("kind", ["behind", "ahead", "foreign"])
def test_serve_refuses_a_schema_that_does_not_fit(kind: str, fresh_db: str, postgres: Databases) -> None:
    if kind == "behind":
        assert kata("migrate", "down", "-1", env={"DATABASE_URL": fresh_db}).returncode == 0
    else:
        change = "update alembic_version set version_num = '9999'" if kind == "ahead" else "drop table alembic_version"
        postgres.execute(change, fresh_db)
    refused = kata("serve", env={"DATABASE_URL": fresh_db, "KATA_LISTEN": "127.0.0.1:0"})
    assert refused.returncode == 1
    said = refused.stderr.splitlines()[-1]
    assert said.startswith("kata-grpc: The database has")
    assert {"behind": "migrate up", "ahead": "newer version", "foreign": "no schema of Kata"}[kind] in said


@pytest.mark.holds("P8")
def test_the_command_moves_the_schema_and_says_where_it_is(empty_db: str) -> None:
    env = {"DATABASE_URL": empty_db}
    assert "is empty" in kata("migrate", "current", env=env).stdout
    assert '"status": "current"' in kata("migrate", "up", "--json", env=env).stdout
    assert "behind" in kata("migrate", "down", "-1", env=env).stdout
    assert "is empty" in kata("migrate", "down", "base", env=env).stdout
    wrong = kata("migrate", "down", "9999", env=env)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
