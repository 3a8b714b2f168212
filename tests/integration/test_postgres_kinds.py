"""The same service on the PostgreSQL setups that users have: an older server, and behind PgBouncer."""

from __future__ import annotations

import asyncio
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from kata.context.v1 import window_pb2

from kata_grpc.db import migrate
from kata_grpc.db.migrate import SchemaStatus
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.db.query import Query
from kata_grpc.domain.retention import parse
from tests.databases import Databases, with_database
from tests.faults import waiting
from tests.integration.kinds import Pooler, older_postgres, pgbouncer
from tests.integration.processes import kata
from tests.rpc import build
from tests.rpc.serving import serve
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION_SETTINGS = (
    "jit,plan_cache_mode,statement_timeout,idle_in_transaction_session_timeout,client_connection_check_interval"
)


@pytest.fixture(scope="module")
def pooler(postgres: Databases) -> Iterator[Pooler]:
    with (
        tempfile.TemporaryDirectory(prefix="kata-tests-") as directory,
        pgbouncer(Path(directory), postgres.admin_url) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def older(postgres: Databases) -> Iterator[Databases]:
    with tempfile.TemporaryDirectory(prefix="kata-tests-") as directory, older_postgres(Path(directory)) as url:
        yield Databases(url)


async def converse(url: str, direct: str | None = None) -> None:
    """Append from many callers at once, and read everything back."""
    async with serve(url, database_url_direct=direct, pool_max=4) as running:
        context = await running.create(name="kinds")
        await asyncio.gather(
            *(running.append(context.context_id, build.user(f"message {n}"), request_id=f"r{n}") for n in range(40))
        )
        log = await running.log(context.context_id)
        assert [message.version for message in log] == list(range(1, 41))
        window = await running.window(context.context_id, 100_000)
        assert window.header.snapshot_version == 40
        assert len(window.messages) == 40


@pytest.mark.holds("P6")
async def test_a_pooler_is_found_out(pooler: Pooler, fresh_db: str, postgres: Databases) -> None:
    options = PoolOptions(size=2)
    for url, direct, expected in (
        (pooler.url(fresh_db), None, True),
        (pooler.url(fresh_db), fresh_db, True),
        (fresh_db, None, False),
    ):
        database = await Database.open(url, options, direct_url=direct)
        assert database.pooled is expected
        await database.close()
    with (
        tempfile.TemporaryDirectory(prefix="kata-tests-") as directory,
        pgbouncer(Path(directory), postgres.admin_url, ignored=SESSION_SETTINGS) as lenient,
    ):
        database = await Database.open(lenient.url(fresh_db), options)
        assert database.pooled
        await database.close()


@pytest.mark.holds("P6", "P1")
async def test_concurrent_statements_and_transactions_through_a_pooler(pooler: Pooler, fresh_db: str) -> None:
    database = await Database.open(pooler.url(fresh_db), PoolOptions(size=8))
    setting = Query("setting", "select current_setting($1)")
    await database.execute(Query("t", "create table t (n int, tags text[])"))

    async def write(n: int) -> str:
        async with database.transaction() as executor:
            await executor.execute(Query("i", "insert into t values ($1, $2)"), n, ["a", str(n)])
            return str(await executor.fetchval(setting, "plan_cache_mode"))

    answers = await asyncio.gather(
        *(database.fetchval(Query(f"q{n % 7}", f"select $1::int * {n % 7}"), n) for n in range(300)),
        *(write(n) for n in range(100)),
    )
    assert answers[:300] == [n * (n % 7) for n in range(300)]
    assert set(answers[300:]) == {"force_generic_plan"}
    assert await database.fetchval(Query("c", "select count(*) from t where tags[2] = n::text")) == 100
    assert await database.fetchval(setting, "plan_cache_mode") == "auto"
    backends = Query("b", "select count(*) from pg_stat_activity where datname = current_database()")
    assert await database.fetchval(backends) <= pooler.backends
    await database.close()


@pytest.mark.holds("P6")
async def test_the_service_runs_behind_a_pooler(pooler: Pooler, fresh_db: str) -> None:
    await converse(pooler.url(fresh_db), fresh_db)
    await converse(pooler.url(fresh_db))


@pytest.mark.holds("P6", "P1")
@pytest.mark.parametrize("listening", [1, 0], ids=["with a direct URL", "by polling alone"])
async def test_watches_run_behind_a_pooler(pooler: Pooler, fresh_db: str, listening: int) -> None:
    settings: dict[str, Any] = {"database_url_direct": fresh_db if listening else None, "watch_poll": 0.2}
    url = pooler.url(fresh_db)
    async with serve(url, **settings) as writer, serve(url, **settings) as reader, waiting.direct(fresh_db) as other:
        context_id = (await writer.create()).context_id

        async def listeners() -> int:
            found: int = await other.fetchval(
                "select count(*) from pg_locks l join pg_database d on d.oid = l.database "
                "where d.datname = current_database() and l.locktype = 'advisory' and l.mode = 'ShareLock'"
            )
            return found

        async with watching(reader.messages, context_id, include_messages=True) as watch:
            await watch.caught_up()
            for number in range(1, 21):
                await writer.append(context_id, build.user(str(number)))
                event = await watch.event()
                assert (event.revision.revision, event.messages[0].text) == (number, str(number))
            if listening:
                await waiting.until(listeners, "a server that listens beside the pooler")
            assert await listeners() == listening
        if listening:

            async def none() -> bool:
                return not await listeners()

            await waiting.until(none, "no connection that listens for nobody")


@pytest.mark.holds("P6", "P8")
async def test_migrations_run_through_a_pooler_where_nothing_else_is_there(pooler: Pooler, empty_db: str) -> None:
    url = pooler.url(empty_db)
    for _ in range(2):
        await asyncio.gather(*(migrate.upgrade(url) for _ in range(3)))
        await migrate.downgrade(url, "base")
    await migrate.upgrade(url)
    await converse(url)


@pytest.mark.holds("P7")
async def test_the_doctor_sees_exchanged_urls(pooler: Pooler, fresh_db: str) -> None:
    right = await asyncio.to_thread(
        kata, "doctor", env={"DATABASE_URL": pooler.url(fresh_db), "DATABASE_URL_DIRECT": fresh_db}
    )
    assert "through a pooler in transaction mode" in right.stdout
    assert "warn" not in right.stdout
    exchanged = await asyncio.to_thread(
        kata,
        "doctor",
        env={"DATABASE_URL": fresh_db, "DATABASE_URL_DIRECT": pooler.url(fresh_db), "KATA_DB_POOLER": "auto"},
    )
    assert "leads to a pooler" in exchanged.stdout
    alone = await asyncio.to_thread(kata, "doctor", env={"DATABASE_URL": pooler.url(fresh_db)})
    assert "set DATABASE_URL_DIRECT" in alone.stdout


@pytest.mark.holds("P8")
async def test_the_service_runs_on_an_older_server_without_vectors(older: Databases) -> None:
    older.execute("create database kata")
    url = with_database(older.admin_url, "kata")
    await migrate.upgrade(url)
    await converse(url)
    doctor = await asyncio.to_thread(kata, "doctor", env={"DATABASE_URL": url})
    assert doctor.returncode == 0
    assert "vector features are off" in doctor.stdout
    await migrate.downgrade(url, "base")
    await migrate.upgrade(url)
    database = await Database.open(url, PoolOptions(size=1))
    assert database.server_version < 18
    assert (await migrate.schema_state(database)).status is SchemaStatus.CURRENT
    await database.close()


async def copy_all(source: str, target: str) -> None:
    """Bring contexts with all that is theirs to another server, as a dump does."""
    here, there = await asyncpg.connect(source), await asyncpg.connect(target)
    try:
        for table in ("contexts", "revisions", "messages", "policies"):
            columns = await here.fetch(
                "select attname from pg_attribute "
                "where attrelid = $1::text::regclass and attnum > 0 and not attisdropped",
                table,
            )
            names = [row["attname"] for row in columns]
            rows = BytesIO()
            await here.copy_from_table(table, columns=names, output=rows)
            rows.seek(0)
            await there.copy_to_table(table, columns=names, source=rows)
    finally:
        await here.close()
        await there.close()


@pytest.mark.holds("I2")
async def test_windows_are_equal_byte_for_byte_on_an_older_server(older: Databases, fresh_db: str) -> None:
    url = older.create(empty=True)
    await migrate.upgrade(url)
    log = [build.system("Be brief."), build.user("Look it up.")]
    for n in range(300):
        log += [build.calls(str(n)), build.result(str(n)), build.assistant(f"answer {n} " * (n % 9))]
    options = window_pb2.WindowOptions(
        clear_tool_results=window_pb2.ClearToolResults(keep_results=5),
        start_steps=window_pb2.StartSteps(low_water_tokens=500),
        pinned_versions=[9],
    )
    async with serve(fresh_db) as newer_server, serve(url) as older_server:
        context_id = (await newer_server.create()).context_id
        await newer_server.append(context_id, *log)
        await copy_all(fresh_db, url)
        for dialect in (window_pb2.DIALECT_OPENAI_CHAT, window_pb2.DIALECT_ANTHROPIC):
            for budget in (1_500, 8_000, 1_000_000):
                for asked in ({}, {"options": options}, {"tokenizer": "cl100k_base", "at_version": 600}):
                    fields = {"dialect": dialect, "render": True, **asked}
                    new = await newer_server.window(context_id, budget, **fields)
                    old = await older_server.window(context_id, budget, **fields)
                    assert new.SerializeToString() == old.SerializeToString()


@pytest.mark.holds("P6", "P24")
async def test_retention_works_behind_a_pooler(pooler: Pooler, fresh_db: str) -> None:
    """Whose turn it is does not hang on a connection, of which each transaction may have another one."""
    rules = parse("*: age=1h purge=1s")
    async with (
        serve(pooler.url(fresh_db), retention=rules, retention_interval=0.2) as one,
        serve(pooler.url(fresh_db), retention=rules, retention_interval=0.2),
    ):
        contexts = [(await one.create()).context_id for _ in range(6)]
        for context_id in contexts:
            await one.append(context_id, build.user("x"))
        kept = (await one.create()).context_id
        old = "update contexts set create_time = create_time - interval '1 day' where id <> $1::text::uuid returning id"
        connection = await asyncpg.connect(fresh_db)
        try:
            await connection.fetch(old, kept)

            async def purged() -> bool:
                gone = await connection.fetchval("select count(*) from purged_contexts where remaining is null")
                return bool(gone == len(contexts))

            await waiting.until(purged, "the purge of what is old")
            assert await connection.fetchval("select array_agg(id::text) from contexts") == [kept]
            assert await connection.fetchval("select count(*) from messages") == 0
        finally:
            await connection.close()
