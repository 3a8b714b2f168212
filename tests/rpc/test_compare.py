"""Comparing contexts over the wire: by lineage, whatever their texts say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import lineage_pb2

from tests.rpc import build as b
from tests.rpc.forks import child_of, told
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id

if TYPE_CHECKING:
    from kata.context.v1 import message_pb2

pytestmark = loop


def point(context_id: str, **fields: int) -> lineage_pb2.ContextPoint:
    return lineage_pb2.ContextPoint(context_id=context_id, **fields)


async def compare(
    server: Running, left: lineage_pb2.ContextPoint, right: lineage_pb2.ContextPoint, page_size: int = 0
) -> cs.CompareContextsResponse:
    """Reads a comparison with all of its pages; all but the messages must be the same on each."""
    whole = cs.CompareContextsResponse()
    token = ""
    while True:
        request = cs.CompareContextsRequest(left=left, right=right, page_size=page_size, page_token=token)
        page = await server.contexts.CompareContexts(request)
        if token:
            for field in ("common_ancestor_id", "shared_version", "left", "right"):
                assert getattr(page, field) == getattr(whole, field), field
        assert page_size == 0 or max(len(page.left_messages), len(page.right_messages)) <= page_size
        token = page.next_page_token
        whole.MergeFrom(page)
        whole.ClearField("next_page_token")
        if not token:
            return whole


@dataclass(frozen=True)
class Tree:
    """Root m1 to m4; left forked at 3 with l4 and l5, right forked at 2 with r3, deep of left at 4 with d5."""

    root: str
    left: str
    right: str
    deep: str


async def tree(server: Running) -> Tree:
    root = await told(server, 4)
    left = await child_of(server, root, at_version=3)
    await server.append(left, b.user("l4"), b.user("l5"))
    right = await child_of(server, root, at_version=2)
    await server.append(right, b.user("m3"))  # what the root says there, too
    deep = await child_of(server, left, at_version=4)
    await server.append(deep, b.user("d5"))
    return Tree(root, left, right, deep)


def texts(messages: Any) -> list[str]:
    return [message.text for message in messages]


async def test_what_contexts_share_is_found_by_lineage(server: Running) -> None:
    t = await tree(server)
    asked: list[tuple[str, str, str, int, list[str], list[str]]] = [
        (t.root, t.root, t.root, 4, [], []),
        (t.root, t.left, t.root, 3, ["m4"], ["l4", "l5"]),
        (t.left, t.root, t.root, 3, ["l4", "l5"], ["m4"]),
        (t.left, t.right, t.root, 2, ["m3", "l4", "l5"], ["m3"]),
        (t.left, t.deep, t.left, 4, ["l5"], ["d5"]),
        (t.deep, t.right, t.root, 2, ["m3", "l4", "d5"], ["m3"]),
        (t.root, t.deep, t.root, 3, ["m4"], ["l4", "d5"]),
    ]
    for one, other, ancestor, shared, of_one, of_other in asked:
        found = await compare(server, point(one), point(other))
        assert (found.common_ancestor_id, found.shared_version) == (ancestor, shared)
        assert (texts(found.left_messages), texts(found.right_messages)) == (of_one, of_other)
        for size in (1, 2):
            assert await compare(server, point(one), point(other), size) == found
        for side, context_id, messages in (
            (found.left, one, found.left_messages),
            (found.right, other, found.right_messages),
        ):
            context, log = await server.get(context_id), await server.log(context_id)
            assert list(messages) == log[shared:], "records as they are listed"
            assert (side.context_id, side.version, side.revision) == (
                context_id,
                context.latest_version,
                context.latest_revision,
            )
            assert side.message_count == len(messages)
            assert side.total_tokens == sum(m.token_count for m in messages)


@pytest.mark.holds("I2")
async def test_as_of_earlier_moments(server: Running) -> None:
    t = await tree(server)
    asked: list[tuple[lineage_pb2.ContextPoint, lineage_pb2.ContextPoint, int, list[str], list[str]]] = [
        (point(t.root, at_version=1), point(t.left), 1, [], ["m2", "m3", "l4", "l5"]),
        (point(t.root, at_version=2), point(t.root), 2, [], ["m3", "m4"]),
        (point(t.root, at_version=0), point(t.root), 0, [], ["m1", "m2", "m3", "m4"]),
        (point(t.root, at_revision=3), point(t.left, at_version=4), 3, [], ["l4"]),
        (point(t.left, at_revision=5), point(t.deep, at_version=3), 3, [], []),
        (point(t.left, at_version=3, at_revision=6), point(t.root), 3, [], ["m4"]),
    ]
    for one, other, shared, of_one, of_other in asked:
        found = await compare(server, one, other, 2)
        assert found.shared_version == shared
        assert (texts(found.left_messages), texts(found.right_messages)) == (of_one, of_other)
    for wrong in ({"at_version": 5}, {"at_revision": 5}):
        error = await refused(compare(server, point(t.root), point(t.root, **wrong)))
        assert error.reason == "VERSION_OUT_OF_RANGE"


async def test_contexts_without_a_common_ancestor_share_nothing_though_they_say_the_same(server: Running) -> None:
    one, other = await told(server, 2), await told(server, 3)
    found = await compare(server, point(one), point(other), 1)
    assert (found.common_ancestor_id, found.shared_version) == ("", 0)
    assert (texts(found.left_messages), texts(found.right_messages)) == (["m1", "m2"], ["m1", "m2", "m3"])
    child, sibling = await child_of(server, one, at_version=0), await child_of(server, one, at_version=0)
    found = await compare(server, point(child), point(sibling))
    assert (found.common_ancestor_id, found.shared_version) == (one, 0), "an ancestor, and nothing of it"


async def test_siblings_that_were_forked_at_an_inherited_version(server: Running) -> None:
    root = await told(server, 3)
    middle = await child_of(server, root)
    await server.append(middle, b.user("x4"))
    one, other = await child_of(server, middle, at_version=2), await child_of(server, middle, at_version=3)
    found = await compare(server, point(one), point(other))
    assert (found.common_ancestor_id, found.shared_version) == (middle, 2)
    assert (texts(found.left_messages), texts(found.right_messages)) == ([], ["m3"])


async def test_a_walk_stays_where_it_began(server: Running) -> None:
    t = await tree(server)
    request = cs.CompareContextsRequest(left=point(t.left), right=point(t.right), page_size=1)
    first = await server.contexts.CompareContexts(request)
    await server.append(t.left, b.user("later"))
    await server.append(t.right, b.user("later"))
    request.page_token = first.next_page_token
    found: list[message_pb2.Message] = []
    while request.page_token:
        page = await server.contexts.CompareContexts(request)
        assert (page.left, page.right) == (first.left, first.right)
        found += [*page.left_messages, *page.right_messages]
        request.page_token = page.next_page_token
    assert texts(found) == ["l4", "l5"]
    other = cs.CompareContextsRequest(left=point(t.right), right=point(t.left), page_token=first.next_page_token)
    assert (await refused(server.contexts.CompareContexts(other))).reason == "PAGE_TOKEN_MISMATCH"


@pytest.mark.holds("I11")
async def test_a_page_is_bounded_in_bytes_on_each_side(server: Running) -> None:
    root = await told(server, 1)
    left, right = await child_of(server, root), await child_of(server, root)
    for size in (600_000, 600_000, 3_000_000, 10):
        await server.append(left, b.user("x" * size))
    await server.append(right, b.user("y"), b.user("z"))
    request = cs.CompareContextsRequest(left=point(left), right=point(right))
    pages = []
    while True:
        page = await server.contexts.CompareContexts(request)
        pages.append(([len(m.text) for m in page.left_messages], texts(page.right_messages)))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert pages == [([600_000], ["y", "z"]), ([600_000], []), ([3_000_000], []), ([10], [])]


@pytest.mark.holds("I10", "P24")
async def test_what_cannot_be_compared(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as one, serve(url, tenant="other") as other:
        live, gone, theirs = await told(one, 1), await told(one, 1), await told(other, 1)
        await one.contexts.DeleteContext(cs.DeleteContextRequest(context_id=gone))
        for missing in (gone, theirs, unknown_id()):
            for pair in ((missing, live), (live, missing)):
                error = await refused(compare(one, *map(point, pair)))
                assert (error.reason, error.metadata["context_id"]) == ("CONTEXT_NOT_FOUND", missing)
