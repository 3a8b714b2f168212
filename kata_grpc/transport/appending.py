"""The append stream: many appends on one call, each with an outcome of its own.

Owns the order of appends, the bound on those in flight and the end of a stream. What an append is, and how it is
checked and written, is the unary call's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.domain.errors import InvalidRequest, ShuttingDown, Violation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from kata_grpc.transport.calls import Dialog
    from kata_grpc.transport.draining import Draining

    Append = Callable[[pb.AppendMessagesRequest], Awaitable[pb.AppendMessagesResponse]]


class AppendStream:
    """One stream. Appends to a context run one after the other in a lane, and the lanes side by side."""

    def __init__(self, append: Append, dialog: Dialog) -> None:
        self._append = append
        self._dialog = dialog
        self._lanes: dict[str, deque[tuple[int, int, pb.AppendMessagesRequest]]] = {}
        """By context: sequence, size and request of what is not done."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[pb.AppendOutcome] = []
        self._in_flight = 0
        """Appends that were read and whose answers have not left."""
        self._bytes = 0
        """Of the appends that were read and are not done."""
        self._news = asyncio.Event()
        """Outcomes, or the end of the reading."""
        self._room = asyncio.Event()

    async def run(self, requests: AsyncIterator[pb.StreamAppendsRequest], draining: Draining) -> None:
        """Read, append and answer until the caller half-closes or the server stops."""
        reading = asyncio.create_task(self._read(requests))
        reading.add_done_callback(lambda _: self._news.set())
        try:
            with draining.telling(reading.cancel):
                while self._in_flight or not reading.done():
                    await self._news.wait()
                    self._news.clear()
                    await self._answer()
        finally:
            # Only after a failure, or when the caller is gone: an append is then written whole or not at all.
            for task in (reading, *self._tasks):
                task.cancel()
            await asyncio.gather(reading, *self._tasks, return_exceptions=True)
        if reading.cancelled():
            raise ShuttingDown
        reading.result()

    async def _read(self, requests: AsyncIterator[pb.StreamAppendsRequest]) -> None:
        async for request in requests:
            if (count := len(request.appends)) > limits.MAX_STREAM_APPENDS:
                too_many = f"has {count} appends, more than {limits.MAX_STREAM_APPENDS}"
                raise InvalidRequest([Violation("appends", too_many, "TOO_MANY")])
            for numbered in request.appends:
                while self._in_flight >= limits.MAX_STREAM_APPENDS or self._bytes >= limits.MAX_CALL_BYTES:
                    self._room.clear()
                    await self._room.wait()
                self._take(numbered.sequence, numbered.append)

    def _take(self, sequence: int, request: pb.AppendMessagesRequest) -> None:
        size = request.ByteSize()
        self._in_flight += 1
        self._bytes += size
        if lane := self._lanes.get(request.context_id):
            lane.append((sequence, size, request))
            return
        self._lanes[request.context_id] = deque([(sequence, size, request)])
        task = asyncio.create_task(self._run(request.context_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, context_id: str) -> None:
        """Work a lane off. The append that runs stays at its head, so that the lane is there as long as it runs."""
        lane = self._lanes[context_id]
        while lane:
            sequence, size, request = lane[0]
            done = await self._dialog.attempt(partial(self._append, request))
            outcome = pb.AppendOutcome(sequence=sequence)
            if isinstance(done, pb.AppendMessagesResponse):
                outcome.appended.CopyFrom(done)
            else:
                outcome.failure.MergeFromString(done[2])
            self._outcomes.append(outcome)
            self._bytes -= size
            lane.popleft()
            self._news.set()
        del self._lanes[context_id]

    async def _answer(self) -> None:
        """Send what outcomes there are: all of one group commit come together."""
        while outcomes := self._outcomes[: limits.MAX_FRAME_OUTCOMES]:
            del self._outcomes[: len(outcomes)]
            await self._dialog.write(pb.StreamAppendsResponse(outcomes=outcomes).SerializeToString())
            self._in_flight -= len(outcomes)
            self._room.set()
