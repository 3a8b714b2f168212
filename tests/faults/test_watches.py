"""Watches over servers in processes of their own: what one writes another shows, through kills and restarts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import pytest

from kata_grpc.transport.calls import STATUS_KEY
from tests.faults.clients import told_to_retry
from tests.faults.processes import StartServer, has_ended, rounds
from tests.faults.waiting import direct, nothing_held, until
from tests.faults.workload import Workload
from tests.rpc import build as b
from tests.rpc.serving import read_error
from tests.rpc.watching import Frame, Watch, events, messages_of, revisions, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.clients import Client
    from tests.faults.processes import ServerProcess
    from tests.rpc.serving import FreshDatabase


async def _follow(servers: Sequence[ServerProcess], context_id: str, frames: list[Frame], stop: asyncio.Event) -> None:
    """Watches from the beginning, and goes on elsewhere with the last cursor whenever a server lets go."""
    start: dict[str, Any] = {"from_revision": 0}
    for server in cycle(servers):
        if stop.is_set():
            return
        async with (
            server.dialed() as client,
            watching(client.messages, context_id, include_messages=True, **start) as watch,
        ):
            reading = asyncio.create_task(_read(watch, frames))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if stop.is_set():
                reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            if watch.cursor:
                start = {"cursor": watch.cursor}
        await asyncio.sleep(0.05)


async def _read(watch: Watch, frames: list[Frame]) -> None:
    """Reads until the server ends the watch, as one does that goes on elsewhere."""
    try:
        while True:
            frames.append(await watch.frame())
    except grpc.aio.AioRpcError as error:
        if any(key == STATUS_KEY for key, _ in error.trailing_metadata() or ()):
            told_to_retry(error, read_error(error).reason)
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017 - one of several watchers


async def test_what_one_process_writes_another_shows(fresh_url: FreshDatabase, start_server: StartServer) -> None:
    url = await fresh_url()
    one, two = [await start_server(DATABASE_URL=url, KATA_POOL_MAX="2") for _ in range(2)]
    async with one.dialed() as writer, two.dialed() as reader, direct(url) as other:
        context_id = await writer.create()
        async with watching(reader.messages, context_id, include_messages=True) as watch:
            await watch.caught_up()
            for number in range(1, 101):
                await writer.append(context_id, [b.user(str(number))])
                event = await watch.event()
                assert (event.revision.revision, event.messages[0].text) == (number, str(number))
            await one.kill()
            await reader.append(context_id, [b.user("after the kill")])
            assert (await watch.event()).revision.revision == 101
        await nothing_held(other, 3)


@pytest.mark.holds("I3")
@rounds(short=1)
async def test_watches_go_on_through_killed_servers(
    fresh_url: FreshDatabase, start_server: StartServer, rounds: int
) -> None:
    """A server is killed, one is stopped: who watches there finds the rest elsewhere, and misses nothing."""
    url = await fresh_url()
    for number in range(rounds):
        servers = [await start_server(DATABASE_URL=url) for _ in range(3)]
        async with servers[0].dialed() as client:
            work = Workload([await client.create()], seed=number)
            (context_id,) = work.contexts
            stop, seen_all = asyncio.Event(), asyncio.Event()
            seen: list[list[Frame]] = [[] for _ in servers]
            async with asyncio.TaskGroup() as group:
                writers = [group.create_task(work.write_through(client, stop)) for _ in range(4)]
                for place, frames in enumerate(seen):
                    ring = servers[place:] + servers[:place]
                    group.create_task(_follow(ring, context_id, frames, seen_all))
                await until(lambda: all(len(revisions(frames)) > 20 for frames in seen), "events")  # noqa: B023
                await servers[1].kill()
                servers[2].terminate()
                await servers[2].ended(20)
                so_far = len(work.acknowledged)
                await until(lambda: len(work.acknowledged) > so_far + 50, "appends afterwards")  # noqa: B023
                stop.set()
                await asyncio.wait(writers)
                await _whole(client, context_id, seen, seen_all)


async def _whole(client: Client, context_id: str, seen: Sequence[list[Frame]], stop: asyncio.Event) -> None:
    """Waits until everybody has seen the last revision, and holds what they saw to the log."""
    try:
        latest = (await client.get(context_id)).latest_revision
        await until(lambda: all(revisions(frames)[-1:] == [latest] for frames in seen), "the last revision", 30)
    finally:
        stop.set()
    history, log = await client.history(context_id), await client.log(context_id)
    for frames in seen:
        assert [event.revision for event in events(frames) if event.last] == history
        assert messages_of(frames) == log


@pytest.mark.holds("I3", "P2")
@rounds(short=1)
async def test_watches_outlive_their_postgres(start_server: StartServer, rounds: int) -> None:
    server = await start_server()
    for number in range(rounds):
        async with server.dialed() as client:
            work = Workload([await client.create()], seed=number)
            (context_id,) = work.contexts
            idle_id = await client.create()
            stop, seen_all = asyncio.Event(), asyncio.Event()
            seen: list[list[Frame]] = [[] for _ in range(3)]
            async with watching(client.messages, idle_id) as idle, asyncio.TaskGroup() as group:
                await idle.caught_up()
                writers = [group.create_task(work.write_through(client, stop)) for _ in range(4)]
                for frames in seen:
                    group.create_task(_follow([server], context_id, frames, seen_all))
                await until(lambda: all(len(revisions(frames)) > 20 for frames in seen), "events")  # noqa: B023
                killed = server.postmaster()
                for process in (killed, *killed.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                await until(lambda: has_ended(killed), "PostgreSQL's end")  # noqa: B023
                so_far = len(work.acknowledged)
                await until(lambda: len(work.acknowledged) > so_far + 50, "appends afterwards", 60)  # noqa: B023
                server.remember_postgres()
                async with direct(server.url) as other:
                    await until(lambda: _listens(other), "a server that listens again", 30)
                stop.set()
                await asyncio.wait(writers)
                await _whole(client, context_id, seen, seen_all)
                # A watch that had nothing to read was there all the time.
                await client.append(idle_id, [b.user("x")])
                assert (await idle.event()).revision.revision == 1
    server.terminate()
    assert await server.ended(20) == 0
    assert "a call failed" not in server.log
    assert "a poll for changes failed" not in server.log


async def _listens(other: Any) -> bool:
    return bool(await other.fetchval("select count(*) from pg_locks where locktype = 'advisory'"))
