"""Flattening over the wire: a fork gets a log of its own, and nobody who reads it can tell."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc import limits
from tests.rpc import build as b
from tests.rpc.forks import child_of, fork, history, texts, told
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [loop, pytest.mark.holds("I8")]

PLENTY = 1_000_000
SECONDS = 10


def policy(most: int) -> policy_pb2.Policy:
    return policy_pb2.Policy(window=window_pb2.WindowOptions(max_messages=most))


@dataclass(frozen=True)
class Line:
    """Root of ten messages with a policy and calls, child at 8 of which it has 2 more, deep at 9 with 3 of its own."""

    root: str
    child: str
    deep: str


async def line(server: Running) -> Line:
    root = (await server.create(name="root")).context_id
    await server.append(root, b.system("Be brief."), b.user("m2", labels=["goal"]), request_id="r")
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=root, policy=policy(3)))
    await server.append(root, b.calls("a", "b"), b.user("m4"), b.result("a"))
    await server.append(root, b.result("b"), b.assistant("m7"), b.user("m8"))
    await server.append(root, b.user("m9"), b.user("m10"))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=root, policy=policy(500)))
    child = await child_of(server, root, at_version=8, name="child")
    await server.append(child, b.system("Be briefer."), b.user("c10"), request_id="r")
    deep = await child_of(server, child, at_version=9, name="deep")
    for number in range(10, 13):
        await server.append(deep, b.user(f"d{number}"))
    return Line(root, child, deep)


def own(revision: ms.Revision) -> ms.Revision:
    """A revision as it is known after flattening: claims stay with the context that made them."""
    seen = ms.Revision()
    seen.CopyFrom(revision)
    seen.request_id = ""
    return seen


async def everything(server: Running, context_id: str, revisions: int) -> dict[str, Any]:
    """Reads a context in every way that there is, up to a revision."""
    found: dict[str, Any] = {}
    for order in (ms.LIST_ORDER_ASCENDING, ms.LIST_ORDER_DESCENDING):
        request = ms.ListMessagesRequest(context_id=context_id, page_size=4, order=order)
        listed = []
        while True:
            page = await server.messages.ListMessages(request)
            listed += list(page.messages)
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        found[f"list {order}"] = listed
        entries = await history(server, context_id, page_size=3, order=order)
        found[f"history {order}"] = [own(entry) for entry in entries if entry.revision <= revisions]
    latest = (await server.get(context_id)).latest_version
    for version in range(1, latest + 1):
        get = ms.GetMessageRequest(context_id=context_id, version=version)
        found[f"get {version}"] = (await server.messages.GetMessage(get)).message
    options = window_pb2.WindowOptions(pinned_labels=["goal"])
    for revision in range(revisions + 1):
        for budget in (150, PLENTY):
            asked = {"at_revision": revision, "options": options}
            try:
                window = await server.window(context_id, budget, render=True, **asked)
            except grpc.aio.AioRpcError as error:
                found[f"window {revision} {budget}"] = error.details()
                continue
            found[f"window {revision} {budget}"] = window
            frames = await server.stream(context_id, budget, **asked)
            found[f"stream {revision} {budget}"] = (
                frames[0].header,
                [message for frame in frames for message in frame.chunk.messages],  # wherever a chunk ends
                frames[-1].trailer,
            )
    for version in range(latest + 1):
        found[f"window at {version}"] = await server.window(
            context_id, PLENTY, at_version=version, at_revision=revisions
        )
    return found


async def flatten(server: Running, context_id: str, **fields: Any) -> cs.FlattenContextResponse:
    return await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=context_id, **fields))


async def stored(server: Running, table: str, context_id: str) -> list[dict[str, Any]]:
    """Reads the rows of a context in a table."""
    sql = f"select to_jsonb(t)::text as row from {table} t where context_id = $1::text::uuid"
    return [json.loads(row["row"]) for row in await server.query(sql, context_id)]


async def own_row(server: Running, copied: dict[str, Any], table: str, key: str) -> dict[str, Any]:
    """Reads the row of which another is a copy."""
    (original,) = [row for row in await stored(server, table, copied["origin_id"]) if row[key] == copied[key]]
    return original


@asynccontextmanager
async def held(server: Running, sql: str, *args: object) -> AsyncIterator[None]:
    """Holds rows in a transaction of somebody else's."""
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            await connection.fetch(sql, *args)
            yield
    finally:
        await connection.close()


