"""Group commit: appends that wait at the same moment become one statement and one commit.

While one statement runs, what comes in gathers for the next, which starts beside it once many wait. An append that
finds none running goes at once, unless a crowd was here a moment ago: then the next group waits, for milliseconds at
most, for about as many, which costs all of them less than many small groups do. Each append has an outcome of
its own: what is refused, or held by another transaction, has none here and is looked at by itself, and an error that
may be one append's fault is tried out one by one.
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
_ENOUGH = 16
"""So many that wait have a second statement run beside the first: PostgreSQL then works while this process does. Nobody
waits for more than these, and of a crowd of more a group takes half, so that the other half is its company."""
_CROWD = 4
"""So many in a group are likely to come again, and with them those who came while it ran. Where none did, the group was
all there are: then half of them is enough, so that the halves take turns."""
_COMPANY_SECONDS = 0.003
"""So long they are waited for, from the end of the group before."""

_Waiting = tuple["Batch", asyncio.Future["Row | None"]]


class GroupCommit:
    """Appends batches together with what others append at the same time."""

    def __init__(self, messages: MessageRepository) -> None:
        self._messages = messages
        self._waiting: deque[_Waiting] = deque()
        self._held: set[UUID] = set()
        """Contexts that a running statement is about."""
        self._running = 0
        self._crowd = 0
        """How many there were at the end of the last group: in it, in another that ran, and waiting."""
        self._company = 0
        """So many are waited for while no statement runs."""
        self._alone: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, batch: Batch) -> Row | None:
        """Append one batch, without a wait for a context that is held; None as in `MessageRepository.append`."""
        if len(batch.messages) > _MOST_MESSAGES or sum(len(new.head) for new in batch.messages) > _MOST_BYTES:
            return await self.append_alone(batch)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Row | None] = loop.create_future()
        self._waiting.append((batch, outcome))
        if not self._running:
            self._start()
        elif len(self._waiting) == _ENOUGH:
            self._start_soon()
        return await outcome

    async def append_alone(self, batch: Batch) -> Row | None:
        """Append one batch, waiting for its context."""
        (row,) = await self._messages.append([batch], wait=True)
        return row

    def _start_soon(self) -> None:
        """Start what is due at the end of this turn of the event loop, so that all who come in it are there."""
        asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        """Start the statements that are due."""
        while len(self._waiting) >= (_ENOUGH if self._running else max(1, self._company)):
            if self._running == _MOST_AT_ONCE or not (group := self._gather()):
                return
            self._expect(0)
            self._running += 1
            contexts = {batch.context_id for batch, _ in group}
            self._held |= contexts
            # In a context of its own: the deadline of the append that happens to start it is not that of the others.
            task = asyncio.get_running_loop().create_task(self._write(group, contexts), context=Variables())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _expect(self, company: int) -> None:
        """Wait for so many before the next group, for a while."""
        self._company = company
        if self._alone is not None:
            self._alone.cancel()
            self._alone = None
        if company:
            self._alone = asyncio.get_running_loop().call_later(_COMPANY_SECONDS, self._go_alone)

    def _go_alone(self) -> None:
        self._expect(0)
        self._start()

    async def _write(self, group: list[_Waiting], contexts: set[UUID]) -> None:
        try:
            await self._write_group(group)
        finally:
            # Here and not when the task is done: an append that comes in between would wait for nobody.
            self._held -= contexts
            self._running -= 1
            self._crowd = len(group) + len(self._held) + len(self._waiting)
            if not self._running and len(group) >= _CROWD:
                self._expect(min(self._crowd, _ENOUGH) if self._waiting else len(group) // 2)
            self._start_soon()

    def _gather(self) -> list[_Waiting]:
        """Take the next group: at most one append of a context, in the order in which they came."""
        group: list[_Waiting] = []
        contexts = set(self._held)
        later: list[_Waiting] = []
        crowd = max(self._crowd, len(self._held) + len(self._waiting))
        most = min(_MOST_APPENDS, max(_ENOUGH, (crowd + 1) // 2))
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
