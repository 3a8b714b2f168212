"""Reads as of a version, a revision, a time or a tag: what was there then, whatever has happened since."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from kata.context.v1 import context_pb2, policy_pb2, window_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc.services import messages as services
from tests.faults.waiting import LOCKED_OUT, connections, direct, until
from tests.rpc import build as b
from tests.rpc.serving import Running, loop, refused, unknown_id
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [loop, pytest.mark.holds("I2", "P17")]

PLENTY = 1_000_000
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ASCENDING, DESCENDING = ms.LIST_ORDER_ASCENDING, ms.LIST_ORDER_DESCENDING


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def stamp(time: datetime) -> Timestamp:
    proto = Timestamp()
    proto.FromDatetime(time)
    return proto


async def told(server: Running, count: int) -> str:
    """Makes a context of so many messages, each appended by itself."""
    context_id = (await server.create()).context_id
    for number in range(1, count + 1):
        await server.append(context_id, b.user(f"m{number}"))
    return context_id


async def set_stamps(server: Running, context_id: str, times: Sequence[datetime], first: int = 1) -> None:
    """Makes it that revisions of a context, from the first on, were made at these times."""
    for revision, time in enumerate(times, start=first):
        await server.query(
            "update revisions set create_time = $3 where context_id = $1::text::uuid and revision = $2",
            context_id,
            revision,
            time,
        )
    await server.query("update contexts set update_time = $2 where id = $1::text::uuid", context_id, times[-1])


async def listed(server: Running, context_id: str, **fields: Any) -> list[str]:
    """Walks a log page by page."""
    request = ms.ListMessagesRequest(context_id=context_id, **fields)
    found: list[str] = []
    while True:
        page = await server.messages.ListMessages(request)
        found.extend(message.text for message in page.messages)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def history(server: Running, context_id: str, **fields: Any) -> list[ms.Revision]:
    """Walks a history page by page."""
    request = ms.ListHistoryRequest(context_id=context_id, **fields)
    found: list[ms.Revision] = []
    while True:
        page = await server.messages.ListHistory(request)
        found.extend(page.revisions)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def revision_at(server: Running, context_id: str, time: datetime) -> int:
    """Returns which revision a time means."""
    request = ms.ListHistoryRequest(context_id=context_id, at_time=stamp(time), page_size=1)
    found = (await server.messages.ListHistory(request)).revisions
    return found[0].revision if found else 0


async def fork(server: Running, context_id: str, **fields: Any) -> context_pb2.Context:
    return (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, **fields))).context


async def tag(server: Running, context_id: str, name: str, **fields: Any) -> None:
    await server.contexts.TagVersion(cs.TagVersionRequest(context_id=context_id, name=name, **fields))


# --- every read -------------------------------------------------------------------------------------------------------


async def seen(server: Running, context_id: str, **at: Any) -> list[str]:
    """Reads a context in every way there is, as of a snapshot; returns the texts, which all of them agree on."""
    window = await server.window(context_id, PLENTY, **at)
    texts = [message.text for message in window.messages]
    header, *frames = await server.stream(context_id, PLENTY, **at)
    assert header.header == window.header
    assert [m.text for frame in frames for m in frame.chunk.messages] == texts
    assert (window.header.snapshot_version, window.header.last_version) == (len(texts), len(texts))
    assert await listed(server, context_id, page_size=2, **at) == texts
    assert await listed(server, context_id, order=DESCENDING, **at) == texts[::-1]
    for version in range(1, len(texts) + 2):
        get = server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=version, **at))
        if version <= len(texts):
            assert (await get).message.text == texts[version - 1]
        else:
            assert (await refused(get)).reason == "MESSAGE_NOT_FOUND"
    revisions = await history(server, context_id, **at)
    assert sum(1 for r in revisions if r.kind == ms.REVISION_KIND_APPEND) == len(texts)
    child = await fork(server, context_id, **at)
    assert await listed(server, child.context_id) == texts
    if "at_version" not in at:
        assert child.fork_revision == window.header.snapshot_revision == max((r.revision for r in revisions), default=0)
    return texts


async def test_every_read_is_as_of_what_was_named(server: Running) -> None:
    context_id = await told(server, 2)
    await server.contexts.UpdateContext(
        cs.UpdateContextRequest(context=context_pb2.Context(context_id=context_id, name="three"))
    )
    await server.append(context_id, b.user("m3"))
    await server.append(context_id, b.user("m4"))
    await set_stamps(server, context_id, [minute(n) for n in range(1, 6)])
    await tag(server, context_id, "two", at_revision=3)
    cases: list[tuple[dict[str, Any], int]] = [
        ({"at_version": 0}, 0),
        ({"at_version": 3}, 3),
        ({"at_revision": 0}, 0),
        ({"at_revision": 3}, 2),
        ({"at_version": 1, "at_revision": 3}, 1),
        ({"at_tag": "two"}, 2),
        ({"at_time": stamp(minute(1) - MICROSECOND)}, 0),
        ({"at_time": stamp(minute(1))}, 1),
        ({"at_time": stamp(minute(4) - MICROSECOND)}, 2),
        ({"at_time": stamp(minute(4))}, 3),
        ({"at_time": stamp(minute(4.5))}, 3),
        ({"at_time": Timestamp(seconds=-62_135_596_800)}, 0),
        ({"at_time": Timestamp(seconds=253_402_300_799, nanos=999_999_999)}, 4),
        ({"at_time": stamp(datetime.now(UTC) + timedelta(days=1))}, 4),
    ]
    for at, count in cases:
        if at == {"at_version": 1, "at_revision": 3}:
            assert await listed(server, context_id, **at) == ["m1"]
        elif at == {"at_version": 3}:
            assert await listed(server, context_id, **at) == ["m1", "m2", "m3"]
            assert [r.revision for r in await history(server, context_id, **at)] == [4, 3, 2, 1]
        else:
            assert await seen(server, context_id, **at) == [f"m{n}" for n in range(1, count + 1)], at


async def test_nanoseconds_are_less_than_the_next_microsecond(server: Running) -> None:
    context_id = await told(server, 1)
    await set_stamps(server, context_id, [minute(1)])
    just_before = stamp(minute(1) - MICROSECOND)
    just_before.nanos += 999
    assert await listed(server, context_id, at_time=just_before) == []
    just_after = stamp(minute(1))
    just_after.nanos += 999
    assert await listed(server, context_id, at_time=just_after) == ["m1"]


async def test_an_empty_context_is_empty_at_every_time(server: Running) -> None:
    context_id = (await server.create()).context_id
    for time in (minute(0), datetime.now(UTC) + timedelta(days=1)):
        window = await server.window(context_id, PLENTY, at_time=stamp(time))
        assert (window.header.snapshot_version, window.header.snapshot_revision) == (0, 0)
        assert await history(server, context_id, at_time=stamp(time)) == []


async def test_views_of_a_time_and_a_tag_are_those_of_the_revision_that_they_mean(server: Running) -> None:
    context_id = await told(server, 2)
    policy = policy_pb2.Policy(window=window_pb2.WindowOptions(max_messages=1))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=context_id, policy=policy))
    await server.append(context_id, b.user("m3"))
    await set_stamps(server, context_id, [minute(n) for n in range(1, 5)])
    for revision, count in ((2, 2), (3, 1), (4, 1)):
        await tag(server, context_id, f"r{revision}", at_revision=revision)
        for view in (window_pb2.VIEW_CURRENT, window_pb2.VIEW_AS_THEN, window_pb2.VIEW_RAW):
            window = await server.window(context_id, PLENTY, view=view, at_revision=revision)
            assert len(window.messages) == count
            assert await server.window(context_id, PLENTY, view=view, at_time=stamp(minute(revision))) == window
            assert await server.window(context_id, PLENTY, view=view, at_tag=f"r{revision}") == window


# --- what cannot be asked ---------------------------------------------------------------------------------------------


@pytest.mark.holds("I12")
async def test_a_time_and_a_tag_stand_alone(server: Running) -> None:
    context_id = await told(server, 1)
    all_of_them: dict[str, Any] = {"at_version": -1, "at_revision": 1, "at_time": Timestamp(nanos=-1), "at_tag": "!"}
    calls: list[Any] = [
        server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1, **all_of_them)),
        server.messages.ListMessages(ms.ListMessagesRequest(context_id=context_id, **all_of_them)),
        server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id, **all_of_them)),
        server.window(context_id, PLENTY, **all_of_them),
        server.stream(context_id, PLENTY, **all_of_them),
        server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, **all_of_them)),
        server.contexts.TagVersion(cs.TagVersionRequest(context_id=context_id, name="t", **all_of_them)),
    ]
    for call in calls:
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert sorted(error.violations) == [
            ("at_tag", "EXCLUSIVE"),
            ("at_tag", "MALFORMED_NAME"),
            ("at_time", "EXCLUSIVE"),
            ("at_time", "OUT_OF_BOUNDS"),
            ("at_version", "TOO_SMALL"),
        ]
    pairs: list[tuple[dict[str, Any], list[str]]] = [
        ({"at_version": 1, "at_time": stamp(NOON)}, ["at_time"]),
        ({"at_revision": 1, "at_tag": "t"}, ["at_tag"]),
        ({"at_time": stamp(NOON), "at_tag": "t"}, ["at_time", "at_tag"]),
    ]
    for pair, fields in pairs:
        error = await refused(server.window(context_id, PLENTY, **pair))
        assert error.violations == [(field, "EXCLUSIVE") for field in fields]


async def test_snapshots_that_are_not_there(server: Running) -> None:
    context_id = await told(server, 1)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"at_version": 2}, "VERSION_OUT_OF_RANGE"),
        ({"at_revision": 2}, "VERSION_OUT_OF_RANGE"),
        ({"at_tag": "none"}, "TAG_NOT_FOUND"),
    ]
    for at, reason in cases:
        calls: list[Any] = [
            server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1, **at)),
            server.messages.ListMessages(ms.ListMessagesRequest(context_id=context_id, **at)),
            server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id, **at)),
            server.window(context_id, PLENTY, **at),
            server.stream(context_id, PLENTY, **at),
            server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, **at)),
            server.contexts.TagVersion(cs.TagVersionRequest(context_id=context_id, name="t", **at)),
        ]
        for call in calls:
            assert (await refused(call)).reason == reason
    for at in ({"at_time": stamp(NOON)}, {"at_tag": "t"}):
        assert (await refused(server.window(unknown_id(), PLENTY, **at))).reason == "CONTEXT_NOT_FOUND"
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    for at in ({"at_time": stamp(NOON)}, {"at_tag": "t"}):
        assert (await refused(server.window(context_id, PLENTY, **at))).reason == "CONTEXT_NOT_FOUND"


# --- clocks -----------------------------------------------------------------------------------------------------------


async def test_stamps_never_run_backwards_whatever_the_clock_does(server: Running) -> None:
    """The clock was an hour ahead when something was written, and is right again for everything after it."""
    context_id = await told(server, 1)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await set_stamps(server, context_id, [ahead])
    await server.append(context_id, b.user("m2"))
    await server.contexts.UpdateContext(
        cs.UpdateContextRequest(context=context_pb2.Context(context_id=context_id, name="n"))
    )
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=context_id, policy=policy_pb2.Policy()))
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
    await tag(server, context_id, "t")
    await server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name="t"))
    child = await fork(server, context_id, messages=[b.user("c3")])
    await server.append(child.context_id, b.user("c4"))
    revisions = await history(server, child.context_id, order=ASCENDING)
    assert len(revisions) == 11
    assert {r.create_time.ToMicroseconds() for r in revisions} == {stamp(ahead).ToMicroseconds()}
    assert {m.create_time.ToMicroseconds() for m in (await server.log(child.context_id))[1:]} == {
        stamp(ahead).ToMicroseconds()
    }
    assert child.create_time == stamp(ahead)

    assert await listed(server, child.context_id, at_time=stamp(ahead)) == ["m1", "m2", "c3", "c4"]
    assert await listed(server, child.context_id, at_time=stamp(ahead - MICROSECOND)) == []
    await set_stamps(server, context_id, [minute(1)] * 8)
    await server.append(context_id, b.user("m3"))
    newest, *_ = await history(server, context_id)
    assert abs(newest.create_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5), (
        "and go on with the clock"
    )


async def test_a_stamp_is_not_before_that_of_a_writer_that_was_waited_for(server: Running) -> None:
    """What the row says when the append's statement begins is not what counts, but what it says under the lock."""
    context_id = await told(server, 1)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    async with direct(server.url) as other:
        async with other.transaction():
            await other.execute("update contexts set update_time = $2 where id = $1::text::uuid", context_id, ahead)
            waiting = [
                asyncio.ensure_future(server.append(context_id, b.user("m2"))),
                asyncio.ensure_future(tag(server, context_id, "t")),
            ]
            async with direct(server.url) as third:

                async def both_wait() -> bool:
                    return await connections(third, LOCKED_OUT) == 2

                await until(both_wait, "two writers that wait for the row")
        await asyncio.gather(*waiting)
    stamps = [r.create_time.ToMicroseconds() for r in await history(server, context_id)]
    assert stamps[:2] == [stamp(ahead).ToMicroseconds()] * 2


