"""Who in this process waits for a context to change, and the one place where all word of a change arrives.

The log is the truth, and whoever is woken reads it. Word of a change only says that reading is worth while: it may come
late, twice, out of order or for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from kata_grpc.domain.errors import ContextNotFound, ShuttingDown, TooManyWatchers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kata_grpc.domain.contexts import TenantId

OnChange = Callable[[UUID, int], None]
"""Called by whoever made a revision of a context, once it is committed; never waits."""


def unwatched(context_id: UUID, revision: int) -> None:
    """Pass nothing on: what a service does with which nobody's watch is connected."""


class _Topic:
    """One context that is watched."""

    __slots__ = ("gone", "latest", "tenant", "waiting", "watchers")

    def __init__(self, tenant: TenantId, latest: int) -> None:
        self.tenant = tenant
        self.latest = latest
        self.gone = False
        self.watchers = 0
        self.waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for future in self.waiting:
            _finish(future)


class Watcher:
    """One watch of a context."""

    __slots__ = ("_changes", "_context_id", "_topic")

    def __init__(self, changes: Changes, context_id: UUID, topic: _Topic) -> None:
        self._changes = changes
        self._context_id = context_id
        self._topic = topic

    @property
    def latest(self) -> int:
        """The latest revision that there was word of."""
        return self._topic.latest

    def found(self, latest: int, believed: int) -> None:
        """Say how far the log goes, read when `believed` was the latest revision that there was word of."""
        if self._topic.latest <= max(latest, believed):
            self._topic.latest = latest

    async def beyond(self, revision: int, until: float) -> bool:
        """Wait for word of a later revision; False when the loop's time is `until`. An idle watch is this one future.

        Raises ShuttingDown, and ContextNotFound when the context is gone altogether.
        """
        loop = asyncio.get_running_loop()
        topic = self._topic
        while True:
            if self._changes.closed:
                raise ShuttingDown
            if topic.gone:
                raise ContextNotFound(str(self._context_id))
            if topic.latest > revision:
                return True
            if loop.time() >= until:
                return False
            future = loop.create_future()
            timer = loop.call_at(until, _finish, future)
            topic.waiting.add(future)
            try:
                await future
            finally:
                timer.cancel()
                topic.waiting.discard(future)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Changes:
    """The contexts that are watched in this process, by id."""

    def __init__(self, most_watchers: int) -> None:
        self._most = most_watchers
        self._watchers = 0
        self._topics: dict[UUID, _Topic] = {}
        self.closed = False

    @contextmanager
    def watch(self, tenant: TenantId, context_id: UUID, latest: int) -> Iterator[Watcher]:
        """Watch a context of the tenant's that was found at revision `latest`. Raises TooManyWatchers."""
        if self._watchers >= self._most:
            raise TooManyWatchers(self._most)
        topic = self._topics.get(context_id)
        if topic is None:
            topic = self._topics[context_id] = _Topic(tenant, latest)
        self._watchers += 1
        topic.watchers += 1
        try:
            yield Watcher(self, context_id, topic)
        finally:
            self._watchers -= 1
            topic.watchers -= 1
            if not topic.watchers:
                del self._topics[context_id]

    def announce(self, context_id: UUID, revision: int) -> None:
        """Pass on the word that a context has this revision."""
        topic = self._topics.get(context_id)
        if topic is not None and revision > topic.latest:
            topic.latest = revision
            topic.wake()

    def lose(self, context_id: UUID) -> None:
        """Pass on the word that there is no such context any more."""
        if topic := self._topics.get(context_id):
            topic.gone = True
            topic.wake()

    def watched(self) -> list[tuple[UUID, TenantId, int]]:
        """Return the watched contexts, with their tenants and the latest revisions that there was word of."""
        return [(context_id, topic.tenant, topic.latest) for context_id, topic in self._topics.items()]

    def close(self) -> None:
        """End all waits, now and later, with ShuttingDown."""
        self.closed = True
        for topic in self._topics.values():
            topic.wake()
