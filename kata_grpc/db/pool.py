"""A small pool of connections, and the bounds on everything that waits for the database.

Owns how a statement gets a connection, how long it may take, and that it gives the connection back clean however it
ends. Knows no table. A handler holds at most one connection: it either calls `Database` or works inside one
`transaction()`, never both at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import asyncpg

from kata_grpc.db import connect
from kata_grpc.db.connections import FAILURES, Connections
from kata_grpc.db.errors import is_out_of_step, translate
from kata_grpc.domain.errors import DeadlineExceeded, StorageUnavailable, WriteContention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from kata_grpc.db.query import Query

    _Work = Callable[[connect.Connection, float], Awaitable["_Result"]]

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Row = asyncpg.Record

call_deadline: ContextVar[float | None] = ContextVar("call_deadline", default=None)
"""When the current call must be answered, in the event loop's time. Set by whoever takes the call in."""

ATTEMPTS = 3
COMPLAINT_SECONDS = 5.0
"""Between two lines in the log about the same outage."""


class Executor(Protocol):
    """Runs statements: a pool and a transaction look the same. `within` is in seconds, and only ever shortens."""

    async def fetch(self, query: Query, *args: object, within: float | None = None) -> list[_Row]:
        """Return all rows."""
        ...

    async def fetchrow(self, query: Query, *args: object, within: float | None = None) -> _Row | None:
        """Return the first row, if any."""
        ...

    async def fetchval(self, query: Query, *args: object, within: float | None = None) -> Any:
        """Return the first column of the first row."""
        ...

    async def execute(self, query: Query, *args: object, within: float | None = None) -> str:
        """Return the command tag, such as `UPDATE 1`."""
        ...


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Where the database is and what may be asked of it; times are in seconds."""

    size: int = 3
    acquire_timeout: float = 5.0
    statement_timeout: float = 15.0
    idle_seconds: float = 8.0
    pooler: connect.Pooler = "auto"


class _Statements:
    """The four ways to run a query, over whatever runs one piece of work on a connection."""

    async def _run(self, work: _Work[_Result], within: float | None) -> _Result:
        raise NotImplementedError

    async def fetch(self, query: Query, *args: object, within: float | None = None) -> list[_Row]:
        """Return all rows."""
        return await self._run(lambda c, bound: c.fetch(query.text, *args, timeout=bound), within)

    async def fetchrow(self, query: Query, *args: object, within: float | None = None) -> _Row | None:
        """Return the first row, if any."""
        return await self._run(lambda c, bound: c.fetchrow(query.text, *args, timeout=bound), within)

    async def fetchval(self, query: Query, *args: object, within: float | None = None) -> Any:
        """Return the first column of the first row."""
        return await self._run(lambda c, bound: c.fetchval(query.text, *args, timeout=bound), within)

    async def execute(self, query: Query, *args: object, within: float | None = None) -> str:
        """Return the command tag, such as `UPDATE 1`."""
        return await self._run(lambda c, bound: c.execute(query.text, *args, timeout=bound), within)


def _bound(limit: float, within: float | None) -> float:
    """Find the seconds the next wait may take: the least of limit, the caller's wish and what the call has left."""
    bound = limit if within is None else min(limit, within)
    deadline = call_deadline.get()
    if deadline is not None:
        bound = min(bound, deadline - asyncio.get_running_loop().time())
    if bound <= 0:
        raise DeadlineExceeded(limit if within is None else within)
    return bound


class OneConnection(_Statements):
    """Runs statements on one connection: that of an open transaction, or one outside the pool."""

    def __init__(self, connection: connect.Connection, statement_timeout: float) -> None:
        self._connection = connection
        self._statement_timeout = statement_timeout

    async def _run(self, work: _Work[_Result], within: float | None) -> _Result:
        return await _run_on(self._connection, work, _bound(self._statement_timeout, within))


async def _run_on(connection: connect.Connection, work: _Work[_Result], bound: float) -> _Result:
    try:
        return await work(connection, bound)
    except Exception as error:
        if is_out_of_step(error):
            connection.terminate()
        raise translate(error, bound, connection_lost=connection.is_closed()) from error


