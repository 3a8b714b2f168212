"""The connections of one process: at most so many, handed out one at a time, first come first served.

A connection comes back either clean, with nothing open and nothing running, or to be mended: rolled back by a task of
its own, so that nobody who was cancelled or timed out waits for that. Knows no statement but that one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

import asyncpg

from kata_grpc.db import connect
from kata_grpc.domain.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

_log = logging.getLogger(__name__)

FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""How asyncpg says that a connection does not work; TimeoutError is an OSError."""
MEND_SECONDS = 2.0
"""For a rollback or a cancelled statement to end; then the connection is dropped, and the server rolls back."""
CLOSE_SECONDS = 5.0


class Connections:
    """Opens connections when they are needed, keeps them for as long as they are, and closes what is idle."""

    def __init__(self, open_one: Callable[[], Awaitable[connect.Connection]], size: int, idle_seconds: float) -> None:
        self._open_one = open_one
        self._size = size
        self._idle_seconds = idle_seconds
        self._idle: list[tuple[connect.Connection, float]] = []
        self._waiting: deque[asyncio.Future[connect.Connection | None]] = deque()
        self._taken = 0
        self._all: set[connect.Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._closing = False

    def take_idle(self) -> connect.Connection | None:
        """Return a connection if one is idle: the one that was used last."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._drop(connection)
        return None

    async def take(self) -> connect.Connection:
        """Return a connection, idle or new or as soon as one comes back; raise what keeps it from being opened."""
        if self._closing:
            raise ShuttingDown
        if connection := self.take_idle():
            return connection
        if self._taken < self._size:
            self._taken += 1
            return await self._open()
        waiter: asyncio.Future[connect.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            connection = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                # It was given one in the moment in which it gave up.
                self._pass_on(waiter.result())
            raise
        return connection or await self._open()

    def give_back(self, connection: connect.Connection, *, clean: bool) -> None:
        """Take a connection back, clean or to be mended first; never waits."""
        if connection.is_closed():
            self._drop(connection)
        elif clean:
            self._pass_on(connection)
        else:
            self._run(self._mend(connection))

    async def close(self) -> None:
        """Hand out no more, let what runs end for a bounded time, leave no connection."""
        self._closing = True
        while self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                waiter.set_exception(ShuttingDown())
        if self._timer is not None:
            self._timer.cancel()
        self._close_idle(0)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._taken:
                    await self._empty.wait()
        except TimeoutError:
            _log.warning("connections were still in use after %g s and are cut", CLOSE_SECONDS)
            for connection in self._all:
                connection.terminate()

    async def _open(self) -> connect.Connection:
        """Open a connection for a place that is taken already."""
        try:
            connection = await self._open_one()
        except BaseException:
            self._pass_on(None)
            raise
        self._all.add(connection)
        return connection

    def _pass_on(self, connection: connect.Connection | None) -> None:
        """Give a connection, or the place to open one, to who waits longest; else keep it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._taken -= 1
            if self._closing and not self._taken:
                self._empty.set()
        elif self._closing:
            self._run(self._end(connection))
        else:
            now = asyncio.get_running_loop().time()
            self._idle.append((connection, now))
            if self._timer is None:
                self._wake_at(now + self._idle_seconds)

    def _drop(self, connection: connect.Connection) -> None:
        self._all.discard(connection)
        connection.terminate()
        self._pass_on(None)

    async def _mend(self, connection: connect.Connection) -> None:
        """Roll back; the driver first waits for the end of a statement that it cancelled."""
        try:
            async with asyncio.timeout(MEND_SECONDS):
                await connection.execute("rollback")
        except FAILURES as error:
            _log.debug("dropping a connection that did not roll back: %s", connect.reason(error))
            self._drop(connection)
        else:
            self._pass_on(connection)

    async def _end(self, connection: connect.Connection) -> None:
        try:
            await connection.close(timeout=MEND_SECONDS)
        except FAILURES as error:
            _log.debug("cut a connection that did not close: %s", connect.reason(error))
        finally:
            self._drop(connection)

    def _close_idle(self, seconds: float) -> None:
        """Close what has been idle for that long: the oldest stand first."""
        self._timer = None
        since = asyncio.get_running_loop().time() - seconds
        while self._idle and self._idle[0][1] <= since:
            connection, _ = self._idle.pop(0)
            self._run(self._end(connection))
        if self._idle:
            self._wake_at(self._idle[0][1] + seconds)

    def _wake_at(self, time: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(time, self._close_idle, self._idle_seconds)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
