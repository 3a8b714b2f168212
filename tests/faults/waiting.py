"""Waiting for conditions, never for time to pass, and the looks into PostgreSQL that tests wait for."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Connection = asyncpg.Connection[asyncpg.Record]

_POLL_SECONDS = 0.005

OTHERS = "datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
"""The connections of others to the database of the one that asks, in pg_stat_activity."""
LOCKED_OUT = "wait_event_type = 'Lock'"
"""The condition of a connection that waits for a lock."""


async def until(look: Callable[[], object], what: str, seconds: float = 20.0, pause: float = _POLL_SECONDS) -> None:
    """Look, a call or a coroutine, until something true is found; fail with `what` was waited for."""
    give_up = time.monotonic() + seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        if time.monotonic() > give_up:
            pytest.fail(f"waited {seconds:g} s for {what}")
        await asyncio.sleep(pause)


@asynccontextmanager
async def direct(url: str) -> AsyncIterator[Connection]:
    """A connection to the database beside the server's."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


async def connections(connection: Connection, condition: str = "true") -> int:
    """Counts what others hold."""
    found: int = await connection.fetchval(f"select count(*) from pg_stat_activity where {OTHERS} and {condition}")
    return found


async def somebody(connection: Connection, condition: str) -> None:
    """Waits until a connection of others is in a condition."""
    await until(lambda: connections(connection, condition), f"a connection in {condition}")


async def nobody(connection: Connection, condition: str) -> None:
    """Waits until no connection of others is in a condition any more."""

    async def none() -> bool:
        return not await connections(connection, condition)

    await until(none, f"no connection in {condition}")


async def nothing_held(connection: Connection, most: int) -> None:
    """Waits until others have at most `most` connections, all idle, without a transaction and without a lock."""

    async def quiet() -> bool:
        locks: int = await connection.fetchval(
            "select count(*) from pg_locks l join pg_database d on d.oid = l.database "
            "where d.datname = current_database() and l.pid <> pg_backend_pid() "
            "and l.pid in (select pid from pg_stat_activity where backend_type = 'client backend')"
        )
        busy = await connections(connection, "(state <> 'idle' or xact_start is not null)")
        return not locks and not busy and await connections(connection) <= most

    await until(quiet, f"at most {most} connections, idle and without locks")
