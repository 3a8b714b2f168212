"""Windows of 8,000 tokens: at two lengths of history, beside their floors, and first on a new connection."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench.data import SQL
from kata_grpc.cli.bench.figures import Figure, Series, Target, alternate, compared, expect, spread
from kata_grpc.cli.bench.rig import TENANT, Rig, client

if TYPE_CHECKING:
    from uuid import UUID

    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

BUDGET = 8_000
OTHER_TOKENIZER = "cl100k_base"
"""The contexts are counted in o200k_base."""
_FIRST = 10
_PAUSE_SECONDS = 0.3


async def measure(rig: Rig) -> list[Figure]:
    """Measure everything about windows; no message may be appended to the long context before."""
    rig.say("windows, beside the same rows from the bare driver and the same bytes without a database")
    long, short, recounted = rig.data.long, rig.data.shorts[-1], rig.data.shorts[-2]
    service, floor = rig.client.messages, rig.floor_client.messages
    get = pb.GetWindowRequest(context_id=str(long), token_budget=BUDGET)
    whole = pb.GetWindowResponse.FromString((await rig.hold("GetWindow", long, get))[0])
    await rig.hold("StreamWindow", long, pb.StreamWindowRequest(context_id=str(long), token_budget=BUDGET))
    header = whole.header
    # The one pinned message, far from the others, is not in the floor's rows.
    first, last = header.tail_first_version, header.snapshot_version
    rows = await rig.prepared(SQL.window_rows)
    expect(len(await rows(long, TENANT, first, last)), header.message_count - 1, "rows of the window's tail")
    other_first, other_last = await _ends_recounted(rig, recounted)
    series = await alternate(
        {
            "long": lambda: stream(service, long),
            "short": lambda: stream(service, short),
            "rows": lambda: rows(long, TENANT, first, last),
            "bytes": lambda: stream(floor, long),
            "get": lambda: service.GetWindow(get),
            "get bytes": lambda: floor.GetWindow(get),
            "other": lambda: stream(service, recounted, tokenizer=OTHER_TOKENIZER),
            "other rows": lambda: rows(recounted, TENANT, other_first, other_last),
            "other bytes": lambda: stream(floor, recounted),
        },
        repetitions=rig.scale.repetitions,
        calls=rig.scale.calls,
    )
    title = f"window of {BUDGET:,} tokens ({header.message_count} messages)"
    floors = "bare query of the rows + bytes without a database"
    return [
        compared(
            "window_history",
            f"{title} from {rig.scale.long_messages:,}",
            series["long"],
            "from 1,000",
            series["short"],
            target=Target("<=", 1.3),
        ),
        compared(
            "window_stream",
            f"{title}, StreamWindow",
            series["long"],
            floors,
            series["rows"],
            series["bytes"],
            target=Target("<=", 1.5),
        ),
        compared("window_get", f"{title}, GetWindow", series["get"], floors, series["rows"], series["get bytes"]),
        compared(
            "window_tokenizer",
            f"window of {BUDGET:,} tokens of {OTHER_TOKENIZER} from a context of o200k_base, StreamWindow",
            series["other"],
            floors,
            series["other rows"],
            series["other bytes"],
            target=Target("<=", 4),
        ),
        await _first_windows(rig, series["long"]),
    ]


async def stream(stub: MessageServiceAsyncStub, context_id: UUID, budget: int = BUDGET, *, tokenizer: str = "") -> int:
    """Read a streamed window to its trailer and returns how many messages it had."""
    count = 0
    complete = False
    request = pb.StreamWindowRequest(context_id=str(context_id), token_budget=budget, tokenizer=tokenizer)
    async for frame in stub.StreamWindow(request):
        count += len(frame.chunk.messages)
        complete = frame.HasField("trailer")
    expect(complete, True, "trailer of a stream")
    return count


async def _ends_recounted(rig: Rig, context_id: UUID) -> tuple[int, int]:
    """Prepare the floor of a window in another tokenizer; return the first and last version of its tail."""
    asked = pb.StreamWindowRequest(context_id=str(context_id), token_budget=BUDGET, tokenizer=OTHER_TOKENIZER)
    frames = await rig.hold("StreamWindow", context_id, asked)
    header = pb.StreamWindowResponse.FromString(frames[0]).header
    expect(header.tokenizer, OTHER_TOKENIZER, "tokenizer of the window")
    return header.tail_first_version, header.snapshot_version


async def _first_windows(rig: Rig, usual: Series) -> Figure:
    """Time the first ten windows after the database ended all connections, on a new channel: connecting counts."""
    rig.say("first windows on new connections")
    slowest = []
    for _ in range(rig.scale.repetitions):
        await rig.connection.fetch(SQL.end_connections.text)
        await asyncio.sleep(_PAUSE_SECONDS)
        async with client(rig.service) as fresh:
            times = []
            for _ in range(_FIRST):
                started = time.perf_counter()
                await stream(fresh.messages, rig.data.long)
                times.append(time.perf_counter() - started)
        slowest.append(max(times))
    return Figure(
        key="window_first",
        title=f"slowest of the first {_FIRST} windows on a new connection (context of half the rows)",
        unit="ms",
        value=Series([slowest]).p50 * 1000,
        floor_title="usual window",
        floor=usual.p50 * 1000,
        ratio=spread([value / usual.p50 for value in slowest]),
        target=Target("<=", 20),
    )
