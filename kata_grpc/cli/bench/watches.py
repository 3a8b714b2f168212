"""Watches: what idle ones cost, how soon they show what was written on another server, and what that costs appends.

Two servers of its own over the same database, in processes of their own: one is written to, the other is watched.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from itertools import cycle
from typing import TYPE_CHECKING, Any

from kata.context.v1 import context_service_pb2 as contexts
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench import processes
from kata_grpc.cli.bench.data import SQL, TEXT_BYTES
from kata_grpc.cli.bench.figures import Figure, Series, Target, expect, ratio, spread
from kata_grpc.cli.bench.rig import Client, client
from kata_grpc.db import connect
from kata_grpc.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kata_grpc.cli.bench.data import Scale

WATCHES = 2_000
_AT_ONCE = 50
_IN_FLIGHT = 64
_RATE_SECONDS = 2.0
_IDLE_SECONDS = 1
"""After which the servers close what they do not use."""
_SETTLE_SECONDS = 20.0
_TEXT = ("every word of this is new to the table and none to the reader " * 10)[:TEXT_BYTES]


async def measure(home: Path, url: str, scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Measure watches; the database is another afterwards by some thousand contexts."""
    settings = {"DATABASE_URL": url, "KATA_MIGRATE": "on", "KATA_LOG_LEVEL": "warning"}
    settings["KATA_POOL_IDLE"] = str(_IDLE_SECONDS)
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("written", "watched"):
            (home / name).mkdir(parents=True)
            servers.append(await stack.enter_async_context(processes.service(home / name, settings)))
        writer, reader = [await stack.enter_async_context(client(server)) for server in servers]
        connection = await connect.open_connection(url)
        stack.push_async_callback(connection.close)
        say(f"appends, {_IN_FLIGHT} in flight, with and without a watch on another server")
        ids = await _create(writer, WATCHES)
        effect = await _effect_on_appends(writer, reader, connection, ids, scale)
        say(f"{WATCHES:,} idle watches")
        before = servers[1].resident()
        watches = await _open(reader, ids)
        growth = servers[1].resident() - before
        count = await _connections(connection)
        say("from an append on one server to the frame on another")
        series = await _deliveries(writer, reader, ids, watches, scale)
        growth = max(growth, servers[1].resident() - before)
        for watch in watches:
            watch.cancel()
    return [
        Figure(
            key="watch_memory",
            title=f"the server's memory grows by, for {WATCHES:,} watches",
            unit="MiB",
            value=growth / MIB,
            target=Target("<", 100, "value"),
        ),
        Figure(
            key="watch_connections",
            title="connections to the database for these watches, while they are idle",
            unit="",
            value=count,
            target=Target("<=", 1, "value"),
        ),
        Figure(
            key="watch_delivery",
            title="from calling an append on one server to the frame of a watch on another",
            unit="ms",
            value=series["other"].p50 * 1000,
            p99=series["other"].p99 * 1000,
            floor_title="on the same server",
            floor=series["same"].p50 * 1000,
            ratio=ratio(series["other"], series["same"]),
            target=Target("<", 50, "value"),
        ),
        effect,
    ]


async def _create(of: Client, count: int) -> list[str]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def create() -> str:
        async with gate:
            return (await of.contexts.CreateContext(contexts.CreateContextRequest())).context.context_id

    return await asyncio.gather(*(create() for _ in range(count)))


async def _open(of: Client, ids: Sequence[str]) -> list[Any]:
    """Watch contexts from now on, each up to where it waits."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def watch(context_id: str) -> Any:
        async with gate:
            call: Any = of.messages.WatchContext(pb.WatchContextRequest(context_id=context_id, include_messages=True))
            expect((await call.read()).WhichOneof("frame"), "caught_up", "the first frame of a watch")
            return call

    return await asyncio.gather(*map(watch, ids))


async def _connections(connection: connect.Connection) -> int:
    """Return how many connections the servers have, once they have closed what they do not use."""
    least: int = await connection.fetchval(SQL.service_connections.text)
    until = time.monotonic() + _SETTLE_SECONDS
    while least > 1 and time.monotonic() < until:
        await asyncio.sleep(_IDLE_SECONDS / 4)
        least = min(least, await connection.fetchval(SQL.service_connections.text))
    return least


async def _deliveries(
    writer: Client, reader: Client, ids: Sequence[str], watches: Sequence[Any], scale: Scale
) -> dict[str, Series]:
    """Time appends to frames, through two servers and through one, in turn."""
    of = {"other": writer, "same": reader}
    series = {name: Series() for name in of}
    turns = cycle(zip(ids, watches, strict=True))
    for repetition in range(1 + scale.repetitions):  # the first one warms up
        for name in of:
            if repetition:
                series[name].repetitions.append([])
        for _ in range(scale.calls):
            for name, through in of.items():
                context_id, watch = next(turns)
                started = time.perf_counter()
                append = asyncio.ensure_future(through.messages.AppendMessages(_request(context_id)))
                frame = await watch.read()
                seconds = time.perf_counter() - started
                expect(frame.event.revision.revision, (await append).revision, "the revision of the frame")
                if repetition:
                    series[name].repetitions[-1].append(seconds)
    return series


async def _effect_on_appends(
    writer: Client, reader: Client, connection: connect.Connection, ids: Sequence[str], scale: Scale
) -> Figure:
    rates: dict[bool, list[float]] = {False: [], True: []}
    await _rate(writer, ids)  # to warm up
    for repetition in range(scale.repetitions):
        for watched in (False, True) if repetition % 2 else (True, False):
            watches = await _open(reader, ids[:1]) if watched else []
            until = time.monotonic() + _SETTLE_SECONDS
            while bool(await connection.fetchval(SQL.listening_connections.text)) is not watched:
                expect(time.monotonic() < until, True, "a server listens only while it is watched")
                await asyncio.sleep(0.05)
            rates[watched].append(await _rate(writer, ids))
            for watch in watches:
                watch.cancel()
    with_a_watch, without = rates[True], rates[False]
    return Figure(
        key="watch_append_rate",
        title=f"appends, {_IN_FLIGHT} in flight, while another server has a watch",
        unit="/s",
        value=spread(with_a_watch).median,
        floor_title="without one",
        floor=spread(without).median,
        ratio=spread([one / other for one, other in zip(with_a_watch, without, strict=True)]),
        target=Target(">=", 0.9),
    )


async def _rate(of: Client, ids: Sequence[str]) -> float:
    """Keep appends in flight for a while; return how many were answered a second."""
    turns = cycle(ids)
    count = 0
    started = time.perf_counter()

    async def worker() -> None:
        nonlocal count
        while time.perf_counter() - started < _RATE_SECONDS:
            await of.messages.AppendMessages(_request(next(turns)))
            count += 1

    await asyncio.gather(*(worker() for _ in range(_IN_FLIGHT)))
    return count / (time.perf_counter() - started)


def _request(context_id: str) -> pb.AppendMessagesRequest:
    message = message_pb2.Message(role=message_pb2.ROLE_USER, text=_TEXT)
    return pb.AppendMessagesRequest(context_id=context_id, messages=[message])
