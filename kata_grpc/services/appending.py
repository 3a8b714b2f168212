"""Group commit: appends that wait at the same moment become one statement and one commit.

While one statement runs, what comes in gathers for the next; an append that finds none running goes at once, so that
nobody waits for company. Each append has an outcome of its own: what is refused, or held by another transaction, has
none here and is looked at by itself, and an error that may be one append's fault is tried out one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context as Variables
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import KataError, WriteContention

if TYPE_CHECKING:
    from kata_grpc.domain.contexts import Context
    from kata_grpc.repositories.messages import Batch, MessageRepository

_MOST_APPENDS = 64
"""In one statement: more gain nothing, and each waits for all."""
_LOOKED_AT = 4 * _MOST_APPENDS
"""So many are looked at for one: of a context that many append to, one at a time is taken."""
_MOST_MESSAGES = 16
_MOST_BYTES = 64 * 1024
"""An append of more than this goes alone, on a connection of its own: it gains little and would hold up the others."""

_Waiting = tuple["Batch", asyncio.Future["Context | None"]]


class GroupCommit:
    """Appends batches together with what others append at the same time."""

    def __init__(self, messages: MessageRepository) -> None:
        self._messages = messages
        self._waiting: deque[_Waiting] = deque()
        self._work: asyncio.Task[None] | None = None

    async def append(self, batch: Batch) -> Context | None:
        """Append one batch, without a wait for a context that is held; None as in `MessageRepository.append`."""
        if len(batch.messages) > _MOST_MESSAGES or sum(len(new.head) for new in batch.messages) > _MOST_BYTES:
            return await self.append_alone(batch)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Context | None] = loop.create_future()
        self._waiting.append((batch, outcome))
        if self._work is None:
            # In a context of its own: the deadline of the append that happens to start it is not that of the others.
            self._work = loop.create_task(self._write(), context=Variables())
        return await outcome

    async def append_alone(self, batch: Batch) -> Context | None:
        """Append one batch, waiting for its context."""
        (context,) = await self._messages.append([batch], wait=True)
        return context

    async def _write(self) -> None:
        try:
            while group := self._gather():
                await self._write_group(group)
        finally:
            self._work = None

    def _gather(self) -> list[_Waiting]:
        """Take the next group: at most one append of a context, in the order in which they came."""
        group: list[_Waiting] = []
        contexts = set()
        later: list[_Waiting] = []
        for _ in range(min(len(self._waiting), _LOOKED_AT)):
            if len(group) == _MOST_APPENDS:
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
        for (_, outcome), context in zip(group, found, strict=True):
            if not outcome.done():
                outcome.set_result(context)


def _fail(outcome: asyncio.Future[Context | None], error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)
