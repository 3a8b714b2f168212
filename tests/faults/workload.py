"""Writers that append batches under request_ids, remember what was acknowledged, and hold the stored log to it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.services.integrity import verify_all
from tests.faults.clients import Client, told_to_retry
from tests.faults.waiting import direct
from tests.rpc import build as b

if TYPE_CHECKING:
    from collections.abc import Sequence

_SERVER_FIELDS = ("context_id", "version", "revision", "tokenizer", "token_count", "token_count_source", "create_time")
_RETRY_SECONDS = 0.05
_RECOUNT_SECONDS = 120.0


@dataclass(slots=True)
class Batch:
    """One append, and its answer once there is one."""

    context_id: str
    request_id: str
    messages: Sequence[pb.Message]
    answer: ms.AppendMessagesResponse | None = None

    async def send(self, client: Client, **fields: Any) -> ms.AppendMessagesResponse:
        """Appends it, once more if it was before, and holds a second answer to the first."""
        answer = await client.append(self.context_id, self.messages, request_id=self.request_id, **fields)
        self.acknowledge(answer)
        return answer

    def acknowledge(self, answer: ms.AppendMessagesResponse) -> None:
        """Takes an answer, and holds a second one to the first."""
        assert answer.last_version - answer.first_version + 1 == len(self.messages)
        if self.answer is not None:
            assert answer.replayed
            assert place(answer) == place(self.answer)
        self.answer = answer


def place(answer: ms.AppendMessagesResponse | ms.Revision) -> tuple[int, int, int]:
    """Where a batch stands in the log."""
    return answer.first_version, answer.last_version, answer.revision


@dataclass(slots=True)
class Workload:
    """What a number of writers did to a number of contexts."""

    contexts: list[str]
    seed: int
    batches: list[Batch] = field(default_factory=list)
    refusals: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    @property
    def acknowledged(self) -> list[Batch]:
        return [batch for batch in self.batches if batch.answer is not None]

    def next_batch(self) -> Batch:
        """Makes a batch of one to seven messages; every third holds tool calls, some of them left open."""
        request_id = f"{self.seed}-{len(self.batches)}"
        messages: list[pb.Message] = []
        if len(self.batches) % 3 == 0:
            ids = [f"{request_id}-{letter}" for letter in "ab"]
            messages = [b.user(f"{request_id} please"), b.calls(*ids), *map(b.result, ids)]
            messages = messages[: self._random.choice((2, 3, 4, 4, 4, 4))]
            if len(messages) == 2:  # both answered in one message
                messages.append(b.result(*ids))
        else:
            size = self._random.randint(1, 7)
            messages = [b.user(f"{request_id} {n}/{size}" + " word" * n * 20) for n in range(1, size + 1)]
        batch = Batch(self._random.choice(self.contexts), request_id, messages)
        self.batches.append(batch)
        return batch

    async def write_until_lost(self, client: Client) -> None:
        """Appends batch after batch until the server is gone."""
        while True:
            batch = self.next_batch()
            try:
                await batch.send(client)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017 - one of several writers
                return

    async def write_through(self, client: Client, stop: asyncio.Event) -> None:
        """Appends batch after batch, and again what the server says it could not store."""
        while not stop.is_set():
            batch = self.next_batch()
            while batch.answer is None:
                try:
                    await batch.send(client)
                except grpc.aio.AioRpcError as error:
                    told_to_retry(error)
                    self.refusals += 1
                    await asyncio.sleep(_RETRY_SECONDS)

    async def check(self, client: Client, url: str) -> set[str]:
        """Holds what is stored to what was sent; returns the request_ids that are there."""
        sent = {batch.request_id: batch for batch in self.batches}
        stored: set[str] = set()
        for context_id in self.contexts:
            log = await client.log(context_id)
            history = await client.history(context_id)
            context = await client.get(context_id)
            assert [message.version for message in log] == list(range(1, len(log) + 1)), "versions are dense"
            assert context.latest_version == context.message_count == len(log)
            assert [revision.revision for revision in history] == list(range(1, context.latest_revision + 1))
            end = 0
            for revision in history:
                batch = sent[revision.request_id]
                assert batch.request_id not in stored, "nothing is there twice"
                stored.add(batch.request_id)
                assert batch.context_id == context_id
                assert revision.first_version == end + 1
                messages = log[end : revision.last_version]
                end = revision.last_version
                assert list(map(_content, messages)) == list(batch.messages), "a batch is there whole"
                assert {message.revision for message in messages} == {revision.revision}
                assert len({message.create_time.ToNanoseconds() for message in messages}) == 1
                if batch.answer is not None:
                    assert place(batch.answer) == place(revision)
            assert end == len(log)
        assert stored >= {batch.request_id for batch in self.acknowledged}, "what was acknowledged is there"
        assert await differences(url, *self.contexts) == []
        return stored

    async def repeat(self, client: Client, stored: set[str]) -> None:
        """Sends every batch again: those that are there are replayed, with the versions that they have."""
        places = {
            revision.request_id: place(revision)
            for context_id in self.contexts
            for revision in await client.history(context_id)
        }
        for batch in self.batches:
            answer = await batch.send(client)
            assert answer.replayed == (batch.request_id in stored)
            if answer.replayed:
                assert place(answer) == places[batch.request_id]


def _content(message: pb.Message) -> pb.Message:
    """Return the message as it was sent."""
    content = pb.Message()
    content.CopyFrom(message)
    for name in _SERVER_FIELDS:
        content.ClearField(name)
    return content


async def differences(url: str, *contexts: str) -> list[str]:
    """Recounts these contexts, or everything that is stored.

    A database that crashed has forgotten that its tables want to be analyzed.
    """
    async with direct(url) as other:
        await other.execute("analyze")
    database = await Database.open(url, PoolOptions(size=1, statement_timeout=_RECOUNT_SECONDS))
    try:
        return [
            finding.difference
            for only in ([*map(UUID, contexts)] or [None])
            async for _, findings in verify_all(database, only)
            for finding in findings
        ]
    finally:
        await database.close()
