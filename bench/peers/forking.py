"""The process that forks the threads of one contender and reads their history; times are taken here.

Run as a module in the environment of the libraries, with the contender's name.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, cast

from bench.peers.appending import turns
from bench.peers.libraries import Forkable, library
from bench.peers.orders import obey

if TYPE_CHECKING:
    from collections.abc import Awaitable


class Forking:
    """One contender that forks."""

    def __init__(self, contender: Forkable) -> None:
        self._library = contender
        self._turns = turns()

    async def open(self, address: str) -> None:
        """Connect."""
        await self._library.open(address)

    async def fill(self, thread: str, messages: int) -> None:
        """Append so many messages to a thread, each by itself: each is a point to go back to."""
        for _ in range(messages):
            await self._library.append(thread, [next(self._turns)])

    async def forks(self, thread: str, at: int, calls: int) -> list[float]:
        """Go on with one message from the point after `at` messages, again and again; return the seconds of each."""
        return [await self._timed(self._library.fork(thread, at, next(self._turns))) for _ in range(calls)]

    async def histories(self, thread: str, points: int, calls: int) -> list[float]:
        """List the points of a thread to go back to, which are at least so many; return the seconds of each listing."""
        times = []
        for _ in range(calls):
            started = time.perf_counter()
            found = await self._library.history(thread)
            times.append(time.perf_counter() - started)
            if found < points:
                raise ValueError(f"{thread}: {found} points in its history, fewer than {points}")
        return times

    async def close(self) -> None:
        """Disconnect."""
        await self._library.close()

    async def _timed(self, call: Awaitable[None]) -> float:
        started = time.perf_counter()
        await call
        return time.perf_counter() - started


if __name__ == "__main__":
    obey(Forking(cast("Forkable", library(sys.argv[1]))))
