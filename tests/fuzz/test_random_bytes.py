"""Random requests to every method: each gets an answer or a typed refusal, in time, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms

from tests.fuzz.requests import DELETED, IDS, LIVE, UNKNOWN, requests
from tests.rpc import build as b
from tests.rpc.appendstreams import reason
from tests.rpc.serving import FreshDatabase, Running, loop, read_error, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.descriptor import MethodDescriptor

pytestmark = [loop, pytest.mark.holds("I12", "P2")]

POOL = 3
LISTENERS = 1
SECONDS = 20
SERVICES = (
    cs.DESCRIPTOR.services_by_name["ContextService"],
    ms.DESCRIPTOR.services_by_name["MessageService"],
)
METHODS = {method.name: method for service in SERVICES for method in service.methods}
ALLOWED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
}
CODES = {code.value[0]: code for code in grpc.StatusCode}
QUICK = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
LONG = settings(QUICK, max_examples=20_000, derandomize=False)


@dataclass(frozen=True)
class Call:
    """A method and the frames that it is sent."""

    method: str
    frames: tuple[bytes, ...]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))]
    one = requests(method.input_type)
    frames = draw(st.lists(one, max_size=3)) if method.client_streaming else [draw(one)]
    if method.client_streaming and not method.server_streaming and draw(st.booleans()):
        opening = ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=IDS[LIVE]))
        frames.insert(0, opening.SerializeToString())
    return Call(method.name, tuple(frames))


@dataclass(frozen=True)
class Target:
    """A server with a context of each state."""

    server: Running
    ids: dict[str, str]


@pytest_asyncio.fixture(loop_scope="session")
async def target(fresh_url: FreshDatabase) -> AsyncIterator[Target]:
    async with serve(await fresh_url(), pool_max=POOL) as server:
        live, deleted = [(await server.create()).context_id for _ in range(2)]
        await server.append(live, b.system("s"), b.user("q"), b.calls("a", "b"), b.result("a"), b.user("x"))
        await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=deleted))
        yield Target(server, {LIVE: live, DELETED: deleted, UNKNOWN: str(uuid4())})
        await check_nothing_is_left(server)


async def check_nothing_is_left(server: Running) -> None:
    """No connection beyond those of a worker, none at work, and the sums are right."""
    (row,) = await server.query(
        "select count(*) as all, count(*) filter (where state <> 'idle' or xact_start is not null) as busy "
        "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert (row["all"] <= POOL + LISTENERS, row["busy"]) == (True, 0)
    wrong = await server.query(
        "select c.id from contexts c left join lateral ("
        "select count(*) as count, coalesce(sum(token_count), 0) as sum, coalesce(max(version), 0) as latest "
        "from messages where context_id = c.id) m on true "
        "where c.segments is null "
        "and (c.latest_version, c.total_tokens, c.latest_version) is distinct from (m.count, m.sum, m.latest)"
    )
    assert not wrong
    await server.create()


async def send(target: Target, call: Call) -> None:
    method = METHODS[call.method]
    frames = list(call.frames)
    for name, stands_for in IDS.items():
        frames = [frame.replace(stands_for.encode(), target.ids[name].encode()) for frame in frames]
    error: grpc.aio.AioRpcError | None = None
    try:
        await answer(target.server.channel, method, frames)
    except grpc.aio.AioRpcError as refusal:
        error = refusal
    if error is not None:
        event(f"{call.method} {error.code().name}")
        assert error.code() in ALLOWED, (error.code(), error.details())
        read_error(error)
    else:
        event(f"{call.method} OK")
        if call.method in ("DeleteContext", "UndeleteContext"):
            await restore(target)


async def restore(target: Target) -> None:
    """Makes the contexts again what they stand for."""
    contexts = target.server.contexts
    if (await target.server.get(target.ids[LIVE])).HasField("delete_time"):
        await contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=target.ids[LIVE]))
    if not (await target.server.get(target.ids[DELETED])).HasField("delete_time"):
        await contexts.DeleteContext(cs.DeleteContextRequest(context_id=target.ids[DELETED]))


def check_outcome(method: str, outcome: ms.AppendOutcome) -> None:
    """Holds an answer within a stream to what holds for calls."""
    if outcome.HasField("failure"):
        code = CODES[outcome.failure.code]
        assert reason(outcome)
        assert code in ALLOWED, outcome
        event(f"{method} outcome {code.name}")
    else:
        event(f"{method} outcome OK")


async def answer(channel: Any, method: MethodDescriptor, frames: list[bytes]) -> None:
    """Calls a method and parses what comes back."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    parse = GetMessageClass(method.output_type).FromString
    if method.client_streaming and method.server_streaming:
        async for frame in channel.stream_stream(path, response_deserializer=parse)(iter(frames), timeout=SECONDS):
            for outcome in frame.outcomes:
                check_outcome(method.name, outcome)
    elif method.client_streaming:
        await channel.stream_unary(path, response_deserializer=parse)(iter(frames), timeout=SECONDS)
    elif method.server_streaming:
        call = channel.unary_stream(path, response_deserializer=parse)(frames[0], timeout=SECONDS)
        async for frame in call:
            if isinstance(frame, ms.WatchContextResponse) and frame.HasField("caught_up"):
                call.cancel()  # it has no end of its own
                break
    else:
        await channel.unary_unary(path, response_deserializer=parse)(frames[0], timeout=SECONDS)


@given(call=calls())
@QUICK
async def test_random_requests(target: Target, call: Call) -> None:
    await send(target, call)


@pytest.mark.torture
@given(call=calls())
@LONG
async def test_random_requests_for_long(target: Target, call: Call) -> None:
    await send(target, call)
