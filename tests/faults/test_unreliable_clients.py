"""Writers that time out, cut their lines and repeat themselves, while servers, workers and PostgreSQL are killed.

Afterwards each log holds what was acknowledged, once, in its place; and what all callers saw of a context can have
happened one call after the other.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import psutil
import pytest

from tests.faults.histories import Entry, violations
from tests.faults.processes import ServerProcess, StartServer, has_ended
from tests.faults.test_kill_postgres import kill_postgres
from tests.faults.unreliable import Record, Writer
from tests.faults.waiting import direct, until
from tests.faults.workload import Workload, differences

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_CONTEXTS = 6
_CALLERS, _STREAMS, _READERS = 10, 4, 2
_RECOVERY_SECONDS = 60.0
_LONG = (pytest.mark.torture, pytest.mark.timeout(3_600))


async def _kill_postgres(main: ServerProcess, _: ServerProcess) -> None:
    killed = main.postmaster()
    kill_postgres(killed)
    await until(lambda: has_ended(killed), "PostgreSQL's end")


async def _restart_postgres(main: ServerProcess, _: ServerProcess) -> None:
    """As an administrator does: sessions are ended, everything is written, and it comes up again."""
    stopped = main.postmaster()
    stopped.send_signal(signal.SIGINT)
    await until(lambda: has_ended(stopped), "PostgreSQL's end")


async def _kill_worker(main: ServerProcess, _: ServerProcess) -> None:
    workers = [child for child in psutil.Process(main.pid).children() if "kata_grpc.cli" in " ".join(child.cmdline())]
    random.choice(workers).kill()


async def _kill_server(main: ServerProcess, second: ServerProcess) -> None:
    await second.kill()
    # A server does not start over a database that is still recovering.
    await until(lambda: _accepts(main.url), "the database", _RECOVERY_SECONDS)
    await second.start()


async def _accepts(url: str) -> bool:
    with suppress(OSError, asyncpg.PostgresError):
        async with direct(url) as connection:
            return bool(await connection.fetchval("select true"))
    return False


_FAULTS: list[Callable[[ServerProcess, ServerProcess], Awaitable[None]]] = [
    _kill_postgres,
    _kill_worker,
    _restart_postgres,
    _kill_server,
]


@pytest.mark.holds("I1", "I3", "I4", "I7")
@pytest.mark.parametrize(
    ("rounds", "seconds"), [pytest.param(1, 12, id="short"), pytest.param(30, 20, id="long", marks=_LONG)]
)
async def test_unreliable_writers_against_servers_that_die(
    start_server: StartServer, rounds: int, seconds: float
) -> None:
    main = await start_server(KATA_WORKERS="2")
    second = await start_server(DATABASE_URL=main.url)
    total: dict[str, int] = {}
    for number in range(rounds):
        work, record = await _round(main, second, number, seconds)
        found = {
            "appends": len(work.acknowledged),
            "conflicts": record.conflicts,
            "attempts without an answer": record.unknown,
            "replays": record.replays,
        }
        assert all(found.values()), found
        total = {name: total.get(name, 0) + count for name, count in found.items()}
    assert await differences(main.url) == []
    print(f"\n{rounds} rounds of {seconds:g} s: {total}")


async def _round(main: ServerProcess, second: ServerProcess, number: int, seconds: float) -> tuple[Workload, Record]:
    chance = random.Random(number)
    async with main.dialed() as client:
        work = Workload([await client.create() for _ in range(_CONTEXTS)], seed=number)
    record, stop = Record(), asyncio.Event()

    def writer() -> Writer:
        addresses = [main.address, main.address, second.address]
        return Writer(addresses, work, record, stop, random.Random(chance.random()))

    async with asyncio.TaskGroup() as group:
        for _ in range(_CALLERS):
            group.create_task(writer().call())
        for _ in range(_STREAMS):
            group.create_task(writer().stream())
        for _ in range(_READERS):
            group.create_task(writer().look())
        over = time.monotonic() + seconds
        faults = chance.sample(_FAULTS, len(_FAULTS))
        pause = seconds / (len(faults) + 1)
        for fault in faults:
            settled, due = record.settled, time.monotonic() + pause
            await until(
                lambda: record.settled > settled and time.monotonic() > due,  # noqa: B023 - awaited here
                f"appends before {fault.__name__}",
                _RECOVERY_SECONDS,
                pause=0.05,
            )
            await fault(main, second)
        await until(lambda: time.monotonic() > over, "the end of the round", seconds + 1, pause=0.05)
        stop.set()
    with suppress(psutil.NoSuchProcess):
        main.remember_postgres()
    async with main.dialed() as client:
        stored = await work.check(client, main.url)
        assert stored == {batch.request_id for batch in work.acknowledged}, "what was refused is not there"
        for context_id in work.contexts:
            log = [Entry(r.request_id, r.first_version, r.last_version) for r in await client.history(context_id)]
            assert violations(record.attempts[context_id], log) == []
    return work, record