async def waits(server: Running, count: int = 1) -> None:
    """Waits until so many statements of the server wait for a lock."""
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(SECONDS):
        while len(await server.query(waiting)) < count:
            await asyncio.sleep(0.02)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FLATTEN_MESSAGES", 2)
    monkeypatch.setattr(limits, "FLATTEN_REVISIONS", 2)


HOLD = "select from messages where context_id = $1::text::uuid and version = $2 for update"


@pytest.mark.holds("I1", "I2")
@pytest.mark.usefixtures("small_batches")
async def test_nothing_that_is_read_changes(server: Running) -> None:
    of = await line(server)
    before = await server.get(of.deep)
    read = await everything(server, of.deep, before.latest_revision)
    others = [await everything(server, context_id, 3) for context_id in (of.root, of.child)]
    _, chunk, *_, trailer = await server.stream(of.deep, PLENTY)

    answer = await flatten(server, of.deep)
    assert (answer.revision, answer.replayed) == (before.latest_revision + 1, False)
    after = answer.context
    assert after == await server.get(of.deep)
    assert (after.depth, after.latest_revision) == (0, answer.revision)
    for field in ("parent_id", "fork_version", "fork_revision", "latest_version", "total_tokens", "name", "etag"):
        assert getattr(after, field) == getattr(before, field), field

    again = await everything(server, of.deep, before.latest_revision)
    for name, value in read.items():
        assert again[name] == value, name
    assert again.keys() == read.keys()
    assert [await everything(server, context_id, 3) for context_id in (of.root, of.child)] == others
    on = await server.stream(of.deep, PLENTY, resume_token=chunk.chunk.resume_token)
    assert len(chunk.chunk.messages) + sum(len(frame.chunk.messages) for frame in on) == 12
    assert on[-1] == trailer, "a stream goes on with the same"
    newest, *_ = await history(server, of.deep)
    assert (newest.kind, newest.context_id) == (ms.REVISION_KIND_FLATTEN, of.deep)
    assert [m.context_id for m in await server.log(of.deep)] == [of.root] * 8 + [of.child] + [of.deep] * 3

    appended = await server.append(of.deep, b.user("more"), request_id="r")
    assert (appended.first_version, appended.replayed) == (13, False), "the claims of its ancestors are not its own"


@pytest.mark.usefixtures("small_batches")
async def test_a_copy_is_the_original_in_every_column_but_whose_log_it_is_in(server: Running) -> None:
    of = await line(server)
    await server.query(
        "insert into removals (context_id, first_version, revision, last_version, tenant_id, removed) "
        "select $1::text::uuid, first, revision, last, 'default', true "
        "from (values (2, 4, 2), (8, 4, 9), (4, 900, 4)) as r(first, revision, last)",
        of.root,
    )
    await server.query(
        "insert into redactions (context_id, version, group_version, tenant_id) "
        "select $1::text::uuid, version, version, 'default' from unnest(array[4, 9]) as version",
        of.root,
    )
    await flatten(server, of.deep)

    messages = [row for row in await stored(server, "messages", of.deep) if row["origin_id"]]
    assert sorted(row["version"] for row in messages) == list(range(1, 10))
    for row in messages:
        original = await own_row(server, row, "messages", "version")
        assert row | {"context_id": row["origin_id"], "origin_id": None} == original

    revisions = [row for row in await stored(server, "revisions", of.deep) if row["origin_id"]]
    assert sorted(row["revision"] for row in revisions) == list(range(9)), "from the root's creation on"
    for row in revisions:
        original = await own_row(server, row, "revisions", "revision")
        assert row["last_version"] == min(original["last_version"], 8 if row["origin_id"] == of.root else 9)
        same = {"last_version": row["last_version"], "first_version": row["first_version"], "request_id": None}
        assert row | {"context_id": row["origin_id"], "origin_id": None} == original | same

    assert {row["revision"] for row in await stored(server, "policies", of.deep)} == {2, 6}
    removals = await stored(server, "removals", of.deep)
    laid = [(row["first_version"], row["revision"], row["last_version"]) for row in removals]
    assert laid == [(2, 4, 2), (8, 4, 8)], "known, and cut to what is in the lineage"
    assert [row["version"] for row in await stored(server, "redactions", of.deep)] == [4]


