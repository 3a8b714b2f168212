"""Reading watches frame by frame, for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

APPEND, UPDATE, DELETE, UNDELETE = (
    ms.REVISION_KIND_APPEND,
    ms.REVISION_KIND_UPDATE,
    ms.REVISION_KIND_DELETE,
    ms.REVISION_KIND_UNDELETE,
)
Frame = ms.WatchContextResponse


class Watch:
    """A watch that runs."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.cursor = ""

    async def frame(self) -> Frame:
        """Reads the next frame; its end is an error."""
        read = await self.call.read()
        assert read is not grpc.aio.EOF, "a watch has no end of its own"
        frame: Frame = read
        assert frame.cursor, "every frame has a cursor"
        assert frame.WhichOneof("frame")
        self.cursor = frame.cursor
        return frame

    async def until(self, wanted: Callable[[Frame], object]) -> list[Frame]:
        """Reads up to the first frame that is wanted."""
        frames = [await self.frame()]
        while not wanted(frames[-1]):
            frames.append(await self.frame())
        return frames

    async def caught_up(self) -> list[Frame]:
        """Reads up to where everything was sent."""
        return await self.until(lambda frame: frame.HasField("caught_up"))

    async def event(self) -> ms.WatchEvent:
        """Reads the next frame, which must be an event."""
        frame = await self.frame()
        assert frame.HasField("event"), frame
        return frame.event


@asynccontextmanager
async def watching(messages: MessageServiceAsyncStub, context_id: str, **fields: Any) -> AsyncIterator[Watch]:
    """Watches a context; the call is cancelled at the end."""
    call = messages.WatchContext(ms.WatchContextRequest(context_id=context_id, **fields))
    try:
        yield Watch(call)
    finally:
        call.cancel()


def events(frames: Sequence[Frame]) -> list[ms.WatchEvent]:
    """Returns the events among the frames."""
    return [frame.event for frame in frames if frame.HasField("event")]


def revisions(frames: Sequence[Frame]) -> list[int]:
    """Returns the revisions that were finished, in order."""
    return [event.revision.revision for event in events(frames) if event.last]


def messages_of(frames: Sequence[Frame]) -> list[pb.Message]:
    """Returns the messages, in order."""
    return [message for event in events(frames) for message in event.messages]
