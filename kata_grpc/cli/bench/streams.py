"""A streamed window of 100,000 messages: its rate beside bare pages of the same rows, and what the server needs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench.data import SQL, TEXT_BYTES
from kata_grpc.cli.bench.figures import Figure, Series, Target, alternate, expect, spread
from kata_grpc.cli.bench.load import seconds_of
from kata_grpc.cli.bench.rig import TENANT, Rig
from kata_grpc.cli.bench.windows import stream
from kata_grpc.limits import FRAME_MESSAGES, MAX_TOKEN_BUDGET, MIB

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

GROWTH_BYTES = 64 * MIB
_STOPPED_SECONDS = 5.0
_CHUNKS_READ = 2


async def measure(rig: Rig) -> list[Figure]:
    """Measure long streams; the service must not have streamed before, or its growth is not seen."""
    count = rig.scale.stream_messages
    rig.say(f"streams of {count:,} messages, beside bare pages of the same rows")
    context_id = rig.data.stream
    before = rig.service.resident()
    rig.service.reset_peak()
    page = await rig.prepared(SQL.keyset_page)
    first = await stream(rig.client.messages, context_id, MAX_TOKEN_BUDGET)
    expect(first, count, "messages of the stream")
    growth_first = rig.service.peak() - before
    await rig.hold("StreamWindow", context_id, _request(rig))
    series = await alternate(
        {
            "stream": lambda: stream(rig.client.messages, context_id, MAX_TOKEN_BUDGET),
            "pages": lambda: _pages(rig, page),
            "bytes": lambda: stream(rig.floor_client.messages, context_id, MAX_TOKEN_BUDGET),
        },
        repetitions=rig.scale.repetitions,
        calls=1,
        warmup=1,
    )
    growth = rig.service.peak() - before
    processor = await _processor(rig)
    stopped, busy = await _stopped_reader(rig, before)
    return [
        _rate("stream_pages", count, series["stream"], "bare pages of 512", series["pages"], Target(">=", 0.5)),
        _rate("stream_bytes", count, series["stream"], "bytes without a database", series["bytes"]),
        Figure(
            key="stream_processor",
            title="processor time of the server for each of these messages",
            unit="µs",
            value=processor / count * 1e6,
        ),
        _memory("stream_memory_first", "the server's memory grows by, in the first of these streams", growth_first),
        _memory("stream_memory", f"the same over {rig.scale.repetitions + 3} of them", growth),
        _memory("stream_memory_stopped", "the same, then a reader that stops", stopped),
        Figure(
            key="stream_connections_stopped",
            title="connections at work for a reader that stops",
            unit="",
            value=busy,
            target=Target("<=", 0, "value"),
        ),
    ]


async def _processor(rig: Rig) -> float:
    """Return the seconds of processor time that the server takes for a stream."""
    before = seconds_of(rig.service.process.pid)
    for _ in range(rig.scale.repetitions):
        await stream(rig.client.messages, rig.data.stream, MAX_TOKEN_BUDGET)
    return (seconds_of(rig.service.process.pid) - before) / rig.scale.repetitions


def _request(rig: Rig) -> pb.StreamWindowRequest:
    return pb.StreamWindowRequest(context_id=str(rig.data.stream), token_budget=MAX_TOKEN_BUDGET)


async def _pages(rig: Rig, page: Callable[..., Awaitable[Sequence[Any]]]) -> None:
    after = count = 0
    while rows := await page(rig.data.stream, TENANT, after, FRAME_MESSAGES):
        after = rows[-1]["version"]
        count += len(rows)
    expect(count, rig.scale.stream_messages, "rows of the pages")


async def _stopped_reader(rig: Rig, before: int) -> tuple[int, int]:
    """Read the beginning of a stream and no more; return the server's growth, and its connections at work at most."""
    rig.say(f"a reader that stops for {_STOPPED_SECONDS:g} s")
    rig.service.reset_peak()
    call: Any = rig.client.messages.StreamWindow(_request(rig))
    for _ in range(1 + _CHUNKS_READ):
        await call.read()
    busy = 0
    await asyncio.sleep(_STOPPED_SECONDS / 2)
    until = time.monotonic() + _STOPPED_SECONDS / 2
    while time.monotonic() < until:
        busy = max(busy, await rig.busy_connections())
        await asyncio.sleep(0.05)
    peak = rig.service.peak()
    call.cancel()
    return peak - before, busy


def _rate(
    key: str, count: int, series: Series, floor_title: str, floor: Series, target: Target | None = None
) -> Figure:
    pairs = zip(series.medians, floor.medians, strict=True)
    return Figure(
        key=key,
        title=f"StreamWindow of {count:,} messages of {TEXT_BYTES} bytes",
        unit="/s",
        value=count / series.p50,
        floor_title=floor_title,
        floor=count / floor.p50,
        ratio=spread([beside / seconds for seconds, beside in pairs]),
        target=target,
    )


def _memory(key: str, title: str, growth: int) -> Figure:
    return Figure(key=key, title=title, unit="MiB", value=growth / MIB, target=Target("<", GROWTH_BYTES / MIB, "value"))
