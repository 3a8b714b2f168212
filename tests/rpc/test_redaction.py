"""Redaction over the wire: what is erased is gone for everybody at once, and everything else stays as it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps
from kata.context.v1 import window_pb2

from kata_grpc import limits
from kata_grpc.db.pool import OneConnection
from kata_grpc.repositories.redactions import Erased, RedactionRepository
from kata_grpc.services import windows as reading
from tests.rpc import build as b
from tests.rpc.forks import child_of, history, told
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [loop, pytest.mark.holds("I1", "P24")]

PLENTY = 1_000_000
VIEWS = (window_pb2.VIEW_CURRENT, window_pb2.VIEW_AS_THEN, window_pb2.VIEW_RAW)
SECRET = "hunter2 7f3a"
SECONDS = 10


async def redact(server: Running, context_id: str, *versions: int, **fields: Any) -> ms.RedactMessagesResponse:
    request = ms.RedactMessagesRequest(context_id=context_id, versions=versions, **fields)
    return await server.messages.RedactMessages(request)


async def flatten(server: Running, context_id: str) -> None:
    await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=context_id))


async def delete(server: Running, context_id: str) -> None:
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))


def versions(messages: Sequence[pb.Message]) -> list[int]:
    return [message.version for message in messages]


def runs(*ranges: tuple[int, int]) -> list[ms.VersionRange]:
    return [ms.VersionRange(first_version=first, last_version=last) for first, last in ranges]


async def secret(server: Running) -> str:
    """Makes a context whose fourth message of seven says something secret wherever it can."""
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user(f"m{n}") for n in range(1, 4)))
    message = b.user(f"{SECRET} text", name="hunter2", model="hunter2-1", labels=["hunter2"])
    message.metadata.update({"hunter2": SECRET})
    await server.append(context_id, message, request_id="secret")
    await server.append(context_id, *(b.user(f"m{n}") for n in range(5, 8)))
    return context_id


async def holding(server: Running, text: str) -> dict[str, int]:
    """Counts the rows of each table of the database that have a text somewhere in them."""
    tables = await server.query("select table_name from information_schema.tables where table_schema = 'public'")
    found = {}
    for (table,) in tables:
        sql = f"""select count(*) from (select * from {table}) t
                  where strpos(row_to_json(t)::text, $1) > 0 or strpos(row_to_json(t)::text, $2) > 0"""
        ((count,),) = await server.query(sql, text, text.encode().hex())
        if count:
            found[str(table)] = int(count)
    return found


# --- what is left -----------------------------------------------------------------------------------------------------


async def test_a_tombstone_is_what_is_left(server: Running) -> None:
    context_id = await secret(server)
    (before,) = [m for m in await server.log(context_id) if m.version == 4]
    context = await server.get(context_id)
    done = await redact(server, context_id, 4, reason="asked for by the person")
    assert (done.revision, done.replayed) == (context.latest_revision + 1, False)

    tombstone = pb.Message(
        context_id=context_id,
        version=4,
        revision=before.revision,
        role=before.role,
        tokenizer=before.tokenizer,
        token_count=before.token_count,
        token_count_source=before.token_count_source,
        create_time=before.create_time,
        redact_revision=done.revision,
        redact_time=done.context.update_time,
    )
    for view in VIEWS:
        log = await server.log(context_id, view=view)
        assert log[3] == tombstone
        assert [m.text for m in log] == ["m1", "m2", "m3", "", "m5", "m6", "m7"]
        got = await server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=4, view=view))
        assert got.message == tombstone

    now = await server.get(context_id)
    assert now == done.context
    same = ("message_count", "total_tokens", "latest_version")
    assert [getattr(now, name) for name in same] == [getattr(context, name) for name in same]
    redacted, *_, appended, _ = await history(server, context_id)
    assert (redacted.kind, redacted.redaction) == (ms.REVISION_KIND_REDACT, done.receipt)
    assert (redacted.create_time, redacted.revision) == (now.update_time, done.revision)
    assert (appended.first_version, appended.preview, appended.role) == (4, "", pb.ROLE_USER)


async def test_no_row_of_any_table_holds_what_was_redacted(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        context_id = await secret(server)
        child = await child_of(server, context_id)
        await flatten(server, child)
        await server.query(
            "insert into message_embeddings select context_id, version, 'a', tenant_id, array[0.5, 1]::real[] "
            "from messages where version in (3, 4)"
        )
        assert await holding(server, "hunter2") == {"messages": 2}
        done = await redact(server, context_id, 4)
        assert await holding(server, "hunter2") == {}
        receipt = {row.table: row.row_count for row in done.receipt.rows}
        assert receipt == {"messages": 2, "redactions": 2, "message_embeddings": 2}
        left = await server.query("select version from message_embeddings order by 1")
        assert [row["version"] for row in left] == [3, 3]


async def test_the_receipt_says_what_was_touched_and_what_may_be_left(server: Running) -> None:
    context_id = await told(server, 9)
    copies = [await child_of(server, context_id) for _ in range(2)]
    for copy in copies:
        await flatten(server, copy)
    done = await redact(server, context_id, 9, 2, ranges=runs((2, 3), (5, 5)), reason="why")
    assert list(done.receipt.ranges) == runs((2, 3), (5, 5), (9, 9))
    assert list(done.receipt.redacted_before) == []
    assert done.receipt.reason == "why"
    assert [(log.context_id, log.message_count) for log in done.receipt.logs] == [
        (context_id, 4),
        *((copy, 4) for copy in sorted(copies)),
    ]
    assert done.receipt.log_count == 3
    assert {row.table: row.row_count for row in done.receipt.rows} == {"messages": 12, "redactions": 12}
    for word in ("vacuumed", "Write-ahead logs", "base backups", "replicas"):
        assert word in done.receipt.notice


@pytest.mark.holds("I4")
async def test_repeating_it_says_that_it_was_done(server: Running) -> None:
    context_id = await told(server, 5)
    first = await redact(server, context_id, 2, 3, request_id="r")
    log = await server.log(context_id)
    replay = await redact(server, context_id, ranges=runs((2, 3)), request_id="r")
    assert replay == ms.RedactMessagesResponse(
        revision=first.revision, replayed=True, receipt=first.receipt, context=first.context
    )
    again = await redact(server, context_id, ranges=runs((1, 3)))
    assert (again.revision, again.replayed) == (first.revision + 1, False)
    assert list(again.receipt.redacted_before) == runs((2, 3))
    assert {row.table: row.row_count for row in again.receipt.rows} == {"messages": 1, "redactions": 1}
    assert (await server.log(context_id))[1:] == log[1:], "the first erasure stays what it was"
    nothing = await redact(server, context_id, 2)
    assert (list(nothing.receipt.rows), list(nothing.receipt.logs)) == ([], [])
    assert (await refused(redact(server, context_id, 4, request_id="r"))).reason == "REQUEST_ID_REUSED"


async def test_a_replayed_append_answers_without_content(server: Running) -> None:
    context_id = await secret(server)
    await redact(server, context_id, 4)
    message = b.user(f"{SECRET} text", name="hunter2", model="hunter2-1", labels=["hunter2"])
    message.metadata.update({"hunter2": SECRET})
    replay = await server.append(context_id, message, request_id="secret")
    assert (replay.replayed, replay.first_version, replay.last_version) == (True, 4, 4)
    assert SECRET.encode() not in replay.SerializeToString()
    assert (await server.log(context_id))[3].text == "", "and brings nothing back"


async def test_what_a_caller_says_of_redaction_is_not_stored(server: Running) -> None:
    context_id = (await server.create()).context_id
    sent = b.user("m", redact_revision=7)
    sent.redact_time.GetCurrentTime()
    await server.append(context_id, sent)
    (message,) = await server.log(context_id)
    assert (message.text, message.HasField("redact_time"), message.HasField("redact_revision")) == ("m", False, False)


async def test_refusals(server: Running) -> None:
    context_id = await told(server, 2)
    beyond = await refused(redact(server, context_id, 3))
    assert (beyond.reason, beyond.metadata["field"]) == ("VERSION_OUT_OF_RANGE", "ranges")
    assert (await refused(redact(server, unknown_id(), 1))).reason == "CONTEXT_NOT_FOUND"
    assert (await refused(redact(server, context_id))).violations == [("versions", "REQUIRED")]
    bad = await refused(redact(server, context_id, 1, 0, ranges=runs((0, 0), (3, 2)), reason="x" * 257))
    assert [name for name, _ in bad.violations] == [
        "versions[1]", "ranges[0].first_version", "ranges[1].last_version", "reason",
    ]  # fmt: skip
    for fields in ({"ranges": runs((1, 10_001))}, {"ranges": runs((1, 2), (2, 10_000), (10_001, 10_001))}):
        assert (await refused(redact(server, context_id, **fields))).violations == [("ranges", "TOO_MANY")]
    many = await refused(redact(server, context_id, *range(1, 10_002)))
    assert many.violations == [("versions", "TOO_MANY")]
    assert [m.text for m in await server.log(context_id)] == ["m1", "m2"]


@pytest.mark.holds("I12")
async def test_as_many_as_may_be_are_erased_at_once(server: Running) -> None:
    context_id = (await server.create()).context_id
    for _ in range(10):
        await server.append(context_id, *(b.user("x") for _ in range(1_000)))
    done = await redact(server, context_id, ranges=runs((1, limits.MAX_REDACTED_MESSAGES)))
    assert {row.table: row.row_count for row in done.receipt.rows}["messages"] == limits.MAX_REDACTED_MESSAGES
    assert not any(m.text for m in await server.log(context_id))
    assert versions((await server.window(context_id, PLENTY)).messages) == []


@pytest.mark.holds("I10")
async def test_nobody_redacts_what_is_another_tenants(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as one, serve(url, tenant="other") as other:
        context_id = await told(one, 1)
        assert (await refused(redact(other, context_id, 1))).reason == "CONTEXT_NOT_FOUND"
        assert [m.text for m in await one.log(context_id)] == ["m1"]


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I2", "I5", "I6")
@pytest.mark.parametrize("version", [2, 3, 4])
async def test_a_group_is_out_of_every_view_once_any_of_it_is_erased(server: Running, version: int) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("q"), b.calls("a", "b"), b.result("a"), b.result("b"), b.assistant("done"))
    child, copy, before = [await child_of(server, context_id) for _ in range(3)]
    await flatten(server, copy)
    early = await child_of(server, context_id, at_version=version - 1)
    whole = await server.window(early, PLENTY)
    await redact(server, context_id, version)
    await flatten(server, before)
    for reader in (context_id, child, copy, before, await child_of(server, copy)):
        for view in VIEWS:
            for at in ({}, {"at_version": 5}, {"at_revision": 1}):
                window = await server.window(reader, PLENTY, view=view, **at)
                assert versions(window.messages) == [1, 5]
                out = {v for run in window.trailer.excluded for v in range(run.first_version, run.last_version + 1)}
                assert out == {2, 3, 4}
                assert {run.reason for run in window.trailer.excluded} == {window_pb2.EXCLUSION_REASON_REDACTED}
                ledger = window.trailer.ledger
                assert ledger.tail_tokens == sum(m.token_count for m in window.messages)
                frames = await server.stream(reader, PLENTY, view=view, **at)
                assert [m for frame in frames for m in frame.chunk.messages] == list(window.messages)
                assert frames[-1].trailer == window.trailer
    assert await server.window(early, PLENTY) == whole, "of what comes later a fork knows nothing"


@pytest.mark.holds("I5")
async def test_what_no_more_counts_makes_room(server: Running) -> None:
    context_id = (await server.create(tokenizer=b.SIZED)).context_id
    for tokens in (10, 20, 500, 30, 40):
        await server.append(context_id, b.sized(b.user("m"), tokens))
    full = await server.window(context_id, PLENTY)
    budget = full.header.window_tokens - 200
    assert versions((await server.window(context_id, budget)).messages) == [4, 5]
    await redact(server, context_id, 3)
    window = await server.window(context_id, budget)
    assert versions(window.messages) == [1, 2, 4, 5]
    assert window.header.window_tokens == full.header.window_tokens - 500 - 4
    assert (await server.get(context_id)).total_tokens == 600, "the log's sums are what was appended"


async def test_the_system_prompt_the_open_turn_and_an_open_call_can_be_redacted(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.system("old"), b.system("new"), b.user("q1"), b.assistant("a"), b.user("q2"))
    await redact(server, context_id, 1, 5)
    assert versions((await server.window(context_id, PLENTY)).messages) == [2, 3, 4]
    await server.append(context_id, b.user("q3"), b.calls("c"))
    window = await server.window(context_id, PLENTY)
    assert list(window.trailer.pending_call_ids) == ["c"]
    await redact(server, context_id, 7)
    await server.append(context_id, b.result("c"), b.assistant("a"))
    window = await server.window(context_id, PLENTY)
    assert versions(window.messages) == [2, 3, 4, 6, 9], "what answers a redacted call is out with it"
    assert list(window.trailer.pending_call_ids) == []


async def test_a_snapshot_before_it_shows_what_it_has_of_the_group(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("q"), b.calls("a"))
    await server.append(context_id, b.result("a"))
    before = await server.window(context_id, PLENTY, at_version=2)
    assert list(before.trailer.pending_call_ids) == ["a"]
    await redact(server, context_id, 3)
    assert await server.window(context_id, PLENTY, at_version=2) != before, "its header names the latest revision"
    for at in ({"at_version": 2, "at_revision": 2}, {"at_version": 2, "view": window_pb2.VIEW_AS_THEN}):
        window = await server.window(context_id, PLENTY, **at)
        assert window.messages == before.messages
        assert window.trailer == before.trailer
    assert versions((await server.window(context_id, PLENTY)).messages) == [1]


async def test_removing_and_restoring_bring_nothing_back(server: Running) -> None:
    context_id = await told(server, 3)
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=runs((1, 2))))
    await redact(server, context_id, 2)
    await server.messages.RestoreMessages(ms.RestoreMessagesRequest(context_id=context_id, ranges=runs((1, 2))))
    assert versions((await server.window(context_id, PLENTY)).messages) == [1, 3]
    assert [m.text for m in await server.log(context_id)] == ["m1", "", "m3"]


# --- forks and copies -------------------------------------------------------------------------------------------------


@pytest.mark.holds("I8")
@pytest.mark.parametrize("through", ["root", "fork", "copy", "copy of a copy", "fork of a copy"])
async def test_it_is_gone_everywhere_whoever_asked(server: Running, through: str) -> None:
    root = await told(server, 4)
    fork = await child_of(server, root)
    await server.append(fork, b.user("of the fork"))
    copy = await child_of(server, root)
    await flatten(server, copy)
    second = await child_of(server, copy)
    third = await child_of(server, copy)
    await flatten(server, second)
    named = {"root": root, "fork": fork, "copy": copy, "copy of a copy": second, "fork of a copy": third}
    before = {name: (await server.get(context_id)).latest_revision for name, context_id in named.items()}
    done = await redact(server, named[through], 3)
    assert [log.context_id for log in done.receipt.logs] == [root, *sorted([copy, second])]
    for name, context_id in named.items():
        log = await server.log(context_id)
        assert (log[2].text, log[2].redact_revision, log[2].context_id) == ("", done.revision, root)
        assert [m.text for m in log if m.version != 3][:3] == ["m1", "m2", "m4"]
        assert 3 not in versions((await server.window(context_id, PLENTY)).messages)
        revision = (await server.get(context_id)).latest_revision
        assert revision == before[name] + (name == through), "only who asked takes a revision"


async def test_it_is_gone_in_copies_whose_original_was_purged(server: Running) -> None:
    root = await told(server, 4)
    one, other = [await child_of(server, root) for _ in range(2)]
    for copy in (one, other):
        await flatten(server, copy)
    await delete(server, root)
    await server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=root))
    done = await redact(server, one, 3)
    assert [log.context_id for log in done.receipt.logs] == sorted([one, other])
    assert [(await server.log(copy))[2].text for copy in (one, other)] == ["", ""]


async def test_it_is_gone_in_a_soft_deleted_parent(server: Running) -> None:
    root = await told(server, 4)
    fork = await child_of(server, root)
    await delete(server, root)
    assert (await refused(redact(server, root, 1))).reason == "CONTEXT_NOT_FOUND"
    await redact(server, fork, 1)
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=root))
    assert [m.text for m in await server.log(root)] == ["", "m2", "m3", "m4"]


@pytest.mark.holds("I9")
async def test_a_thousand_forks_cost_nothing(fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statements, each looking at as many rows, whether a message is shared by one fork or by a thousand."""
    calls: list[str] = []
    async with serve(await fresh_url()) as server:
        few, many = await told(server, 3), await told(server, 3)
        await child_of(server, few)
        for _ in range(20):
            await asyncio.gather(*(child_of(server, many) for _ in range(50)))
        run = OneConnection._run

        async def counted(self: OneConnection, work: Any, within: float | None) -> Any:
            calls.append("statement")
            return await run(self, work, within)

        monkeypatch.setattr(OneConnection, "_run", counted)
        touched: dict[str, tuple[int, dict[str, int]]] = {}
        for name, context_id in (("few", few), ("many", many)):
            calls.clear()
            done = await redact(server, context_id, 2)
            touched[name] = len(calls), {row.table: row.row_count for row in done.receipt.rows}
        assert touched["few"] == touched["many"]
        assert touched["many"][1] == {"messages": 1, "redactions": 1}
        ((child,),) = await server.query(
            "select id::text from contexts where parent_id = $1::text::uuid order by child_number desc limit 1", many
        )
        assert [m.text for m in await server.log(child)] == ["m1", "", "m3"]
        assert versions((await server.window(child, PLENTY)).messages) == [1, 3]


