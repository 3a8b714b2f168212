"""The pool: every wait has a bound, and nothing stays behind, however a call ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kata_grpc.db import connect
from kata_grpc.db.errors import ConstraintViolated, StartupError
from kata_grpc.db.pool import Database, Executor, PoolOptions, call_deadline
from kata_grpc.db.query import Query
from kata_grpc.domain.errors import DeadlineExceeded, ShuttingDown, StorageUnavailable, WriteContention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ONE = Query("one", "select 1")
SLEEP = Query("sleep", "select pg_sleep($1::float8)")
PID = Query("pid", "select pg_backend_pid()")
OPTIONS = PoolOptions(size=2, acquire_timeout=2, statement_timeout=3, idle_seconds=0.5)
PATIENT = replace(OPTIONS, statement_timeout=60)


@pytest.fixture
async def database(fresh_db: str) -> AsyncIterator[Database]:
    database = await Database.open(fresh_db, OPTIONS)
    await database.execute(
        Query("t", "create table t (id int constraint t_key primary key, n int constraint t_positive check (n > 0))")
    )
    yield database
    await database.close()


@pytest.fixture
async def observer(fresh_db: str) -> AsyncIterator[connect.Connection]:
    connection = await connect.open_connection(fresh_db)
    await connection.execute("set application_name = 'observer'")
    yield connection
    await connection.close()


async def sessions(observer: connect.Connection) -> Counter[str]:
    rows = await observer.fetch(
        "select state from pg_stat_activity where datname = current_database() and application_name = 'kata-grpc'"
    )
    return Counter(row["state"] for row in rows)


async def settles(observer: connect.Connection, *allowed: str) -> bool:
    """Wait until the server's sessions are in no other states than these."""
    for _ in range(200):
        if set(await sessions(observer)) <= set(allowed):
            return True
        await asyncio.sleep(0.02)
    return False


async def insert(executor: Executor, key: int, value: int = 1) -> None:
    await executor.execute(Query("insert", "insert into t values ($1, $2)"), key, value)


async def rows(executor: Executor) -> int:
    return int(await executor.fetchval(Query("count", "select count(*) from t")))


@pytest.mark.holds("P1", "I12")
async def test_500_calls_on_two_connections_all_succeed(database: Database, observer: connect.Connection) -> None:
    answers = await asyncio.gather(*(database.fetchval(Query("n", "select $1::int"), n) for n in range(500)))
    assert answers == list(range(500))
    assert sum((await sessions(observer)).values()) == 2


@pytest.mark.holds("P1", "I12")
async def test_a_full_pool_refuses_in_bounded_time(fresh_db: str) -> None:
    database = await Database.open(fresh_db, PoolOptions(size=2, acquire_timeout=0.3))
    begun = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(database.fetchval(SLEEP, 0.5) for _ in range(10)), return_exceptions=True)
    took = asyncio.get_running_loop().time() - begun
    await database.close()
    assert Counter(type(answer) for answer in answers) == {type(None): 2, StorageUnavailable: 8}
    assert took < 1.5
    assert "0.3 s" in str(next(answer for answer in answers if isinstance(answer, StorageUnavailable)))


@pytest.mark.holds("I12")
async def test_a_statement_ends_at_the_first_of_all_bounds(database: Database, observer: connect.Connection) -> None:
    with pytest.raises(DeadlineExceeded):
        await database.fetchval(SLEEP, 30.0, within=0.1)
    token = call_deadline.set(asyncio.get_running_loop().time() + 0.1)
    try:
        with pytest.raises(DeadlineExceeded):
            await database.fetchval(SLEEP, 30.0)
        with pytest.raises(DeadlineExceeded):
            await database.fetchval(ONE)
    finally:
        call_deadline.reset(token)
    with pytest.raises(DeadlineExceeded, match="3 s"):
        await database.fetchval(SLEEP, 30.0)
    assert await database.fetchval(ONE) == 1
    assert (await sessions(observer))["active"] == 0


