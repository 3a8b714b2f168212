"""Purging over the wire: everything goes, nothing that others read does, and nobody sees half."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from kata.context.v1 import context_pb2, lineage_pb2, policy_pb2, window_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc import limits
from kata_grpc.db.query import load
from kata_grpc.db.schema import metadata
from tests.rpc import build as b
from tests.rpc.forks import child_of, fork, history, texts, told
from tests.rpc.serving import FreshDatabase, Running, loop, read_error, refused, serve, unknown_id
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = [loop, pytest.mark.holds("P24")]

SECONDS = 10
TABLES = sorted(
    table.name for table in metadata.sorted_tables if "context_id" in table.c and table.name != "purged_contexts"
)
"""All that a context may have rows in, beside its own."""


async def delete(server: Running, context_id: str) -> None:
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))


async def purge(server: Running, context_id: str, **fields: Any) -> cs.PurgeContextResponse:
    return await server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=context_id, **fields))


async def left(server: Running, context_id: str) -> dict[str, int]:
    """Counts the rows that a context has."""
    found = {}
    for table, key in [("contexts", "id"), *((table, "context_id") for table in TABLES)]:
        (row,) = await server.query(f"select count(*) from {table} where {key} = $1::text::uuid", context_id)
        if row[0]:
            found[table] = row[0]
    return found


async def full(server: Running, **fields: Any) -> str:
    """Makes a context that has something of everything, and deletes it."""
    context_id = (await server.create(name=unknown_id(), unique_name=True, labels={"a": "b"}, **fields)).context_id
    await server.append(context_id, *(b.user(f"m{number}") for number in range(1, 8)), request_id="r")
    await server.append(context_id, b.calls("a"), b.result("a"))
    policy = policy_pb2.Policy(window=window_pb2.WindowOptions(max_messages=5))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=context_id, policy=policy))
    await server.contexts.TagVersion(cs.TagVersionRequest(context_id=context_id, name="tag"))
    await server.append(context_id, *(b.user("words and more " * 100) for _ in range(4)), b.user("last"))
    compact = ps.CompactContextRequest(context_id=context_id, preserve_recent=1)
    assert (await server.policies.CompactContext(compact)).compaction.revision
    runs = [ms.VersionRange(first_version=2, last_version=3)]
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=runs))
    await server.messages.RedactMessages(ms.RedactMessagesRequest(context_id=context_id, versions=[1]))
    await server.query(
        "insert into message_embeddings select context_id, version, model, tenant_id, array[0.5, 1]::real[] "
        "from messages, unnest(array['a', 'b']) model where context_id = $1::text::uuid",
        context_id,
    )
    await delete(server, context_id)
    return context_id


@asynccontextmanager
async def held(server: Running, sql: str, *args: object) -> AsyncIterator[asyncpg.Connection]:
    """Holds rows in a transaction of somebody else's."""
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            await connection.fetch(sql, *args)
            yield connection
    finally:
        await connection.close()


MESSAGE = "select from messages where context_id = $1::text::uuid and version = $2 for update"


async def waits(server: Running, count: int = 1) -> None:
    """Waits until so many statements of the server wait for a lock."""
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(SECONDS):
        while len(await server.query(waiting)) < count:
            await asyncio.sleep(0.02)


def amounts(receipt: cs.PurgeReceipt) -> dict[str, tuple[int, int]]:
    return {erased.table: (erased.row_count, erased.byte_count) for erased in receipt.erased}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PURGE_ROWS", 3)
    monkeypatch.setattr(limits, "MEASURED_NUMBERS", 4)


