"""Following a context: its log from a position on, and then every change as it is made.

Everything comes from the log, page by page and by short statements: a slow reader costs a page of memory and nothing of
what it has not read is kept for it. No connection is held between two frames.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from kata_grpc.domain.contexts import Revision, RevisionKind, TenantId
from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.domain.lineage import ENDLESS, Lineage
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES, WATCH_PAGE_REVISIONS
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.repositories.watching import WatchRepository
from kata_grpc.services.messages import PREVIEW_BYTES, revision_from_row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.messages import Row
    from kata_grpc.services.changes import Changes
    from kata_grpc.services.hints import Hints


class Position(NamedTuple):
    """How far a watch has come: all of the revisions up to `revision`, and of the messages those up to `version`."""

    revision: int
    version: int


_BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch starts: after a position, a revision or a version, or now; the names are those of the request."""

    at: Literal["cursor", "from_revision", "from_version", "now"] = "now"
    position: Position = _BEGINNING


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the log a watch shows; no kinds are all."""

    kinds: Collection[RevisionKind] = ()
    messages: bool = False


class Event(NamedTuple):
    """A revision, or a part of one: some records of its messages, and whether they are its last."""

    position: Position
    revision: Revision
    records: Sequence[bytes]
    last: bool


class CaughtUp(NamedTuple):
    """Everything up to the position was sent."""

    position: Position


class FellBehind(NamedTuple):
    """The reader had caught up, and is late by a page of revisions or more."""

    position: Position


class Checkpoint(NamedTuple):
    """Nothing was sent for a while."""

    position: Position


Frame = Event | CaughtUp | FellBehind | Checkpoint


class Watching:
    """The use case of watching a context."""

    def __init__(self, database: Executor, changes: Changes, hints: Hints, checkpoint_seconds: float) -> None:
        self._database = database
        self._changes = changes
        self._hints = hints
        self._checkpoint_seconds = checkpoint_seconds

    async def follow(
        self, tenant: TenantId, context_id: UUID, start: Start, wanted: Wanted
    ) -> AsyncGenerator[Frame, None]:
        """Yield what happens to a context, without end; close it at the end.

        Raises ContextNotFound, at the start and behind the deletion of the context, OutOfRange, TooManyWatchers, and
        ShuttingDown while it waits.
        """
        position, latest = await self._begin(tenant, context_id, start)
        log = _Log(self._database, tenant, context_id, position, wanted)
        loop = asyncio.get_running_loop()
        # Of watches that began together not all speak at the same moment.
        silence = self._checkpoint_seconds * random.uniform(0.9, 1)  # noqa: S311 - only to get out of step
        # Watched first and read then: what happens between the two shows in both, and is read once.
        with self._changes.watch(tenant, context_id, latest) as watcher:
            self._hints.attend()
            caught_up = False
            spoken = loop.time()
            while True:
                believed = watcher.latest
                await log.read()
                if caught_up and log.has_more:
                    caught_up = False
                    yield FellBehind(log.position)
                async with aclosing(log.events()) as events:
                    async for event in events:
                        yield event
                        spoken = loop.time()
                if log.has_more:
                    if loop.time() - spoken >= silence:
                        yield Checkpoint(log.position)
                        spoken = loop.time()
                    continue
                watcher.found(log.position.revision, believed)
                if log.deleted:
                    raise ContextNotFound(str(context_id))
                if not caught_up:
                    caught_up = True
                    yield CaughtUp(log.position)
                    spoken = loop.time()
                while not await watcher.beyond(log.position.revision, spoken + silence):
                    yield Checkpoint(log.position)
                    spoken = loop.time()

    async def _begin(self, tenant: TenantId, context_id: UUID, start: Start) -> tuple[Position, int]:
        """Return the position that a start means, and the latest revision."""
        revision, version = start.position
        row = await WatchRepository(self._database).start(context_id, tenant, min(version, ENDLESS))
        if row is None or row["deleted"]:
            raise ContextNotFound(str(context_id))
        newest = Position(row["latest_revision"], row["latest_version"])
        oldest = _oldest(row, newest)
        if start.at == "from_version":
            _check_range(start.at, version, oldest.version, newest.version)
            if version == oldest.version:
                return oldest, newest.revision
            # A version in the middle of a batch leaves the rest of it to be sent.
            within = row["next_revision"] == row["revision"]
            return Position(row["revision"] - within, version), newest.revision
        if start.at == "now":
            return newest, newest.revision
        _check_range(start.at, revision, oldest.revision, newest.revision)
        return (newest if revision == newest.revision else start.position), newest.revision


def _oldest(row: Row, newest: Position) -> Position:
    """Return the position before all that the context's own log holds."""
    revision = newest.revision if row["first_revision"] is None else max(row["first_revision"] - 1, 0)
    version = newest.version if row["first_version"] is None else row["first_version"] - 1
    return Position(revision, version)