@pytest.mark.holds("P14")
async def test_the_ancestors_are_not_needed_any_more(server: Running) -> None:
    of = await line(server)
    revisions = (await server.get(of.deep)).latest_revision
    await flatten(server, of.deep)
    read = await everything(server, of.deep, revisions)
    forked = await child_of(server, of.deep, at_version=5)
    for table in ("messages", "revisions", "policies"):
        await server.query(
            f"delete from {table} where context_id = any ($1::text[]::uuid[])",
            [of.root, of.child],
        )
    await server.query("delete from contexts where id = any ($1::text[]::uuid[])", [of.root, of.child])
    assert await everything(server, of.deep, revisions) == read
    assert [m.version for m in await server.log(forked)] == [1, 2, 3, 4, 5]
    found = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=of.deep))
    assert (list(found.ancestors), found.context.parent_id) == ([], of.child)
    assert [(s.context_id, s.first_version, s.last_version) for s in found.segments] == [(of.deep, 1, 12)]


async def test_what_is_shared_is_still_known(server: Running) -> None:
    of = await line(server)
    sibling = await child_of(server, of.child)
    await flatten(server, of.deep)
    later = await child_of(server, of.deep, at_version=11)
    both = [(of.deep, of.root, of.root, 8), (of.deep, of.child, of.child, 9), (sibling, of.deep, of.child, 9)]
    both += [(later, of.deep, of.deep, 11), (later, sibling, of.child, 9), (of.root, later, of.root, 8)]
    for left, right, ancestor, shared in both:
        request = cs.CompareContextsRequest(left={"context_id": left}, right={"context_id": right})
        found = await server.contexts.CompareContexts(request)
        assert (found.common_ancestor_id, found.shared_version) == (ancestor, shared)
    lineage = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=of.deep))
    assert [a.context_id for a in lineage.ancestors] == [of.root, of.child]
    await flatten(server, later)
    assert [m.context_id for m in await server.log(later)] == [m.context_id for m in await server.log(of.deep)][:11]


@pytest.mark.holds("I4")
async def test_only_what_reads_others_can_be_flattened_and_once(server: Running) -> None:
    of = await line(server)
    for flat in (of.root, (await server.create()).context_id):
        error = await refused(flatten(server, flat))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTEXT_IS_FLAT")
    assert (await refused(flatten(server, unknown_id()))).reason == "CONTEXT_NOT_FOUND"
    first = await flatten(server, of.child, request_id="once")
    again = await flatten(server, of.child, request_id="once")
    assert (again.replayed, again.revision, again.context) == (True, first.revision, first.context)
    assert (await refused(flatten(server, of.child, request_id="twice"))).reason == "CONTEXT_IS_FLAT"
    assert (await refused(flatten(server, of.child))).reason == "CONTEXT_IS_FLAT"
    empty = await child_of(server, of.root, at_version=0, at_revision=0)
    assert (await flatten(server, empty)).context.depth == 0
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=of.deep))
    assert (await refused(flatten(server, of.deep))).reason == "CONTEXT_NOT_FOUND"


