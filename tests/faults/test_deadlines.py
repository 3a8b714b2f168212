"""Calls whose client gives up: nothing half is written, the connection is usable, and a retry says what happened."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.faults.clients import Client, dial
from tests.faults.processes import rounds
from tests.faults.waiting import LOCKED_OUT, direct, nobody, nothing_held, somebody, until
from tests.faults.workload import Batch, differences
from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, read_error, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_POOL = 2
_WAITS_FOR_REPLICA = "wait_event = 'SyncRep'"


@asynccontextmanager
async def _served(url: str) -> AsyncIterator[Client]:
    async with serve(url, pool_max=_POOL) as running, dial(running.server.address) as client:
        yield client


@pytest.mark.holds("I3", "I12", "P2")
async def test_a_deadline_on_a_locked_row_writes_nothing(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with _served(url) as client, direct(url) as other:
        context_id = await client.create()
        async with other.transaction():
            await other.execute("select 1 from contexts where id = $1 for update", context_id)
            calls = [client.append(context_id, [b.user("x")], timeout=0.05 * n) for n in range(1, 3 * _POOL)]
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, grpc.aio.AioRpcError)
                assert outcome.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await nobody(other, LOCKED_OUT)
        await nothing_held(other, _POOL)
        assert await client.log(context_id) == []
        # More often than there are connections: each of them works.
        for number in range(1, 2 * _POOL + 1):
            assert (await client.append(context_id, [b.user("y")])).last_version == number
    assert await differences(url) == []


@pytest.mark.holds("I12")
async def test_the_server_gives_up_before_its_client_does(fresh_url: FreshDatabase) -> None:
    """So that the answer with its details arrives."""
    url = await fresh_url()
    async with _served(url) as client, direct(url) as other:
        context_id = await client.create()
        async with other.transaction():
            await other.execute("select 1 from contexts where id = $1 for update", context_id)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.append(context_id, [b.user("x")], timeout=1)
        assert read_error(caught.value).reason == "DEADLINE"


@pytest.mark.holds("I12")
async def test_a_short_deadline_is_enough_for_a_short_call(fresh_url: FreshDatabase) -> None:
    async with _served(await fresh_url()) as client:
        context_id = await client.create()

        async def appended() -> bool:
            try:
                await client.append(context_id, [b.user("x")], timeout=0.05)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # noqa: PT017 - this machine may be busy
                return False
            return True

        await until(appended, "an append within 50 ms")


@pytest.mark.holds("I3", "I4")
async def test_giving_up_before_the_commit_leaves_nothing(fresh_url: FreshDatabase) -> None:
    """A trigger that runs at the commit waits for a lock; then the client is gone, and the commit with it."""
    url = await fresh_url()
    async with _served(url) as client, direct(url) as other:
        context_id = await client.create()
        await other.execute(
            "create function wait() returns trigger language plpgsql as "
            "'begin perform pg_advisory_xact_lock(1); return null; end';"
            "create constraint trigger wait after insert on messages deferrable initially deferred "
            "for each row execute function wait()"
        )
        batch = Batch(context_id, "one", [b.user("x"), b.assistant("y")])
        async with other.transaction():
            await other.execute("select pg_advisory_xact_lock(1)")
            call = asyncio.create_task(batch.send(client))
            await somebody(other, LOCKED_OUT)
            call.cancel()
            await nobody(other, LOCKED_OUT)
        await nothing_held(other, _POOL)
        assert await client.log(context_id) == []
        assert not (await batch.send(client)).replayed
        assert len(await client.log(context_id)) == 2
    assert await differences(url) == []


@pytest.mark.holds("I3", "I4")
async def test_giving_up_in_the_commit_leaves_all_and_the_retry_says_so(fresh_url: FreshDatabase) -> None:
    """A commit that waits for a replica, which never comes, has happened: the client is gone, the batch is there."""
    url = await fresh_url()
    async with _served(url) as client, direct(url) as other:
        context_id = await client.create()
        batch = Batch(context_id, "one", [b.user("x"), b.assistant("y")])
        try:
            await other.execute("set synchronous_commit = local")
            await other.execute("alter system set synchronous_standby_names = 'nobody'")
            await other.execute("select pg_reload_conf()")
            call = asyncio.create_task(batch.send(client))
            await somebody(other, _WAITS_FOR_REPLICA)
            call.cancel()
            await nobody(other, _WAITS_FOR_REPLICA)
        finally:
            await other.execute("alter system reset synchronous_standby_names")
            await other.execute("select pg_reload_conf()")
        await nothing_held(other, _POOL)
        assert len(await client.log(context_id)) == 2
        answer = await batch.send(client)
        assert (answer.replayed, answer.first_version, answer.last_version) == (True, 1, 2)
        assert len(await client.log(context_id)) == 2
    assert await differences(url) == []


@pytest.mark.holds("I3", "I4", "P2")
@rounds(short=1)
async def test_giving_up_at_any_moment_is_told_by_the_retry(fresh_url: FreshDatabase, rounds: int) -> None:
    url = await fresh_url()
    chance = random.Random(rounds)
    async with _served(url) as client, direct(url) as other:
        context_id = await client.create()
        for number in range(rounds):
            batches = [Batch(context_id, f"{number}/{n}", [b.user("x"), b.assistant("y")]) for n in range(50)]
            calls = [asyncio.create_task(batch.send(client)) for batch in batches]
            for call in chance.sample(calls, len(calls)):
                call.cancel()
                await asyncio.sleep(chance.uniform(0, 0.005))
            await asyncio.gather(*calls, return_exceptions=True)
            await nothing_held(other, _POOL)
            there = {revision.request_id for revision in await client.history(context_id)}
            for batch in batches:
                assert (await batch.send(client)).replayed == (batch.request_id in there)
        assert len(await client.log(context_id)) == 2 * 50 * rounds
    assert await differences(url) == []
