"""Appends on a stream: the rules of single calls, an outcome each, bounded, and an end that can be resumed."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from google.rpc import status_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc import limits
from kata_grpc.app import Server
from kata_grpc.config import Settings
from kata_grpc.transport.calls import Dialog
from tests.faults.stalled import stalled_call
from tests.faults.waiting import until
from tests.rpc import build as b
from tests.rpc.appendstreams import AppendStream, reason, request, status
from tests.rpc.serving import FreshDatabase, Running, loop, methods, read_error, refused, serve, unknown_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = loop

PATH = "/kata.context.v1.MessageService/StreamAppends"


@asynccontextmanager
async def held(url: str, context_id: str) -> AsyncIterator[None]:
    """Keeps a context's row from being written."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select from contexts where id = $1::text::uuid for update", context_id)
            yield
    finally:
        await connection.close()


# --- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I1", "I3")
async def test_every_append_is_answered_with_its_number(server: Running) -> None:
    contexts = [(await server.create()).context_id for _ in range(5)]
    stream = AppendStream.open(server.messages)
    for n in range(20):
        await stream.send(*(request(context_id, b.user(f"{n}"), b.assistant("x")) for context_id in contexts))
    answers = await stream.rest()
    assert sorted(answers) == list(range(1, 101))
    for place, context_id in enumerate(contexts):
        mine = [answers[5 * n + place + 1].appended for n in range(20)]
        assert [(a.first_version, a.last_version, a.revision) for a in mine] == [
            (2 * n + 1, 2 * n + 2, n + 1) for n in range(20)
        ]
        assert not any(a.replayed or a.HasField("context") for a in mine)
        assert [m.text for m in await server.log(context_id)] == [t for n in range(20) for t in (f"{n}", "x")]


async def test_answers_that_are_there_together_leave_together(server: Running) -> None:
    contexts = [(await server.create()).context_id for _ in range(40)]
    stream = AppendStream.open(server.messages)
    await stream.send(*(request(context_id, b.user("x")) for context_id in contexts))
    assert len(await stream.rest()) == 40
    assert stream.frames < 10


@pytest.mark.holds("I3")
async def test_a_refusal_is_that_of_a_single_call_and_concerns_nobody_else(server: Running) -> None:
    good = (await server.create()).context_id
    gone = (await server.create()).context_id
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=gone))
    used = (await server.create()).context_id
    await server.append(used, b.user("first"), request_id="r")
    bad = {
        "INVALID_FIELD": request("x", b.user("a" * 10, token_count=-1), b.result("")),
        "CONTEXT_NOT_FOUND": request(unknown_id(), b.user("x")),
        "CONTEXT_NOT_FOUND deleted": request(gone, b.user("x")),
        "REQUEST_ID_REUSED": request(used, b.user("other"), request_id="r"),
        "VERSION_CONFLICT": request(used, b.user("x"), expected_version=7),
        "TOO_MANY_OPEN_CALLS": request(used, b.calls(*(f"c{n}" for n in range(257)))),
    }
    alone = {}
    for name, one in bad.items():
        error = await refused(server.messages.AppendMessages(one))
        assert error.reason == name.partition(" ")[0]
        alone[name] = error.status
    stream = AppendStream.open(server.messages)
    numbers = {}
    for n, (name, one) in enumerate(bad.items()):
        fine, numbers[name] = await stream.send(request(good, b.user(f"{n}")), one)
        assert (await stream.appended(fine)).first_version == n + 1
    nothing = ms.NumberedAppend(sequence=-5)
    await stream.call.write(ms.StreamAppendsRequest(appends=[nothing]))
    answers = await stream.rest()
    assert {name: status(answers[number]) for name, number in numbers.items()} == alone
    assert reason(answers[-5]) == "INVALID_FIELD"
    assert len(await server.log(good)) == len(bad)
    assert len(await server.log(used)) == 1


async def test_a_failure_is_a_status_field_for_field() -> None:
    def shape(message: Any) -> list[tuple[str, int, int, bool, str]]:
        return [
            (f.name, f.number, f.type, f.is_repeated, f.message_type.full_name if f.message_type else "")
            for f in message.DESCRIPTOR.fields
        ]

    assert shape(ms.AppendFailure) == shape(status_pb2.Status)


# --- exactly once, in order -------------------------------------------------------------------------------------------