# --- what goes, and what stays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [3, 1_000])
async def test_everything_goes_and_the_receipt_says_so(
    server: Running, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(limits, "PURGE_ROWS", rows)
    monkeypatch.setattr(limits, "MEASURED_NUMBERS", rows)
    other, context_id = await full(server), await full(server)
    others_rows = await left(server, other)
    before = await left(server, context_id)
    assert set(before) == {"contexts", *TABLES} - {"context_names"}, "the name went when it was deleted"

    planned = await purge(server, context_id, dry_run=True)
    assert await left(server, context_id) == before
    assert not planned.receipt.HasField("purge_time")

    done = await purge(server, context_id, request_id="p")
    assert await left(server, context_id) == {}
    assert await left(server, other) == others_rows
    assert amounts(done.receipt) == amounts(planned.receipt), "a dry run says what the run does"
    assert {table: count for table, (count, _) in amounts(done.receipt).items()} == before
    assert all(size > 0 for _, size in amounts(done.receipt).values())
    assert done.receipt.context_id == context_id
    assert done.receipt.HasField("purge_time")
    assert "Backups" in done.receipt.notice

    again = await purge(server, context_id, request_id="p")
    assert again.replayed
    assert again.receipt == done.receipt
    stored = await server.query("select * from purged_contexts where context_id = $1::text::uuid", context_id)
    assert stored[0]["remaining"] is None


async def test_every_table_about_a_context_is_erased_and_measured() -> None:
    queries = load("kata_grpc.repositories", "sql/purging.sql")
    for table in set(TABLES) - {"context_names"}:
        assert re.search(rf"delete from {table}\b", queries.erase_rows.text), table
        assert re.search(rf"select '{table}', count\(\*\).*\nfrom {table}\b", queries.measure_rows.text), table


CALLS: dict[str, Callable[[Running, str], Awaitable[Any]]] = {
    "GetContext": lambda s, c: s.get(c),
    "UpdateContext": lambda s, c: s.contexts.UpdateContext(
        cs.UpdateContextRequest(context=context_pb2.Context(context_id=c, name="x"))
    ),
    "DeleteContext": delete,
    "UndeleteContext": lambda s, c: s.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=c)),
    "ForkContext": fork,
    "TagVersion": lambda s, c: s.contexts.TagVersion(cs.TagVersionRequest(context_id=c, name="t")),
    "ListTags": lambda s, c: s.contexts.ListTags(cs.ListTagsRequest(context_id=c)),
    "DeleteTag": lambda s, c: s.contexts.DeleteTag(cs.DeleteTagRequest(context_id=c, name="tag")),
    "FlattenContext": lambda s, c: s.contexts.FlattenContext(cs.FlattenContextRequest(context_id=c)),
    "GetLineage": lambda s, c: s.contexts.GetLineage(cs.GetLineageRequest(context_id=c)),
    "CompareContexts": lambda s, c: s.contexts.CompareContexts(
        cs.CompareContextsRequest(
            left=lineage_pb2.ContextPoint(context_id=c), right=lineage_pb2.ContextPoint(context_id=c)
        )
    ),
    "AppendMessages": lambda s, c: s.append(c, *(b.user(f"m{number}") for number in range(1, 8)), request_id="r"),
    "GetMessage": lambda s, c: s.messages.GetMessage(ms.GetMessageRequest(context_id=c, version=1)),
    "ListMessages": lambda s, c: s.log(c),
    "ListHistory": lambda s, c: s.messages.ListHistory(ms.ListHistoryRequest(context_id=c)),
    "GetWindow": lambda s, c: s.window(c, 100),
    "StreamWindow": lambda s, c: s.stream(c, 100),
    "RemoveMessages": lambda s, c: s.messages.RemoveMessages(
        ms.RemoveMessagesRequest(context_id=c, ranges=[ms.VersionRange(first_version=1, last_version=1)])
    ),
    "RestoreMessages": lambda s, c: s.messages.RestoreMessages(
        ms.RestoreMessagesRequest(context_id=c, ranges=[ms.VersionRange(first_version=1, last_version=1)])
    ),
    "GetPolicy": lambda s, c: s.policies.GetPolicy(ps.GetPolicyRequest(context_id=c)),
    "ListArtifacts": lambda s, c: s.policies.ListArtifacts(ps.ListArtifactsRequest(context_id=c)),
    "SetPolicy": lambda s, c: s.policies.SetPolicy(ps.SetPolicyRequest(context_id=c, policy=policy_pb2.Policy())),
}


async def test_no_call_finds_it_again(server: Running) -> None:
    context_id = await full(server)
    await purge(server, context_id)
    for name, call in CALLS.items():
        error = await refused(call(server, context_id))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND"), name
    listed = await server.contexts.ListContexts(cs.ListContextsRequest(page_size=1_000, show_deleted=True))
    assert context_id not in {context.context_id for context in listed.contexts}
    error = await refused(purge(server, context_id, request_id="another"))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_PURGED")
    assert (await refused(purge(server, context_id, dry_run=True))).reason == "CONTEXT_PURGED"
    assert (await refused(purge(server, unknown_id()))).reason == "CONTEXT_NOT_FOUND"


async def test_what_created_it_does_not_do_so_again(server: Running) -> None:
    create, forking = unknown_id(), unknown_id()
    root = await full(server, request_id=create)
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=root))
    child = await child_of(server, root, request_id=forking)
    await delete(server, child)
    await purge(server, child)
    error = await refused(fork(server, root, request_id=forking))
    assert (error.code, error.reason, error.metadata["context_id"]) == (
        grpc.StatusCode.NOT_FOUND,
        "CONTEXT_PURGED",
        child,
    )
    await delete(server, root)
    await purge(server, root)
    assert (await refused(server.create(request_id=create))).reason == "CONTEXT_PURGED"
    assert await left(server, root) == await left(server, child) == {}