@pytest.mark.holds("I10")
async def test_nobody_flattens_the_context_of_another_tenant(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as one, serve(url, tenant="other") as other:
        child = await child_of(one, await told(one, 1))
        assert (await refused(flatten(other, child))).reason == "CONTEXT_NOT_FOUND"
        assert (await one.get(child)).depth == 1


@pytest.mark.holds("I3", "P12")
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("end", ["the client goes away", "the connection is lost"])
@pytest.mark.parametrize("at", [1, 6, 9])
async def test_a_flattening_that_is_cut_off_goes_on_where_it_was(server: Running, end: str, at: int) -> None:
    of = await line(server)
    context = await server.get(of.deep)
    read = await everything(server, of.deep, context.latest_revision)
    source = of.root if at <= 8 else of.child
    async with held(server, HOLD, source, at):
        running = asyncio.ensure_future(flatten(server, of.deep, request_id="f"))
        await waits(server)
        # Between two batches: everybody reads and writes, and finds what there was.
        assert await everything(server, of.deep, context.latest_revision) == read
        async with watching(server.messages, of.deep, from_revision=context.fork_revision) as watch:
            frame = await watch.frame()
            assert frame.event.revision.revision == context.fork_revision + 1
        early = await refused(first_frame(server, of.deep, from_revision=context.fork_revision - 1))
        assert early.reason == "VERSION_OUT_OF_RANGE"
        if end == "the client goes away":
            running.cancel()
        else:
            await server.query(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock'"
            )
        with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
            await running
        copied = await server.query(
            "select count(*) as n from messages where context_id = $1::text::uuid and origin_id is not null", of.deep
        )
        assert copied[0]["n"] == (at - 1) // 2 * 2 if at <= 8 else copied[0]["n"] == 8
        assert await everything(server, of.deep, context.latest_revision) == read
        assert await server.get(of.deep) == context
    done = await flatten(server, of.deep, request_id="f")
    assert (done.replayed, done.revision, done.context.depth) == (False, context.latest_revision + 1, 0)
    assert await everything(server, of.deep, context.latest_revision) == read


@pytest.mark.holds("I3")
async def test_what_is_copied_is_not_read_before_all_of_it_is(server: Running) -> None:
    of = await line(server)
    context = await server.get(of.deep)
    read = await everything(server, of.deep, context.latest_revision)
    async with held(server, "select from contexts where id = $1 for update", UUID(of.deep)):
        running = asyncio.ensure_future(flatten(server, of.deep))
        await waits(server)
        assert await everything(server, of.deep, context.latest_revision) == read
        for start in ({"from_revision": 0}, {"from_revision": context.fork_revision - 1}, {"from_version": 0}):
            assert (await refused(first_frame(server, of.deep, **start))).reason == "VERSION_OUT_OF_RANGE"
    await running
    async with watching(server.messages, of.deep, from_revision=0, include_messages=True) as watch:
        events = [frame.event for frame in await watch.caught_up() if frame.HasField("event")]
    assert [event.revision.revision for event in events] == list(range(1, context.latest_revision + 2))
    assert [m.version for event in events for m in event.messages] == list(range(1, 13)), "the log is its own now"


async def first_frame(server: Running, context_id: str, **start: int) -> ms.WatchContextResponse:
    async with watching(server.messages, context_id, **start) as watch:
        return await watch.frame()


@pytest.mark.usefixtures("small_batches")
async def test_appends_and_reads_go_on_beside_it(server: Running) -> None:
    of = await line(server)
    window = await server.window(of.deep, PLENTY)
    async with held(server, HOLD, of.root, 5):
        running = asyncio.ensure_future(flatten(server, of.deep))
        await waits(server)
        for context_id in (of.root, of.child, of.deep):
            await server.append(context_id, b.user("meanwhile"))
        grandchild = (await fork(server, of.deep, messages=[b.user("forked meanwhile")])).context
        now = await server.window(of.deep, PLENTY)
        assert [*now.messages][:-1] == [*window.messages]
    done = await running
    assert done.context.latest_version == 13
    assert list((await server.window(of.deep, PLENTY)).messages) == list(now.messages)
    assert (await texts(server, of.deep))[-1] == "meanwhile"
    await server.append(of.deep, b.user("afterwards"))
    assert (await texts(server, grandchild.context_id))[-2:] == ["meanwhile", "forked meanwhile"]
    for order in (ms.LIST_ORDER_ASCENDING, ms.LIST_ORDER_DESCENDING):
        versions = [r.revision for r in await history(server, grandchild.context_id, order=order, page_size=2)]
        assert sorted(versions) == list(range(1, grandchild.latest_revision + 1)), "nothing twice, nothing missing"
    log = await server.log(grandchild.context_id)
    assert [m.version for m in log] == list(range(1, 15))
    assert list((await server.window(grandchild.context_id, PLENTY)).messages) == log


@pytest.mark.holds("I4")
@pytest.mark.usefixtures("small_batches")
async def test_two_at_the_same_time_are_one(server: Running) -> None:
    of = await line(server)
    before = await server.get(of.deep)
    answers = await asyncio.gather(*(flatten(server, of.deep) for _ in range(6)), return_exceptions=True)
    done = [answer for answer in answers if isinstance(answer, cs.FlattenContextResponse)]
    assert len(done) == 1
    assert (await server.get(of.deep)).latest_revision == before.latest_revision + 1
    assert [m.version for m in await server.log(of.deep)] == list(range(1, 13))


async def test_a_fork_that_was_on_its_way_reads_the_log_as_it_is_then(server: Running) -> None:
    """It looked at its parent before that was flattened, and writes after: what it would name may be purged by then."""
    of = await line(server)
    key = UUID(of.deep)
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            await connection.fetch("select from contexts where id = $1 for update", key)
            flattening = asyncio.ensure_future(flatten(server, of.deep))
            await waits(server)  # with all that is to copy copied
            forking = asyncio.ensure_future(fork(server, of.deep, request_id=f"of {of.deep}"))
            await waits(server, 2)
            await connection.execute("update contexts set segments = null, depth = 0 where id = $1", key)
    finally:
        await connection.close()
    child = (await forking).context
    assert (await refused(flattening)).reason == "CONTEXT_IS_FLAT", "somebody else was faster"
    found = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=child.context_id))
    assert [segment.context_id for segment in found.segments] == [of.deep, child.context_id]
    assert [m.version for m in await server.log(child.context_id)] == list(range(1, 13))
    assert child.depth == 1


