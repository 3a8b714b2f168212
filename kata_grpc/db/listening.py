"""The one connection of a process outside its pool: it hears what NOTIFY says on a channel, and runs statements.

A session hears only on a connection of its own to the server itself: not on one of the pool, and not through a pooler
in transaction mode.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kata_grpc.db import connect
from kata_grpc.db.connections import FAILURES
from kata_grpc.db.errors import StartupError
from kata_grpc.db.pool import OneConnection, PoolOptions
from kata_grpc.domain.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSE_SECONDS = 2.0


class Listener:
    """A connection that listens, until it is closed or lost."""

    def __init__(self, connection: connect.Connection, statement_timeout: float) -> None:
        self._connection = connection
        self.executor = OneConnection(connection, statement_timeout)
        """Runs statements on the same connection, one at a time."""
        self.lost = asyncio.Event()
        connection.add_termination_listener(self._ended)

    @classmethod
    async def open(
        cls, url: str, channel: str, lock_key: int, hear: Callable[[str], None], options: PoolOptions
    ) -> Listener | None:
        """Connect and listen; None where a pooler stands before the server. Raises StorageUnavailable.

        As long as the connection is there it holds the advisory lock `lock_key`, shared with others that listen.
        """
        try:
            connection = await connect.open_connection(url, options.acquire_timeout)
        except StartupError as error:
            raise StorageUnavailable from error
        try:
            async with asyncio.timeout(options.acquire_timeout):
                if options.pooler != "none" and await connect.is_pooled(connection):
                    connection.terminate()
                    return None

                def heard(_: object, __: int, ___: str, payload: Any) -> None:
                    hear(payload)

                await connection.add_listener(channel, heard)
                # After LISTEN: who finds the lock held tells what this connection then hears.
                await connection.execute(f"select pg_advisory_lock_shared({lock_key:d})")
        except FAILURES as error:
            connection.terminate()
            raise StorageUnavailable from error
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, options.statement_timeout)

    async def close(self) -> None:
        """End the connection, within a bounded time."""
        try:
            await self._connection.close(timeout=CLOSE_SECONDS)
        except FAILURES:
            self._connection.terminate()

    def drop(self) -> None:
        """Cut the connection, which does not work."""
        self._connection.terminate()

    def _ended(self, _: object) -> None:
        self.lost.set()
