"""Watching a context: every revision once and in order, from any start, and what each frame and cursor is good for."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc import limits
from kata_grpc.services.changes import Changes
from tests.faults.waiting import direct, nothing_held, until
from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Refused, Running, loop, refused, serve, unknown_id
from tests.rpc.watching import (
    APPEND,
    DELETE,
    UNDELETE,
    UPDATE,
    Watch,
    events,
    messages_of,
    revisions,
    watching,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [loop, pytest.mark.timeout(120)]


async def rename(server: Running, context_id: str, name: str) -> int:
    context = context_pb2.Context(context_id=context_id, name=name)
    return (await server.contexts.UpdateContext(cs.UpdateContextRequest(context=context))).context.latest_revision


async def delete(server: Running, context_id: str) -> None:
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))


async def undelete(server: Running, context_id: str) -> None:
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))


async def history(server: Running, context_id: str) -> list[ms.Revision]:
    request = ms.ListHistoryRequest(context_id=context_id, page_size=1_000, order=ms.LIST_ORDER_ASCENDING)
    return list((await server.messages.ListHistory(request)).revisions)


async def ended(watch: Watch) -> Refused:
    """Reads to the end, which is an error."""

    async def read() -> None:
        while True:
            await watch.frame()

    return await refused(read())


async def told(server: Running, context_id: str) -> str:
    """A context with a small history: five revisions, seven messages."""
    await server.append(context_id, b.user("1"), b.assistant("2"), b.user("3"), request_id="first")  # revision 1
    await rename(server, context_id, "renamed")  # 2
    await server.append(context_id, b.assistant("4"))  # 3
    await rename(server, context_id, "again")  # 4
    await server.append(context_id, b.user("5"), b.assistant("6"), b.user("7"))  # 5
    return context_id


async def example(server: Running) -> str:
    return await told(server, (await server.create()).context_id)


# --- starts -----------------------------------------------------------------------------------------------------------


async def test_a_watch_from_the_beginning_shows_the_history(server: Running) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, from_revision=0) as watch:
        frames = await watch.caught_up()
    assert [event.revision for event in events(frames)] == await history(server, context_id)
    assert not messages_of(frames), "they were not asked for"
    assert all(event.last for event in events(frames))
    assert (frames[-1].caught_up.revision, frames[-1].caught_up.version) == (5, 7)
    assert [event.revision.kind for event in events(frames)] == [APPEND, UPDATE, APPEND, UPDATE, APPEND]
    assert events(frames)[0].revision.request_id == "first"


async def test_messages_come_as_they_are_stored(server: Running) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, from_version=0, include_messages=True) as watch:
        frames = await watch.caught_up()
    assert messages_of(frames) == await server.log(context_id)
    for event in events(frames):
        versions = [message.version for message in event.messages]
        own = event.revision
        assert versions == (list(range(own.first_version, own.last_version + 1)) if own.kind == APPEND else [])


async def test_a_watch_starts_now_when_it_is_not_told_where(server: Running) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, include_messages=True) as watch:
        (first,) = await watch.caught_up()
        assert (first.caught_up.revision, first.caught_up.version) == (5, 7)
        answer = await server.append(context_id, b.user("8"))
        event = await watch.event()
        assert event.revision.revision == answer.revision == 6
        assert [message.text for message in event.messages] == ["8"]
        assert await rename(server, context_id, "once more") == 7
        assert (await watch.event()).revision.kind == UPDATE


@pytest.mark.parametrize(
    ("version", "then", "texts"),
    [
        (0, [1, 2, 3, 4, 5], "1234567"),
        (1, [1, 2, 3, 4, 5], "234567"),
        (2, [1, 2, 3, 4, 5], "34567"),
        (3, [2, 3, 4, 5], "4567"),
        (4, [4, 5], "567"),
        (5, [5], "67"),
        (7, [], ""),
    ],
)
async def test_a_start_from_a_version(server: Running, version: int, then: list[int], texts: str) -> None:
    """In the middle of a batch the rest of it comes."""
    context_id = await example(server)
    async with watching(server.messages, context_id, from_version=version, include_messages=True) as watch:
        frames = await watch.caught_up()
    assert revisions(frames) == then
    assert "".join(message.text for message in messages_of(frames)) == texts
    assert frames[-1].caught_up.revision == 5


@pytest.mark.parametrize("revision", range(6))
async def test_a_start_from_a_revision(server: Running, revision: int) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, from_revision=revision) as watch:
        frames = await watch.caught_up()
    assert revisions(frames) == list(range(revision + 1, 6))
    assert (frames[-1].caught_up.revision, frames[-1].caught_up.version) == (5, 7)


async def test_an_empty_context(server: Running) -> None:
    context_id = (await server.create()).context_id
    for start in ({}, {"from_version": 0}, {"from_revision": 0}, {"cursor": ""}):
        async with watching(server.messages, context_id, **start) as watch:
            (first,) = await watch.caught_up()
            assert (first.caught_up.revision, first.caught_up.version) == (0, 0)


@pytest.mark.parametrize("field", ["from_version", "from_revision"])
@pytest.mark.parametrize("value", [8, 2**63 - 1])
async def test_a_start_beyond_the_latest(server: Running, field: str, value: int) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, **{field: value}) as watch:
        error = await refused(watch.frame())
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_OUT_OF_RANGE")
    latest = "7" if field == "from_version" else "5"
    assert error.metadata == {"field": field, "value": str(value), "latest": latest}


async def test_a_start_that_is_gone_names_the_earliest(server: Running) -> None:
    """A context whose own log begins later: today only the database itself can make one."""
    context_id = await example(server)
    async with watching(server.messages, context_id, from_revision=0) as watch:
        early = (await watch.frame()).cursor
    await server.query("delete from revisions where context_id = $1 and revision <= 2", context_id)
    await server.query("delete from messages where context_id = $1 and version <= 3", context_id)
    for field, value, earliest in (("from_revision", 1, 2), ("from_version", 2, 3), ("cursor", early, 2)):
        async with watching(server.messages, context_id, **{field: value}) as watch:
            error = await refused(watch.frame())
        assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_OUT_OF_RANGE")
        assert (error.metadata["field"], error.metadata["earliest"]) == (field, str(earliest))
    for start in ({"from_revision": 2}, {"from_version": 3}):
        async with watching(server.messages, context_id, include_messages=True, **start) as watch:
            frames = await watch.caught_up()
            assert revisions(frames) == [3, 4, 5]
            assert [message.version for message in messages_of(frames)] == [4, 5, 6, 7]


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "then"), [([UPDATE], [2, 4]), ([APPEND], [1, 3, 5]), ([DELETE, UNDELETE], []), ([UPDATE, APPEND], "all")]
)
async def test_kinds(server: Running, kinds: list[Any], then: Any) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, from_revision=0, kinds=kinds, include_messages=True) as watch:
        frames = await watch.caught_up()
        assert revisions(frames) == ([1, 2, 3, 4, 5] if then == "all" else then)
        assert messages_of(frames) == (await server.log(context_id) if APPEND in kinds else [])
        assert (frames[-1].caught_up.revision, frames[-1].caught_up.version) == (5, 7)
        await rename(server, context_id, "a")
        await server.append(context_id, b.user("8"))
        await delete(server, context_id)
        expected = {APPEND: 7, UPDATE: 6, DELETE: 8}
        wanted = sorted(number for kind, number in expected.items() if kind in kinds)
        assert [(await watch.event()).revision.revision for _ in wanted] == wanted


# --- cursors ----------------------------------------------------------------------------------------------------------


async def test_the_cursor_of_every_frame_gives_the_rest(server: Running) -> None:
    context_id = await example(server)
    large = ["x" * 400_000 + str(n) for n in range(6)]
    await server.append(context_id, *map(b.user, large))
    fields: dict[str, Any] = {"include_messages": True}
    async with watching(server.messages, context_id, from_revision=0, **fields) as watch:
        whole = await watch.caught_up()
    assert len(events(whole)) > len(revisions(whole)), "the large batch came in parts"
    for place, frame in enumerate(whole):
        async with watching(server.messages, context_id, cursor=frame.cursor, **fields) as watch:
            rest = await watch.caught_up()
        before = whole[: place + 1]
        assert revisions(before) + revisions(rest) == revisions(whole)
        assert messages_of(before) + messages_of(rest) == messages_of(whole)


async def test_a_large_batch_comes_in_bounded_frames(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, *[b.user("x" * 15_000) for _ in range(1_000)])
    await server.append(context_id, b.user("y" * (5 << 20)))
    async with watching(server.messages, context_id, from_version=0, include_messages=True) as watch:
        frames = await watch.caught_up()
    parts = events(frames)[:-1]
    assert len(parts) >= 15
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.revision.revision for part in parts} == {1}
    for frame in frames[: len(parts)]:
        assert frame.ByteSize() < limits.FRAME_BYTES + 2 * limits.KIB
    assert messages_of(frames) == await server.log(context_id)
    assert len(events(frames)[-1].messages) == 1, "one message, however large"


async def test_a_cursor_survives_a_restart_and_is_good_on_another_server(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server:
        context_id = await example(server)
        async with watching(server.messages, context_id, from_revision=0) as watch:
            cursor = (await watch.until(lambda frame: frame.event.revision.revision == 3))[-1].cursor
    async with serve(url) as server, watching(server.messages, context_id, cursor=cursor) as watch:
        assert revisions(await watch.caught_up()) == [4, 5]


@pytest.mark.holds("I10")
async def test_a_cursor_is_bound_to_context_filter_and_tenant(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server, serve(url, tenant="other") as stranger:
        context_id, another = await example(server), await example(server)
        fields: dict[str, Any] = {"kinds": [APPEND, UPDATE], "include_messages": True}
        async with watching(server.messages, context_id, from_revision=0, **fields) as watch:
            cursor = (await watch.frame()).cursor
        for changed in ({"context_id": another}, {"kinds": [APPEND]}, {"include_messages": False}):
            async with watching(server.messages, **({"context_id": context_id} | fields | changed), cursor=cursor) as w:
                error = await refused(w.frame())
            assert (error.reason, error.metadata) == ("PAGE_TOKEN_MISMATCH", {"field": "cursor"})
        async with watching(stranger.messages, context_id, cursor=cursor, **fields) as watch:
            assert (await refused(watch.frame())).reason == "PAGE_TOKEN_MISMATCH"
        again = {"kinds": [UPDATE, APPEND, UPDATE], "include_messages": True}
        async with watching(server.messages, context_id, cursor=cursor, **again) as watch:
            assert revisions(await watch.caught_up()) == [2, 3, 4, 5], "the same filter, spelled otherwise"


# --- tenants, deletion ------------------------------------------------------------------------------------------------


@pytest.mark.holds("I10")
async def test_a_stranger_sees_nothing_and_cannot_tell_why(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server, serve(url, tenant="other") as stranger:
        context_id = await example(server)
        for start in ({}, {"from_version": 3}, {"from_version": 1_000}, {"from_revision": 2}):
            for one in (context_id, unknown_id()):
                async with watching(stranger.messages, one, **start) as watch:
                    error = await refused(watch.frame())
                assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")
                assert error.metadata == {"context_id": one}


@pytest.mark.holds("I10")
async def test_a_deletion_is_the_last_event_until_it_is_undone(server: Running) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, from_revision=4) as watch:
        await watch.caught_up()
        before = watch.cursor
        await delete(server, context_id)
        assert (await watch.event()).revision.kind == DELETE
        error = await refused(watch.frame())
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")
    for start in ({"cursor": watch.cursor}, {"cursor": before}, {}, {"from_version": 0}):
        async with watching(server.messages, context_id, **start) as again:
            assert (await refused(again.frame())).reason == "CONTEXT_NOT_FOUND"
    await undelete(server, context_id)
    await server.append(context_id, b.user("back"))
    async with watching(server.messages, context_id, cursor=watch.cursor) as again:
        assert [event.revision.kind for event in events(await again.caught_up())] == [UNDELETE, APPEND]
    async with watching(server.messages, context_id, cursor=before) as again:
        kinds = [event.revision.kind for event in events(await again.caught_up())]
        assert kinds == [DELETE, UNDELETE, APPEND], "what was missed is told"


async def test_a_filter_that_hides_the_deletion_does_not_hide_the_end(server: Running) -> None:
    context_id = await example(server)
    async with watching(server.messages, context_id, kinds=[APPEND]) as watch:
        await watch.caught_up()
        await delete(server, context_id)
        assert (await refused(watch.frame())).reason == "CONTEXT_NOT_FOUND"


async def test_a_context_that_is_gone_altogether_ends_its_watches(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), watch_poll=0.05) as server:
        context_id = await example(server)
        async with watching(server.messages, context_id) as watch:
            await watch.caught_up()
            for table in ("messages", "revisions"):
                await server.query(f"delete from {table} where context_id = $1", context_id)
            await server.query("delete from contexts where id = $1", context_id)
            assert (await refused(watch.frame())).reason == "CONTEXT_NOT_FOUND"


# --- frames in time ---------------------------------------------------------------------------------------------------


async def test_checkpoints_keep_an_idle_watch_alive(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), watch_checkpoint=0.05) as server:
        context_id = await example(server)
        async with watching(server.messages, context_id, kinds=[APPEND]) as watch:
            await watch.caught_up()
            for _ in range(2):
                assert (await watch.frame()).checkpoint.revision == 5
            await rename(server, context_id, "passed over")
            await watch.until(lambda frame: frame.checkpoint.revision == 6)
        await rename(server, context_id, "missed")
        await server.append(context_id, b.user("8"))
        async with watching(server.messages, context_id, kinds=[APPEND], cursor=watch.cursor) as watch:
            assert revisions(await watch.caught_up()) == [8]


async def test_checkpoints_come_through_what_is_passed_over(fresh_url: FreshDatabase) -> None:
    """A watch that always has something to pass over is as silent as an idle one."""
    async with serve(await fresh_url(), watch_checkpoint=0.3) as server:
        context_id = (await server.create()).context_id
        async with watching(server.messages, context_id, kinds=[DELETE]) as watch:
            await watch.caught_up()
            checkpoint = asyncio.ensure_future(watch.frame())
            count = 0
            while not checkpoint.done():
                count = (await server.append(context_id, b.user("x"))).revision
            assert 0 < (await checkpoint).checkpoint.revision <= count


@pytest.mark.holds("I11")
async def test_a_reader_that_falls_behind_is_told_once_and_misses_nothing(server: Running) -> None:
    context_id = (await server.create()).context_id
    count = limits.WATCH_PAGE_REVISIONS * 3
    async with watching(server.messages, context_id, include_messages=True) as watch:
        await watch.caught_up()
        gate = asyncio.Semaphore(32)

        async def append(number: int) -> None:
            async with gate:
                await server.append(context_id, b.user(f"{number} " + "x" * 20_000))

        await asyncio.gather(*map(append, range(count)))  # more than the pipe holds, so that the server had to wait
        frames = await watch.caught_up()
        assert revisions(frames) == list(range(1, count + 1))
        assert messages_of(frames) == await server.log(context_id)
        (late,) = [frame for frame in frames if frame.HasField("fell_behind")]
        assert late.fell_behind.revision <= count - limits.WATCH_PAGE_REVISIONS
        assert frames[-1].caught_up.revision == count
        await server.append(context_id, b.user("x"))
        assert (await watch.event()).revision.revision == count + 1


# --- what it costs, and what it leaves --------------------------------------------------------------------------------


@pytest.mark.holds("I11", "P1")
async def test_watches_hold_one_connection_between_them(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url, pool_max=2, pool_idle=0.2, watch_poll=0.05) as server, direct(url) as other:
        context_ids = [(await server.create()).context_id for _ in range(20)]
        watches = [
            Watch(server.messages.WatchContext(ms.WatchContextRequest(context_id=one))) for one in context_ids * 10
        ]
        for watch in watches:
            await watch.caught_up()
        await nothing_held_by_watches(other, 1)
        for one in context_ids:
            await server.append(one, b.user("x"))
        for watch in watches:
            assert (await watch.event()).revision.revision == 1
        for watch in watches:
            watch.call.cancel()
        await nothing_held(other, 0)


async def nothing_held_by_watches(other: Any, most: int) -> None:
    """Waits until others hold so many idle connections, and one of them the lock of those who listen."""

    async def quiet() -> bool:
        (row,) = await other.fetch(
            "select count(*) as all, count(*) filter (where state <> 'idle' or xact_start is not null) as busy "
            "from pg_stat_activity where datname = current_database() and backend_type = 'client backend' "
            "and pid <> pg_backend_pid()"
        )
        return bool(row["all"] <= most and not row["busy"])

    await until(quiet, f"at most {most} connections, idle")


@pytest.mark.holds("I11", "P2")
async def test_cancelled_watches_leave_nothing(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    chance = random.Random(4)
    async with serve(url, pool_max=2, pool_idle=0.2, watch_poll=0.05) as server, direct(url) as other:
        context_id = await example(server)
        for _ in range(20):
            calls = [
                server.messages.WatchContext(
                    ms.WatchContextRequest(context_id=context_id, from_version=0, include_messages=True)
                )
                for _ in range(20)
            ]
            await asyncio.sleep(chance.random() * 0.02)
            await server.append(context_id, b.user("x"))
            for call in calls:
                call.cancel()
        await nothing_held(other, 0)
        hubs = [one for one in gc.get_objects() if isinstance(one, Changes) and not one.closed]
        assert all(not hub.watched() for hub in hubs)


@pytest.mark.holds("I12")
async def test_there_are_so_many_watches_and_no_more(fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WATCHERS", 2)
    async with serve(await fresh_url()) as server:
        context_id = await example(server)
        async with watching(server.messages, context_id) as one:
            async with watching(server.messages, context_id) as two:
                await one.caught_up()
                await two.caught_up()
                async with watching(server.messages, context_id) as third:
                    error = await refused(third.frame())
                assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
                assert error.metadata == {"max": "2"}
                assert error.detail(details.RetryInfo()).retry_delay.ToMilliseconds() > 0
                async with watching(server.messages, unknown_id()) as third:
                    assert (await refused(third.frame())).reason == "CONTEXT_NOT_FOUND"

            async def room() -> bool:
                async with watching(server.messages, context_id) as third:
                    try:
                        await third.frame()
                    except grpc.aio.AioRpcError:
                        return False
                    return True

            await until(room, "room for another watch")


async def test_a_watch_ends_with_its_deadline_and_goes_on(server: Running) -> None:
    context_id = await example(server)
    request = ms.WatchContextRequest(context_id=context_id, from_revision=2)
    watch = Watch(server.messages.WatchContext(request, timeout=1))
    assert revisions(await watch.caught_up()) == [3, 4, 5]
    with pytest.raises(grpc.RpcError) as caught:
        await watch.frame()
    assert isinstance(caught.value, grpc.aio.AioRpcError)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await server.append(context_id, b.user("8"))
    async with watching(server.messages, context_id, cursor=watch.cursor) as again:
        assert revisions(await again.caught_up()) == [6]


async def test_a_server_that_stops_sends_its_watches_elsewhere(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server:
        context_id = await example(server)
        watches = [Watch(server.messages.WatchContext(ms.WatchContextRequest(context_id=context_id))) for _ in range(9)]
        for watch in watches:
            await watch.caught_up()
        stopping = asyncio.ensure_future(server.server.stop(10))
        for watch in watches:
            error = await refused(watch.frame())
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        await stopping
    async with serve(url) as server:
        await server.append(context_id, b.user("8"))
        for watch in watches:
            async with watching(server.messages, context_id, cursor=watch.cursor) as again:
                assert revisions(await again.caught_up()) == [6]


# --- between servers --------------------------------------------------------------------------------------------------


async def test_a_change_on_one_server_is_seen_on_another_at_once(fresh_url: FreshDatabase) -> None:
    """By the hint alone: the poll would take a minute."""
    url = await fresh_url()
    async with serve(url) as writer, serve(url, watch_poll=60) as server, direct(url) as other:
        context_id = await example(writer)
        async with watching(server.messages, context_id) as watch:
            await watch.caught_up()
            await listening(other)
            # A server that found nobody listening does not look again for a second.
            first = asyncio.ensure_future(watch.event())
            latest = 0

            async def seen() -> bool:
                nonlocal latest
                latest = (await writer.append(context_id, b.user("x"))).revision
                return first.done()

            await until(seen, "the first hint", pause=0.05)
            assert (await first).revision.revision == 6
            if latest > 6:
                await watch.until(lambda frame: frame.event.revision.revision == latest)
            for number in range(latest + 1, latest + 7):
                await writer.append(context_id, b.user("x"))
                async with asyncio.timeout(10):
                    assert (await watch.event()).revision.revision == number
            await rename(writer, context_id, "x")
            async with asyncio.timeout(10):
                assert (await watch.event()).revision.kind == UPDATE


async def test_many_contexts_that_change_together_are_told_of_together(fresh_url: FreshDatabase) -> None:
    """More than one notification holds, again without a poll."""
    url = await fresh_url()
    async with serve(url) as writer, serve(url, watch_poll=60) as server, direct(url) as other:
        context_ids = [(await writer.create()).context_id for _ in range(250)]
        calls = [server.messages.WatchContext(ms.WatchContextRequest(context_id=one)) for one in context_ids]
        watches = [Watch(call) for call in calls]
        for watch in watches:
            await watch.caught_up()
        await listening(other)
        async with asyncio.timeout(30):
            await asyncio.gather(*(writer.append(one, b.user("x")) for one in context_ids))
            for watch in watches:
                assert (await watch.event()).revision.revision == 1
        for call in calls:
            call.cancel()


async def listening(other: Any) -> None:
    """Waits until a server listens."""

    async def locked() -> bool:
        return bool(
            await other.fetchval("select count(*) from pg_locks where locktype = 'advisory' and mode = 'ShareLock'")
        )

    await until(locked, "a server that listens")


async def test_the_poll_finds_what_no_hint_told(fresh_url: FreshDatabase) -> None:
    """What another program writes, here the database itself, is seen at the next poll."""
    url = await fresh_url()
    async with serve(url, watch_poll=0.05) as server:
        context_id = await example(server)
        async with watching(server.messages, context_id, include_messages=True) as watch:
            await watch.caught_up()
            await server.query(
                "with c as (update contexts set latest_revision = latest_revision + 1 where id = $1 returning *) "
                "insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, fingerprint, "
                "chain) select id, latest_revision, tenant_id, 'update', latest_version, now(), '', '' from c",
                context_id,
            )
            async with asyncio.timeout(10):
                assert (await watch.event()).revision.revision == 6


async def test_hints_that_are_wrong_do_no_harm(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url, watch_poll=0.05) as server, direct(url) as other:
        context_id = await example(server)
        async with watching(server.messages, context_id) as watch:
            await watch.caught_up()
            await listening(other)
            bare = context_id.replace("-", "")
            for payload in (
                "",
                "nonsense",
                f"{bare}:",
                f"{bare}:{10**17}",
                f"{bare}:{10**30}",
                f"{bare}:5 {bare}:-1",
                f"{unknown_id()}:1",
                ":::",
                "é:1",
            ):
                await other.execute("select pg_notify('kata_changes', $1)", payload)
            await server.append(context_id, b.user("x"))
            async with asyncio.timeout(10):
                assert (await watch.event()).revision.revision == 6
            await server.append(context_id, b.user("x"))
            async with asyncio.timeout(10):
                assert (await watch.event()).revision.revision == 7


@pytest.mark.holds("I3", "P17")
@pytest.mark.parametrize("seed", range(3))
async def test_watchers_that_come_and_go_see_everything_once(fresh_url: FreshDatabase, seed: int) -> None:
    """Writers of two servers, watchers on both that hang up at random frames: each puts the same log together."""
    url = await fresh_url()
    chance = random.Random(seed)
    async with serve(url, watch_poll=0.2) as one, serve(url, watch_poll=0.2) as two:
        context_id = (await one.create()).context_id
        servers = (one, two)
        writers, appends = 8, 15

        async def write(number: int) -> None:
            for step in range(appends):
                server = servers[(number + step) % 2]
                if chance.random() < 0.2:
                    await rename(server, context_id, f"{number} {step}")
                else:
                    batch = [b.user(f"{number} {step} {place}" + "x" * 3_000) for place in range(chance.randint(1, 5))]
                    await server.append(context_id, *batch)

        seen: list[list[Any]] = [[] for _ in range(4)]

        async def watch(place: int) -> None:
            start: dict[str, Any] = {"from_revision": 0}
            while len(revisions(seen[place])) < writers * appends:
                server = chance.choice(servers)
                async with watching(server.messages, context_id, include_messages=True, **start) as current:
                    for _ in range(chance.randint(1, 30)):
                        seen[place].append(await current.frame())
                        start = {"cursor": current.cursor}
                        if len(revisions(seen[place])) == writers * appends:
                            return

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(write(number))
            for place in range(len(seen)):
                group.create_task(watch(place))
        log, told_there = await one.log(context_id), await history(one, context_id)
        for frames in seen:
            check_whole(frames, told_there)
            assert messages_of(frames) == log


def check_whole(frames: Sequence[Any], whole: Sequence[ms.Revision]) -> None:
    assert [event.revision for event in events(frames) if event.last] == list(whole)