async def test_a_fork_of_the_past_goes_on_from_then(server: Running) -> None:
    """A fork is made now, and its stamps say so: at a time before that it is what its parent was."""
    parent = await told(server, 3)
    await set_stamps(server, parent, [minute(1), minute(2), datetime.now(UTC) + timedelta(hours=1)])
    child = await fork(server, parent, at_revision=2)
    (forked, *_) = await history(server, child.context_id)
    assert minute(2) < forked.create_time.ToDatetime(UTC) < datetime.now(UTC) + timedelta(minutes=5)


async def test_two_batches_whose_clocks_ran_backwards(server: Running) -> None:
    """As a server wrote them that stamped what it was told: a time is still between two revisions."""
    context_id = (await server.create()).context_id
    for number in (1, 2, 3, 4):
        await server.append(context_id, b.user(f"{number}a"), b.assistant(f"{number}b"))
    await set_stamps(server, context_id, [minute(1), minute(3), minute(2), minute(4)])
    for time, revision in ((0.5, 0), (1, 1), (1.5, 1), (2, 1), (2.5, 1), (3, 3), (3.5, 3), (4, 4), (9, 4)):
        texts = await listed(server, context_id, at_time=stamp(minute(time)))
        assert texts == [f"{n}{half}" for n in range(1, revision + 1) for half in "ab"], time
        then = await server.window(context_id, PLENTY, at_time=stamp(minute(time)))
        assert then == await server.window(context_id, PLENTY, at_revision=revision), time


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_the_stamps_a_time_is_between_two_revisions(server: Running, seed: int) -> None:
    """It was made at or before the time, the next was not; a later time is no earlier revision; it stays so."""
    chance = random.Random(seed)
    count = chance.randint(5, 20)
    context_id = await told(server, count)
    minutes = [chance.randint(1, count) for _ in range(count)]
    await set_stamps(server, context_id, [minute(n) for n in minutes])
    times = [n / 2 for n in range(2 * count + 3)]
    found = [await revision_at(server, context_id, minute(time)) for time in times]
    assert found == sorted(found)
    for time, revision in zip(times, found, strict=True):
        assert revision == 0 or minutes[revision - 1] <= time
        assert revision == count or minutes[revision] > time
    for number in range(count + 3):  # beyond the next power of two
        await server.append(context_id, b.user(str(number)))
    last = minute(max(minutes))
    again = [await revision_at(server, context_id, minute(time)) for time in times]
    assert [r for r, time in zip(again, times, strict=True) if minute(time) < last] == [
        r for r, time in zip(found, times, strict=True) if minute(time) < last
    ], "what came later changes no answer"
    assert again == sorted(again)