@pytest.mark.parametrize("first", ["erasure", "copy"])
async def test_an_erasure_on_its_way_reaches_the_copy(server: Running, first: str) -> None:
    """It changes the original, waits for who copies it or is waited for, and then looks for copies by their origin."""
    of = await line(server)
    erase = (
        "update messages set record = '\\x00', redact_revision = 9 where context_id = $1::text::uuid and version = 4"
    )
    copies = (
        "update messages set record = '\\x00', redact_revision = 9 where origin_id = $1::text::uuid and version = 4"
    )
    connection = await asyncpg.connect(server.url)
    try:
        if first == "erasure":
            async with connection.transaction():
                await connection.execute(erase, of.root)
                running = asyncio.ensure_future(flatten(server, of.deep))
                await waits(server)
                assert await connection.execute(copies, of.root) == "UPDATE 0"
            await running
        else:
            async with held(server, HOLD, of.child, 9):
                running = asyncio.ensure_future(flatten(server, of.deep))
                await waits(server)
                async with connection.transaction():
                    await connection.execute(erase, of.root)
                    assert await connection.execute(copies, of.root) == "UPDATE 1"
            await running
    finally:
        await connection.close()
    rows = await server.query(
        "select redact_revision from messages where context_id = $1::text::uuid and version = 4", of.deep
    )
    assert [row["redact_revision"] for row in rows] == [9]


async def test_a_batch_is_bounded_in_bytes(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FLATTEN_BYTES", 2_500)
    root = (await server.create()).context_id
    await server.append(root, *(b.user("x" * size) for size in (1_000, 1_000, 1_000, 9_000, 10, 10)))
    child = await child_of(server, root)
    steps = []
    for version in (3, 4, 5):
        async with held(server, HOLD, root, version):
            running = asyncio.ensure_future(flatten(server, child))
            await waits(server)
            running.cancel()
            rows = await server.query("select max(version) as v from messages where context_id = $1::text::uuid", child)
            steps.append(rows[0]["v"])
    assert steps == [2, 3, 4]
    await flatten(server, child)
    assert await texts(server, child) == await texts(server, root)
