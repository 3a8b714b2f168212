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
_LEAST_RATE = {64: Target(">=", 0.75)}
_MOST_TIME = {1: Target("<=", 1.9)}
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

    await rig.hold("AppendMessages", long, request(long))
    series = await alternate(
        {
            "long": lambda: service.AppendMessages(request(long)),
            "short": lambda: service.AppendMessages(request(short())),
            "echo": lambda: rig.floor_client.messages.AppendMessages(request(long)),
        },
        repetitions=rig.scale.repetitions,
        calls=rig.scale.calls,
    )
    title = f"append of one message at a history of {rig.scale.long_messages:,}"
    return [
        compared("append_history", title, series["long"], "at 1,000", series["short"], target=Target("<=", 1.15)),
        compared("append_echo", title, series["long"], "call that does nothing", series["echo"]),
        *[figure for count in IN_FLIGHT for figure in await _rates(rig, count)],
    ]


def request(context_id: UUID) -> pb.AppendMessagesRequest:
    """Return the append of one message."""
    message = message_pb2.Message(role=message_pb2.ROLE_USER, text=_TEXT)
    return pb.AppendMessagesRequest(context_id=str(context_id), messages=[message])


async def _rates(rig: Rig, count: int) -> list[Figure]:
    rig.say(f"appends, {count} in flight")
    contexts = cycle(rig.data.shorts)
    long = rig.data.long
    appends, echoes = Series(), Series()
    rates: dict[str, list[float]] = {"append": [], "echo": []}
    for _ in range(rig.scale.repetitions):
        rates["echo"].append(await in_flight(rig.floor_client.messages, count, lambda: long, echoes))
        rates["append"].append(await in_flight(rig.client.messages, count, lambda: next(contexts), appends))
    rate = Figure(
        key=f"append_rate_{count}",
        title=f"appends, {count} in flight",
        unit="/s",
        value=spread(rates["append"]).median,
        floor_title="calls that do nothing, with the same bytes",
        floor=spread(rates["echo"]).median,
        ratio=spread([append / echo for append, echo in zip(rates["append"], rates["echo"], strict=True)]),
        target=_LEAST_RATE.get(count),
    )
    title, floor_title = f"append, {count} in flight", "call that does nothing"
    most = _MOST_TIME.get(count)
    return [rate, compared(f"append_time_{count}", title, appends, floor_title, echoes, target=most)]


async def in_flight(stub: MessageServiceAsyncStub, count: int, context_id: Callable[[], UUID], series: Series) -> float:
    """Keep calls in flight for a while; return calls a second and add their times to `series`."""
    times: list[float] = []
    started = time.perf_counter()

    async def worker() -> None:
        while (begun := time.perf_counter()) - started < _RATE_SECONDS:
            await stub.AppendMessages(request(context_id()))
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(worker() for _ in range(count)))
    series.repetitions.append(times)
    return len(times) / (time.perf_counter() - started)
