"""Writing much: many messages a call, a stream of appends, an import, the storage layer, beside what PostgreSQL can.

All are measured in turn, a few seconds each, in every repetition.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from itertools import cycle
from typing import TYPE_CHECKING

from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench import pgbench, storage
from kata_grpc.cli.bench.appends import in_flight, request
from kata_grpc.cli.bench.data import TEXT_BYTES, create, prose
from kata_grpc.cli.bench.figures import Figure, Series, Target, expect, spread
from kata_grpc.limits import MAX_APPEND_MESSAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from kata_grpc.cli.bench.rig import Rig

_SECONDS = 2.0
_BATCH, _BATCHES_IN_FLIGHT = 64, 4
_STREAM_IN_FLIGHT = 64
_FRAME = 16
"""Appends a frame, where there are several."""
_WAITING = (32, 128)


async def measure(rig: Rig) -> list[Figure]:
    """Measure all of it in contexts of its own."""
    rig.say("writing much: batches, append streams, imports and the storage layer")
    contexts = await create(rig.client.contexts, pgbench.CONTEXTS)
    await pgbench.prepare(rig)
    turns = cycle(contexts)
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(rig.scale.repetitions):
        rates["floor"].append(await pgbench.rate(rig, _SECONDS))
        rates["batch"].append(await _batches(rig, turns))
        rates["import"].append(await _import(rig))
        rates["unary"].append(await in_flight(rig.client.messages, _STREAM_IN_FLIGHT, lambda: next(turns), Series()))
        rates["stream"].append(await _stream(rig, turns, 1))
        rates["frames"].append(await _stream(rig, turns, _FRAME))
        for waiting, rate in zip(_WAITING, await storage.rates(rig.url, _SECONDS, _WAITING, contexts), strict=True):
            rates[f"storage {waiting}"].append(rate)

    def figure(key: str, title: str, of: str, beside: str, floor_title: str, least: float | None) -> Figure:
        return Figure(
            key=key,
            title=title,
            unit="/s",
            value=spread(rates[of]).median,
            floor_title=floor_title,
            floor=spread(rates[beside]).median,
            ratio=spread([rate / floor for rate, floor in zip(rates[of], rates[beside], strict=True)]),
            target=Target(">=", least) if least else None,
        )

    floor, unary = pgbench.title(), f"AppendMessages of one, {_STREAM_IN_FLIGHT} in flight"
    batches = f"messages by AppendMessages of {_BATCH}, {_BATCHES_IN_FLIGHT} in flight"
    imports = f"messages of {TEXT_BYTES} bytes by one ImportMessages, {MAX_APPEND_MESSAGES:,} a batch"
    stream = f"appends by one StreamAppends, {_STREAM_IN_FLIGHT} in flight"
    return [
        figure("write_batch", batches, "batch", "floor", floor, 3),
        figure("write_import", imports, "import", "floor", floor, 4),
        figure("write_stream", f"{stream}, one a frame", "stream", "unary", unary, 2),
        figure("write_stream_frames", f"{stream}, {_FRAME} a frame", "frames", "unary", unary, None),
        *(
            figure(f"write_storage_{n}", f"appends in process, {n} waiting", f"storage {n}", "floor", floor, least)
            for n, least in zip(_WAITING, (1.5, 2.5), strict=True)
        ),
    ]


def _messages(count: int) -> list[message_pb2.Message]:
    texts = cycle(prose())
    return [message_pb2.Message(role=message_pb2.ROLE_USER, text=next(texts)) for _ in range(count)]


async def _batches(rig: Rig, contexts: Iterator[UUID]) -> float:
    messages = _messages(_BATCH)
    started = time.perf_counter()

    async def append() -> int:
        done = 0
        while time.perf_counter() - started < _SECONDS:
            one = pb.AppendMessagesRequest(context_id=str(next(contexts)), messages=messages)
            await rig.client.messages.AppendMessages(one)
            done += _BATCH
        return done

    done = sum(await asyncio.gather(*(append() for _ in range(_BATCHES_IN_FLIGHT))))
    return done / (time.perf_counter() - started)


async def _import(rig: Rig) -> float:
    (context_id,) = await create(rig.client.contexts, 1)
    batch = pb.ImportMessagesRequest(batch=pb.ImportBatch(messages=_messages(MAX_APPEND_MESSAGES)))
    started = time.perf_counter()

    async def frames() -> AsyncIterator[pb.ImportMessagesRequest]:
        header = pb.ImportHeader(context_id=str(context_id), request_id="bench", expected_version=0)
        yield pb.ImportMessagesRequest(header=header)
        while time.perf_counter() - started < _SECONDS:
            yield batch

    answer = await rig.client.messages.ImportMessages(frames())
    seconds = time.perf_counter() - started
    expect(answer.last_version, answer.batch_count * MAX_APPEND_MESSAGES, "messages of an import")
    return answer.last_version / seconds


async def _stream(rig: Rig, contexts: Iterator[UUID], a_frame: int) -> float:
    """Keep a stream filled: as many new appends as there were answers."""
    call = rig.client.messages.StreamAppends()
    sent = answered = waiting = 0
    started = time.perf_counter()

    async def send() -> None:
        nonlocal sent, waiting
        waiting -= a_frame
        sent += a_frame
        appends = [pb.NumberedAppend(sequence=sent, append=request(next(contexts))) for _ in range(a_frame)]
        await call.write(pb.StreamAppendsRequest(appends=appends))

    waiting = _STREAM_IN_FLIGHT
    while answered < sent or not sent:
        while waiting >= a_frame and time.perf_counter() - started < _SECONDS:
            await send()
        frame = await call.read()
        assert isinstance(frame, pb.StreamAppendsResponse), "there are answers to come"
        expect(all(outcome.HasField("appended") for outcome in frame.outcomes), True, "appends of a stream")
        answered += len(frame.outcomes)
        waiting += len(frame.outcomes)
    rate = answered / (time.perf_counter() - started)
    await call.done_writing()
    return rate