# --- walks and resumes ------------------------------------------------------------------------------------------------


async def test_walks_stay_where_they_began(server: Running) -> None:
    context_id = await told(server, 5)
    await tag(server, context_id, "t")
    later = stamp(datetime.now(UTC) + timedelta(hours=1))
    for at in ({"at_time": later}, {"at_tag": "t"}, {}):
        for order in (ASCENDING, DESCENDING):
            context = await server.get(context_id)
            whole = await listed(server, context_id, order=order, **at)
            revisions = await history(server, context_id, order=order, **at)
            pages = ms.ListMessagesRequest(context_id=context_id, page_size=2, order=order, **at)
            past = ms.ListHistoryRequest(context_id=context_id, page_size=2, order=order, **at)
            texts, numbers = [], []
            while True:
                page = await server.messages.ListMessages(pages)
                texts += [m.text for m in page.messages]
                await server.append(context_id, b.user("meanwhile"))
                pages.page_token = page.next_page_token
                if not page.next_page_token:
                    break
            assert texts == whole
            newest = (await server.get(context_id)).latest_revision
            assert newest > context.latest_revision
            revisions = await history(server, context_id, order=order, **at)
            while True:
                found = await server.messages.ListHistory(past)
                numbers += [r.revision for r in found.revisions]
                await tag(server, context_id, "t", move=True)
                past.page_token = found.next_page_token
                if not found.next_page_token:
                    break
            assert numbers == [r.revision for r in revisions]
    await server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name="t"))