@pytest.mark.holds("I4")
async def test_a_request_id_counts_once_on_streams_and_calls_alike(server: Running) -> None:
    context_id = (await server.create()).context_id
    one = request(context_id, b.user("once"), request_id="r", expected_version=0)
    streams = [AppendStream.open(server.messages) for _ in range(3)]
    for stream in streams:
        await stream.send(one, one, one)
    answers = [o.appended for stream in streams for o in (await stream.rest()).values()]
    answers += [await server.messages.AppendMessages(one)]
    assert sorted(a.replayed for a in answers) == [False] + [True] * 9
    assert {(a.first_version, a.last_version, a.revision) for a in answers} == {(1, 1, 1)}
    stream = AppendStream.open(server.messages)
    other = await stream.append(context_id, b.user("other"), request_id="r")
    assert reason(await stream.answer(other)) == "REQUEST_ID_REUSED"
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    again, new = await stream.send(one, request(context_id, b.user("new"), request_id="n"))
    assert (await stream.appended(again)).replayed, "a replay is answered when its context is deleted"
    assert reason(await stream.answer(new)) == "CONTEXT_NOT_FOUND"
    await stream.rest()


@pytest.mark.holds("I3", "I4")
async def test_appends_to_one_context_need_not_wait_for_each_other(server: Running) -> None:
    """Each demands the version that the one before it makes, and none was waited for."""
    context_id = (await server.create()).context_id
    stream = AppendStream.open(server.messages)
    for n in range(100):
        await stream.append(context_id, b.user(f"{n}"), expected_version=n, request_id=f"{n}")
    answers = await stream.rest()
    assert [answers[n].appended.first_version for n in range(1, 101)] == list(range(1, 101))
    assert [m.text for m in await server.log(context_id)] == [f"{n}" for n in range(100)]


@pytest.mark.holds("I3")
async def test_a_large_append_keeps_its_place(server: Running) -> None:
    """It goes alone and is counted on a thread; the small one behind it waits."""
    context_id = (await server.create()).context_id
    stream = AppendStream.open(server.messages)
    large, small = await stream.send(
        request(context_id, *[b.user("word " * 400)] * 500), request(context_id, b.user("x"))
    )
    assert (await stream.appended(small)).first_version == 501
    assert (await stream.appended(large)).last_version == 500
    await stream.rest()


async def test_a_context_that_is_held_delays_only_itself(server: Running) -> None:
    stuck, free = [(await server.create()).context_id for _ in range(2)]
    stream = AppendStream.open(server.messages)
    async with held(server.url, stuck):
        waiting = await stream.append(stuck, b.user("x"))
        for n in range(3):
            assert (await stream.appended(await stream.append(free, b.user("x")))).first_version == n + 1
        assert waiting not in stream.answers
    assert (await stream.appended(waiting)).first_version == 1
    await stream.rest()


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I11", "I12")
@pytest.mark.parametrize("size", ["many", "large"])
async def test_what_is_in_flight_is_bounded(server: Running, size: str) -> None:
    stuck, free = [(await server.create()).context_id for _ in range(2)]
    text, most = ("x", limits.MAX_STREAM_APPENDS) if size == "many" else ("x " * 2_000_000, 5)
    stream = AppendStream.open(server.messages)
    async with held(server.url, stuck):
        for _ in range(most - 1):
            await stream.append(stuck, b.user(text))
        await stream.appended(await stream.append(free, b.user("there is room for one more")))
        await stream.append(stuck, b.user(text))
        beyond = asyncio.ensure_future(stream.append(free, b.user("and no further")))
        answer = asyncio.ensure_future(stream.read())
        await asyncio.wait({answer}, timeout=0.3)
        assert not answer.done(), "the server does not read on"
    await beyond
    await answer
    assert len(await stream.rest()) == most + 2
    assert [m.text for m in await server.log(free)] == ["there is room for one more", "and no further"]


@pytest.mark.holds("I11", "I12")
async def test_a_caller_that_takes_no_answers_is_let_go(fresh_url: FreshDatabase) -> None:
    def dialogs() -> list[Dialog]:
        gc.collect()  # a refusal and its traceback hold each other
        return [one for one in gc.get_objects() if isinstance(one, Dialog)]

    server = Server(Settings(listen="127.0.0.1:0", database_url=await fresh_url()), stall_seconds=0.5)
    await server.start()
    before = dialogs()
    try:
        frame = ms.StreamAppendsRequest(appends=[ms.NumberedAppend()] * limits.MAX_STREAM_APPENDS)
        with stalled_call(server.address, PATH, frame.SerializeToString(), 0):
            await until(lambda: len(dialogs()) > len(before), "the call", pause=0.05)
            await until(lambda: len(dialogs()) <= len(before), "the end of the call", pause=0.05)
    finally:
        await server.stop(0)


