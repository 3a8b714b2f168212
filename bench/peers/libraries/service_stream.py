"""Kata's append stream: the same appends, sent through one stream and answered by their numbers."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

from kata.context.v1 import message_service_pb2
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from bench.peers.libraries import service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.libraries import Turn

# Untyped: the stubs of a build without the stream do not have these names, and then this is not asked.
pb: Any = message_service_pb2


class Library(service.Library):
    """One stream; whatever was appended while a frame was being sent goes with the next."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._to_send: list[Any] = []
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stream: Any = None

    async def open(self, address: str) -> None:
        """Open the channel and the stream."""
        await super().open(address)
        stub: Any = MessageServiceStub(self._channel)
        self._stream = stub.StreamAppends()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Hand an append to the stream, and wait for its answer."""
        request = service.request(await self.context_id(thread), turns)
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        self._to_send.append(pb.NumberedAppend(sequence=number, append=request))
        self._more.set()
        await answer

    async def close(self) -> None:
        """End the stream and close the channel."""
        for task in self._tasks:
            task.cancel()
        self._stream.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().close()

    async def _send(self) -> None:
        while await self._more.wait():
            self._more.clear()
            appends, self._to_send = self._to_send, []
            await self._stream.write(pb.StreamAppendsRequest(appends=appends))

    async def _receive(self) -> None:
        try:
            async for frame in self._stream:
                for outcome in frame.outcomes:
                    answer = self._answers.pop(outcome.sequence)
                    if outcome.HasField("failure"):
                        answer.set_exception(RuntimeError(outcome.failure.message))
                    else:
                        answer.set_result(None)
        finally:
            # Nobody waits for a stream that has ended.
            for answer in self._answers.values():
                answer.cancel()