async def test_a_walk_goes_on_when_its_tag_is_gone(server: Running) -> None:
    context_id = await told(server, 3)
    await tag(server, context_id, "t")
    request = ms.ListMessagesRequest(context_id=context_id, page_size=2, at_tag="t")
    page = await server.messages.ListMessages(request)
    await server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name="t"))
    request.page_token = page.next_page_token
    assert [m.text for m in (await server.messages.ListMessages(request)).messages] == ["m3"]
    for other in ({"at_tag": "u"}, {"at_version": 3}, {}):
        mixed = ms.ListMessagesRequest(context_id=context_id, page_token=page.next_page_token, **other)
        assert (await refused(server.messages.ListMessages(mixed))).reason == "PAGE_TOKEN_MISMATCH"


async def test_a_resumed_stream_is_the_same_window(server: Running) -> None:
    context_id = (await server.create()).context_id
    for _ in range(2):
        await server.append(context_id, *(b.user(str(n)) for n in range(600)))
    await tag(server, context_id, "t")
    later = stamp(datetime.now(UTC) + timedelta(hours=1))
    for at in ({"at_time": later}, {"at_tag": "t"}):
        header, *chunks, trailer = await server.stream(context_id, PLENTY, **at)
        assert len(chunks) > 2
        await server.append(context_id, b.user("later"))
        await tag(server, context_id, "t", move=True)
        moved, *_ = await server.stream(context_id, PLENTY, **at)
        assert moved != header, "it means another snapshot now"
        token = chunks[0].chunk.resume_token
        assert await server.stream(context_id, PLENTY, resume_token=token, **at) == [header, *chunks[1:], trailer]
    header, *chunks, trailer = await server.stream(context_id, PLENTY, at_tag="t")
    await server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name="t"))
    token = chunks[0].chunk.resume_token
    assert await server.stream(context_id, PLENTY, resume_token=token, at_tag="t") == [header, *chunks[1:], trailer]


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I8")
async def test_times_across_fork_points(server: Running) -> None:
    root = await told(server, 3)
    child = (await fork(server, root, at_version=2, at_revision=2)).context_id
    await server.append(child, b.user("c3"))
    await server.append(child, b.user("c4"))
    grandchild = (await fork(server, child, at_revision=4)).context_id  # with c3
    await server.append(grandchild, b.user("g4"))
    inner = (await fork(server, grandchild, at_version=1, at_revision=1)).context_id  # of the root's alone
    await server.append(inner, b.user("i2"))
    await set_stamps(server, root, [minute(n) for n in (1, 2, 7)])
    await set_stamps(server, child, [minute(n) for n in (3, 4, 8)], first=3)
    await set_stamps(server, grandchild, [minute(n) for n in (5, 6)], first=5)
    await set_stamps(server, inner, [minute(n) for n in (9, 10)], first=2)
    expected = {
        root: [(0, 0), (1, 1), (2, 2), (6, 2), (7, 3), (99, 3)],
        child: [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (7, 4), (8, 5), (99, 5)],
        grandchild: [(0, 0), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (99, 6)],
        inner: [(0, 0), (1, 1), (8, 1), (9, 2), (10, 3), (99, 3)],
    }
    texts = {root: ["m1", "m2", "m3"], child: ["m1", "m2", "c3", "c4"], grandchild: ["m1", "m2", "c3", "g4"]}
    for context_id, cases in expected.items():
        for time, revision in cases:
            at = {"at_time": stamp(minute(time))}
            assert await revision_at(server, context_id, minute(time)) == revision, (texts.get(context_id), time)
            window = await server.window(context_id, PLENTY, **at)
            assert window == await server.window(context_id, PLENTY, at_revision=revision)
    for context_id, whole in texts.items():
        assert await listed(server, context_id, at_time=stamp(minute(99))) == whole
    assert await listed(server, child, at_time=stamp(minute(4))) == ["m1", "m2", "c3"]

    of_a_time = await fork(server, grandchild, at_time=stamp(minute(2.5)))
    assert (of_a_time.fork_version, of_a_time.fork_revision) == (2, 2)
    before_all = await fork(server, grandchild, at_time=stamp(minute(0)))
    assert (before_all.fork_version, before_all.fork_revision, before_all.latest_revision) == (0, 0, 1)


