"""The error door: every refusal has one row, one reason and one code, and goes out as the proto says.

Each reason is then provoked once over a real socket, by what really causes it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import error_reason_pb2, window_pb2
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc import limits
from kata_grpc.domain import errors
from kata_grpc.transport.status import TABLE, status_of
from tests.faults.waiting import LOCKED_OUT, direct, nobody
from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Refused, Running, loop, read_error, refused, serve, unknown_id
from tests.rpc.watching import watching
from tests.unit import chat_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

PROTO = Path(__file__).parents[2] / "protos/kata/context/v1/error_reason.proto"
PREFIX = "ERROR_REASON_"

EXAMPLES: list[errors.KataError] = [
    errors.InvalidRequest([errors.Violation("field", "is wrong")]),
    errors.MalformedRequest(),
    errors.InvalidToken("page_token"),
    errors.TokenMismatch("page_token"),
    errors.RequestIdReused("r"),
    errors.ContextNotFound("id"),
    errors.ContextPurged("id"),
    errors.MessageNotFound("id", 3),
    errors.TagNotFound("id", "tag"),
    errors.TagExists("id", "tag"),
    errors.ContextExists("name"),
    errors.VersionConflict(1, 2),
    errors.EtagMismatch("a", "b"),
    errors.BudgetTooSmall(5, 4, 1, 2, 2),
    errors.NoLegalWindow("anthropic", 7),
    errors.WindowGone("id"),
    errors.ContextNotDeleted("id"),
    errors.TooManyOpenCalls("id", 256),
    errors.ForkTooDeep("id", 33, 32),
    errors.TooManyForks("id", 100_000),
    errors.ContextIsFlat("id"),
    errors.CompactionNotFound("id", "c"),
    errors.CompactionInProgress("id", "c"),
    errors.CompactionStale("id", "c", "expired", "its lease had ended"),
    errors.SummaryRejected("id", "c", ["empty"]),
    errors.CompactionNotInForce("id", "c"),
    errors.NothingToCompact("id", "all_protected"),
    errors.ContextHasForks("id", 2, ["a", "b"]),
    errors.ResponseTooLarge(5, 4),
    errors.OutOfRange("at_version", 5, 4),
    errors.OutOfRange("from_revision", 1, 4, earliest=3),
    errors.TooManyWatchers(5_000),
    errors.NoSummary("id", "id", "why", 3.5),
    errors.WriteContention(),
    errors.StorageUnavailable(),
    errors.ShuttingDown(),
    errors.DeadlineExceeded(1.5),
]


def leaves(kind: type[errors.KataError]) -> Iterator[type[errors.KataError]]:
    """Yields the classes that are raised: those without subclasses."""
    below = kind.__subclasses__()
    if not below:
        yield kind
    for subclass in below:
        yield from leaves(subclass)


def documented() -> dict[str, set[str]]:
    """Reads the metadata keys of each reason from the comments of the proto."""
    found = {}
    for comment, name in re.findall(r"((?:^ *//.*\n)+) *ERROR_REASON_(\w+) = ", PROTO.read_text(), re.MULTILINE):
        text = " ".join(line.strip(" /") for line in comment.splitlines())
        if match := re.search(r"Metadata: (.*)\.$", text):
            keys = (part.removesuffix(" and").strip() for part in match[1].split(","))
            found[name] = {key for key in keys if key != "none" and not key.startswith("for ")}
    return found


def reason_codes() -> dict[str, str]:
    """Reads the code of each reason from the descriptor."""
    return {
        value.name.removeprefix(PREFIX): value.GetOptions().Extensions[error_reason_pb2.status_code]
        for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
        if value.number
    }


def read(error: errors.KataError) -> tuple[grpc.StatusCode, details.ErrorInfo, status_pb2.Status]:
    code, _, raw = status_of(error)
    status = status_pb2.Status.FromString(raw)
    info = details.ErrorInfo()
    assert status.details[0].Unpack(info), "ErrorInfo comes first"
    return code, info, status


def test_every_error_has_a_row() -> None:
    raised = set(leaves(errors.KataError))
    assert raised == set(TABLE)
    assert raised == {type(example) for example in EXAMPLES}


def test_every_reason_is_in_the_proto_with_a_code() -> None:
    codes = reason_codes()
    assert {row.reason for row in TABLE.values()} == set(codes) - {"INTERNAL"}
    for reason, code in codes.items():
        assert code in grpc.StatusCode.__members__, reason


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_what_goes_out(error: errors.KataError) -> None:
    code, info, status = read(error)
    assert info.domain == "kata.context.v1"
    assert code.name == reason_codes()[info.reason], "one code a reason"
    assert status.code == code.value[0]
    assert status.message == str(error)
    assert str(error).endswith((".", "wrong"))
    types = [detail.type_url.rpartition(".")[2] for detail in status.details]
    assert len(types) == len(set(types)), "each detail once"
    if isinstance(error, errors.InvalidRequest):
        assert "BadRequest" in types
    if isinstance(error, errors.NotFound | errors.ContextExists | errors.TagExists):
        assert "ResourceInfo" in types
    if code == grpc.StatusCode.UNAVAILABLE or info.reason == "WRITE_CONTENTION":
        assert "RetryInfo" in types
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        assert "PreconditionFailure" in types


def test_metadata_keys_are_those_of_the_proto() -> None:
    sent: dict[str, set[str]] = {"INTERNAL": set()}
    for error in EXAMPLES:
        _, info, _ = read(error)
        sent.setdefault(info.reason, set()).update(info.metadata)
        assert all(info.metadata.values()), "no empty values"
    assert sent == documented()


# --- each reason, once, on the wire -----------------------------------------------------------------------------------


PROVOKED: set[str] = set()


def check(error: Refused) -> Refused:
    """Holds a refusal that was really received to what the proto says of its reason."""
    assert error.code.name == reason_codes()[error.reason]
    assert set(error.metadata) <= documented()[error.reason]
    PROVOKED.add(error.reason)
    return error


@asynccontextmanager
async def locked(server: Running, context_id: str) -> AsyncIterator[None]:
    """Holds the lock of a context's row, as a writer that takes its time does."""
    connection = await asyncpg.connect(server.url)
    try:
        async with connection.transaction():
            await connection.execute("select from contexts where id = $1::text::uuid for update", context_id)
            yield
    finally:
        await connection.close()