async def test_only_what_is_deleted_is_purged(server: Running) -> None:
    context_id = await told(server, 2)
    before = await left(server, context_id)
    for fields in ({}, {"dry_run": True}, {"detach_children": True}):
        error = await refused(purge(server, context_id, **fields))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTEXT_NOT_DELETED")
    assert await left(server, context_id) == before


async def test_another_tenant_s_context_is_not_there(server: Running) -> None:
    context_id = await full(server)
    async with serve(server.url, tenant="other") as other:
        assert (await refused(purge(other, context_id))).reason == "CONTEXT_NOT_FOUND"
        await purge(server, context_id, request_id="p")
        assert (await refused(purge(other, context_id, request_id="p"))).reason == "CONTEXT_NOT_FOUND"


async def test_a_request_id_of_the_context_is_no_other_one(server: Running) -> None:
    context_id = await full(server)
    assert (await refused(purge(server, context_id, request_id="r"))).reason == "REQUEST_ID_REUSED"
    await purge(server, context_id, request_id="p")
    error = await refused(purge(server, context_id, request_id="p", detach_children=True))
    assert error.reason == "REQUEST_ID_REUSED"


# --- forks ------------------------------------------------------------------------------------------------------------


async def test_a_log_that_forks_read_stays(server: Running) -> None:
    root = await told(server, 4)
    children = [await child_of(server, root, at_version=2) for _ in range(12)]
    deep = await child_of(server, children[0])
    await delete(server, root)
    await delete(server, children[1])
    for fields in ({}, {"dry_run": True}):
        error = await refused(purge(server, root, **fields))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTEXT_HAS_FORKS")
        assert error.metadata["fork_count"] == "13"
        assert error.metadata["fork_ids"].split(",") == children[:10], "the first of them"
    assert await texts(server, deep) == ["m1", "m2"]

    for child in children:
        if child != children[1]:
            await delete(server, child)
        if child != children[0]:
            await purge(server, child)
    assert (await refused(purge(server, children[0]))).metadata["fork_ids"] == deep
    await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=deep))
    await purge(server, children[0])
    await purge(server, root)
    assert await texts(server, deep) == ["m1", "m2"], "copies are the fork's own"
    found = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=deep))
    assert (found.context.parent_id, list(found.ancestors)) == (children[0], [])


async def test_forks_that_are_detached_read_on(server: Running) -> None:
    root = await told(server, 4)
    child = await child_of(server, root, at_version=3)
    await server.append(child, b.user("c4"))
    deep = await child_of(server, child)
    gone = await child_of(server, root)
    await delete(server, gone)
    before = [await server.log(context_id) for context_id in (child, deep)]
    await delete(server, root)

    planned = await purge(server, root, dry_run=True, detach_children=True)
    assert planned.detached_count == 3
    done = await purge(server, root, detach_children=True, request_id="p")
    assert (done.detached_count, amounts(done.receipt)) == (3, amounts(planned.receipt))
    assert await left(server, root) == {}
    assert [await server.log(context_id) for context_id in (child, deep)] == before
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=gone))
    assert await texts(server, gone) == ["m1", "m2", "m3", "m4"], "also those that were deleted"
    again = await purge(server, root, detach_children=True, request_id="p")
    assert (again.replayed, again.receipt) == (True, done.receipt)


# --- at the same time -------------------------------------------------------------------------------------------------


@pytest.mark.holds("I8")
async def test_a_fork_and_a_purge(server: Running) -> None:
    """Either there is a fork, and it has what it reads, or there is no context to fork."""
    outcomes: set[str] = set()
    for number in range(200):
        if number > 20 and len(outcomes) == 2:
            break
        root = await told(server, 3)

        async def erase(context_id: str = root, pause: float = number % 5 / 1_000) -> None:
            await asyncio.sleep(pause)
            await delete(server, context_id)
            await purge(server, context_id)

        async def forked(context_id: str = root, pause: float = number % 7 / 1_000) -> str:
            await asyncio.sleep(pause)
            return await child_of(server, context_id)

        child, erased = await asyncio.gather(forked(), erase(), return_exceptions=True)
        if isinstance(child, str):
            outcomes.add("forked")
            assert isinstance(erased, grpc.RpcError)
            assert await texts(server, child) == ["m1", "m2", "m3"]
        else:
            outcomes.add("purged")
            assert erased is None
            assert await left(server, root) == {}
    assert outcomes == {"forked", "purged"}