# --- beside others ----------------------------------------------------------------------------------------------------


async def waits(server: Running, count: int = 1) -> None:
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(SECONDS):
        while len(await server.query(waiting)) < count:
            await asyncio.sleep(0.02)


@pytest.mark.holds("I3")
async def test_a_copy_of_a_copy_that_is_being_made_is_found(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is locked by who copies it on: what that leaves is committed after the first look for copies."""
    monkeypatch.setattr(limits, "FLATTEN_MESSAGES", 3)
    root = await told(server, 4)
    copy = await child_of(server, root)
    await flatten(server, copy)
    other = await child_of(server, copy)
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            await connection.execute(
                "insert into messages (context_id, version, tenant_id, revision, create_time, role, group_version, "
                "token_count, item_count, token_count_source, total_tokens, total_items, inexact_messages, "
                "pinned_tokens, pinned_messages, pinned_items, turn_version, digest, record, origin_id) "
                "select $2, version, tenant_id, revision, create_time, role, group_version, token_count, item_count, "
                "token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens, pinned_messages, "
                "pinned_items, turn_version, digest, record, origin_id "
                "from messages where context_id = $1 and version <= 3 for share",
                UUID(copy),
                UUID(other),
            )
            running = asyncio.ensure_future(redact(server, root, 3))
            await waits(server)
        done = await running
    finally:
        await connection.close()
    assert [log.context_id for log in done.receipt.logs] == [root, *sorted([copy, other])]
    await flatten(server, other)
    assert [m.text for m in await server.log(other)] == ["m1", "m2", "", "m4"]
    assert versions((await server.window(other, PLENTY)).messages) == [1, 2, 4]


@pytest.mark.holds("I3", "I4")
async def test_one_that_is_cut_off_has_erased_nothing_and_is_repeated(server: Running) -> None:
    root = await told(server, 4)
    copy = await child_of(server, root)
    await flatten(server, copy)
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            held = "select from messages where context_id = $1 and version = 2 for update"
            await connection.fetch(held, UUID(copy))
            running = asyncio.ensure_future(redact(server, root, 2, request_id="once"))
            await waits(server)  # with the original erased, and nobody knows
            assert [m.text for m in await server.log(root)] == ["m1", "m2", "m3", "m4"]
            await server.query(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock'"
            )
            assert (await refused(running)).reason == "STORAGE_UNAVAILABLE"
    finally:
        await connection.close()
    for context_id in (root, copy):
        assert [m.text for m in await server.log(context_id)] == ["m1", "m2", "m3", "m4"]
    done = await redact(server, root, 2, request_id="once")
    assert (done.replayed, done.receipt.log_count) == (False, 2)
    for context_id in (root, copy):
        assert [m.text for m in await server.log(context_id)] == ["m1", "", "m3", "m4"]


@pytest.mark.holds("I3")
async def test_redactions_beside_appends_forks_and_flattening(server: Running) -> None:
    root = await told(server, 12)
    children = [await child_of(server, root) for _ in range(6)]
    found = await asyncio.gather(
        *(redact(server, context_id, version) for version, context_id in enumerate([root, *children], start=1)),
        *(flatten(server, context_id) for context_id in children[:4]),
        *(server.append(context_id, b.user("more")) for context_id in (root, *children)),
        *(child_of(server, context_id) for context_id in (root, *children)),
        return_exceptions=True,
    )
    failed = [error for error in found if isinstance(error, BaseException)]
    assert not failed
    forks = [answer for answer in found if isinstance(answer, str)]
    for context_id in (root, *children, *forks):
        log = await server.log(context_id)
        assert [m.version for m in log if not m.text] == [1, 2, 3, 4, 5, 6, 7]
        assert versions((await server.window(context_id, PLENTY)).messages) == versions(log)[7:]


@pytest.mark.holds("I2")
async def test_a_stream_that_is_cut_does_not_go_on_as_another_window(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FRAME_MESSAGES", 2)
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user("x" * 5_000) for _ in range(600)))
    frames = await server.stream(context_id, PLENTY)
    first, last = frames[1], frames[-2]
    for version in (1, 600):
        await redact(server, context_id, version)
        for frame in (first, last):
            gone = server.stream(context_id, PLENTY, resume_token=frame.chunk.resume_token)
            assert (await refused(gone)).reason == "WINDOW_GONE"
        frames = await server.stream(context_id, PLENTY)
        first, last = frames[1], frames[-2]
        on = await server.stream(context_id, PLENTY, resume_token=first.chunk.resume_token)
        assert [on[0], *on[1:]] == [frames[0], *frames[2:]]


@pytest.mark.holds("I2")
async def test_a_stream_in_the_middle_sends_nothing_that_is_gone(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FRAME_MESSAGES", 64)
    context_id = (await server.create()).context_id
    for _ in range(12):
        await server.append(context_id, *(b.user("x" * 10_000) for _ in range(100)))
    await server.append(context_id, b.user(SECRET))
    stream = server.messages.StreamWindow(ms.StreamWindowRequest(context_id=context_id, token_budget=10_000_000))
    frames: list[ms.StreamWindowResponse] = []

    async def read() -> None:
        async for frame in stream:
            if not frames:
                await redact(server, context_id, 1_201)
            frames.append(frame)

    assert (await refused(read())).reason == "WINDOW_GONE"
    assert not any(frame.HasField("trailer") for frame in frames)
    assert SECRET not in "".join(m.text for frame in frames for m in frame.chunk.messages)
    assert all(m.text for frame in frames for m in frame.chunk.messages), "no tombstone is in a window"


@pytest.mark.holds("I2")
async def test_a_window_in_one_answer_is_chosen_again(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    context_id = (await server.create()).context_id
    for _ in range(12):
        await server.append(context_id, *(b.user("x" * 1_000) for _ in range(100)))
    pages = reading.Windows.pages
    left = [5, 6, 7]

    def erased_before(self: reading.Windows, window: Any, separator: bytes, after: int = 0) -> Any:
        async def read() -> Any:
            if left:
                await redact(server, context_id, left.pop())
            async for page in pages(self, window, separator, after):
                yield page

        return read()

    monkeypatch.setattr(reading.Windows, "pages", erased_before)
    gone = await refused(server.window(context_id, 10_000_000))
    assert gone.reason == "WINDOW_GONE", "three times in a row"
    left[:] = [8, 9]
    window = await server.window(context_id, 10_000_000)
    assert versions(window.messages) == [*range(1, 5), *range(10, 1_201)]
    assert window.header.message_count == len(window.messages)


async def test_a_watch_shows_what_is_left(server: Running) -> None:
    context_id = await secret(server)
    child = await child_of(server, context_id)
    latest = (await server.get(context_id)).latest_revision
    async with watching(server.messages, context_id, from_revision=latest, include_messages=True) as watch:
        await watch.frame()
        done = await redact(server, context_id, 4)
        event = (await watch.frame()).event
        assert (event.revision.kind, event.revision.redaction) == (ms.REVISION_KIND_REDACT, done.receipt)
    async with watching(server.messages, context_id, from_revision=0, include_messages=True) as watch:
        sent = [frame.event for frame in await watch.caught_up() if frame.HasField("event")]
    assert [m.text for event in sent for m in event.messages] == ["m1", "m2", "m3", "", "m5", "m6", "m7"]
    assert not any(SECRET.encode() in event.SerializeToString() for event in sent)
    compared = cs.CompareContextsRequest(left={"context_id": context_id}, right={"context_id": child, "at_version": 0})
    assert SECRET.encode() not in (await server.contexts.CompareContexts(compared)).SerializeToString()


# --- what was made of it ----------------------------------------------------------------------------------------------


async def compacted(server: Running) -> tuple[str, ps.CompactContextResponse]:
    """Makes a conversation whose beginning is hidden behind a summary that says something secret."""
    context_id = (await server.create()).context_id
    for turn in range(1, 30):
        await server.append(
            context_id, b.user(f"Question {turn} {SECRET}: " + "words and more " * 40), b.assistant("ok")
        )
    done = await server.policies.CompactContext(ps.CompactContextRequest(context_id=context_id))
    assert done.compaction.summary
    return context_id, done


async def summaries(server: Running, context_id: str) -> list[tuple[bool, bool]]:
    """Whether each compaction that is stored with a context is erased, and whether it has a summary."""
    rows = await server.query(
        "select erase_time is not null as erased, summary is not null or summary_state is not null as has "
        "from compactions where context_id = $1::text::uuid",
        context_id,
    )
    return [(row["erased"], row["has"]) for row in rows]


async def test_summaries_of_what_was_redacted_are_gone_and_hide_nothing(server: Running) -> None:
    context_id, done = await compacted(server)
    last = done.compaction.ranges[-1].last_version
    child = await child_of(server, context_id)
    copy = await child_of(server, context_id)
    early = await child_of(server, context_id, at_version=1)
    for one in (copy, early):
        await flatten(server, one)
    assert (await server.window(child, PLENTY)).header.compaction_id
    erased = await redact(server, child, last)
    assert {row.table: row.row_count for row in erased.receipt.rows}["compactions"] >= 2
    for one in (context_id, child, copy):
        window = await server.window(one, PLENTY)
        assert window.header.compaction_id == ""
        assert len(window.messages) == 57, "all but what was redacted, which was a group by itself"
    for one in (context_id, copy, early):
        assert await summaries(server, one) == [(True, False)], "also where the message itself never was"


async def test_a_summary_that_is_under_way_is_given_up(server: Running) -> None:
    context_id, done = await compacted(server)
    for turn in range(30):
        await server.append(context_id, b.user(f"Later {turn}: " + "words and more " * 40), b.assistant("ok"))
    begun = await server.policies.BeginCompaction(ps.BeginCompactionRequest(context_id=context_id))
    await redact(server, context_id, begun.compaction.ranges[-1].last_version)
    commit = server.policies.CommitCompaction(
        ps.CommitCompactionRequest(
            context_id=context_id,
            compaction_id=begun.compaction.compaction_id,
            token=begun.compaction.token,
            summary=f"It said {SECRET}.",
        )
    )
    assert (await refused(commit)).reason == "COMPACTION_STALE"
    assert done.compaction.summary
    assert not any(has for erased, has in await summaries(server, context_id) if erased)


@pytest.mark.holds("I3")
async def test_a_summary_is_begun_before_or_after_an_erasure_and_never_beside_it(server: Running) -> None:
    """Begun beside it, it would be made of what is being erased, and not be found by who erases."""
    context_id, _ = await compacted(server)
    child = await child_of(server, context_id)
    await server.policies.RevertCompaction(ps.RevertCompactionRequest(context_id=child))
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            await connection.execute("select from contexts where id = $1 for update", UUID(context_id))
            running = asyncio.ensure_future(
                server.policies.BeginCompaction(ps.BeginCompactionRequest(context_id=child))
            )
            await waits(server)
    finally:
        await connection.close()
    assert (await running).compaction.compaction_id


@pytest.mark.holds("I3")
@pytest.mark.parametrize("reader", ["fork", "copy"])
async def test_a_compaction_beside_an_erasure_is_made_of_what_is_left(
    server: Running, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    """It begins when the rows are changed and nobody sees that yet."""
    context_id = (await server.create()).context_id
    secret_path = f"/secrets/{context_id}.pem"
    for turn in range(1, 30):
        text = "words and more " * 40 + (secret_path if turn == 5 else "")
        await server.append(context_id, b.user(f"Question {turn}: {text}"), b.assistant("ok"))
    read_by = await child_of(server, context_id)
    if reader == "copy":
        await flatten(server, read_by)
    keep = RedactionRepository.keep
    compacting: list[asyncio.Task[ps.CompactContextResponse]] = []

    async def beside(self: RedactionRepository, erased: Sequence[Erased]) -> None:
        call = server.policies.CompactContext(ps.CompactContextRequest(context_id=read_by))
        compacting.append(asyncio.ensure_future(call))
        await waits(server)
        await keep(self, erased)

    monkeypatch.setattr(RedactionRepository, "keep", beside)
    await redact(server, context_id, 9)
    done = await compacting[0]
    assert done.compaction.summary
    assert await summaries(server, read_by) == [(False, True)]
    assert await holding(server, secret_path) == {}


async def test_a_stream_does_not_send_a_summary_that_is_gone(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary was read when the window was chosen, and stands behind a page of messages that were pinned."""
    context_id, done = await compacted(server)
    monkeypatch.setattr(reading, "FRAME_MESSAGES", 1)
    stands = reading.Windows._stands

    async def erased_before(self: reading.Windows, window: Any) -> bool:
        await redact(server, context_id, done.compaction.ranges[-1].last_version)
        return await stands(self, window)

    monkeypatch.setattr(reading.Windows, "_stands", erased_before)
    for _ in range(12):
        await server.append(context_id, *(b.user("x" * 10_000) for _ in range(100)))
    gone = await refused(server.stream(context_id, 10_000_000))
    assert gone.reason == "WINDOW_GONE"
