"""Whether the server is stopping, and what still runs: long calls look between two steps, new ones are refused."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from kata_grpc.domain.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_Request = TypeVar("_Request")


class Draining:
    """Starts once and stays so."""

    def __init__(self) -> None:
        self.started = False
        self._running = 0
        self._changed = asyncio.Event()
        self._told: set[Callable[[], object]] = set()

    def start(self) -> None:
        """From now on new calls are refused, and long ones end where they can be resumed."""
        self.started = True
        for tell in tuple(self._told):
            tell()

    @contextmanager
    def telling(self, tell: Callable[[], object]) -> Iterator[None]:
        """Have `tell` called at the start: for those who wait for their caller, and do not come by to look."""
        self._told.add(tell)
        try:
            yield
        finally:
            self._told.discard(tell)

    async def next(self, requests: AsyncIterator[_Request]) -> _Request | None:
        """Return the next of a stream's requests, None behind the last; ShuttingDown when the server stops first."""
        self._check()
        reading = asyncio.ensure_future(anext(requests, None))
        with self.telling(reading.cancel):
            try:
                return await reading
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                if not self.started or (caller is not None and caller.cancelling()):
                    raise
                raise ShuttingDown from None

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call that runs; ShuttingDown when it comes too late."""
        self._check()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._changed.set()

    def _check(self) -> None:
        if self.started:
            raise ShuttingDown

    async def finished(self, within: float) -> bool:
        """Wait until no call runs; tell whether that was so in time."""
        try:
            async with asyncio.timeout(within):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
