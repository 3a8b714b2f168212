"""Removing messages from the view and bringing them back, over the wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2

from tests.rpc import build as b
from tests.rpc.serving import Running, loop, refused, unknown_id
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1 import message_pb2 as pb

pytestmark = [loop, pytest.mark.holds("I1", "P15")]

PLENTY = 1_000_000


def runs(*ranges: tuple[int, int]) -> list[ms.VersionRange]:
    return [ms.VersionRange(first_version=first, last_version=last) for first, last in ranges]


async def remove(
    server: Running, context_id: str, *ranges: tuple[int, int], request_id: str = ""
) -> ms.RemoveMessagesResponse:
    request = ms.RemoveMessagesRequest(context_id=context_id, ranges=runs(*ranges), request_id=request_id)
    return await server.messages.RemoveMessages(request)


async def restore(server: Running, context_id: str, *ranges: tuple[int, int]) -> ms.RestoreMessagesResponse:
    return await server.messages.RestoreMessages(ms.RestoreMessagesRequest(context_id=context_id, ranges=runs(*ranges)))


def versions(messages: Sequence[pb.Message]) -> list[int]:
    return [message.version for message in messages]


async def shown(
    server: Running, context_id: str, view: window_pb2.View.ValueType = window_pb2.VIEW_CURRENT
) -> list[int]:
    """Reads the versions in a view, and holds window, stream and list to agree."""
    window = await server.window(context_id, PLENTY, view=view)
    listed = await server.log(context_id, view=view)
    assert list(window.messages) == listed
    frames = await server.stream(context_id, PLENTY, view=view)
    assert [m for frame in frames for m in frame.chunk.messages] == listed
    return versions(listed)


async def told(server: Running, *messages: pb.Message) -> str:
    context_id = (await server.create()).context_id
    for message in messages:
        await server.append(context_id, message)
    return context_id


async def test_removed_messages_are_out_of_the_view_and_come_back(server: Running) -> None:
    context_id = await told(server, *(b.user(f"m{n}") for n in range(1, 8)))
    removed = await remove(server, context_id, (2, 3), (6, 6))
    assert (removed.revision, removed.replayed) == (8, False)
    assert [(r.first_version, r.last_version) for r in removed.ranges] == [(2, 3), (6, 6)]
    assert removed.context.message_count == 7, "nothing was destroyed"
    assert await shown(server, context_id) == [1, 4, 5, 7]
    assert await shown(server, context_id, window_pb2.VIEW_RAW) == [1, 2, 3, 4, 5, 6, 7]
    trailer = (await server.window(context_id, PLENTY)).trailer
    assert [(r.first_version, r.last_version, r.reason) for r in trailer.excluded] == [
        (2, 3, window_pb2.EXCLUSION_REASON_REMOVED),
        (6, 6, window_pb2.EXCLUSION_REASON_REMOVED),
    ]

    got = server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=2))
    assert (await refused(got)).reason == "MESSAGE_NOT_FOUND"
    raw = ms.GetMessageRequest(context_id=context_id, version=2, view=window_pb2.VIEW_RAW)
    assert (await server.messages.GetMessage(raw)).message.text == "m2"

    restored = await restore(server, context_id, (3, 3), (5, 6))
    assert restored.revision == 9
    assert await shown(server, context_id) == [1, 3, 4, 5, 6, 7]
    await server.append(context_id, b.user("m8"))
    assert await shown(server, context_id) == [1, 3, 4, 5, 6, 7, 8]


@pytest.mark.holds("I2", "P17")
async def test_views_of_earlier_revisions_do_not_change(server: Running) -> None:
    context_id = await told(server, *(b.user(f"m{n}") for n in range(1, 5)))
    views = {4: [1, 2, 3, 4]}
    for change, ranges, now in ((remove, (2, 3), [1, 4]), (restore, (3, 3), [1, 3, 4]), (remove, (1, 3), [4])):
        views[(await change(server, context_id, ranges)).revision] = now
    for revision, now in views.items():
        window = await server.window(context_id, PLENTY, at_revision=revision)
        assert versions(window.messages) == now, revision
    then = await server.window(context_id, PLENTY, at_version=3, view=window_pb2.VIEW_AS_THEN)
    assert versions(then.messages) == [1, 2, 3], "what the model was sent then"
    latest = await server.window(context_id, PLENTY, at_version=3)
    assert versions(latest.messages) == []


@pytest.mark.holds("I6")
async def test_groups_are_removed_whole_with_what_answers_them_later(server: Running) -> None:
    context_id = await told(
        server, b.user("q"), b.calls("a", "b"), b.result("a"), b.user("aside"), b.result("b"), b.calls("c"), b.user("u")
    )
    for named in ((2, 2), (3, 3), (5, 5)):
        removed = await remove(server, context_id, named)
        assert [(r.first_version, r.last_version) for r in removed.ranges] == [(2, 3), (5, 5)]
        window = await server.window(context_id, PLENTY)
        assert versions(window.messages) == [1, 4, 7], "the call that waits for an answer is passed over"
        assert versions(await server.log(context_id)) == [1, 4, 6, 7]
        await restore(server, context_id, named)
    removed = await remove(server, context_id, (4, 6))
    assert [(r.first_version, r.last_version) for r in removed.ranges] == [(2, 6)]
    await server.append(context_id, b.result("c"))
    assert await shown(server, context_id) == [1, 7], "what answers a removed call is removed with it"
    await restore(server, context_id, (6, 6))
    assert await shown(server, context_id) == [1, 6, 7, 8]


async def test_the_system_prompt_and_the_open_turn_can_be_removed(server: Running) -> None:
    context_id = await told(server, b.system("old"), b.system("new"), b.user("q1"), b.assistant("a"), b.user("q2"))
    await remove(server, context_id, (1, 1), (5, 5))
    assert await shown(server, context_id) == [2, 3, 4]
    window = await server.window(context_id, PLENTY, dialect=window_pb2.DIALECT_ANTHROPIC)
    assert versions(window.messages) == [2, 3, 4]
    await remove(server, context_id, (1, 5))
    assert await shown(server, context_id) == []


@pytest.mark.holds("I8")
async def test_a_fork_has_the_removals_of_its_past_and_not_those_after(server: Running) -> None:
    parent = await told(server, *(b.user(f"m{n}") for n in range(1, 6)))
    await remove(server, parent, (2, 2))
    before = (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent, at_revision=5))).context
    child = (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent, at_version=4))).context
    await remove(server, parent, (3, 3))
    await restore(server, parent, (2, 2))
    assert await shown(server, before.context_id) == [1, 2, 3, 4, 5]
    assert await shown(server, child.context_id) == [1, 3, 4]
    await restore(server, child.context_id, (2, 2))
    await remove(server, child.context_id, (1, 1))
    assert await shown(server, child.context_id) == [2, 3, 4]
    assert await shown(server, parent) == [1, 2, 4, 5]
    grandchild = (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=child.context_id))).context
    assert await shown(server, grandchild.context_id) == [2, 3, 4]


async def test_history_and_watches_say_what_was_removed(server: Running) -> None:
    context_id = await told(server, b.user("m1"), b.user("m2"))
    async with watching(server.messages, context_id, from_revision=2) as watch:
        await watch.frame()
        await remove(server, context_id, (2, 2))
        event = (await watch.frame()).event.revision
    page = await server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id, page_size=1))
    assert page.revisions[0] == event
    assert (event.kind, event.revision) == (ms.REVISION_KIND_REMOVE, 3)
    assert list(event.removal.ranges) == runs((2, 2))


async def test_refusals(server: Running) -> None:
    context_id = await told(server, b.user("m1"))
    beyond = await refused(remove(server, context_id, (1, 2)))
    assert (beyond.reason, beyond.metadata["field"]) == ("VERSION_OUT_OF_RANGE", "ranges")
    assert (await refused(remove(server, unknown_id(), (1, 1)))).reason == "CONTEXT_NOT_FOUND"
    bad = await refused(remove(server, context_id, (0, 0), (3, 2)))
    assert [name for name, _ in bad.violations] == ["ranges[0].first_version", "ranges[1].last_version"]
    assert [name for name, _ in (await refused(remove(server, context_id))).violations] == ["ranges"]


@pytest.mark.holds("I3")
async def test_removals_beside_appends_take_turns(server: Running) -> None:
    context_id = await told(server, b.user("m1"))
    await asyncio.gather(
        *(server.append(context_id, b.user(f"x{n}")) for n in range(20)),
        *(remove(server, context_id, (1, 1)) for _ in range(10)),
        *(restore(server, context_id, (1, 1)) for _ in range(10)),
    )
    context = await server.get(context_id)
    assert (context.latest_version, context.latest_revision) == (21, 41)


@pytest.mark.holds("I9")
async def test_ten_thousand_removals_are_a_page_of_them(server: Running) -> None:
    """A long removed run is passed over without being read, and pages of lists go through it."""
    context_id = (await server.create()).context_id
    for first in range(0, 9_000, 1_000):
        await server.append(context_id, *(b.user(str(first + n)) for n in range(1, 1_001)))
    await remove(server, context_id, (11, 8_995))
    assert await shown(server, context_id) == [*range(1, 11), *range(8_996, 9_001)]
    frames = await server.stream(context_id, PLENTY)
    trailer = frames[-1].trailer
    assert [(r.first_version, r.last_version) for r in trailer.excluded] == [(11, 8_995)]
