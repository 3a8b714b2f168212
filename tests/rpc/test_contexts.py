"""Contexts over the wire: creating, finding, changing, deleting, and what tenants see of each other."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms

from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id

pytestmark = loop

UPPER_CASE = "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA"


def fresh_name() -> str:
    return f"name {uuid4()}"


def struct(**values: Any) -> Struct:
    made = Struct()
    made.update(values)
    return made


async def update(server: Running, context_id: str, *paths: str, request_id: str = "", **values: Any) -> Any:
    """Updates with a mask of `paths`, or without a mask."""
    return await server.contexts.UpdateContext(
        cs.UpdateContextRequest(
            context=context_pb2.Context(context_id=context_id, **values),
            update_mask=FieldMask(paths=paths) if paths else None,
            request_id=request_id,
        )
    )


async def delete(server: Running, context_id: str, **fields: Any) -> cs.DeleteContextResponse:
    return await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id, **fields))


async def undelete(server: Running, context_id: str, **fields: Any) -> cs.UndeleteContextResponse:
    return await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id, **fields))


# --- creating ---------------------------------------------------------------------------------------------------------


async def test_a_context_has_what_it_was_created_with(server: Running) -> None:
    origin = context_pb2.Origin(format="openai", id="conv-1", extra_json='{"b":1.0, "a":2}')
    created = await server.create(
        name="Ünïcode", labels={"a": "1", "b": ""}, metadata=struct(x=[1, None]), tokenizer="cl100k_base", origin=origin
    )
    assert str(UUID(created.context_id)) == created.context_id
    assert created.name == "Ünïcode"
    assert dict(created.labels) == {"a": "1", "b": ""}
    assert created.metadata == struct(x=[1, None])
    assert created.tokenizer == "cl100k_base"
    assert created.origin == origin
    assert created.create_time == created.update_time
    assert not created.HasField("delete_time")
    counters = (created.message_count, created.total_tokens, created.latest_version, created.latest_revision)
    assert counters == (0, 0, 0, 0)
    assert created.etag
    assert await server.get(created.context_id) == created


async def test_everything_has_a_default(server: Running) -> None:
    created = await server.create()
    assert created.tokenizer == "o200k_base"
    assert (created.name, dict(created.labels), created.unique_name) == ("", {}, False)
    assert not created.HasField("metadata")
    assert not created.HasField("origin")
    assert created.context_id != (await server.create()).context_id


@pytest.mark.holds("I4")
async def test_creation_is_repeatable(server: Running) -> None:
    key = str(uuid4())
    request = cs.CreateContextRequest(name="n", labels={"a": "1", "b": "2"}, metadata=struct(p=1, q=2), request_id=key)
    first = await server.contexts.CreateContext(request)
    assert not first.replayed
    turned = cs.CreateContextRequest(
        name="n", labels={"b": "2", "a": "1"}, metadata=struct(q=2, p=1), tokenizer="o200k_base", request_id=key
    )
    again = await server.contexts.CreateContext(turned)
    assert again.replayed
    assert again.context == first.context
    await update(server, first.context.context_id, "name", name="changed")
    await server.append(first.context.context_id, b.user("x"))
    again = await server.contexts.CreateContext(request)
    assert again.replayed
    assert (again.context.name, again.context.latest_version) == ("changed", 1), "as it is now"
    await delete(server, first.context.context_id)
    assert (await server.contexts.CreateContext(request)).context.HasField("delete_time")


@pytest.mark.holds("I4")
@pytest.mark.parametrize(
    "other",
    [
        {"name": "m"},
        {"name": "n", "labels": {"a": "1"}},
        {"name": "n", "metadata": struct(a=1)},
        {"name": "n", "tokenizer": "cl100k_base"},
        {"name": "n", "unique_name": True},
        {"name": "n", "origin": context_pb2.Origin(format="openai", id="1")},
    ],
)
async def test_a_creation_with_a_request_id_of_another(server: Running, other: dict[str, Any]) -> None:
    key = str(uuid4())
    await server.create(name="n", request_id=key)
    error = await refused(server.create(**other, request_id=key))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert error.metadata == {"request_id": key}


@pytest.mark.holds("I4")
async def test_a_creations_request_id_is_used_up_within_the_context(server: Running) -> None:
    key = str(uuid4())
    context_id = (await server.create(request_id=key)).context_id
    assert (await refused(server.append(context_id, b.user("x"), request_id=key))).reason == "REQUEST_ID_REUSED"


# --- unique names -----------------------------------------------------------------------------------------------------


@pytest.mark.holds("P19")
async def test_unique_names_are_unique_among_the_live_that_want_it(server: Running) -> None:
    name = fresh_name()
    first = await server.create(name=name, unique_name=True)
    error = await refused(server.create(name=name, unique_name=True))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONTEXT_EXISTS")
    assert error.metadata == {"name": name}
    assert error.detail(error_details_pb2.ResourceInfo()).resource_name == name
    for _ in range(2):
        await server.create(name=name)
    await delete(server, first.context_id)
    second = await server.create(name=name, unique_name=True)
    assert (await refused(undelete(server, first.context_id))).reason == "CONTEXT_EXISTS"
    await delete(server, second.context_id)
    await undelete(server, first.context_id)
    assert (await refused(undelete(server, second.context_id))).reason == "CONTEXT_EXISTS"


@pytest.mark.holds("P19", "I4")
async def test_a_creation_with_a_unique_name_is_repeatable(server: Running) -> None:
    fields: dict[str, Any] = {"name": fresh_name(), "unique_name": True, "request_id": str(uuid4())}
    first = await server.create(**fields)
    again = await server.contexts.CreateContext(cs.CreateContextRequest(**fields))
    assert again.replayed
    assert again.context == first


@pytest.mark.holds("P19")
async def test_unique_names_move_with_updates(server: Running) -> None:
    one, two = fresh_name(), fresh_name()
    first = (await server.create(name=one, unique_name=True)).context_id
    second = (await server.create(name=two)).context_id
    assert (await refused(update(server, second, "*", name=one, unique_name=True))).reason == "CONTEXT_EXISTS"
    assert (await server.get(second)).name == two
    await update(server, second, "name", name=one)
    assert (await refused(update(server, second, "unique_name", unique_name=True))).reason == "CONTEXT_EXISTS"
    await update(server, first, "name", name=two)
    await update(server, second, "unique_name", unique_name=True)
    assert (await refused(update(server, first, "name", name=one))).reason == "CONTEXT_EXISTS"
    await update(server, second, "unique_name")
    await update(server, first, "name", name=one)
    await update(server, first, "metadata", metadata=struct(a=1))
    assert (await server.get(first)).unique_name


@pytest.mark.holds("P19")
async def test_no_name_is_nobodys(server: Running) -> None:
    name = fresh_name()
    emptied = [(await server.create(name=name + end, unique_name=True)).context_id for end in "ab"]
    for context_id in emptied:
        await update(server, context_id, "name")
        assert (await server.get(context_id)).unique_name
    await server.create(name=name + "a", unique_name=True)
    assert (await refused(update(server, emptied[1], "name", name=name + "a"))).reason == "CONTEXT_EXISTS"
    assert (await refused(server.create(unique_name=True))).violations == [("name", "REQUIRED")]


# --- updating ---------------------------------------------------------------------------------------------------------


async def test_a_mask_says_what_changes(server: Running) -> None:
    created = await server.create(name="n", labels={"a": "1"}, metadata=struct(m=1))
    values: dict[str, Any] = {"name": "new", "labels": {"b": "2"}, "metadata": struct(m=2)}
    answer = await update(server, created.context_id, "labels", **values)
    assert (answer.context.name, dict(answer.context.labels)) == ("n", {"b": "2"})
    assert answer.context.metadata == struct(m=1)
    assert (answer.revision, answer.context.latest_revision, answer.replayed) == (1, 1, False)
    assert answer.context.etag != created.etag
    assert answer.context.update_time.ToNanoseconds() > created.update_time.ToNanoseconds()
    answer = await update(server, created.context_id, "name", "metadata", **values)
    assert (answer.context.name, answer.context.metadata) == ("new", struct(m=2))
    cleared = await update(server, created.context_id, "name", "labels", "metadata")
    assert (cleared.context.name, dict(cleared.context.labels)) == ("", {})
    assert not cleared.context.HasField("metadata")


async def test_without_a_mask_what_is_populated_changes(server: Running) -> None:
    context_id = (await server.create(name="n", labels={"a": "1"}, metadata=struct(m=1))).context_id
    answer = await update(server, context_id, labels={"b": "2"})
    assert (answer.context.name, dict(answer.context.labels)) == ("n", {"b": "2"})
    assert answer.context.metadata == struct(m=1)
    answer = await update(server, context_id, name="m", metadata=Struct())
    assert answer.context.name == "m"
    assert answer.context.metadata == Struct()


async def test_a_star_changes_everything(server: Running) -> None:
    context_id = (await server.create(name="n", labels={"a": "1"}, metadata=struct(m=1))).context_id
    answer = await update(server, context_id, "*", name="only this")
    assert (answer.context.name, dict(answer.context.labels)) == ("only this", {})
    assert not answer.context.HasField("metadata")


async def test_masks_that_name_what_cannot_change(server: Running) -> None:
    context_id = (await server.create()).context_id
    for paths, violations in (
        (["tokenizer"], ["UNKNOWN_VALUE"]),
        (["name", "bogus", "labels.a"], ["UNKNOWN_VALUE", "UNKNOWN_VALUE"]),
        (["*", "name"], ["EXCLUSIVE"]),
        (["*", "bogus"], ["UNKNOWN_VALUE", "EXCLUSIVE"]),
    ):
        error = await refused(update(server, context_id, *paths, name="x"))
        assert error.violations == [("update_mask", reason) for reason in violations]
    for empty in (cs.UpdateContextRequest(update_mask=FieldMask()), cs.UpdateContextRequest()):
        empty.context.context_id = context_id
        assert (await refused(server.contexts.UpdateContext(empty))).violations == [("update_mask", "REQUIRED")]
    assert (await server.get(context_id)).latest_revision == 0


async def test_etags(server: Running) -> None:
    created = await server.create(name="n")
    first = await update(server, created.context_id, "name", name="m", etag=created.etag)
    stale = await refused(update(server, created.context_id, "name", name="o", etag=created.etag))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
    assert stale.metadata == {"expected": created.etag, "actual": first.context.etag}
    assert (await refused(delete(server, created.context_id, etag=created.etag))).reason == "VERSION_CONFLICT"
    assert (await refused(delete(server, created.context_id, etag="gibberish"))).reason == "VERSION_CONFLICT"
    await server.append(created.context_id, b.user("x"))
    assert (await server.get(created.context_id)).etag == first.context.etag, "covers what an update changes"
    await delete(server, created.context_id, etag=first.context.etag)
    assert (await undelete(server, created.context_id)).context.etag == first.context.etag


@pytest.mark.holds("I4")
async def test_changes_are_repeatable(server: Running) -> None:
    created = await server.create(name="n")
    context_id = created.context_id
    first = await update(server, context_id, "name", name="m", etag=created.etag, request_id="u")
    again = await update(server, context_id, "name", name="m", etag=created.etag, request_id="u")
    assert (again.replayed, again.revision) == (True, first.revision)
    error = await refused(update(server, context_id, "name", name="other", request_id="u"))
    assert (error.reason, error.metadata) == ("REQUEST_ID_REUSED", {"request_id": "u"})
    assert (await refused(delete(server, context_id, request_id="u"))).reason == "REQUEST_ID_REUSED"

    gone = await delete(server, context_id, request_id="d")
    again_gone = await delete(server, context_id, request_id="d")
    assert (again_gone.replayed, again_gone.revision) == (True, gone.revision)
    assert again_gone.context.delete_time == gone.context.delete_time
    assert (await update(server, context_id, "name", name="m", request_id="u")).replayed, "deleted or not"

    back = await undelete(server, context_id, request_id="b")
    again_back = await undelete(server, context_id, request_id="b")
    assert (again_back.replayed, again_back.revision) == (True, back.revision)
    late = await delete(server, context_id, request_id="d")
    assert late.replayed
    assert not late.context.HasField("delete_time"), "what was repeated is not done again"
    assert (await server.get(context_id)).latest_revision == 3


async def test_every_change_takes_the_next_revision(server: Running) -> None:
    context_id = (await server.create()).context_id
    revisions = [
        (await update(server, context_id, "name", name="a")).revision,
        (await server.append(context_id, b.user("x"))).revision,
        (await update(server, context_id, "name", name="a")).revision,
        (await delete(server, context_id)).revision,
        (await undelete(server, context_id)).revision,
        (await server.append(context_id, b.user("x"))).revision,
    ]
    assert revisions == [1, 2, 3, 4, 5, 6]
    await refused(update(server, context_id, "name", name="a", etag="stale"))
    assert (await server.get(context_id)).latest_revision == 6


# --- deleting ---------------------------------------------------------------------------------------------------------


@pytest.mark.holds("P24")
async def test_deletion_hides_and_undeletion_brings_back(server: Running) -> None:
    context_id = (await server.create(name="n")).context_id
    await server.append(context_id, b.user("x"))
    gone = await delete(server, context_id)
    assert gone.context.HasField("delete_time")
    assert await server.get(context_id) == gone.context, "GetContext shows it"
    calls: list[Any] = [
        delete(server, context_id),
        update(server, context_id, "name", name="m"),
        server.append(context_id, b.user("y")),
        server.log(context_id),
        server.window(context_id, 100),
        server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id)),
        server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1)),
    ]
    for call in calls:
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")
        assert error.metadata == {"context_id": context_id}
        info = error.detail(error_details_pb2.ResourceInfo())
        assert (info.resource_type, info.resource_name) == ("kata.context.v1.Context", context_id)
    back = await undelete(server, context_id)
    assert not back.context.HasField("delete_time")
    assert [m.text for m in await server.log(context_id)] == ["x"]
    error = await refused(undelete(server, context_id))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTEXT_NOT_DELETED")
    assert error.metadata == {"context_id": context_id}


async def test_what_is_not_there(server: Running) -> None:
    missing = unknown_id()
    for call in (
        server.get(missing),
        update(server, missing, "name", name="m"),
        delete(server, missing),
        delete(server, missing, request_id="r"),
        undelete(server, missing),
    ):
        assert (await refused(call)).reason == "CONTEXT_NOT_FOUND"
    for malformed in ("", "x", missing.upper() if missing.upper() != missing else UPPER_CASE, "{" + missing + "}"):
        error = await refused(server.get(malformed))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert error.violations == [("context_id", "MALFORMED_ID" if malformed else "REQUIRED")]


# --- listing ----------------------------------------------------------------------------------------------------------


async def listed(server: Running, **filters: Any) -> list[str]:
    """Walks the whole list and returns the names."""
    request = cs.ListContextsRequest(**filters)
    names: list[str] = []
    while True:
        page = await server.contexts.ListContexts(request)
        names.extend(context.name for context in page.contexts)
        if not page.next_page_token:
            return names
        request.page_token = page.next_page_token


async def test_listing_newest_first_in_pages(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        assert await listed(server) == []
        names = [str(n) for n in range(7)]
        for name in names:
            await server.create(name=name)
        newest_first = names[::-1]
        for size in (1, 2, 3, 7, 8, 1_001):
            assert await listed(server, page_size=size) == newest_first
        page = await server.contexts.ListContexts(cs.ListContextsRequest(page_size=7))
        assert not page.next_page_token, "a token only where there is more"
        assert page.contexts[0] == await server.get(page.contexts[0].context_id)

        request = cs.ListContextsRequest(page_size=3)
        page = await server.contexts.ListContexts(request)
        await server.create(name="later")
        request.page_token = page.next_page_token
        page = await server.contexts.ListContexts(request)
        assert [c.name for c in page.contexts] == newest_first[3:6], "created during the walk, not in it"

        await delete(server, page.contexts[-1].context_id)
        request.page_token = page.next_page_token
        page = await server.contexts.ListContexts(request)
        assert [c.name for c in page.contexts] == newest_first[6:], "the row under the cursor may go"


async def test_page_sizes(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        key = UUID((await server.create()).context_id)
        await server.query(
            "insert into contexts (id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, create_time, "
            "update_time, chain) select gen_random_uuid(), tenant_id, name, false, labels, metadata_json, tokenizer, "
            "create_time, update_time, chain from contexts, generate_series(1, 1100) where id = $1",
            key,
        )
        for size, found in ((0, 50), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)):
            page = await server.contexts.ListContexts(cs.ListContextsRequest(page_size=size))
            assert len(page.contexts) == found
        assert len(await listed(server, page_size=300)) == 1_101, "of one moment, and none lost or twice"
        error = await refused(server.contexts.ListContexts(cs.ListContextsRequest(page_size=-1)))
        assert error.violations == [("page_size", "TOO_SMALL")]


async def test_filters(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        for name, labels in (
            ("a%b", {"x": "1"}),
            ("a_b", {"x": "1", "y": "2"}),
            ("axb", {"x": "2"}),
            ("a\\b", {"y": "2"}),
            ("A", {}),
            ("", {'q"\\': "'; --"}),
        ):
            await server.create(name=name, labels=labels)
        assert await listed(server, name_prefix="a") == ["a\\b", "axb", "a_b", "a%b"]
        assert await listed(server, name_prefix="a%") == ["a%b"]
        assert await listed(server, name_prefix="a_") == ["a_b"]
        assert await listed(server, name_prefix="a\\") == ["a\\b"]
        assert await listed(server, name_prefix="%") == []
        assert await listed(server, name_prefix="a%b") == ["a%b"]
        assert await listed(server, labels={"x": "1"}) == ["a_b", "a%b"]
        assert await listed(server, labels={"x": "1", "y": "2"}) == ["a_b"]
        assert await listed(server, labels={"x": "1"}, name_prefix="a%", page_size=1) == ["a%b"]
        assert await listed(server, labels={"x": ""}) == []
        assert await listed(server, labels={'q"\\': "'; --"}) == [""]
        (deleted,) = (await server.contexts.ListContexts(cs.ListContextsRequest(name_prefix="axb"))).contexts
        await delete(server, deleted.context_id)
        assert await listed(server, name_prefix="ax") == []
        assert await listed(server, name_prefix="ax", show_deleted=True) == ["axb"]
        assert len(await listed(server, show_deleted=True, page_size=2)) == 6


@pytest.mark.holds("I10")
async def test_page_tokens_belong_to_their_filters(server: Running) -> None:
    label = str(uuid4())
    for _ in range(3):
        await server.create(labels={"walk": label})
    filters = cs.ListContextsRequest(labels={"walk": label}, page_size=1)
    token = (await server.contexts.ListContexts(filters)).next_page_token
    for other in (
        cs.ListContextsRequest(),
        cs.ListContextsRequest(labels={"walk": "x"}),
        cs.ListContextsRequest(labels={"walk": label}, show_deleted=True),
        cs.ListContextsRequest(labels={"walk": label}, name_prefix="x"),
    ):
        other.page_token = token
        error = await refused(server.contexts.ListContexts(other))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")
    for place in range(0, len(token), 5):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        filters.page_token = changed
        assert (await refused(server.contexts.ListContexts(filters))).reason == "PAGE_TOKEN_INVALID"


# --- tenants ----------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I10")
async def test_tenants_see_nothing_of_each_other(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as mine, serve(url, tenant="another") as theirs:
        fields = {"name": "shared name", "unique_name": True, "labels": {"a": "1"}, "request_id": "same"}
        own = await mine.create(**fields)
        await mine.append(own.context_id, b.user("secret"), b.user("more"), request_id="r")

        def calls(context_id: str) -> list[Any]:
            return [
                theirs.get(context_id),
                update(theirs, context_id, "name", name="x"),
                update(theirs, context_id, "name", name="x", request_id="r", etag="stale"),
                delete(theirs, context_id),
                undelete(theirs, context_id),
                theirs.append(context_id, b.user("x")),
                theirs.append(context_id, b.user("secret"), b.user("more"), request_id="r"),
                theirs.append(context_id, b.user("x"), expected_version=99),
                theirs.log(context_id),
                theirs.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1)),
                theirs.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id)),
                theirs.window(context_id, 100),
                theirs.window(context_id, 1, at_version=99),
                theirs.stream(context_id, 100),
            ]

        missing = unknown_id()
        for to_theirs, to_nothing in zip(calls(own.context_id), calls(missing), strict=True):
            hidden, absent = await refused(to_theirs), await refused(to_nothing)
            assert hidden.message == absent.message.replace(missing, own.context_id), "no difference to be seen"
            assert (hidden.code, hidden.reason) == (absent.code, absent.reason)
            assert hidden.reason == "CONTEXT_NOT_FOUND"

        assert await listed(theirs, show_deleted=True) == []
        assert await listed(theirs, labels={"a": "1"}, name_prefix="shared") == []
        others = await theirs.create(**fields)
        assert others.context_id != own.context_id, "neither its name nor its request_id is taken"
        assert [m.text for m in await mine.log(own.context_id)] == ["secret", "more"]
        assert await mine.get(own.context_id) != own

        await mine.create()
        token = (await mine.contexts.ListContexts(cs.ListContextsRequest(page_size=1))).next_page_token
        error = await refused(theirs.contexts.ListContexts(cs.ListContextsRequest(page_size=1, page_token=token)))
        assert error.reason == "PAGE_TOKEN_MISMATCH"
        resume = (await mine.stream(own.context_id, 100))[1].chunk.resume_token
        assert (await refused(theirs.stream(own.context_id, 100, resume_token=resume))).reason == "PAGE_TOKEN_MISMATCH"
        listing = ms.ListMessagesRequest(context_id=own.context_id, page_size=1)
        listing.page_token = (await mine.messages.ListMessages(listing)).next_page_token
        assert (await refused(theirs.messages.ListMessages(listing))).reason == "PAGE_TOKEN_MISMATCH"
