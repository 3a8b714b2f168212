"""Many writers at once: versions without gap or double, one winner a version, one write a request_id."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest

from tests.faults.clients import Client, dial
from tests.faults.processes import rounds
from tests.faults.waiting import direct
from tests.faults.workload import Batch, Workload, differences, place
from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, read_error, serve

_WRITERS = 64


async def _two_servers(stack: AsyncExitStack, url: str) -> list[Client]:
    """Clients of two servers over one database, as two workers or two machines are."""
    servers = [await stack.enter_async_context(serve(url)) for _ in range(2)]
    return [await stack.enter_async_context(dial(running.server.address)) for running in servers for _ in range(2)]


@pytest.mark.holds("I1", "I3", "I7", "P17")
@pytest.mark.parametrize("contexts", [1, _WRITERS])
@rounds(short=4)
async def test_64_writers_lose_nothing(fresh_url: FreshDatabase, contexts: int, rounds: int) -> None:
    url = await fresh_url()
    async with AsyncExitStack() as stack:
        clients = await _two_servers(stack, url)
        work = Workload([await clients[0].create() for _ in range(contexts)], seed=contexts)

        async def write(client: Client) -> None:
            for _ in range(rounds):
                await work.next_batch().send(client)

        async with asyncio.TaskGroup() as group:
            for number in range(_WRITERS):
                group.create_task(write(clients[number % len(clients)]))
        assert all(batch.answer and not batch.answer.replayed for batch in work.batches)
        stored = await work.check(clients[0], url)
        assert len(stored) == _WRITERS * rounds
        await _each_revision_has_one_time(url)


async def _each_revision_has_one_time(url: str) -> None:
    """Holds the rows themselves to it, and revisions to the order of their versions."""
    async with direct(url) as connection:
        wrong = await connection.fetchval(
            "select count(*) from ("
            "  select r.first_version, r.last_version, r.create_time,"
            "         lag(r.last_version, 1, 0::bigint) over (partition by r.context_id order by r.revision) as before,"
            "         min(m.version) as first, max(m.version) as last, count(*) as count,"
            "         min(m.create_time) as earliest, max(m.create_time) as latest"
            "  from revisions r join messages m using (context_id, revision)"
            "  group by r.context_id, r.revision"
            ") batch where (first, last, count) <> (first_version, last_version, last_version - first_version + 1)"
            " or first_version <> before + 1 or earliest <> create_time or latest <> create_time"
        )
        deadlocks = await connection.fetchval(
            "select deadlocks from pg_stat_database where datname = current_database()"
        )
    assert wrong == deadlocks == 0


@pytest.mark.holds("I3", "I7")
@rounds(short=10, long=200)
async def test_each_expected_version_has_one_winner(fresh_url: FreshDatabase, rounds: int) -> None:
    url = await fresh_url()
    async with AsyncExitStack() as stack:
        clients = await _two_servers(stack, url)
        context_id = await clients[0].create()
        winners: list[tuple[int, int]] = []

        async def race(number: int) -> None:
            client, version = clients[number % len(clients)], 0
            while version < rounds:
                try:
                    answer = await client.append(context_id, [b.user(str(number))], expected_version=version)
                except grpc.aio.AioRpcError as error:
                    lost = read_error(error)
                    assert (lost.code, lost.reason) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
                    assert int(lost.metadata["actual"]) > version
                    version = int(lost.metadata["actual"])
                else:
                    assert answer.first_version == answer.last_version == version + 1
                    winners.append((answer.last_version, number))
                    version += 1

        await asyncio.gather(*map(race, range(_WRITERS)))
        winners.sort()
        assert [version for version, _ in winners] == list(range(1, rounds + 1))
        log = await clients[0].log(context_id)
        assert [(message.version, int(message.text)) for message in log] == winners
    assert await differences(url) == []


@pytest.mark.holds("I4")
@rounds(short=3)
async def test_one_request_id_writes_once_however_often_it_comes(fresh_url: FreshDatabase, rounds: int) -> None:
    url = await fresh_url()
    async with AsyncExitStack() as stack:
        clients = await _two_servers(stack, url)
        context_id = await clients[0].create()
        for number in range(rounds):
            messages = [b.user(f"{number}"), b.calls("x"), b.result("x")]
            answers = await asyncio.gather(
                *(
                    Batch(context_id, f"request {number}", messages).send(clients[copy % len(clients)])
                    for copy in range(32)
                )
            )
            assert {place(answer) for answer in answers} == {(3 * number + 1, 3 * number + 3, number + 1)}
            assert sum(not answer.replayed for answer in answers) == 1
        assert len(await clients[0].log(context_id)) == 3 * rounds
        assert len(await clients[0].history(context_id)) == rounds
    assert await differences(url) == []


@pytest.mark.holds("I4")
async def test_one_request_id_with_other_content_is_refused_every_time(fresh_url: FreshDatabase) -> None:
    async with AsyncExitStack() as stack:
        clients = await _two_servers(stack, await fresh_url())
        context_id = await clients[0].create()

        async def append(number: int) -> str:
            try:
                client = clients[number % len(clients)]
                await client.append(context_id, [b.user(str(number))], request_id="one")
            except grpc.aio.AioRpcError as error:
                return read_error(error).reason
            return "appended"

        outcomes = await asyncio.gather(*map(append, range(32)))
        assert sorted(outcomes) == ["REQUEST_ID_REUSED"] * 31 + ["appended"]
        (message,) = await clients[0].log(context_id)
        assert outcomes[int(message.text)] == "appended"


@pytest.mark.holds("I4")
async def test_concurrent_creations_of_one_request_id_make_one_context(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with AsyncExitStack() as stack:
        clients = await _two_servers(stack, url)
        made = await asyncio.gather(
            *(clients[copy % len(clients)].create(name="one", request_id="one") for copy in range(32))
        )
        assert len(set(made)) == 1
    async with direct(url) as connection:
        assert await connection.fetchval("select count(*) from contexts") == 1
