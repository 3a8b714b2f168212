"""Appends of one message: at two lengths of history, and their rate beside calls that do nothing."""

from __future__ import annotations

import asyncio
import time
from itertools import count, cycle
from typing import TYPE_CHECKING

from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench.data import TEXT_BYTES
from kata_grpc.cli.bench.figures import Figure, Series, Target, alternate, compared, spread

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from kata_grpc.cli.bench.rig import Rig

IN_FLIGHT = (1, 16, 64)
_RATE_SECONDS = 2.0
_TEXT = ("every word of this is new to the table and none to the reader " * 10)[:TEXT_BYTES]


async def measure(rig: Rig) -> list[Figure]:
    """Measure appends; the contexts are longer afterwards."""
    rig.say("appends")
    long, service = rig.data.long, rig.client.messages
    calls = count()

    def short() -> UUID:
        # One context a repetition, so that none gets long by being measured.
        return rig.data.shorts[next(calls) // rig.scale.calls]

    await rig.hold("AppendMessages", long, _request(long))
    series = await alternate(
        {
            "long": lambda: service.AppendMessages(_request(long)),
            "short": lambda: service.AppendMessages(_request(short())),
            "echo": lambda: rig.floor_client.messages.AppendMessages(_request(long)),
        },
        repetitions=rig.scale.repetitions,
        calls=rig.scale.calls,
    )
    title = f"append of one message at a history of {rig.scale.long_messages:,}"
    return [
        compared("append_history", title, series["long"], "at 1,000", series["short"], target=Target("<=", 1.15)),
        compared("append_echo", title, series["long"], "call that does nothing", series["echo"]),
        *[await _rate(rig, in_flight) for in_flight in IN_FLIGHT],
    ]


def _request(context_id: UUID) -> pb.AppendMessagesRequest:
    message = message_pb2.Message(role=message_pb2.ROLE_USER, text=_TEXT)
    return pb.AppendMessagesRequest(context_id=str(context_id), messages=[message])


async def _rate(rig: Rig, in_flight: int) -> Figure:
    rig.say(f"appends, {in_flight} in flight")
    contexts = cycle(rig.data.shorts)
    long = rig.data.long
    appends, echoes = Series(), Series()
    rates: dict[str, list[float]] = {"append": [], "echo": []}
    for _ in range(rig.scale.repetitions):
        rates["echo"].append(await _in_flight(rig.floor_client.messages, in_flight, lambda: long, echoes))
        rates["append"].append(await _in_flight(rig.client.messages, in_flight, lambda: next(contexts), appends))
    ratio = spread([append / echo for append, echo in zip(rates["append"], rates["echo"], strict=True)])
    return Figure(
        key=f"append_rate_{in_flight}",
        title=f"appends, {in_flight} in flight (p50 {appends.p50 * 1000:.2f} ms, p99 {appends.p99 * 1000:.2f} ms)",
        unit="/s",
        value=spread(rates["append"]).median,
        floor_title="calls that do nothing",
        floor=spread(rates["echo"]).median,
        ratio=ratio,
    )


async def _in_flight(
    stub: MessageServiceAsyncStub, in_flight: int, context_id: Callable[[], UUID], series: Series
) -> float:
    """Keep calls in flight for a while; return calls a second and add their times to `series`."""
    times: list[float] = []
    started = time.perf_counter()

    async def worker() -> None:
        while (begun := time.perf_counter()) - started < _RATE_SECONDS:
            await stub.AppendMessages(_request(context_id()))
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    series.repetitions.append(times)
    return len(times) / (time.perf_counter() - started)
