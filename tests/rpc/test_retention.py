"""Retention over a real database, by the job of a running server and step by step."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc import limits
from kata_grpc.domain.retention import Reason, parse
from kata_grpc.services.flattening import Flattening
from kata_grpc.services.purging import Purging
from kata_grpc.services.retention import Report, Retention
from tests.rpc import build as b
from tests.rpc.forks import child_of, fork, texts, told
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve
from tests.rpc.test_purge import amounts, delete, held, left, purge, waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [loop, pytest.mark.holds("P24")]

SECONDS = 10
DAY = 86_400
RULES = "*: idle=10d age=30d purge=5d"


@asynccontextmanager
async def alone(fresh_url: FreshDatabase, **settings: Any) -> AsyncIterator[Running]:
    async with serve(await fresh_url(), **settings) as server:
        yield server


def retention(server: Running, rules: str | None = RULES) -> Retention:
    """The job of another process, so to speak."""
    database = server.server.database
    return Retention(database, Purging(database, Flattening(database)), None if rules is None else parse(rules))


async def age(server: Running, context_id: str, **days: float) -> None:
    """Makes times of a context earlier than they are."""
    for column, count in days.items():
        await server.query(
            f"update contexts set {column} = clock_timestamp() - make_interval(secs => $2) where id = $1::text::uuid",
            context_id,
            count * DAY,
        )


async def made(server: Running, count: int = 1, **days: float) -> list[str]:
    found = [await told(server, 2) for _ in range(count)]
    for context_id in found:
        await age(server, context_id, **days)
    return found


async def deleted(server: Running, context_id: str) -> bool:
    return (await server.get(context_id)).HasField("delete_time")


def gone(report: Report | None) -> dict[Reason, int]:
    assert report is not None
    return {reason: count for reason, count in report.gone.items() if count}


# --- what goes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [2, 500])
async def test_what_was_kept_long_enough_goes_and_a_dry_run_says_so_first(
    fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(limits, "RETENTION_PAGE", page)
    async with alone(fresh_url) as server:
        fresh = await made(server, 2)
        idle = await made(server, 3, create_time=11, update_time=11)
        active = await made(server, create_time=11, update_time=9)
        old = await made(server, 2, create_time=31, update_time=0)
        gone_for_days, gone_lately = await made(server, 2, create_time=3)
        for context_id, days in ((gone_for_days, 6), (gone_lately, 4)):
            await delete(server, context_id)
            await age(server, context_id, delete_time=days)
        everything = [*fresh, *idle, *active, *old, gone_for_days, gone_lately]
        before = [await left(server, context_id) for context_id in everything]

        job = retention(server)
        planned = [one async for one in job.plan()]
        assert {str(one.context_id) for one in planned} == {*idle, *old, gone_for_days}
        preview = await job.preview()
        assert [await left(server, context_id) for context_id in everything] == before
        assert gone(preview) == {Reason.IDLE: 3, Reason.AGE: 2, Reason.PURGE: 1}
        assert Counter(one.reason for one in planned) == gone(preview)

        assert await job.run() == preview, "a dry run says what the run does"
        for context_id in (*idle, *old):
            assert await deleted(server, context_id)
            await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
            assert await texts(server, context_id) == ["m1", "m2"], "all of it can be brought back"
        for context_id in (*fresh, *active):
            assert not await deleted(server, context_id)
        assert await deleted(server, gone_lately)
        assert await left(server, gone_for_days) == {}
        assert (await refused(purge(server, gone_for_days))).reason == "CONTEXT_PURGED"


async def test_only_the_newest_of_a_tenant_stay(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server, serve(url, tenant="other") as other:
        first = [(await made(server, create_time=days))[0] for days in (5, 4, 3, 2, 1)]
        others = await made(other, 3)
        await delete(server, first[3])
        report = await retention(server, "default: count=2; other: count=2").run()
        assert gone(report) == {Reason.COUNT: 3}
        assert [await deleted(server, context_id) for context_id in first] == [True, True, False, True, False]
        assert [await deleted(other, context_id) for context_id in others] == [True, False, False]


async def test_nothing_goes_where_nothing_is_set(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        (context_id,) = await made(server, create_time=9_999, update_time=9_999)
        await delete(server, context_id)
        await age(server, context_id, delete_time=9_999)
        for rules in (None, "*: keep", "*:", "somebody: idle=1s purge=1s"):
            assert gone(await retention(server, rules).run()) == {}
        assert (await left(server, context_id))["messages"] == 2


async def test_a_unique_name_is_free_again(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        context_id = (await server.create(name="n", unique_name=True)).context_id
        await age(server, context_id, create_time=40)
        await retention(server).run()
        assert (await server.create(name="n", unique_name=True)).context_id != context_id


# --- what contexts say themselves -------------------------------------------------------------------------------------


async def keep(server: Running, context_id: str, **fields: Any) -> None:
    policy = policy_pb2.Policy(retention=policy_pb2.Retention(**fields))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=context_id, policy=policy))


async def test_contexts_may_say_otherwise(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        kept, longer, shorter, inheriting, purged_sooner = await made(server, 5)
        await keep(server, kept, keep=True)
        await keep(server, longer, max_age=Duration(seconds=99 * DAY))
        await keep(server, shorter, max_idle=Duration(seconds=DAY))
        await keep(server, inheriting, max_idle=Duration(seconds=99 * DAY))
        await keep(server, purged_sooner, purge_after=Duration(seconds=1))
        child = await child_of(server, kept)
        await delete(server, purged_sooner)
        for context_id in (kept, longer, inheriting, child):
            await age(server, context_id, create_time=31, update_time=5)
        await age(server, shorter, create_time=3, update_time=2)
        await age(server, purged_sooner, delete_time=1)
        report = await retention(server).run()
        assert gone(report) == {Reason.IDLE: 1, Reason.AGE: 1, Reason.PURGE: 1}
        assert [await deleted(server, c) for c in (kept, child, longer, shorter, inheriting)] == [
            False, False, False, True, True
        ]  # fmt: skip
        assert await left(server, purged_sooner) == {}


async def test_what_is_kept_does_not_count(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        older, newer, kept = await made(server, 3)
        await keep(server, kept, keep=True)
        assert gone(await retention(server, "default: count=1").run()) == {Reason.COUNT: 1}
        assert [await deleted(server, context_id) for context_id in (older, newer, kept)] == [True, False, False]


@pytest.mark.parametrize("seconds", [0, -1, 101 * 366 * DAY])
async def test_times_of_a_policy_are_bounded(server: Running, seconds: int) -> None:
    context_id = (await server.create()).context_id
    given = {name: Duration(seconds=seconds) for name in ("max_idle", "max_age", "purge_after")}
    error = await refused(keep(server, context_id, **given))
    fields = [f"policy.retention.{name}" for name in given]
    assert error.violations == [(field, "OUT_OF_BOUNDS") for field in fields]
    policy = policy_pb2.Policy(retention=policy_pb2.Retention(**given))
    assert [field for field, _ in (await refused(fork(server, context_id, policy=policy))).violations] == fields


# --- forks ------------------------------------------------------------------------------------------------------------


async def test_what_live_forks_read_stays(fresh_url: FreshDatabase) -> None:
    """The forks go first, and the next run takes what they were made of."""
    async with alone(fresh_url) as server:
        (root,) = await made(server)
        child = await child_of(server, root)
        deep = await child_of(server, child)
        await age(server, root, create_time=40)
        await age(server, child, create_time=39)
        job = retention(server)
        assert await job.preview() == await job.run() == Report(has_forks=2)
        assert await texts(server, deep) == ["m1", "m2"]

        await age(server, deep, create_time=38)
        report = await job.run()
        assert (gone(report), report and report.has_forks) == ({Reason.AGE: 1}, 2), "as it was when it was planned"
        assert [gone(await job.run()) for _ in range(3)] == [{Reason.AGE: 1}] * 2 + [{}], "one after the other"

        for context_id in (root, child, deep):
            await age(server, context_id, delete_time=6)
        left_over = await job.preview()
        assert (gone(left_over), left_over.has_forks) == ({Reason.PURGE: 1}, 2), "also deleted forks read"
        assert [gone(await job.run()) for _ in range(4)] == [{Reason.PURGE: 1}] * 3 + [{}]
        assert [await left(server, context_id) for context_id in (root, child, deep)] == [{}] * 3


async def test_a_flattened_fork_holds_nothing(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        (root,) = await made(server)
        child = await child_of(server, root)
        await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=child))
        await age(server, root, create_time=40)
        assert gone(await retention(server).run()) == {Reason.AGE: 1}
        assert await texts(server, child) == ["m1", "m2"]


# --- at the same time -------------------------------------------------------------------------------------------------

LOCK = "select from contexts where id = $1::text::uuid for update"


async def test_what_changes_while_it_is_its_turn_stays(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        idle, undeleted = await made(server, 2, create_time=20, update_time=20)
        await delete(server, undeleted)
        await age(server, undeleted, delete_time=6)
        for context_id, rules, change in (
            (idle, "*: idle=10d", "update contexts set update_time = clock_timestamp() where id = $1::text::uuid"),
            (
                undeleted,
                "*: purge=5d",
                "update contexts set update_time = now(), delete_time = null where id = $1::text::uuid",
            ),
        ):
            async with held(server, LOCK, context_id) as connection:
                running = asyncio.ensure_future(retention(server, rules).run())
                await waits(server)
                await connection.execute(change, context_id)
            report = await running
            assert report is not None
            assert report.changed == 1
            assert (await left(server, context_id))["messages"] == 2
            assert not await deleted(server, context_id)


async def test_an_append_on_its_way_saves_a_context(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        (context_id,) = await made(server, create_time=20, update_time=20)
        async with held(server, LOCK, context_id):
            appending = asyncio.ensure_future(server.append(context_id, b.user("m3"), b.user("m4")))
            await waits(server)
            running = asyncio.ensure_future(retention(server, "*: idle=10d").run())
            await waits(server, 2)
        await appending
        report = await running
        assert (gone(report), report and report.changed) == ({}, 1)
        assert await texts(server, context_id) == ["m1", "m2", "m3", "m4"]


async def test_a_fork_on_its_way_saves_a_context(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        (context_id,) = await made(server, create_time=20, update_time=20)
        async with held(server, LOCK, context_id):
            forking = asyncio.ensure_future(child_of(server, context_id))
            await waits(server)
            running = asyncio.ensure_future(retention(server, "*: idle=10d").run())
            await waits(server, 2)
        child = await forking
        assert gone(await running) == {}
        assert not await deleted(server, context_id)
        assert await texts(server, child) == ["m1", "m2"]


async def test_one_process_at_a_time_has_the_turn(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        await made(server, 12, create_time=40)
        one, two = retention(server), retention(server)
        reports = await asyncio.gather(one.run(), two.run())
        assert reports.count(None) == 1
        assert [gone(report) for report in reports if report] == [{Reason.AGE: 12}]
        assert gone(await two.run()) == {}, "the turn ends with the run"


async def test_two_that_believe_to_have_the_turn_do_everything_once(
    fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alone(fresh_url, pool_max=6) as server:
        contexts = await made(server, 20, create_time=40)
        for context_id in contexts[::2]:
            await delete(server, context_id)
            await age(server, context_id, delete_time=6)
        monkeypatch.setattr("kata_grpc.services.retention._TURN_SECONDS", 0.0)
        reports = await asyncio.gather(retention(server).run(), retention(server).run())
        assert all(report is not None for report in reports), "each turn is over at once"
        total = sum((Counter(report.gone) for report in reports if report), Counter[Reason]())
        assert +total == {Reason.AGE: 10, Reason.PURGE: 10}
        assert sum(report.changed for report in reports if report) <= 20
        for context_id in contexts[1::2]:
            kinds = "select count(*) from revisions where context_id = $1::text::uuid and kind = 'delete'"
            assert (await server.query(kinds, context_id))[0][0] == 1


async def test_a_turn_that_nobody_ends_ends_by_itself(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url) as server:
        await made(server, create_time=40)
        await server.query(
            "update installation set retention_holder = gen_random_uuid(), "
            "retention_until = clock_timestamp() + interval '1 second'"
        )
        job = retention(server)
        assert await job.run() is None
        async with asyncio.timeout(SECONDS):
            while (report := await job.run()) is None:
                await asyncio.sleep(0.1)
        assert gone(report) == {Reason.AGE: 1}


async def test_calls_find_a_connection_while_it_waits(fresh_url: FreshDatabase) -> None:
    async with alone(fresh_url, pool_max=2) as server:
        (context_id,) = await made(server, create_time=40)
        async with held(server, LOCK, context_id):
            running = asyncio.ensure_future(retention(server).run())
            await waits(server)
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*(told(server, 2) for _ in range(5)))
        assert gone(await running) == {Reason.AGE: 1}


# --- what is left of purges, and the job of a server ------------------------------------------------------------------


async def cut_off(server: Running, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, tuple[int, int]]]:
    """Purges a context, but the rows are left, as if the server had been killed."""
    context_id = await told(server, 9)
    await delete(server, context_id)
    planned = amounts((await purge(server, context_id, dry_run=True)).receipt)
    monkeypatch.setattr(limits, "PURGE_ROWS", 4)
    database = server.server.database
    purging = Purging(database, Flattening(database))
    (row,) = await server.query("select tenant_id, update_time from contexts where id = $1::text::uuid", context_id)
    await purging.take(row["tenant_id"], UUID(context_id), row["update_time"])
    assert await purging.erase_some(row["tenant_id"], UUID(context_id))
    assert (await left(server, context_id))["messages"] == 6
    return context_id, planned


async def test_purges_that_were_cut_off_are_finished(fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    async with alone(fresh_url) as server:
        context_id, planned = await cut_off(server, monkeypatch)
        job = retention(server, None)
        assert await job.preview() == await job.run() == Report(finished=1)
        assert await left(server, context_id) == {}
        (row,) = await server.query("select receipt::text, remaining from purged_contexts")
        assert row["remaining"] is None
        assert all(f'"rows": {rows}' in row["receipt"] for rows, _ in planned.values())


async def test_the_server_does_it_by_itself(fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await fresh_url()
    rules = parse("*: age=30d purge=1s")
    async with (
        serve(url, retention=rules, retention_interval=0.2) as server,
        serve(url, retention=rules, retention_interval=0.2),
    ):
        unfinished, _ = await cut_off(server, monkeypatch)
        (old,) = await made(server, create_time=40)
        (fresh,) = await made(server)
        async with asyncio.timeout(SECONDS):
            while await left(server, unfinished) or await left(server, old):
                await asyncio.sleep(0.05)
        assert not await deleted(server, fresh)
        assert (await refused(server.get(old))).code is grpc.StatusCode.NOT_FOUND


async def test_an_outage_ends_a_run_and_not_the_job(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url, retention=parse("*: age=30d"), retention_interval=0.2) as server:
        (first,) = await made(server, create_time=40)
        async with asyncio.timeout(SECONDS):
            while not await deleted(server, first):
                await asyncio.sleep(0.05)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("alter table installation rename to elsewhere")
            await asyncio.sleep(0.5)
            await connection.execute("alter table elsewhere rename to installation")
        finally:
            await connection.close()
        (second,) = await made(server, create_time=40)
        async with asyncio.timeout(SECONDS):
            while not await deleted(server, second):
                await asyncio.sleep(0.05)
