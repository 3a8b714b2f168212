"""WatchContext: decode, follow, encode. Messages go out as their stored bytes."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.domain.errors import ShuttingDown
from kata_grpc.services.watching import (
    CaughtUp,
    Checkpoint,
    Event,
    FellBehind,
    Frame,
    Position,
    Start,
    Wanted,
    Watching,
)
from kata_grpc.transport.convert import KINDS, revision_to_proto
from kata_grpc.transport.frames import field, repeated
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.transport.calls import Writer
    from kata_grpc.transport.draining import Draining

_CURSOR, _EVENT = 1, 2
_EVENT_REVISION = 1
_EVENT_MESSAGES = b"\x12"
_EVENT_LAST = b"\x18\x01"
"""Field numbers, and whole tags, of the frames that are put together here."""
_CURSOR_LAYOUT = ">qq"
"""The revision and the version up to which everything was sent."""


class WatchServicer:
    """The watching method of MessageService, under its name on the wire."""

    def __init__(self, watching: Watching, tokens: TokenMaker, draining: Draining) -> None:
        self._watching = watching
        self._tokens = tokens
        self._draining = draining

    async def WatchContext(self, tenant: TenantId, request: pb.WatchContextRequest, writer: Writer) -> None:
        """Stream what happens to a context."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        check.at_least("from_version", request.from_version, 0)
        check.at_least("from_revision", request.from_revision, 0)
        for index, kind in enumerate(request.kinds):
            check.known(f"kinds[{index}]", kind, KINDS)
        check.done()
        wanted = Wanted(frozenset(KINDS[kind] for kind in request.kinds), request.include_messages)
        # What a cursor is bound to: the filter, however it is spelled.
        bound = bind(
            tenant,
            pb.WatchContextRequest(
                context_id=request.context_id,
                kinds=sorted(set(request.kinds)),
                include_messages=request.include_messages,
            ),
        )
        start = self._start(request, bound)
        async with aclosing(self._watching.follow(tenant, context_id, start, wanted)) as frames:
            async for frame in frames:
                cursor = self._tokens.make(bound, _CURSOR_LAYOUT, *frame.position)
                await writer.write(field(_CURSOR, cursor.encode()) + _encode(frame))
                if self._draining.started:
                    raise ShuttingDown

    def _start(self, request: pb.WatchContextRequest, bound: bytes) -> Start:
        match request.WhichOneof("start"):
            case "cursor" if request.cursor:
                position = map(int, self._tokens.read("cursor", request.cursor, bound, _CURSOR_LAYOUT))
                return Start("cursor", Position(*position))
            case "from_revision":
                return Start("from_revision", Position(request.from_revision, 0))
            case "from_version":
                return Start("from_version", Position(0, request.from_version))
            case _:
                return Start()


def _encode(frame: Frame) -> bytes:
    position = frame.position
    match frame:
        case Event(_, revision, records, last):
            head = field(_EVENT_REVISION, revision_to_proto(revision).SerializeToString())
            return field(_EVENT, head + repeated(_EVENT_MESSAGES, records) + (_EVENT_LAST if last else b""))
        case CaughtUp():
            caught_up = pb.WatchCaughtUp(revision=position.revision, version=position.version)
            return pb.WatchContextResponse(caught_up=caught_up).SerializeToString()
        case FellBehind():
            fell_behind = pb.WatchFellBehind(revision=position.revision)
            return pb.WatchContextResponse(fell_behind=fell_behind).SerializeToString()
        case Checkpoint():
            checkpoint = pb.WatchCheckpoint(revision=position.revision)
            return pb.WatchContextResponse(checkpoint=checkpoint).SerializeToString()