@loop
async def test_refusals_of_requests(server: Running) -> None:
    context_id = (await server.create(name=unknown_id(), unique_name=True, request_id=unknown_id())).context_id
    await server.append(context_id, b.system("s"), b.assistant("a"), request_id="r")
    tag = cs.TagVersionRequest(context_id=context_id, name="tag")
    await server.contexts.TagVersion(tag)
    context = await server.get(context_id)
    token = (await server.stream(context_id, 100))[1].chunk.resume_token
    raw: Any = server.channel.unary_unary("/kata.context.v1.ContextService/GetContext")

    calls: list[tuple[str, Awaitable[Any]]] = [
        ("INVALID_FIELD", server.get("x")),
        ("MALFORMED_REQUEST", raw(b"\xff")),
        ("PAGE_TOKEN_INVALID", server.contexts.ListContexts(cs.ListContextsRequest(page_token="x"))),
        ("PAGE_TOKEN_MISMATCH", server.stream(context_id, 99, resume_token=token)),
        ("REQUEST_ID_REUSED", server.append(context_id, b.user("other"), request_id="r")),
        ("CONTEXT_NOT_FOUND", server.get(unknown_id())),
        ("MESSAGE_NOT_FOUND", server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=9))),
        ("TAG_NOT_FOUND", server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name="other"))),
        ("TAG_EXISTS", server.contexts.TagVersion(tag)),
        ("CONTEXT_EXISTS", server.create(name=context.name, unique_name=True)),
        ("VERSION_CONFLICT", server.append(context_id, b.user("x"), expected_version=9)),
        ("VERSION_CONFLICT", server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id, etag="x"))),
        ("BUDGET_TOO_SMALL", server.window(context_id, 1)),
        ("NO_LEGAL_WINDOW", server.window(context_id, 100, dialect=window_pb2.DIALECT_GEMINI)),
        ("CONTEXT_NOT_DELETED", server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))),
        ("TOO_MANY_OPEN_CALLS", server.append(context_id, b.calls(*(str(n) for n in range(257))))),
        ("VERSION_OUT_OF_RANGE", server.window(context_id, 100, at_revision=9)),
    ]
    for reason, call in calls:
        error = check(await refused(call))
        assert error.reason == reason
    assert await server.get(context_id) == context, "none of them changed anything"


