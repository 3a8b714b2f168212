"""Lineage over the wire: where a context comes from, which logs it reads, and what was forked from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs

from tests.rpc import build as b
from tests.rpc.forks import child_of, fork, told
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id

if TYPE_CHECKING:
    from kata.context.v1 import lineage_pb2

pytestmark = loop


async def lineage(server: Running, context_id: str, page_size: int = 0) -> cs.GetLineageResponse:
    """Reads a lineage with all of its pages of forks; the rest must be the same on each."""
    request = cs.GetLineageRequest(context_id=context_id, page_size=page_size)
    whole = await server.contexts.GetLineage(request)
    token = whole.next_page_token
    while token:
        page = await server.contexts.GetLineage(
            cs.GetLineageRequest(context_id=context_id, page_size=page_size, page_token=token)
        )
        assert (page.context, page.ancestors, page.segments) == (whole.context, whole.ancestors, whole.segments)
        whole.children.extend(page.children)
        token = page.next_page_token
    return whole


def segments(found: cs.GetLineageResponse) -> list[tuple[str, int, int, int]]:
    return [(s.context_id, s.first_version, s.last_version, s.last_revision) for s in found.segments]


async def test_a_context_among_its_ancestors_and_its_forks(server: Running) -> None:
    root = await told(server, 3, name="root")
    child = await child_of(server, root, at_version=2, name="child")
    await server.append(child, b.user("c3"), b.user("c4"))
    grandchild = await child_of(server, child, name="grandchild")
    await server.append(grandchild, b.user("g5"))
    leaf = await child_of(server, grandchild, at_version=3, name="leaf")

    found = await lineage(server, grandchild)
    assert [a.name for a in found.ancestors] == ["root", "child"]
    assert segments(found) == [(root, 1, 2, 3), (child, 3, 4, 5), (grandchild, 5, 5, 7)]
    assert [(c.context_id, c.name, c.has_forks) for c in found.children] == [(leaf, "leaf", False)]
    for shown in (found.context, *found.ancestors, *found.children):
        context = await server.get(shown.context_id)
        for field in ("name", "parent_id", "depth", "latest_version", "latest_revision", "total_tokens", "create_time"):
            assert getattr(shown, field) == getattr(context, field), (context.name, field)
        for field in ("fork_version", "fork_revision", "delete_time"):
            assert shown.HasField(field) == context.HasField(field)
            assert getattr(shown, field) == getattr(context, field)
    assert all(a.has_forks for a in found.ancestors)

    deepest = await lineage(server, leaf)
    assert segments(deepest) == [(root, 1, 2, 3), (child, 3, 3, 5), (grandchild, 5, 3, 7), (leaf, 4, 3, 8)]
    log = await server.log(leaf)
    read = [s.context_id for s in deepest.segments for _ in range(s.first_version, s.last_version + 1)]
    assert read == [m.context_id for m in log], "the segments are what is read, without a gap"

    alone = await lineage(server, root)
    assert (list(alone.ancestors), segments(alone)) == ([], [(root, 1, 3, 3)])
    empty = await lineage(server, (await server.create()).context_id)
    assert (list(empty.children), [s[1:] for s in segments(empty)]) == ([], [(1, 0, 0)])


@pytest.mark.holds("P14", "P24")
async def test_deleted_contexts_are_shown_as_such_and_have_their_lineage(server: Running) -> None:
    root = await told(server, 1, name="root")
    child = await child_of(server, root, name="child")
    grandchild = await child_of(server, child, name="grandchild")
    sibling = await child_of(server, child, name="sibling")
    for context_id in (root, child, sibling):
        await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))

    found = await lineage(server, grandchild)
    assert [(a.name, a.HasField("delete_time")) for a in found.ancestors] == [("root", True), ("child", True)]
    assert not found.context.HasField("delete_time")
    of_deleted = await lineage(server, child)
    assert of_deleted.context.HasField("delete_time")
    shown: list[lineage_pb2.LineageContext] = list(of_deleted.children)
    assert [(c.name, c.HasField("delete_time")) for c in shown] == [("grandchild", False), ("sibling", True)]
    assert (await lineage(server, root)).children[0].has_forks


async def test_forks_page_in_the_order_in_which_they_were_made(server: Running) -> None:
    parent = await told(server, 1)
    made = [await child_of(server, parent, name=str(n)) for n in range(7)]
    for size in (1, 2, 3, 6, 7, 100):
        assert [c.context_id for c in (await lineage(server, parent, size)).children] == made, size
    first = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=parent, page_size=5))
    made.append(await child_of(server, parent))
    rest = cs.GetLineageRequest(context_id=parent, page_size=5, page_token=first.next_page_token)
    assert [c.context_id for c in (await server.contexts.GetLineage(rest)).children] == made[5:], "later ones come last"
    exactly = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=parent, page_size=8))
    assert (len(exactly.children), exactly.next_page_token) == (8, "")


async def test_children_that_share_a_number_are_each_shown_once(server: Running) -> None:
    """As two are that were forked at the same moment."""
    parent = await told(server, 1)
    made = [await child_of(server, parent) for _ in range(6)]
    await server.query("update contexts set child_number = 1 where parent_id = $1::text::uuid", parent)
    for size in (1, 2, 4):
        assert [c.context_id for c in (await lineage(server, parent, size)).children] == sorted(made), size


@pytest.mark.holds("I10")
async def test_nobody_sees_the_lineage_of_another_tenant(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as one, serve(url, tenant="other") as other:
        parent = await told(one, 1)
        child = await child_of(one, parent)
        own = await told(other, 1)
        token = (await one.contexts.GetLineage(cs.GetLineageRequest(context_id=parent, page_size=1))).next_page_token
        assert token == ""
        await child_of(one, parent)
        token = (await one.contexts.GetLineage(cs.GetLineageRequest(context_id=parent, page_size=1))).next_page_token
        for context_id in (parent, child):
            error = await refused(other.contexts.GetLineage(cs.GetLineageRequest(context_id=context_id)))
            missing = await refused(other.contexts.GetLineage(cs.GetLineageRequest(context_id=unknown_id())))
            assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")
            assert error.message.replace(context_id, "") == missing.message.replace(missing.metadata["context_id"], "")
        stolen = cs.GetLineageRequest(context_id=own, page_size=1, page_token=token)
        assert (await refused(other.contexts.GetLineage(stolen))).reason == "PAGE_TOKEN_MISMATCH"
        # What a broken row would say of another tenant's contexts is not followed either.
        await one.query(
            "update contexts set parent_id = $2::text::uuid, fork_version = 0, fork_revision = 0 "
            "where id = $1::text::uuid",
            own,
            child,
        )
        assert list((await lineage(other, own)).ancestors) == []
        assert [c.context_id for c in (await lineage(one, child)).children] == []


async def test_a_walk_over_forks_goes_on_only_with_its_own_token(server: Running) -> None:
    parent = await told(server, 1)
    other = await told(server, 1)
    for _ in range(3):
        await child_of(server, parent)
    first = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=parent, page_size=1))
    mixed = cs.GetLineageRequest(context_id=other, page_token=first.next_page_token)
    assert (await refused(server.contexts.GetLineage(mixed))).reason == "PAGE_TOKEN_MISMATCH"


@pytest.mark.holds("I9")
async def test_a_deep_fork_has_all_of_its_ancestors(server: Running) -> None:
    line = [await told(server, 1, name="0")]
    for depth in range(1, 33):
        line.append((await fork(server, line[-1], name=str(depth), messages=[b.user("x")])).context.context_id)
    found = await lineage(server, line[-1])
    assert [a.context_id for a in found.ancestors] == line[:-1]
    assert [a.depth for a in found.ancestors] == list(range(32))
    assert [s.context_id for s in found.segments] == line