class Database(_Statements):
    """The pool. As an `Executor` it runs each statement in a transaction of its own."""

    def __init__(self, connections: Connections, options: PoolOptions, *, pooled: bool, server_version: int) -> None:
        self._connections = connections
        self._options = options
        self._complained = float("-inf")
        self.pooled = pooled
        """Whether a pooler in transaction mode stands before the server."""
        self.server_version = server_version
        """PostgreSQL's major version."""

    @classmethod
    async def open(cls, url: str, options: PoolOptions | None = None, *, direct_url: str | None = None) -> Database:
        """Connect the whole pool; StartupError says in one sentence why that cannot be done."""
        options = options or PoolOptions()
        server = await connect.probe(url, direct_url or url, options.pooler, options.acquire_timeout)
        settings = connect.connection_options(pooled=server.pooled, statement_timeout=options.statement_timeout)

        async def open_one() -> connect.Connection:
            return await asyncpg.connect(url, timeout=options.acquire_timeout, **settings)

        connections = Connections(open_one, options.size, options.idle_seconds)
        database = cls(connections, options, pooled=server.pooled, server_version=server.version)
        try:
            await database._warm()
        except StorageUnavailable as error:
            await connections.close()
            raise connect.startup_error(url, error.__cause__ or error) from error
        return database

    async def _warm(self) -> None:
        """Open every connection of the pool."""
        opened = await asyncio.gather(*(self._take(None) for _ in range(self._options.size)), return_exceptions=True)
        failures = []
        for connection in opened:
            if isinstance(connection, BaseException):
                failures.append(connection)
            else:
                self._connections.give_back(connection, clean=True)
        for failure in failures:
            raise failure

    async def close(self) -> None:
        """Refuse new work, let running statements end for a bounded time, leave no connection."""
        await self._connections.close()

    @asynccontextmanager
    async def transaction(
        self, *, read_only: bool = False, repeatable_read: bool = False, within: float | None = None
    ) -> AsyncIterator[Executor]:
        """One transaction on one connection: committed when the block ends, rolled back when it raises.

        The caller may repeat the whole block on WriteContention. After StorageUnavailable from the commit itself it
        is unknown whether the transaction counted.
        """
        isolation = "repeatable read" if repeatable_read else "read committed"
        begin = f"begin isolation level {isolation}{', read only' if read_only else ''}"
        if self.pooled:
            begin += "; " + connect.local_settings(self._options.statement_timeout)
        connection = await self._take(within)
        session = OneConnection(connection, self._options.statement_timeout)
        committed = False
        try:
            await session._run(lambda c, bound: c.execute(begin, timeout=bound), within)
            yield session
            status = await session._run(lambda c, bound: c.execute("commit", timeout=bound), within)
            committed = True
            if status != "COMMIT":
                raise RuntimeError("a statement of this transaction failed, and the block went on as if it had not")
        finally:
            self._connections.give_back(connection, clean=committed)

    async def in_transaction(self, work: Callable[[Executor], Awaitable[_Result]]) -> _Result:
        """Run `work` in a transaction, again from the start when the database gives up between writers."""

        async def once() -> _Result:
            async with self.transaction() as executor:
                return await work(executor)

        return await _retrying(once)

    async def _run(self, work: _Work[_Result], within: float | None) -> _Result:
        try:
            return await self._once(work, within)
        except WriteContention:
            return await _retrying(lambda: self._once(work, within), first=2)

    async def _once(self, work: _Work[_Result], within: float | None) -> _Result:
        bound = _bound(self._options.statement_timeout, within)
        connection = self._connections.take_idle()
        if connection is None:
            connection = await self._take(within)
            bound = _bound(self._options.statement_timeout, within)
        try:
            result = await _run_on(connection, work, bound)
        except BaseException as error:
            # A statement that the server refused has left nothing behind.
            self._connections.give_back(connection, clean=isinstance(error.__cause__, asyncpg.PostgresError))
            raise
        self._connections.give_back(connection, clean=True)
        return result

    async def _take(self, within: float | None) -> connect.Connection:
        limit = self._options.acquire_timeout
        bound = _bound(limit, within)
        try:
            async with asyncio.timeout(bound):
                return await self._connections.take()
        except TimeoutError as error:
            if bound < limit:
                raise DeadlineExceeded(bound) from error
            raise StorageUnavailable(f"No database connection became free in {limit:g} s. Call again.") from error
        except FAILURES as error:
            now = asyncio.get_running_loop().time()
            if now - self._complained > COMPLAINT_SECONDS:
                self._complained = now
                _log.warning("cannot connect to the database: %s", connect.reason(error))
            raise StorageUnavailable from error


async def _retrying(work: Callable[[], Awaitable[_Result]], first: int = 1) -> _Result:
    """Repeat what the database rolled back for the sake of another writer; each wait is short and random."""
    for attempt in range(first, ATTEMPTS):
        try:
            return await work()
        except WriteContention:
            _log.debug("another writer came first, attempt %d of %d", attempt, ATTEMPTS)
        await asyncio.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311 - only to get out of step
    return await work()