@loop
@pytest.mark.holds("I2")
async def test_a_window_that_is_not_what_it_was(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server:
        context_id = (await server.create()).context_id
        await server.append(context_id, *(b.user(str(n)) for n in range(600)))
        _, chunk, *_ = await server.stream(context_id, 100_000)
        connection = await asyncpg.connect(url)
        await connection.execute("update messages set digest = sha256(digest) where version = 7")
        await connection.close()
        error = check(await refused(server.stream(context_id, 100_000, resume_token=chunk.chunk.resume_token)))
        assert error.reason == "WINDOW_GONE"


@pytest.mark.holds("I12")
async def test_too_many_watches(fresh_url: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WATCHERS", 0)
    async with serve(await fresh_url()) as server:
        context_id = (await server.create()).context_id
        async with watching(server.messages, context_id) as watch:
            error = check(await refused(watch.frame()))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
        assert error.detail(details.RetryInfo()).retry_delay.ToMilliseconds() > 0


@loop
@pytest.mark.holds("I12")
async def test_forks_beyond_the_limits(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), max_fork_depth=1, max_forks=1) as server:
        parent = await server.create()
        forked = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent.context_id))
        for context, reason in ((parent, "TOO_MANY_FORKS"), (forked.context, "FORK_TOO_DEEP")):
            fork = server.contexts.ForkContext(cs.ForkContextRequest(context_id=context.context_id))
            assert check(await refused(fork)).reason == reason


@loop
async def test_purging_what_forks_read_and_what_is_purged(server: Running) -> None:
    parent = (await server.create()).context_id
    child = (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent))).context.context_id
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=parent))
    purge = cs.PurgeContextRequest(context_id=parent)
    error = check(await refused(server.contexts.PurgeContext(purge)))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTEXT_HAS_FORKS")
    assert (error.metadata["fork_count"], error.metadata["fork_ids"]) == ("1", child)
    await server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=parent, detach_children=True))
    error = check(await refused(server.contexts.PurgeContext(purge)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_PURGED")


@loop
async def test_flattening_what_is_flat(server: Running) -> None:
    flat = cs.FlattenContextRequest(context_id=(await server.create()).context_id)
    error = check(await refused(server.contexts.FlattenContext(flat)))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTEXT_IS_FLAT")


@loop
async def test_refusals_of_compactions(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user(f"{n} " * 200) for n in range(20)))
    on: dict[str, Any] = {"context_id": context_id}
    begin = ps.BeginCompactionRequest(preserve_recent=2, **on)
    begun = (await server.policies.BeginCompaction(begin)).compaction
    commit = ps.CommitCompactionRequest(compaction_id=begun.compaction_id, token=begun.token, **on)
    policies = server.policies
    calls: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        (
            "COMPACTION_NOT_FOUND",
            lambda: policies.RevertCompaction(ps.RevertCompactionRequest(compaction_id=unknown_id(), **on)),
        ),
        ("COMPACTION_IN_PROGRESS", lambda: policies.BeginCompaction(begin)),
        ("SUMMARY_REJECTED", lambda: policies.CommitCompaction(commit)),
        ("COMPACTION_STALE", lambda: policies.CommitCompaction(commit)),
        ("COMPACTION_NOT_IN_FORCE", lambda: policies.RevertCompaction(ps.RevertCompactionRequest(**on))),
        (
            "NOTHING_TO_COMPACT",
            lambda: policies.BeginCompaction(ps.BeginCompactionRequest(preserve_recent=99, **on)),
        ),
    ]
    for reason, call in calls:
        assert check(await refused(call())).reason == reason


@loop
async def test_a_model_that_does_not_answer(fresh_url: FreshDatabase) -> None:
    async with chat_server.serving(chat_server.error(429, "insufficient_quota", retry_after="90")) as chat:
        named = {"summariser": "openai", "summariser_url": chat.url, "summariser_model": "some-model"}
        async with serve(await fresh_url(), **named) as server:
            context_id = (await server.create()).context_id
            await server.append(context_id, *(b.user(f"{n} " * 200) for n in range(20)))
            failure = check(
                await refused(server.policies.CompactContext(ps.CompactContextRequest(context_id=context_id)))
            )
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NO_SUMMARY")
    assert failure.detail(details.RetryInfo()).retry_delay.ToMilliseconds() > 0


@loop
@pytest.mark.holds("I11", "I12")
async def test_a_window_too_large_for_one_answer(server: Running) -> None:
    context_id = (await server.create()).context_id
    image = pb.Part(image=pb.ImagePart(data=bytes(7 << 20)))
    for _ in range(10):
        await server.append(context_id, pb.Message(role=pb.ROLE_USER, parts=[image]))
    error = check(await refused(server.window(context_id, 1_000_000)))
    assert error.reason == "RESPONSE_TOO_LARGE"
    assert int(error.metadata["bytes"]) > int(error.metadata["max_bytes"]) == 64 << 20