@pytest.mark.holds("I12")
async def test_each_append_has_the_bound_of_a_call(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), deadline=0.4) as server:
        stuck, free = [(await server.create()).context_id for _ in range(2)]
        stream = AppendStream.open(server.messages)
        async with held(server.url, stuck):
            assert reason(await stream.answer(await stream.append(stuck, b.user("x"), request_id="r"))) == "DEADLINE"
        assert (await stream.appended(await stream.append(free, b.user("x")))).first_version == 1
        assert (await stream.appended(await stream.append(stuck, b.user("x"), request_id="r"))).first_version == 1
        await stream.rest()


async def test_a_frame_that_breaks_the_rules_ends_the_stream_after_the_answers(server: Running) -> None:
    context_id = (await server.create()).context_id
    fine = ms.StreamAppendsRequest(appends=[ms.NumberedAppend(sequence=1, append=request(context_id, b.user("x")))])
    too_many = ms.StreamAppendsRequest(appends=[ms.NumberedAppend()] * (limits.MAX_STREAM_APPENDS + 1))
    for bad, why in ((b"\xff", "MALFORMED_REQUEST"), (too_many.SerializeToString(), "INVALID_FIELD")):
        call = methods(server.channel).stream_stream(PATH, response_deserializer=ms.StreamAppendsResponse.FromString)()
        await call.write(fine.SerializeToString())
        await call.write(bad)
        assert [outcome.sequence for outcome in (await call.read()).outcomes] == [1]
        with pytest.raises(grpc.RpcError) as caught:
            await call.read()
        error = read_error(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, why)
    assert len(await server.log(context_id)) == 2


async def test_empty_streams_and_empty_frames(server: Running) -> None:
    assert await AppendStream.open(server.messages).rest() == {}
    context_id = (await server.create()).context_id
    stream = AppendStream.open(server.messages)
    await stream.send()
    await stream.append(context_id, b.user("x"))
    await stream.send()
    assert sorted(await stream.rest()) == [1]


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I3", "I4", "P2")
async def test_a_server_that_stops_answers_what_it_read_and_the_rest_goes_on_elsewhere(
    fresh_url: FreshDatabase,
) -> None:
    url = await fresh_url()
    async with serve(url) as server:
        busy, idle = [(await server.create()).context_id for _ in range(2)]
        resting = AppendStream.open(server.messages)
        await resting.appended(await resting.append(idle, b.user("x")))
        stream = AppendStream.open(server.messages)
        async with held(url, busy):
            first = await stream.append(busy, b.user("0"), request_id="0")
            await stream.appended(await stream.append(idle, b.user("y")))  # so that the one before was read
            stopping = asyncio.ensure_future(server.server.stop(20))
            # The stream that waits for its caller ends at once.
            error = await refused(resting.call.read())
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert (await stream.appended(first)).first_version == 1
        error = await refused(stream.call.read())
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        await stopping
    async with serve(url) as server:
        stream = AppendStream.open(server.messages)
        await stream.send(*(request(busy, b.user(f"{n}"), request_id=f"{n}") for n in range(3)))
        answers = await stream.rest()
        assert [answers[n].appended.replayed for n in (1, 2, 3)] == [True, False, False]
        assert [m.text for m in await server.log(busy)] == ["0", "1", "2"]


@pytest.mark.holds("I3", "P2")
async def test_a_stream_that_is_cut_leaves_every_append_whole_or_out(server: Running) -> None:
    contexts = [(await server.create()).context_id for _ in range(20)]
    for cut in range(6):
        stream = AppendStream.open(server.messages)
        for n in range(10):
            await stream.send(*(request(c, *[b.user(f"{cut} {n}")] * 3, request_id=f"{cut} {n}") for c in contexts))
        await stream.answer(10 * cut + 1)
        stream.call.cancel()
        again = AppendStream.open(server.messages)
        for n in range(10):
            await again.send(*(request(c, *[b.user(f"{cut} {n}")] * 3, request_id=f"{cut} {n}") for c in contexts))
        answers = await again.rest()
        assert not any(map(reason, answers.values()))
        assert any(outcome.appended.replayed for outcome in answers.values())
    for context_id in contexts:
        texts = [m.text for m in await server.log(context_id)]
        assert sorted(texts) == sorted(f"{cut} {n}" for cut in range(6) for n in range(10) for _ in range(3))
        assert texts == [text for place in range(0, len(texts), 3) for text in [texts[place]] * 3]


@pytest.mark.holds("I4", "I12")
async def test_a_callers_deadline_ends_the_stream_and_nothing_is_lost(server: Running) -> None:
    context_id = (await server.create()).context_id
    stream = AppendStream.open(server.messages, timeout=0.5)
    async with held(server.url, context_id):
        await stream.append(context_id, b.user("x"), request_id="r")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # The server gives up a little before its caller does; on a busy machine the lock may be gone first.
    assert (await server.append(context_id, b.user("x"), request_id="r")).last_version == 1
    assert len(await server.log(context_id)) == 1
