"""Kata itself, called over gRPC through its stubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from kata.context.v1 import context_service_pb2 as contexts
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_pb2 import ROLE_ASSISTANT, ROLE_USER, Message
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1.context_service_pb2_grpc import ContextServiceAsyncStub
    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from bench.peers.libraries import Turn


class Library:
    """A channel, and the ids of the contexts by the names of the threads."""

    _channel: grpc.aio.Channel
    contexts: ContextServiceAsyncStub
    messages: MessageServiceAsyncStub

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    async def open(self, address: str) -> None:
        """Open the channel."""
        self._channel = grpc.aio.insecure_channel(address)
        self.contexts, self.messages = ContextServiceStub(self._channel), MessageServiceStub(self._channel)

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Append in one call."""
        await self.messages.AppendMessages(request(await self.context_id(thread), turns))

    async def read_last(self, thread: str, count: int) -> list[str]:
        """List the newest messages."""
        listed = await self.messages.ListMessages(
            pb.ListMessagesRequest(context_id=self._ids[thread], order=pb.LIST_ORDER_DESCENDING, page_size=count)
        )
        return [message.text for message in reversed(listed.messages)]

    async def fork(self, thread: str, at: int, turn: Turn) -> None:
        """Fork and append in one call."""
        messages = request(self._ids[thread], [turn]).messages
        await self.contexts.ForkContext(
            contexts.ForkContextRequest(context_id=self._ids[thread], at_version=at, messages=messages)
        )

    async def history(self, thread: str) -> int:
        """List the revisions."""
        count, token = 0, ""
        while True:
            page = await self.messages.ListHistory(
                pb.ListHistoryRequest(context_id=self._ids[thread], page_size=1_000, page_token=token)
            )
            count, token = count + len(page.revisions), page.next_page_token
            if not token:
                return count

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def context_id(self, thread: str) -> str:
        """Return the id of a thread's context, which is created the first time."""
        if thread not in self._ids:
            created = await self.contexts.CreateContext(contexts.CreateContextRequest(name=thread))
            self._ids[thread] = created.context.context_id
        return self._ids[thread]


def request(context_id: str, turns: Sequence[Turn]) -> pb.AppendMessagesRequest:
    """Return the request of one append."""
    return pb.AppendMessagesRequest(
        context_id=context_id,
        messages=[Message(role=ROLE_USER if turn.by_user else ROLE_ASSISTANT, text=turn.text) for turn in turns],
    )
