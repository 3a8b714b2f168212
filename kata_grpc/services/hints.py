"""Between processes: telling others which contexts this one changed, hearing it of them, and a poll as the floor.

A process that changed contexts notifies the others after its commits, off the path of who appends, a few contexts or
many at a time, and only when somebody listens. A process with watches listens on one connection of its own and asks, by
one statement at an interval, where everything that is watched stands: so a hint that is lost costs that interval.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextvars import Context as Variables
from typing import TYPE_CHECKING
from uuid import UUID

from kata_grpc.db.listening import Listener
from kata_grpc.domain.errors import KataError, StorageUnavailable
from kata_grpc.repositories.watching import CHANNEL, LISTENERS_LOCK, WatchRepository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kata_grpc.db.pool import Database, PoolOptions
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.changes import Changes

_log = logging.getLogger(__name__)

_TELL_SECONDS = 0.025
"""Between two notifications of one process: what changes meanwhile is told together."""
_UNHEARD_SECONDS = 1.0
"""After nobody listened nothing is told for this long."""
_TELL_WITHIN = 1.0
_POLL_WITHIN = 5.0
_LISTEN_AGAIN_SECONDS = (0.1, 5.0)
"""After the connection was lost: the first time, and at most, doubling."""
_HINT = re.compile(r"\b([0-9a-f]{32}):([0-9]{1,18})\b")
_PAYLOAD_CONTEXTS = 100
"""A payload must stay below 8,000 bytes; a hint takes at most 52."""


class Hints:
    """Carries word of changes between this process and others."""

    def __init__(
        self, database: Database, changes: Changes, direct_url: str, options: PoolOptions, poll_seconds: float
    ) -> None:
        self._database = database
        self._changes = changes
        self._direct_url = direct_url
        self._options = options
        self._poll_seconds = poll_seconds
        self._untold: dict[UUID, int] = {}
        self._unheard_until = 0.0
        self._telling: asyncio.Task[None] | None = None
        self._attending: asyncio.Task[None] | None = None
        self._listener: Listener | None = None

    def changed(self, context_id: UUID, revision: int) -> None:
        """Say that this process made a revision, which is committed; never waits."""
        self._changes.announce(context_id, revision)
        loop = asyncio.get_running_loop()
        if loop.time() < self._unheard_until:
            return
        self._untold[context_id] = revision
        if self._telling is None and not self._changes.closed:
            # In a context of its own: the deadline of the call that happens to start it is not its own.
            self._telling = loop.create_task(self._tell(), context=Variables())

    def attend(self) -> None:
        """Listen and poll from now on, for as long as anything is watched."""
        if self._attending is None and not self._changes.closed:
            self._attending = asyncio.get_running_loop().create_task(self._attend(), context=Variables())

    async def close(self) -> None:
        """End what runs."""
        tasks = [task for task in (self._telling, self._attending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self) -> None:
        others = WatchRepository(self._database)
        try:
            while self._untold:
                untold, self._untold = self._untold, {}
                if not await others.tell(_payloads(untold), within=_TELL_WITHIN):
                    self._hush()
                await asyncio.sleep(_TELL_SECONDS)
        except KataError as error:
            _log.debug("other processes were not told of changes, and find out by themselves: %s", error)
            self._hush()
        finally:
            self._telling = None

    def _hush(self) -> None:
        self._unheard_until = asyncio.get_running_loop().time() + _UNHEARD_SECONDS
        self._untold.clear()

    def _hear(self, payload: str) -> None:
        # Anybody may notify who may connect to the database: what is no hint of ours is passed over.
        for context_id, revision in _HINT.findall(payload):
            self._changes.announce(UUID(context_id), int(revision))

    async def _attend(self) -> None:
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                await asyncio.sleep(self._poll_seconds)
                if not (believed := self._changes.watched()):
                    return
                await self._poll(believed)
        finally:
            listening.cancel()
            (outcome,) = await asyncio.gather(listening, return_exceptions=True)
            if isinstance(outcome, Exception):
                _log.error("listening for changes failed", exc_info=outcome)
            self._attending = None
            if self._changes.watched():  # since it was found that nobody watches
                self.attend()

    async def _poll(self, believed: Sequence[tuple[UUID, TenantId, int]]) -> None:
        """Ask where everything that is watched stands, on the connection that listens if there is one."""
        listener = self._listener
        executor = self._database if listener is None else listener.executor
        try:
            for context_id, revision in await WatchRepository(executor).changed(believed, within=_POLL_WITHIN):
                if revision is None:
                    self._changes.lose(context_id)
                else:
                    self._changes.announce(context_id, revision)
        except KataError as error:
            _log.debug("did not find out what has changed, and asks again: %s", error)
            if listener is not None:
                listener.drop()
        except Exception:  # noqa: BLE001 - the floor under all watches must not give way, whatever this was
            _log.exception("a poll for changes failed")

    async def _listen(self) -> None:
        """Keep one connection that listens, or none where that is not possible."""
        first, longest = _LISTEN_AGAIN_SECONDS
        pause = first
        while True:
            try:
                listener = await Listener.open(self._direct_url, CHANNEL, LISTENERS_LOCK, self._hear, self._options)
            except StorageUnavailable as error:
                _log.debug("cannot listen for changes: %s", error.__cause__ or error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
                continue
            if listener is None:
                _log.info("a pooler stands before the database: watches see changes of other workers at the next poll")
                return
            pause = first
            self._listener = listener
            try:
                await listener.lost.wait()
            finally:
                self._listener = None
                await listener.close()


def _payloads(revisions: Mapping[UUID, int]) -> list[str]:
    hints = [f"{context_id.hex}:{revision}" for context_id, revision in revisions.items()]
    return [" ".join(hints[start : start + _PAYLOAD_CONTEXTS]) for start in range(0, len(hints), _PAYLOAD_CONTEXTS)]