async def test_a_fork_that_was_on_its_way_holds_the_purge_up(server: Running) -> None:
    root = await told(server, 3)
    async with held(server, "select from contexts where id = $1::text::uuid for update", root) as connection:
        forking = asyncio.ensure_future(child_of(server, root))
        await waits(server)
        erasing = asyncio.ensure_future(purge(server, root))
        await waits(server, 2)
        await connection.execute("update contexts set delete_time = now() where id = $1::text::uuid", root)
    assert (await refused(forking)).reason == "CONTEXT_NOT_FOUND"
    await erasing


async def test_a_creation_that_waits_for_the_purge_does_not_bring_the_id_back(server: Running) -> None:
    """What it sees is from before the purge, which it then waits for: the row is gone, and the id still used up."""
    key = unknown_id()
    context_id = await full(server, request_id=key)
    gone = "delete from contexts where id = $1::text::uuid returning id"
    async with held(server, gone, context_id) as connection:
        creating = asyncio.ensure_future(server.create(request_id=key))
        await waits(server)
        await connection.execute(
            "insert into purged_contexts (context_id, tenant_id, purge_time, fingerprint, receipt) "
            "values ($1::text::uuid, 'default', now(), '', '{}')",
            context_id,
        )
    assert (await refused(creating)).reason == "CONTEXT_PURGED"
    assert await server.query("select from contexts where id = $1::text::uuid", context_id) == []


async def test_appends_and_a_purge(server: Running) -> None:
    """Whatever is acknowledged goes with the context, and nothing comes after it."""
    for _ in range(10):
        context_id = await told(server, 1)

        async def write(context_id: str = context_id) -> str:
            while True:
                try:
                    await server.append(context_id, b.user("more"))
                except grpc.aio.AioRpcError as error:
                    return str(error.code())

        writers = [asyncio.ensure_future(write()) for _ in range(4)]
        await asyncio.sleep(0.02)
        await delete(server, context_id)
        receipt = (await purge(server, context_id)).receipt
        assert set(await asyncio.gather(*writers)) == {"StatusCode.NOT_FOUND"}
        assert await left(server, context_id) == {}
        counts = amounts(receipt)
        assert counts["revisions"][0] == counts["messages"][0] + 2, "its creation and its deletion"


async def test_what_is_being_copied_into_a_purged_fork_goes_too(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FLATTEN_MESSAGES", 2)
    root = await told(server, 7)
    child = await child_of(server, root)
    async with held(server, MESSAGE, root, 4):
        flattening = asyncio.ensure_future(server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=child)))
        await waits(server)
        await delete(server, child)
        erasing = asyncio.ensure_future(purge(server, child))
        await waits(server, 2)
    assert (await refused(flattening)).reason == "CONTEXT_NOT_FOUND"
    receipt = (await erasing).receipt
    assert amounts(receipt)["messages"][0] >= 2, "what had been copied"
    assert await left(server, child) == {}
    assert await texts(server, root) == [f"m{number}" for number in range(1, 8)]


@pytest.mark.usefixtures("small_batches")
async def test_purges_at_the_same_time_are_one(server: Running) -> None:
    context_id = await full(server)
    answers = await asyncio.gather(*(purge(server, context_id, request_id="p") for _ in range(6)))
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5
    assert len({answer.receipt.SerializeToString(deterministic=True) for answer in answers}) == 1


@pytest.mark.usefixtures("small_batches")
async def test_a_purge_that_was_cut_off_is_finished_by_its_repetition(server: Running) -> None:
    context_id = await full(server)
    planned = await purge(server, context_id, dry_run=True)
    async with held(server, MESSAGE, context_id, 4):
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await server.contexts.PurgeContext(
                cs.PurgeContextRequest(context_id=context_id, request_id="p"), timeout=0.5
            )
        assert cut.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        half = await left(server, context_id)
        assert 0 < half["messages"] < 9
        assert "contexts" not in half
        for name, call in CALLS.items():
            assert (await refused(call(server, context_id))).reason == "CONTEXT_NOT_FOUND", name
    again = await purge(server, context_id, request_id="p")
    assert again.replayed
    assert amounts(again.receipt) == amounts(planned.receipt)
    assert await left(server, context_id) == {}


@pytest.mark.usefixtures("small_batches")
async def test_a_purge_whose_caller_is_gone_goes_on(server: Running) -> None:
    context_id = await full(server)
    async with held(server, MESSAGE, context_id, 4):
        call = server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=context_id))
        await waits(server)
        call.cancel()
    async with asyncio.timeout(SECONDS):
        while await left(server, context_id):
            await asyncio.sleep(0.02)