@pytest.mark.holds("I4")
async def test_a_repeated_fork_of_a_time_is_the_same_child(server: Running) -> None:
    context_id = await told(server, 2)
    later = stamp(datetime.now(UTC) + timedelta(hours=1))
    request = cs.ForkContextRequest(context_id=context_id, at_time=later, request_id=unknown_id())
    first = await server.contexts.ForkContext(request)
    await server.append(context_id, b.user("m3"))
    again = await server.contexts.ForkContext(request)
    assert (again.replayed, again.context) == (True, first.context)
    request.at_time.seconds += 1
    assert (await refused(server.contexts.ForkContext(request))).reason == "REQUEST_ID_REUSED"


# --- history ----------------------------------------------------------------------------------------------------------


async def many_kinds(server: Running) -> str:
    context_id = await told(server, 3)
    given = context_pb2.Context(context_id=context_id, name="n", labels={"a": "b"})
    await server.contexts.UpdateContext(cs.UpdateContextRequest(context=given))
    await tag(server, context_id, "t", at_version=2)
    await server.append(context_id, b.user("m4"))
    await tag(server, context_id, "t", move=True)
    await server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name="t"))
    child = (await fork(server, context_id, at_version=3)).context_id
    await server.append(child, b.user("c4"))
    return child


async def test_revisions_say_what_they_did(server: Running) -> None:
    child = await many_kinds(server)
    parent = (await server.get(child)).parent_id
    revisions = await history(server, child, order=ASCENDING)
    assert [r.revision for r in revisions] == list(range(1, 11))
    details = [getattr(r, r.WhichOneof("detail")) if r.WhichOneof("detail") else None for r in revisions]
    expected = [
        *[None] * 3,
        ms.UpdateDetail(fields=["labels", "name"]),
        ms.TagDetail(name="t", version=2, revision=4),
        None,
        ms.TagDetail(name="t", version=4, revision=6, previous_version=2, previous_revision=4),
        ms.TagDetail(name="t", previous_version=4, previous_revision=6),
        ms.ForkDetail(parent_id=parent, fork_version=3, fork_revision=8),
        None,
    ]
    assert details == expected
    last_of_parent = (await history(server, parent, order=ASCENDING))[:8]
    assert revisions[:5] == last_of_parent[:5], "the fork has its parent's, as far as it has its messages"
    for context_id, of in ((parent, last_of_parent), (child, revisions[8:])):
        async with watching(server.messages, context_id, from_revision=of[0].revision - 1) as watch:
            sent = [(await watch.frame()).event.revision for _ in of]
        assert sent == of, "a watch sends the same"


