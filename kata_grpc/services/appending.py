"""Group commit: appends that wait at the same moment become one statement and one commit.

While one statement runs, what comes in gathers for the next, which starts beside it once many wait; an append that
finds none running goes at once, so that nobody waits for company. Each append has an outcome of its own: what is
refused, or held by another transaction, has none here and is looked at by itself, and an error that may be one append's
fault is tried out one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context as Variables
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import KataError, WriteContention

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.domain.messages import Row
    from kata_grpc.repositories.messages import Batch, MessageRepository

_MOST_APPENDS = 128
"""In one statement: more gain nothing, and each waits for all."""
_LOOKED_AT = 4 * _MOST_APPENDS
"""So many are looked at for one: of a context that many append to, one at a time is taken."""
_MOST_MESSAGES = 16
_MOST_BYTES = 64 * 1024
"""An append of more than this goes alone, on a connection of its own: it gains little and would hold up the others."""

_MOST_AT_ONCE = 2
_BESIDE = 16
"""So many that wait have a second statement run beside the first: PostgreSQL then works while this process does. From
so many on a group takes half of what there is, so that the other half is its company."""
_TURNS = 4
"""Of the event loop, between two groups: the answers to the first leave, and what they bring joins the second."""

_Waiting = tuple["Batch", asyncio.Future["Row | None"]]


class GroupCommit:
    """Appends batches together with what others append at the same time."""

    def __init__(self, messages: MessageRepository) -> None:
        self._messages = messages
        self._waiting: deque[_Waiting] = deque()
        self._held: set[UUID] = set()
        """Contexts that a running statement is about."""
        self._at_work = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, batch: Batch) -> Row | None:
        """Append one batch, without a wait for a context that is held; None as in `MessageRepository.append`."""
        if len(batch.messages) > _MOST_MESSAGES or sum(len(new.head) for new in batch.messages) > _MOST_BYTES:
            return await self.append_alone(batch)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Row | None] = loop.create_future()
        self._waiting.append((batch, outcome))
        if not self._at_work or (self._at_work < _MOST_AT_ONCE and len(self._waiting) >= _BESIDE):
            self._at_work += 1
            # In a context of its own: the deadline of the append that happens to start it is not that of the others.
            task = loop.create_task(self._write(), context=Variables())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await outcome

    async def append_alone(self, batch: Batch) -> Row | None:
        """Append one batch, waiting for its context."""
        (row,) = await self._messages.append([batch], wait=True)
        return row

    async def _write(self) -> None:
        try:
            while group := self._gather():
                contexts = {batch.context_id for batch, _ in group}
                self._held |= contexts
                try:
                    await self._write_group(group)
                finally:
                    self._held -= contexts
                if len(group) > 1:
                    for _ in range(_TURNS):
                        await asyncio.sleep(0)
        finally:
            # Here and not when the task is done: an append that comes in between would wait for nobody.
            self._at_work -= 1

    def _gather(self) -> list[_Waiting]:
        """Take the next group: at most one append of a context, in the order in which they came."""
        group: list[_Waiting] = []
        contexts = set(self._held)
        later: list[_Waiting] = []
        most = min(_MOST_APPENDS, max(_BESIDE, (len(self._waiting) + len(self._held) + 1) // 2))
        for _ in range(min(len(self._waiting), _LOOKED_AT)):
            if len(group) == most:
                break
            batch, outcome = waiting = self._waiting.popleft()
            if outcome.done():  # its caller is gone, and nothing was written
                continue
            if batch.context_id in contexts:
                later.append(waiting)
            else:
                contexts.add(batch.context_id)
                group.append(waiting)
        self._waiting.extendleft(reversed(later))
        return group

    async def _write_group(self, group: list[_Waiting]) -> None:
        try:
            found = await self._messages.append([batch for batch, _ in group], wait=False)
        except Exception as error:  # noqa: BLE001 - an outcome like any other, for those who wait
            if len(group) == 1 or (isinstance(error, KataError) and not isinstance(error, WriteContention)):
                for _, outcome in group:
                    _fail(outcome, error)
            else:
                for waiting in group:
                    await self._write_group([waiting])
            return
        for (_, outcome), row in zip(group, found, strict=True):
            if not outcome.done():
                outcome.set_result(row)


def _fail(outcome: asyncio.Future[Row | None], error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)
