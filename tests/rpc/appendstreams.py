"""Append streams in short words, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from kata.context.v1 import message_service_pb2 as ms

if TYPE_CHECKING:
    from kata.context.v1 import message_pb2
    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub


@dataclass(slots=True)
class AppendStream:
    """One stream: numbers what it sends from 1 on, and keeps the answers by number."""

    call: Any
    answers: dict[int, ms.AppendOutcome] = field(default_factory=dict)
    frames: int = 0
    sent: int = 0

    @classmethod
    def open(cls, stub: MessageServiceAsyncStub, **options: Any) -> AppendStream:
        return cls(stub.StreamAppends(**options))

    async def send(self, *requests: ms.AppendMessagesRequest) -> list[int]:
        """Sends requests in one frame and returns their numbers."""
        numbers = list(range(self.sent + 1, self.sent + len(requests) + 1))
        self.sent += len(requests)
        appends = [ms.NumberedAppend(sequence=n, append=r) for n, r in zip(numbers, requests, strict=True)]
        await self.call.write(ms.StreamAppendsRequest(appends=appends))
        return numbers

    async def append(self, context_id: str, *messages: message_pb2.Message, **fields: Any) -> int:
        """Sends one append and returns its number."""
        (number,) = await self.send(request(context_id, *messages, **fields))
        return number

    async def answer(self, number: int) -> ms.AppendOutcome:
        """Reads until an append is answered."""
        while number not in self.answers:
            assert await self.read(), f"the stream ended without an answer to {number}"
        return self.answers[number]

    async def appended(self, number: int) -> ms.AppendMessagesResponse:
        outcome = await self.answer(number)
        assert outcome.HasField("appended"), outcome
        return outcome.appended

    async def read(self) -> bool:
        """Reads a frame; tells whether there was one."""
        frame = await self.call.read()
        if frame is grpc.aio.EOF:
            return False
        self.frames += 1
        for outcome in frame.outcomes:
            assert outcome.sequence not in self.answers, "one answer a request"
            self.answers[outcome.sequence] = outcome
        return True

    async def rest(self) -> dict[int, ms.AppendOutcome]:
        """Half-closes and reads to the end, which is OK, or raises."""
        await self.call.done_writing()
        while await self.read():
            pass
        return self.answers


def request(context_id: str, *messages: message_pb2.Message, **fields: Any) -> ms.AppendMessagesRequest:
    return ms.AppendMessagesRequest(context_id=context_id, messages=messages, **fields)


def status(outcome: ms.AppendOutcome) -> status_pb2.Status:
    """Reads a failure as what its bytes are."""
    assert outcome.HasField("failure"), outcome
    return status_pb2.Status.FromString(outcome.failure.SerializeToString())


def info(outcome: ms.AppendOutcome) -> error_details_pb2.ErrorInfo:
    """Returns why an append was refused, which comes first; nothing when it was not."""
    found = error_details_pb2.ErrorInfo()
    if outcome.HasField("failure"):
        assert status(outcome).details[0].Unpack(found)
    return found


def reason(outcome: ms.AppendOutcome) -> str:
    return info(outcome).reason