def _check_range(field: str, value: int, earliest: int, latest: int) -> None:
    if value > latest:
        raise OutOfRange(field, value, latest)
    if value < earliest:
        raise OutOfRange(field, value, latest, earliest)


class _Log:
    """A context's log as one watch reads it, from a position on."""

    def __init__(
        self, database: Executor, tenant: TenantId, context_id: UUID, position: Position, wanted: Wanted
    ) -> None:
        self._contexts = ContextRepository(database)
        self._messages = MessageRepository(database)
        self._tenant = tenant
        self._own = Lineage.root(context_id)  # of a fork, too, the own log alone
        self._wanted = wanted
        self.position = position
        """What was yielded, or passed over because it is not wanted."""
        self._page: Sequence[Row] = ()
        self.deleted = False
        """Whether the context is deleted where the log was read to."""

    @property
    def has_more(self) -> bool:
        """Whether the last page that was read may not be the end of the log."""
        return len(self._page) == WATCH_PAGE_REVISIONS

    async def read(self) -> None:
        """Read the next page of revisions."""
        self._page = await self._contexts.list_revisions(
            self._own,
            self._tenant,
            self.position.revision + 1,
            ENDLESS,
            newest_first=False,
            limit=WATCH_PAGE_REVISIONS,
            preview_bytes=PREVIEW_BYTES,
        )

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the wanted events of the page."""
        held: deque[Row] = deque()
        for row in self._page:
            revision = revision_from_row(row)
            if not self._wanted.kinds or revision.kind in self._wanted.kinds:
                async for event in self._parts(revision, held, self._page[-1]["last_version"]):
                    self.position = event.position
                    yield event
            self.position = Position(revision.revision, revision.last_version)
            if revision.kind in (RevisionKind.DELETE, RevisionKind.UNDELETE):
                self.deleted = revision.kind is RevisionKind.DELETE

    async def _parts(self, revision: Revision, held: deque[Row], up_to: int) -> AsyncGenerator[Event, None]:
        """Yield a revision, in parts when messages are wanted with it.

        `held` are messages that were read already, at most a frame of them: one page of messages up to the version
        `up_to` may serve many appends.
        """
        whole = Position(revision.revision, revision.last_version)
        if not revision.first_version or not self._wanted.messages:
            yield Event(whole, revision, (), last=True)
            return
        version = max(revision.first_version - 1, self.position.version)
        while version < revision.last_version:
            if not held:
                held.extend(await self._read(version, up_to))
            if not held:  # they went away together with the context
                return
            records = []
            while held and held[0]["version"] <= revision.last_version:
                row = held.popleft()
                version = row["version"]
                records.append(row["record"])
            last = version == revision.last_version
            yield Event(whole if last else Position(whole.revision - 1, version), revision, records, last)

    async def _read(self, after: int, up_to: int) -> Sequence[Row]:
        rows, _ = await self._messages.page(
            self._own,
            self._tenant,
            newest_first=False,
            after=after,
            up_to=up_to,
            roles=None,
            max_bytes=FRAME_BYTES,
            limit=FRAME_MESSAGES,
        )
        return rows