@pytest.mark.parametrize("look", [1, 3, 1_000])
async def test_history_by_kind(server: Running, monkeypatch: pytest.MonkeyPatch, look: int) -> None:
    monkeypatch.setattr(services, "HISTORY_LOOK", look)
    child = await many_kinds(server)
    revisions = await history(server, child)
    choices = [[ms.REVISION_KIND_TAG], [ms.REVISION_KIND_UPDATE, ms.REVISION_KIND_FORK], [ms.REVISION_KIND_DELETE]]
    for kinds in choices:
        wanted = [r for r in revisions if r.kind in kinds]
        for size in (1, 2, 50):
            assert await history(server, child, kinds=kinds, page_size=size) == wanted
            assert await history(server, child, kinds=kinds, page_size=size, order=ASCENDING) == wanted[::-1]
        until_5 = [r for r in wanted if r.revision <= 5]
        assert await history(server, child, kinds=kinds, at_revision=5) == until_5
    request = ms.ListHistoryRequest(context_id=child, kinds=[ms.REVISION_KIND_DELETE])
    page = await server.messages.ListHistory(request)
    assert not page.revisions
    assert bool(page.next_page_token) == (look < len(revisions)), "a page that is empty need not be the last"


async def test_kinds_that_are_none(server: Running) -> None:
    context_id = await told(server, 1)
    wrong: list[Any] = [0, 99]
    error = await refused(server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id, kinds=wrong)))
    assert error.violations == [("kinds[0]", "UNKNOWN_VALUE"), ("kinds[1]", "UNKNOWN_VALUE")]