@loop
@pytest.mark.holds("P1", "I12")
async def test_no_connection_becomes_free(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), pool_max=2, pool_acquire_timeout=0.3) as server:
        context_id = (await server.create()).context_id
        async with locked(server, context_id):
            waiting = [asyncio.ensure_future(server.append(context_id, b.user(str(n)))) for n in range(2)]
            await asyncio.sleep(0.2)
            error = check(await refused(server.get(context_id)))
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
            assert error.detail(details.RetryInfo()).retry_delay.ToMilliseconds() > 0
        answers = await asyncio.gather(*waiting)
        assert sorted(answer.last_version for answer in answers) == [1, 2]


@loop
@pytest.mark.holds("I12", "P2")
async def test_a_deadline_passes(server: Running) -> None:
    context_id = (await server.create()).context_id
    request = ms.AppendMessagesRequest(context_id=context_id, messages=[b.user("x")], request_id="r")
    async with locked(server, context_id):
        with pytest.raises(grpc.RpcError) as caught:
            await server.messages.AppendMessages(request, timeout=1)
        # The server answers a little before the client gives up; on a machine that is busy the client may be first.
        assert isinstance(caught.value, grpc.aio.AioRpcError)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if caught.value.trailing_metadata():
            assert 0 < float(check(read_error(caught.value)).metadata["timeout_seconds"]) <= 1
        async with direct(server.url) as other:
            await nobody(other, LOCKED_OUT)
    answer = await server.messages.AppendMessages(request)
    assert (answer.last_version, answer.replayed) == (1, False), "it was undone, and can be repeated"


@loop
@pytest.mark.holds("I12")
async def test_the_servers_own_bound_on_calls(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), deadline=0.5, statement_timeout=0.4) as server:
        context_id = (await server.create()).context_id
        async with locked(server, context_id):
            assert check(await refused(server.append(context_id, b.user("x")))).reason == "DEADLINE"
        await server.append(context_id, b.user("x"))


@loop
async def test_the_database_gives_up_between_writers(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server:
        await server.query(f"alter database {database_of(url)} set lock_timeout = '50ms'")
    async with serve(url) as server:
        context_id = (await server.create()).context_id
        async with locked(server, context_id):
            error = check(await refused(server.append(context_id, b.user("x"))))
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "WRITE_CONTENTION")
        assert (await server.append(context_id, b.user("x"))).first_version == 1


def database_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@loop
async def test_the_server_stops(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        context_id = (await server.create()).context_id
        call = server.messages.ImportMessages()
        batch = ms.ImportMessagesRequest(batch=ms.ImportBatch(messages=[b.user("x")]))
        await call.write(ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=context_id, request_id="i")))
        await call.write(batch)
        while (await server.get(context_id)).latest_version < 1:
            pass
        stopping = asyncio.ensure_future(server.server.stop(10))
        await asyncio.sleep(0.1)
        with suppress(asyncio.InvalidStateError):  # unless the first batch was answered so already
            await call.write(batch)
        error = check(await refused(call))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert error.detail(details.RetryInfo()).retry_delay.ToMilliseconds() > 0
        await stopping
    async with serve(server.url) as server:
        frames = [ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=context_id, request_id="i")), *[batch] * 3]
        answer = await server.messages.ImportMessages(iter(frames))
        assert (answer.batch_count, answer.last_version) == (3, 3)
        assert answer.replayed_batch_count in (1, 2)


@loop
@pytest.mark.holds("I10")
async def test_a_fault_of_the_server(fresh_url: FreshDatabase, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(await fresh_url()) as server:
        context_id = (await server.create()).context_id
        await server.append(context_id, b.user("x"))
        await server.query("alter table messages rename to elsewhere")
        with caplog.at_level(logging.ERROR):
            error = check(await refused(server.log(context_id)))
        assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        request_id = error.detail(details.RequestInfo()).request_id
        assert request_id in error.message
        assert request_id in caplog.text
        assert "elsewhere" not in error.message
        assert "relation" not in error.message, "the caller learns nothing of the inside"
        assert (await server.get(context_id)).context_id == context_id, "and the next call is answered"


@loop
async def test_every_reason_was_provoked() -> None:
    """Stands last: the tests above leave here what they provoked."""
    if len(PROVOKED) < 5:
        pytest.skip("only with the tests before it")
    assert set(reason_codes()) == PROVOKED