@pytest.mark.holds("P2")
async def test_cancelled_calls_leave_no_transaction_connection_or_lock(
    fresh_db: str, database: Database, observer: connect.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    patient = await Database.open(fresh_db, PATIENT)

    async def long_transaction() -> None:
        async with patient.transaction() as executor:
            await insert(executor, 1)
            await executor.execute(Query("lock", "lock table t"))
            await executor.fetchval(SLEEP, 30.0)

    for pause in (0.0, 0.001, 0.01, 0.05) * 10:
        calls = [asyncio.create_task(long_transaction()), asyncio.create_task(patient.fetchval(SLEEP, 30.0))]
        await asyncio.sleep(pause)
        for call in calls:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    assert await settles(observer, "idle")
    assert await rows(database) == 0
    assert await observer.fetchval("select count(*) from pg_locks where relation = 't'::regclass") == 0
    assert caplog.messages == []
    await patient.close()


@pytest.mark.holds("P2")
async def test_a_transaction_counts_whole_or_not_at_all(database: Database) -> None:
    async with database.transaction() as executor:
        await insert(executor, 1)
        await insert(executor, 2)

    async def broken() -> None:
        async with database.transaction() as executor:
            await insert(executor, 3)
            raise ZeroDivisionError

    async def swallowed() -> None:
        async with database.transaction() as executor:
            await insert(executor, 4)
            with suppress(ConstraintViolated):
                await insert(executor, 1)

    with pytest.raises(ZeroDivisionError):
        await broken()
    with pytest.raises(RuntimeError, match="failed"):
        await swallowed()
    assert await rows(database) == 2


@pytest.mark.holds("P2")
async def test_idle_connections_close(database: Database, observer: connect.Connection) -> None:
    assert 5 <= PoolOptions().idle_seconds <= 10
    assert (await sessions(observer))["idle"] == 2
    await asyncio.sleep(OPTIONS.idle_seconds)
    assert await settles(observer)
    assert await database.fetchval(ONE) == 1


@pytest.mark.holds("P2")
async def test_closing_leaves_no_connection_even_when_one_is_stuck(
    fresh_db: str, observer: connect.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kata_grpc.db.connections.CLOSE_SECONDS", 0.2)
    database = await Database.open(fresh_db, PATIENT)
    stuck = asyncio.create_task(database.fetchval(SLEEP, 60.0))
    await asyncio.sleep(0.05)
    await database.close()
    with pytest.raises(StorageUnavailable):
        await stuck
    with pytest.raises(ShuttingDown):
        await database.fetchval(ONE)
    assert await settles(observer)


@pytest.mark.holds("P2", "I12")
async def test_a_server_that_stands_still_is_not_waited_for(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kata_grpc.db.connections.MEND_SECONDS", 0.2)
    database = await Database.open(fresh_db, OPTIONS)
    backend = await database.fetchval(PID)
    os.kill(backend, signal.SIGSTOP)
    try:
        begun = asyncio.get_running_loop().time()
        for _ in range(2):
            # One of the two connections answers, the other stands still; which comes first is the pool's choice.
            with suppress(DeadlineExceeded):
                await database.fetchval(SLEEP, 0.1, within=0.3)
        assert asyncio.get_running_loop().time() - begun < 2
        assert await database.fetchval(ONE) == 1
    finally:
        os.kill(backend, signal.SIGCONT)
        await database.close()


async def test_a_cut_connection_is_unavailable_once_and_then_replaced(database: Database) -> None:
    with pytest.raises(StorageUnavailable):
        await database.fetchval(Query("die", "select pg_terminate_backend(pg_backend_pid())"))
    assert await database.fetchval(ONE) == 1


async def test_violations_carry_the_name_of_the_rule(database: Database) -> None:
    await insert(database, 1)
    with pytest.raises(ConstraintViolated) as doubled:
        await insert(database, 1)
    with pytest.raises(ConstraintViolated) as negative:
        await insert(database, 2, -1)
    assert (doubled.value.constraint, negative.value.constraint) == ("t_key", "t_positive")


async def test_a_deadlock_is_retried_from_the_start(database: Database) -> None:
    await insert(database, 1)
    await insert(database, 2)
    attempts = Counter[int]()
    update = Query("update", "update t set n = n + 1 where id = $1")

    async def both(first: int, second: int) -> None:
        async def work(executor: Executor) -> None:
            attempts[first] += 1
            await executor.execute(update, first)
            await asyncio.sleep(0.1)
            await executor.execute(update, second)

        await database.in_transaction(work)

    await database.execute(Query("quick", "alter role postgres set deadlock_timeout = '50ms'"))
    try:
        await asyncio.gather(both(1, 2), both(2, 1))
    finally:
        await database.execute(Query("reset", "alter role postgres reset deadlock_timeout"))
    assert attempts.total() == 3
    assert await database.fetchval(Query("sum", "select sum(n) from t")) == 6


async def test_contention_that_does_not_end_is_told(database: Database) -> None:
    calls = 0

    async def work(executor: Executor) -> None:
        nonlocal calls
        calls += 1
        await executor.execute(Query("fail", "do $$ begin raise exception using errcode = '40001'; end $$"))

    with pytest.raises(WriteContention):
        await database.in_transaction(work)
    assert calls == 3


@pytest.mark.holds("P7")
async def test_a_database_that_is_not_there_is_one_sentence_without_secrets(postgres_url: str) -> None:
    for url in ("postgresql://me:hunter2@127.0.0.1:1/kata", postgres_url.replace("/kata?", "/nowhere?")):
        with pytest.raises(StartupError, match="cannot be used") as caught:
            await Database.open(url, OPTIONS)
        assert "hunter2" not in str(caught.value)
        assert str(caught.value).count(". ") == 0


async def test_sessions_have_bounds_and_stable_plans(database: Database) -> None:
    setting = Query("setting", "select current_setting($1)")
    assert await database.fetchval(setting, "plan_cache_mode") == "force_generic_plan"
    assert await database.fetchval(setting, "statement_timeout") == "4s"
    assert await database.fetchval(setting, "idle_in_transaction_session_timeout") == "4s"
