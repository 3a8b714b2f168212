"""Tags over the wire: names of snapshots that stay where they are until somebody moves or deletes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from kata.context.v1 import context_pb2, policy_pb2, window_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps

from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Running, loop, read_error, refused, serve, unknown_id

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [loop, pytest.mark.holds("I2")]

PLENTY = 1_000_000


async def told(server: Running, count: int) -> str:
    """Makes a context of so many messages, each appended by itself."""
    context_id = (await server.create()).context_id
    for number in range(1, count + 1):
        await server.append(context_id, b.user(f"m{number}"))
    return context_id


async def put(server: Running, context_id: str, name: str, **fields: Any) -> cs.TagVersionResponse:
    return await server.contexts.TagVersion(cs.TagVersionRequest(context_id=context_id, name=name, **fields))


async def drop(server: Running, context_id: str, name: str, **fields: Any) -> cs.DeleteTagResponse:
    return await server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name=name, **fields))


async def tags(server: Running, context_id: str, page_size: int = 0) -> list[context_pb2.Tag]:
    request = cs.ListTagsRequest(context_id=context_id, page_size=page_size)
    found: list[context_pb2.Tag] = []
    while True:
        page = await server.contexts.ListTags(request)
        found.extend(page.tags)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def texts(server: Running, context_id: str, **at: Any) -> list[str]:
    return [message.text for message in (await server.window(context_id, PLENTY, **at)).messages]


def places(found: Sequence[context_pb2.Tag]) -> list[tuple[str, int, int]]:
    return [(tag.name, tag.version, tag.revision) for tag in found]


async def test_a_tag_is_of_the_latest_unless_it_says_otherwise(server: Running) -> None:
    context_id = await told(server, 3)
    first = await put(server, context_id, "latest")
    assert (first.tag.version, first.tag.revision, first.revision, first.replayed) == (3, 3, 4, False)
    second_message = (await server.log(context_id))[1]
    asked: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
        ("of-a-version", {"at_version": 1}, (1, 4)),
        ("of-a-revision", {"at_revision": 2}, (2, 2)),
        ("of-both", {"at_version": 1, "at_revision": 2}, (1, 2)),
        ("of-a-time", {"at_time": second_message.create_time}, (2, 2)),
        ("of-a-tag", {"at_tag": "of-both"}, (1, 2)),
        ("of-nothing", {"at_version": 0}, (0, 9)),
    ]
    for name, at, place in asked:
        answer = await put(server, context_id, name, **at)
        assert (answer.tag.version, answer.tag.revision) == place, name
        assert await texts(server, context_id, at_tag=name) == [f"m{n}" for n in range(1, place[0] + 1)]
    last = await put(server, context_id, "last")
    context = await server.get(context_id)
    assert (context.latest_version, context.latest_revision) == (3, 11)
    assert context.update_time == last.tag.update_time, "each is a revision"
    assert places(await tags(server, context_id)) == sorted(
        [("last", 3, 10), ("latest", 3, 3), *((name, *place) for name, _, place in asked)]
    )


async def test_a_tag_is_exactly_what_was_there_then(server: Running) -> None:
    def policy(most: int) -> ps.SetPolicyRequest:
        options = window_pb2.WindowOptions(max_messages=most)
        return ps.SetPolicyRequest(context_id=context_id, policy=policy_pb2.Policy(window=options))

    context_id = await told(server, 3)
    await server.policies.SetPolicy(policy(2))
    then = await server.window(context_id, PLENTY)
    await put(server, context_id, "t")
    await server.append(context_id, b.user("m4"))
    await server.policies.SetPolicy(policy(1))
    assert await server.window(context_id, PLENTY, at_tag="t") == then
    assert await texts(server, context_id) == ["m4"]


async def test_a_tag_is_moved_only_where_that_is_said(server: Running) -> None:
    context_id = await told(server, 2)
    await put(server, context_id, "t", at_version=1)
    before = await server.rows()
    error = await refused(put(server, context_id, "t"))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "TAG_EXISTS")
    assert error.metadata == {"context_id": context_id, "tag": "t"}
    assert error.detail(details.ResourceInfo()).resource_name == f"{context_id}/t"
    assert await server.rows() == before
    assert await texts(server, context_id, at_tag="t") == ["m1"]

    moved = await put(server, context_id, "t", move=True)
    assert await texts(server, context_id, at_tag="t") == ["m1", "m2"]
    assert await tags(server, context_id) == [moved.tag]
    new = await put(server, context_id, "T", move=True)
    assert len(await tags(server, context_id)) == 2, "a tag that is not there is set; case counts"
    assert (new.tag.version, new.tag.revision) == (2, 4)


async def test_a_deleted_tag_is_gone_and_what_it_named_is_not(server: Running) -> None:
    context_id = await told(server, 1)
    await put(server, context_id, "t")
    await put(server, context_id, "u")
    assert (await drop(server, context_id, "t")).revision == 4
    assert [tag.name for tag in await tags(server, context_id)] == ["u"]
    for call in (drop(server, context_id, "t"), texts(server, context_id, at_tag="t")):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "TAG_NOT_FOUND")
        assert error.metadata == {"context_id": context_id, "tag": "t"}
    assert await texts(server, context_id) == ["m1"]
    assert (await put(server, context_id, "t")).tag.revision == 4, "the name is free again"


async def test_pages_of_tags_are_by_name(server: Running) -> None:
    context_id = await told(server, 1)
    names = ["a" * 128, *(f"v{n:02}" for n in range(9)), "2026-01-02T12:00", "release/1.0", "x@y+z"]
    for name in reversed(names):
        await put(server, context_id, name)
    whole = await tags(server, context_id)
    assert {tag.name for tag in whole} == set(names)
    numbered = [tag.name for tag in whole if tag.name.startswith("v")]
    assert numbered == sorted(numbered)
    for size in (1, 2, 5, 13, 1_000):
        assert await tags(server, context_id, size) == whole
    assert await tags(server, await told(server, 0)) == []

    token = (await server.contexts.ListTags(cs.ListTagsRequest(context_id=context_id, page_size=1))).next_page_token
    other = cs.ListTagsRequest(context_id=await told(server, 0), page_token=token)
    assert (await refused(server.contexts.ListTags(other))).reason == "PAGE_TOKEN_MISMATCH"


@pytest.mark.holds("I12")
@pytest.mark.parametrize("name", ["", "x" * 129, "-x", "two words", "ä", "a\x00", "a\n", "../x", "a,b"])
async def test_names_that_are_none(server: Running, name: str) -> None:
    context_id = await told(server, 1)
    before = await server.rows()
    calls: list[Any] = [put(server, context_id, name), drop(server, context_id, name)]
    for call in calls:
        assert (await refused(call)).violations == [("name", "MALFORMED_NAME" if name else "REQUIRED")]
    if name:
        assert (await refused(texts(server, context_id, at_tag=name))).violations == [("at_tag", "MALFORMED_NAME")]
    assert await server.rows() == before


async def test_points_that_cannot_be_tagged(server: Running) -> None:
    context_id = await told(server, 2)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"at_version": 3}, "at_version"),
        ({"at_revision": 3}, "at_revision"),
        ({"at_version": 2, "at_revision": 1}, "at_version"),
    ]
    for at, field in cases:
        error = await refused(put(server, context_id, "t", **at))
        assert (error.reason, error.metadata["field"]) == ("VERSION_OUT_OF_RANGE", field)
    assert await tags(server, context_id) == []
    assert (await server.get(context_id)).latest_revision == 2


@pytest.mark.holds("I4")
async def test_a_repetition_is_the_first_answer_whatever_became_of_the_tag(server: Running) -> None:
    context_id = await told(server, 2)
    await put(server, context_id, "t", at_version=1)
    fields: dict[str, Any] = {"move": True, "request_id": "once"}
    first = await put(server, context_id, "t", **fields)
    await server.append(context_id, b.user("m3"))
    await put(server, context_id, "t", move=True)
    repeated = await put(server, context_id, "t", **fields)
    assert (repeated.tag, repeated.revision, repeated.replayed) == (first.tag, first.revision, True)
    assert [tag.version for tag in await tags(server, context_id)] == [3], "and moves nothing back"

    gone = await drop(server, context_id, "t", request_id="gone")
    assert (await put(server, context_id, "t", **fields)).tag == first.tag
    await put(server, context_id, "t")
    again = await drop(server, context_id, "t", request_id="gone")
    assert (again.revision, again.replayed) == (gone.revision, True)
    assert len(await tags(server, context_id)) == 1, "the new one stays"

    others: list[Any] = [
        put(server, context_id, "t", request_id="once"),
        put(server, context_id, "t", at_version=1, **fields),
        drop(server, context_id, "t", request_id="once"),
        put(server, context_id, "u", request_id="gone"),
    ]
    for call in others:
        assert (await refused(call)).reason == "REQUEST_ID_REUSED"


@pytest.mark.holds("I4", "P24")
async def test_tags_of_a_deleted_context_come_back_with_it(server: Running) -> None:
    context_id = await told(server, 2)
    first = await put(server, context_id, "t", at_version=1, request_id="r")
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    calls: list[Any] = [put(server, context_id, "u"), drop(server, context_id, "t"), tags(server, context_id)]
    for call in calls:
        assert (await refused(call)).reason == "CONTEXT_NOT_FOUND"
    assert (await put(server, context_id, "t", at_version=1, request_id="r")).tag == first.tag
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
    assert await tags(server, context_id) == [first.tag]
    assert await texts(server, context_id, at_tag="t") == ["m1"]


async def test_two_writers_of_one_name(server: Running) -> None:
    """Without `move` one of them has it; with it all of them do, one after the other, and the history says so."""
    context_id = await told(server, 8)

    async def attempt(version: int, **fields: Any) -> str:
        try:
            await put(server, context_id, "t", at_version=version, **fields)
        except grpc.RpcError as error:
            return read_error(error).reason
        return ""

    outcomes = await asyncio.gather(*(attempt(version) for version in range(1, 9)))
    assert sorted(outcomes) == [""] + ["TAG_EXISTS"] * 7
    (tag,) = await tags(server, context_id)
    assert tag.version == outcomes.index("") + 1
    assert (await server.get(context_id)).latest_revision == 9

    outcomes = await asyncio.gather(*(attempt(version, move=True) for version in range(1, 9)))
    assert outcomes == [""] * 8
    request = ms.ListHistoryRequest(context_id=context_id, kinds=[ms.REVISION_KIND_TAG], order=ms.LIST_ORDER_ASCENDING)
    moves = [revision.tag for revision in (await server.messages.ListHistory(request)).revisions]
    assert len(moves) == 9
    assert [m.previous_version for m in moves[1:]] == [m.version for m in moves[:-1]], "each found the one before it"
    assert places(await tags(server, context_id)) == [("t", moves[-1].version, moves[-1].revision)]


@pytest.mark.holds("I3")
async def test_tagging_while_others_append(server: Running) -> None:
    """A tag of the latest is of what was there when it was set: no append comes between the two."""
    context_id = await told(server, 1)
    answers = await asyncio.gather(
        *(put(server, context_id, f"t{n}") for n in range(10)),
        *(server.append(context_id, b.user("x"), b.assistant("y")) for _ in range(10)),
    )
    tagged = [answer for answer in answers if isinstance(answer, cs.TagVersionResponse)]
    for answer in tagged:
        assert answer.tag.revision == answer.revision - 1
        window = await server.window(context_id, PLENTY, at_revision=answer.revision)
        assert window.header.snapshot_version == answer.tag.version
    context = await server.get(context_id)
    assert (context.latest_version, context.latest_revision) == (21, 21)


@pytest.mark.holds("I8")
async def test_forks_have_no_tags_of_their_parent_and_may_be_made_at_one(server: Running) -> None:
    parent = await told(server, 3)
    await put(server, parent, "t", at_revision=2)
    request = cs.ForkContextRequest(context_id=parent, at_tag="t", request_id=unknown_id())
    first = await server.contexts.ForkContext(request)
    child = first.context
    assert (child.fork_version, child.fork_revision, child.latest_revision) == (2, 2, 3)
    assert await tags(server, child.context_id) == []
    missing = cs.ForkContextRequest(context_id=child.context_id, at_tag="t")
    assert (await refused(server.contexts.ForkContext(missing))).reason == "TAG_NOT_FOUND"

    await put(server, parent, "t", move=True)
    again = await server.contexts.ForkContext(request)
    assert (again.replayed, again.context) == (True, child), "the tag's place at the first call holds"
    await drop(server, parent, "t")
    assert (await server.contexts.ForkContext(request)).replayed

    await server.append(child.context_id, b.user("c3"))
    await put(server, child.context_id, "t", at_version=1)  # of what it inherited
    await put(server, child.context_id, "own")
    assert await texts(server, child.context_id, at_tag="t") == ["m1"]
    assert await texts(server, child.context_id, at_tag="own") == ["m1", "m2", "c3"]
    grandchild = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=child.context_id, at_tag="own"))
    assert await texts(server, grandchild.context.context_id) == ["m1", "m2", "c3"]
    assert await tags(server, parent) == []


@pytest.mark.holds("I10")
async def test_tags_are_their_tenants_own(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url, "ours") as ours, serve(url, "theirs") as theirs:
        context_id = await told(ours, 1)
        await put(ours, context_id, "t")
        calls: list[Any] = [
            put(theirs, context_id, "u"),
            put(theirs, context_id, "t", move=True),
            drop(theirs, context_id, "t"),
            tags(theirs, context_id),
            texts(theirs, context_id, at_tag="t"),
        ]
        for call in calls:
            assert (await refused(call)).reason == "CONTEXT_NOT_FOUND"
        assert places(await tags(ours, context_id)) == [("t", 1, 1)]
