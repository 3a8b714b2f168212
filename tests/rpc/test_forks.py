"""Forks over the wire: what a child has of its parent, and what it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as ps

from tests.rpc import build as b
from tests.rpc.forks import child_of, fork, history, texts, told
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id

if TYPE_CHECKING:
    from kata.context.v1 import context_pb2

pytestmark = [loop, pytest.mark.holds("I8")]

PLENTY = 1_000_000


async def test_a_child_goes_on_where_it_left_its_parent(server: Running) -> None:
    parent = await told(server, 3, name="parent", labels={"a": "1"})
    answer = await fork(server, parent, at_version=2, name="child", labels={"b": "2"})
    child: context_pb2.Context = answer.context
    assert (child.parent_id, child.fork_version, child.fork_revision, child.depth) == (parent, 2, 3, 1)
    assert (child.latest_version, child.latest_revision, child.message_count) == (2, 4, 2)
    assert (child.name, dict(child.labels)) == ("child", {"b": "2"})
    assert child == await server.get(child.context_id)

    appended = await server.append(child.context_id, b.user("own"))
    assert (appended.first_version, appended.revision) == (3, 5)
    assert appended.context.parent_id == parent
    await server.append(parent, b.user("m4"))
    assert await texts(server, child.context_id) == ["m1", "m2", "own"]
    assert await texts(server, parent) == ["m1", "m2", "m3", "m4"]
    log = await server.log(child.context_id)
    assert [m.context_id for m in log] == [parent, parent, child.context_id], "a message says who appended it"
    window = await server.window(child.context_id, PLENTY)
    assert list(window.messages) == log
    assert (await server.get(child.context_id)).total_tokens == sum(m.token_count for m in log)


async def test_every_read_goes_through_the_lineage(server: Running) -> None:
    root = await told(server, 3)
    child = await child_of(server, root)
    await server.append(child, b.user("c4"), b.user("c5"))
    grandchild = await child_of(server, child, at_version=4)
    await server.append(grandchild, b.user("g5"), b.assistant("g6"))
    whole = ["m1", "m2", "m3", "c4", "g5", "g6"]
    assert await texts(server, grandchild) == whole

    for size in (1, 2, 3, 6):
        for order in (ms.LIST_ORDER_ASCENDING, ms.LIST_ORDER_DESCENDING):
            request = ms.ListMessagesRequest(context_id=grandchild, page_size=size, order=order)
            found = []
            while True:
                page = await server.messages.ListMessages(request)
                found += [m.text for m in page.messages]
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
            assert found == (whole if order == ms.LIST_ORDER_ASCENDING else whole[::-1]), size

    for version, text in enumerate(whole, start=1):
        got = await server.messages.GetMessage(ms.GetMessageRequest(context_id=grandchild, version=version))
        assert got.message.text == text
    beyond = server.messages.GetMessage(ms.GetMessageRequest(context_id=child, version=6))
    assert (await refused(beyond)).reason == "MESSAGE_NOT_FOUND", "a child's message is not its parent's"

    revisions = await history(server, grandchild, order=ms.LIST_ORDER_ASCENDING, page_size=2)
    assert [r.revision for r in revisions] == [1, 2, 3, 4, 5, 6, 7]
    assert [r.context_id for r in revisions] == [root] * 3 + [child] * 2 + [grandchild] * 2
    assert [r.kind for r in revisions if r.kind != ms.REVISION_KIND_APPEND] == [ms.REVISION_KIND_FORK] * 2
    assert await history(server, grandchild, page_size=3) == revisions[::-1]


@pytest.mark.holds("I2", "P17")
async def test_windows_as_of_earlier_versions_and_revisions_of_ancestors(server: Running) -> None:
    root = await told(server, 3)
    child = await child_of(server, root, at_version=2)
    await server.append(child, b.user("c3"))
    asked: list[tuple[dict[str, int], list[str]]] = [
        ({"at_version": 0}, []),
        ({"at_version": 1}, ["m1"]),
        ({"at_version": 3}, ["m1", "m2", "c3"]),
        ({"at_revision": 0}, []),
        ({"at_revision": 1}, ["m1"]),
        ({"at_revision": 3}, ["m1", "m2"]),  # what the parent had more of is not the child's
        ({"at_revision": 4}, ["m1", "m2"]),
        ({"at_revision": 5}, ["m1", "m2", "c3"]),
    ]
    for snapshot, wanted in asked:
        window = await server.window(child, PLENTY, **snapshot)
        assert [m.text for m in window.messages] == wanted, snapshot


async def test_a_fork_at_an_inherited_version_has_nothing_of_the_contexts_between(server: Running) -> None:
    root = await told(server, 3)
    child = await child_of(server, root)
    await server.append(child, b.user("c4"))
    grandchild = (await fork(server, child, at_version=2)).context
    assert (grandchild.parent_id, grandchild.depth, grandchild.fork_version) == (child, 2, 2)
    await server.append(grandchild.context_id, b.user("g3"))
    assert await texts(server, grandchild.context_id) == ["m1", "m2", "g3"]
    old = (await fork(server, grandchild.context_id, at_revision=1)).context
    assert (old.fork_version, old.fork_revision, old.latest_revision) == (1, 1, 2)
    await server.append(old.context_id, b.user("o2"))
    assert await texts(server, old.context_id) == ["m1", "o2"]
    assert [r.revision for r in await history(server, old.context_id)] == [3, 2, 1]


@pytest.mark.holds("I4")
async def test_a_repeated_fork_is_the_same_child(server: Running) -> None:
    parent = await told(server, 2)
    fields: dict[str, Any] = {"request_id": "once", "name": "n", "messages": [b.user("go on")]}
    first = await fork(server, parent, **fields)
    assert (first.replayed, first.first_version, first.last_version) == (False, 3, 3)
    await server.append(first.context.context_id, b.user("more"))
    again = await fork(server, parent, **fields)
    assert (again.replayed, again.first_version, again.last_version) == (True, 3, 3)
    assert again.context == await server.get(first.context.context_id)
    other = cs.ForkContextRequest(context_id=parent, **{**fields, "name": "other"})
    assert (await refused(server.contexts.ForkContext(other))).reason == "REQUEST_ID_REUSED"
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=parent))
    assert (await fork(server, parent, **fields)).replayed, "also when the parent is deleted"


@pytest.mark.holds("P14")
async def test_a_child_lives_on_when_its_parent_is_deleted(server: Running) -> None:
    parent = await told(server, 2)
    child = await child_of(server, parent)
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=parent))
    await server.append(child, b.user("own"))
    assert await texts(server, child) == ["m1", "m2", "own"]
    assert [m.text for m in (await server.window(child, PLENTY)).messages] == ["m1", "m2", "own"]
    error = await refused(server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent)))
    assert error.reason == "CONTEXT_NOT_FOUND"


@pytest.mark.holds("I6")
async def test_a_fork_inside_of_a_group_says_which_calls_wait(server: Running) -> None:
    parent = (await server.create()).context_id
    await server.append(parent, b.user("q"), b.calls("a", "b"), b.result("a"), b.result("b"), b.assistant("done"))
    answer = await fork(server, parent, at_version=3)
    assert list(answer.pending_call_ids) == ["b"]
    child = answer.context.context_id
    window = await server.window(child, PLENTY)
    assert ([m.version for m in window.messages], list(window.trailer.pending_call_ids)) == ([1, 2, 3], ["b"])
    await server.append(child, b.result("b", "a"))
    window = await server.window(child, PLENTY)
    assert ([m.version for m in window.messages], list(window.trailer.pending_call_ids)) == ([1, 2, 3, 4], [])
    assert list((await fork(server, parent)).pending_call_ids) == []


async def test_the_policy_is_inherited_as_of_the_revision_or_set(server: Running) -> None:
    def policy(most: int) -> policy_pb2.Policy:
        return policy_pb2.Policy(window=window_pb2.WindowOptions(max_messages=most))

    parent = await told(server, 3)
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=parent, policy=policy(1)))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=parent, policy=policy(2)))

    async def kept(**fields: Any) -> tuple[int, int]:
        child = await child_of(server, parent, **fields)
        window = await server.window(child, PLENTY)
        got = await server.policies.GetPolicy(ps.GetPolicyRequest(context_id=child))
        assert got.policy_revision == window.header.policy_revision
        return len(window.messages), window.header.policy_revision

    assert await kept() == (2, 5)
    assert await kept(at_revision=4) == (1, 4)
    assert await kept(at_revision=3) == (3, 0)
    assert await kept(policy=policy(1)) == (1, 6)

    child = await child_of(server, parent, policy=policy(1))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=child, policy=policy(3)))
    for revision, count in ((3, 3), (4, 1), (5, 2), (6, 1), (7, 3)):
        assert len((await server.window(child, PLENTY, at_revision=revision)).messages) == count, revision


async def test_what_cannot_be_forked(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), max_fork_depth=2, max_forks=3) as server:
        context_id = await told(server, 2)
        missing = await refused(server.contexts.ForkContext(cs.ForkContextRequest(context_id=unknown_id())))
        assert missing.reason == "CONTEXT_NOT_FOUND"
        for fields in ({"at_version": 3}, {"at_revision": 3}, {"at_revision": 1, "at_version": 2}):
            error = await refused(fork(server, context_id, **fields))
            assert error.reason == "VERSION_OUT_OF_RANGE", fields
        await server.create(name="taken", unique_name=True)
        error = await refused(fork(server, context_id, name="taken", unique_name=True))
        assert error.reason == "CONTEXT_EXISTS"
        calls = b.calls(*(str(n) for n in range(257)))
        assert (await refused(fork(server, context_id, messages=[calls]))).reason == "TOO_MANY_OPEN_CALLS"
        before = await server.rows()
        assert before["contexts"] == 2, "nothing is half made"

        deepest = await child_of(server, await child_of(server, context_id))
        error = await refused(fork(server, deepest))
        assert (error.reason, error.metadata["depth"], error.metadata["max"]) == ("FORK_TOO_DEEP", "3", "2")
        await child_of(server, context_id)
        await child_of(server, context_id)
        error = await refused(fork(server, context_id))
        assert (error.reason, error.metadata["max"]) == ("TOO_MANY_FORKS", "3")


async def test_a_fork_is_one_row_however_long_its_parent_is(server: Running) -> None:
    parent = await told(server, 1)
    await server.append(parent, *(b.user(str(n)) for n in range(500)))
    before = await server.rows()
    await child_of(server, parent)
    after = await server.rows()
    grown = {table: after[table] - before[table] for table in ("contexts", "revisions", "messages")}
    assert grown == {"contexts": 1, "revisions": 1, "messages": 0}