# --- readers that had begun -------------------------------------------------------------------------------------------


async def test_a_window_that_is_being_read_does_not_end_as_if_it_were_whole(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        context_id = (await server.create()).context_id
        for _ in range(12):
            await server.append(context_id, *(b.user("x" * 400_000) for _ in range(10)))
        request = ms.StreamWindowRequest(context_id=context_id, token_budget=10_000_000)
        call: Any = server.messages.StreamWindow(request)
        await call.read()
        await delete(server, context_id)
        await purge(server, context_id)

        async def rest() -> None:
            while (frame := await call.read()) is not grpc.aio.EOF:
                assert not frame.HasField("trailer")

        assert (await refused(rest())).reason == "WINDOW_GONE"


async def test_readers_of_a_fork_see_all_of_it_while_it_is_detached(fresh_url: FreshDatabase) -> None:
    """What they had begun to read in its parent's log goes; a stream that has begun says so, the others read again."""
    async with serve(await fresh_url(), pool_max=8) as server:
        for _ in range(10):
            root = await told(server, 1)
            await server.append(root, *(b.user(f"m{number} " + "x" * 2_000) for number in range(700)))
            child = await child_of(server, root)
            await server.append(child, b.user("c"))

            async def window(child: str = child) -> int:
                return len((await server.window(child, 5_000_000)).messages)

            async def small(child: str = child) -> int:
                options = window_pb2.WindowOptions(max_messages=3)
                return 699 + len((await server.window(child, 5_000_000, options=options)).messages)

            async def stream(child: str = child) -> int:
                try:
                    frames = await server.stream(child, 5_000_000)
                except grpc.aio.AioRpcError as error:
                    return 702 if read_error(error).reason == "WINDOW_GONE" else 0
                return sum(len(frame.chunk.messages) for frame in frames)

            async def users(child: str = child) -> int:
                return len(await server.log(child, roles=[pb.ROLE_USER]))

            async def listed(child: str = child) -> int:
                return len(await server.log(child, order=ms.LIST_ORDER_DESCENDING))

            async def made(child: str = child) -> int:
                return 699 + len(await history(server, child, kinds=[ms.REVISION_KIND_APPEND]))

            done = asyncio.Event()

            async def read(call: Callable[[], Awaitable[int]], done: asyncio.Event = done) -> set[int]:
                found = {await call()}
                while not done.is_set():
                    found.add(await call())
                return found

            reading = [asyncio.ensure_future(read(call)) for call in (window, small, stream, users, listed, made)]
            await delete(server, root)
            await purge(server, root, detach_children=True)
            done.set()
            assert await asyncio.gather(*reading) == [{702}] * 6


async def test_a_watch_ends(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), watch_poll=0.1) as server:
        context_id = await told(server, 3)
        async with watching(server.messages, context_id) as watch:
            await watch.caught_up()
            await delete(server, context_id)
            await purge(server, context_id)

            async def rest() -> None:
                while True:
                    await watch.frame()

            assert (await refused(asyncio.wait_for(rest(), SECONDS))).reason == "CONTEXT_NOT_FOUND"
        error = await refused(_watched(server, context_id, watch.cursor))
        assert error.reason == "CONTEXT_NOT_FOUND"


async def _watched(server: Running, context_id: str, cursor: str) -> None:
    async with watching(server.messages, context_id, cursor=cursor) as watch:
        await watch.frame()


async def test_batches_are_bounded_in_bytes(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of its own where one alone is too large."""
    monkeypatch.setattr(limits, "PURGE_MESSAGE_BYTES", 2_500)
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user("x" * size) for size in (10, 1_000, 9_000, 1_000, 1_000, 1_000)))
    await delete(server, context_id)
    async with held(server, MESSAGE, context_id, 2):
        async with held(server, MESSAGE, context_id, 3):
            async with held(server, MESSAGE, context_id, 4):
                erasing = asyncio.ensure_future(purge(server, context_id))
                await reaches(server, context_id, 4)
            await reaches(server, context_id, 3)
        await reaches(server, context_id, 2)
    await erasing
    assert await left(server, context_id) == {}


async def reaches(server: Running, context_id: str, version: int) -> None:
    """Waits until all messages beyond a version are gone, and what erases waits for that one."""
    newest = "select max(version) from messages where context_id = $1::text::uuid"
    async with asyncio.timeout(SECONDS):
        while (await server.query(newest, context_id))[0][0] != version:
            await asyncio.sleep(0.02)
    await waits(server)
