"""Compactions beside appends, in servers that are killed, and in several servers at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from kata.context.v1 import compaction_pb2 as cp
from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as ps
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from tests.faults.waiting import until
from tests.rpc import build as b
from tests.unit.chat_server import completion, serving

if TYPE_CHECKING:
    from kata.context.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub

    from tests.faults.clients import Client
    from tests.faults.processes import StartServer

SUMMARY = "They looked at src/kata/window.py [v2]."
LONG = "We looked at src/kata/window.py and at the log of run 4711; the limit is 128 tokens. " * 8
SLOW_SECONDS = 10.0
LONGEST_SECONDS = 5.0
"""No append may take half as long as the compaction; one that waited for it would take all of it."""


def policies(client: Client) -> PolicyServiceAsyncStub:
    return PolicyServiceStub(client.channel)


async def told(client: Client, groups: int) -> str:
    context_id = await client.create()
    await client.append(context_id, [b.user(f"{n} {LONG}") for n in range(groups)])
    return context_id


async def listed(client: Client, context_id: str) -> list[cp.Compaction]:
    request = ps.ListCompactionsRequest(context_id=context_id, page_size=1_000)
    return list((await policies(client).ListCompactions(request)).compactions)


def policy(**fields: Any) -> policy_pb2.Policy:
    now = Duration()
    return policy_pb2.Policy(
        compaction=policy_pb2.CompactionPolicy(
            enabled=True, trigger_groups=8, preserve_recent=4, min_gain_tokens=1, debounce=now, cooldown=now, **fields
        )
    )


def named(url: str, database: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database,
        "KATA_SUMMARISER": "openai",
        "KATA_SUMMARISER_URL": url,
        "KATA_SUMMARISER_MODEL": "some-model",
    }


@pytest.mark.holds("I1", "P18")
async def test_no_append_waits_for_a_compaction_of_ten_seconds(start_server: StartServer, fresh_db: str) -> None:
    slow = replace(completion(SUMMARY), delay=SLOW_SECONDS)
    async with serving(slow) as chat:
        server = await start_server(**named(chat.url, fresh_db))
        async with server.dialed() as client:
            context_id = await told(client, 40)
            began = time.monotonic()
            compacting = asyncio.ensure_future(
                policies(client).CompactContext(ps.CompactContextRequest(context_id=context_id, preserve_recent=4))
            )

            async def is_asked() -> bool:
                return bool(chat.requests)

            await until(is_asked, "the middle of the compaction")  # what it hides is chosen before the first append
            longest = 0.0
            written: list[str] = []

            async def write(name: int) -> None:
                nonlocal longest
                number = 0
                while not compacting.done():
                    text = f"{name}.{number}"
                    start = time.monotonic()
                    await client.append(context_id, [b.user(text)])
                    longest = max(longest, time.monotonic() - start)
                    written.append(text)
                    number += 1
                    await asyncio.sleep(0.01)

            await asyncio.gather(*map(write, range(4)))
            done = (await compacting).compaction
            assert time.monotonic() - began >= SLOW_SECONDS
            assert longest < LONGEST_SECONDS
            assert done.state == cp.COMPACTION_STATE_COMMITTED
            assert done.ranges[-1].last_version == 36
            log = [message.text for message in await client.log(context_id)][40:]
            assert sorted(log) == sorted(written), "none is lost, none is there twice"
            assert len(written) > 4 * SLOW_SECONDS, "they went on all the while"
            of_each = Counter(text.split(".")[0] for text in log)
            assert [text for text in log if text.startswith("0.")] == [f"0.{n}" for n in range(of_each["0"])]


@pytest.mark.holds("P18", "P20")
async def test_a_compaction_that_was_killed_is_taken_up_by_the_next_server(
    start_server: StartServer, fresh_db: str
) -> None:
    connection = await asyncpg.connect(fresh_db)
    try:
        async with serving(replace(completion(SUMMARY), delay=60.0)) as chat:
            server = await start_server(**named(chat.url, fresh_db))
            async with server.dialed() as client:
                context_id = await told(client, 20)
                request = ps.SetPolicyRequest(context_id=context_id, policy=policy())
                await policies(client).SetPolicy(request)

                async def is_asked() -> bool:
                    return bool(chat.requests)

                await until(is_asked, "the middle of the compaction")
                before = (await client.get(context_id)).latest_revision
                await server.kill()
        server.settings["KATA_SUMMARISER"] = "builtin"
        server.settings["KATA_COMPACTION_POLL"] = "0.2"
        await server.start()
        async with server.dialed() as client:
            (begun,) = await listed(client, context_id)
            assert begun.state == cp.COMPACTION_STATE_BEGUN
            assert (await client.get(context_id)).latest_revision == before, "nothing is half done"
            # Its lease and the time for which a worker took the context go by.
            await connection.execute("update compactions set lease_time = clock_timestamp()")
            await connection.execute("update contexts set due_time = clock_timestamp()")

            async def is_done() -> bool:
                return (await listed(client, context_id))[0].state == cp.COMPACTION_STATE_COMMITTED

            await until(is_done, "the next compaction")
            done, expired = await listed(client, context_id)
            assert (expired.compaction_id, expired.state) == (begun.compaction_id, cp.COMPACTION_STATE_EXPIRED)
            assert (done.attempt, done.summariser) == (2, "builtin")
            stale = ps.CommitCompactionRequest(
                context_id=context_id, compaction_id=begun.compaction_id, token=begun.token, summary=SUMMARY
            )
            with pytest.raises(grpc.RpcError) as refused:
                await policies(client).CommitCompaction(stale)
            assert refused.value.code() == grpc.StatusCode.ABORTED
    finally:
        await connection.close()


@pytest.mark.holds("P18")
async def test_several_servers_share_what_is_due(start_server: StartServer, fresh_db: str) -> None:
    servers = [await start_server(DATABASE_URL=fresh_db, KATA_COMPACTION_POLL="0.1") for _ in range(3)]
    async with servers[0].dialed() as client:
        tenants = ps.SetPolicyRequest(scope=ps.POLICY_SCOPE_TENANT, policy=policy())
        await policies(client).SetPolicy(tenants)
        context_ids = await asyncio.gather(*(told(client, 20) for _ in range(40)))

        async def all_done() -> bool:
            found = await asyncio.gather(*(listed(client, one) for one in context_ids))
            return all(one and one[0].state == cp.COMPACTION_STATE_COMMITTED for one in found)

        await until(all_done, "all compactions", 60)
        await asyncio.sleep(0.5)
        for one in context_ids:
            assert [c.state for c in await listed(client, one)] == [cp.COMPACTION_STATE_COMMITTED], "once each"
