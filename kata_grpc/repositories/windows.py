"""What selecting and streaming a window reads."""

from __future__ import annotations

import json
from collections.abc import Sequence  # noqa: TC003 - the fields of a named tuple are looked at
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import load
from kata_grpc.domain.lineage import ENDLESS
from kata_grpc.domain.overlays import Change, Run, Why
from kata_grpc.domain.windows import Entry, RunningState

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.messages import Row
    from kata_grpc.domain.tokens import Framing

_WHY = {why.value: why for why in Why}
_SQL = load("kata_grpc.repositories", "sql/windows.sql")


_ENTRY = itemgetter("version", "group_version", "role", "token_count", "item_count")


def entry_from_row(row: Row) -> Entry:
    """Read what selection needs of a message's row."""
    return Entry._make(_ENTRY(row))


def state_from_row(row: Row) -> RunningState:
    """Read the running state that stands beside a message."""
    return RunningState(
        version=row["version"],
        tokens=row["total_tokens"],
        items=row["total_items"],
        inexact=row["inexact_messages"],
        pinned_tokens=row["pinned_tokens"],
        pinned_messages=row["pinned_messages"],
        pinned_items=row["pinned_items"],
        turn_version=row["turn_version"],
        open_calls=json.loads(row["open_calls"]) if row["open_calls"] else {},
    )


class Page(NamedTuple):
    """A run of messages: their records with a separator between two, their last version, and their digests."""

    records: bytes
    separator: bytes
    last_version: int
    digests: bytes


class TailPart(NamedTuple):
    """The versions above `after` and up to `last`, all in one log, of a tail that starts at `start`.

    `left_out` are versions and groups that are not in it, as a multirange, `kept` groups from before it that are.
    """

    after: int
    last: int
    start: int
    left_out: str
    kept: Sequence[int]


class WindowRepository:
    """Reads one context's log from its end, through the logs of its ancestors."""

    def __init__(self, executor: Executor, lineage: Lineage, tenant: TenantId) -> None:
        self._db = executor
        self._lineage = lineage
        self._tenant = tenant

    async def look(
        self,
        at_version: int | None,
        at_revision: int | None,
        *,
        allowance: int,
        framing: Framing,
        least: int,
        most: int,
        most_pinned: int,
        max_bytes: int,
    ) -> tuple[Row, Sequence[Row]] | None:
        """Return the context and its running state at the snapshot, and with it the rows of a first look.

        These are the pinned messages, oldest first, unless they are more than `most_pinned`; then the newest messages,
        newest first. Records beyond `max_bytes` are None. Worth nothing where `lineage_from_row` finds another lineage
        than the one that was believed.
        """
        then = self._lineage.at_revision(ENDLESS if at_revision is None else at_revision)
        rows = await self._db.fetch(
            _SQL.look,
            self._lineage.own.source,
            self._tenant,
            at_version,
            at_revision,
            allowance,
            framing.per_message,
            framing.per_item,
            least,
            most,
            most_pinned,
            max_bytes,
            *self._lineage.columns(ENDLESS if at_version is None else at_version),
            then.source,
            then.last,
        )
        return (json.loads(rows[0]["snapshot"]), rows[1:]) if rows else None

    async def newest(self, version: int, limit: int, max_bytes: int) -> Sequence[Row]:
        """Return the newest messages up to `version`, newest first, with records up to `max_bytes`, or one."""
        rows: list[Row] = []
        for segment in reversed(self._lineage.between(version - limit + 1, version)):
            rows += await self._db.fetch(
                _SQL.read_newest, segment.source, self._tenant, segment.first, segment.last, max_bytes
            )
            if rows[-1]["record"] is None:
                break
            max_bytes -= sum(len(row["record"]) for row in rows)
        return rows

    async def costs(self, version: int, limit: int) -> list[Entry]:
        """Return what selection needs of the messages up to `version`, newest first."""
        rows: list[Row] = []
        for segment in reversed(self._lineage.between(version - limit + 1, version)):
            rows += await self._db.fetch(_SQL.read_costs, segment.source, self._tenant, segment.first, segment.last)
        return [entry_from_row(row) for row in rows]

    async def state(self, version: int) -> RunningState:
        """Return the running state after `version`."""
        if version == 0:
            return RunningState()
        row = await self._db.fetchrow(_SQL.get_running_state, self._lineage.source(version), self._tenant, version)
        assert row is not None, "versions are dense"
        return state_from_row(row)

    async def find_start(self, version: int, running_cost: int, allowance: int, per_message: int, per_item: int) -> int:
        """Return the first version of the longest run up to `version` whose cost is within `allowance`."""
        before: int = await self._db.fetchval(
            _SQL.find_start,
            self._tenant,
            *self._lineage.columns(version),
            version,
            running_cost,
            allowance,
            per_message,
            per_item,
        )
        return before + 1

    async def group_members(self, groups: Collection[int], first: int, last: int) -> list[Entry]:
        """Return the messages of `groups` within a range of versions; group 0 holds the orphan results."""
        entries: list[Entry] = []
        for segment in self._lineage.between(first, last):
            rows = await self._db.fetch(
                _SQL.list_group_members, segment.source, self._tenant, list(groups), segment.first, segment.last
            )
            entries += map(entry_from_row, rows)
        return entries

    async def tail_start(self, first: int, last: int, left_out: str, user_until: int) -> int | None:
        """Return where the first group of a range starts; up to a version a user's message must start it.

        `left_out` are versions that start none, spelled as a multirange.
        """
        for segment in self._lineage.between(first, last):
            version: int | None = await self._db.fetchval(
                _SQL.find_tail_start,
                segment.source,
                self._tenant,
                segment.first,
                segment.last,
                left_out,
                user_until,
            )
            if version is not None:
                return version
        return None

    async def turn(self, version: int) -> Row | None:
        """Return the newest message up to `version` of the user's that starts a group, or rather is one."""
        return await self._db.fetchrow(_SQL.read_turn, self._lineage.source(version), self._tenant, version)

    async def pinned_groups(self, versions: Collection[int], labels: Collection[str], last: int) -> Sequence[Row]:
        """Return the groups of messages that are pinned by version or label, whole up to `last`, without records."""
        return await self._db.fetch(
            _SQL.list_pinned_groups, self._tenant, *self._lineage.columns(last), list(versions), list(labels)
        )

    async def records(self, versions: Collection[int]) -> Sequence[Row]:
        """Return messages by version, in order."""
        rows: list[Row] = []
        for segment in self._lineage.between(min(versions), max(versions)):
            rows += await self._db.fetch(
                _SQL.read_records,
                segment.source,
                self._tenant,
                [version for version in versions if segment.first <= version <= segment.last],
            )
        return rows

    async def policy(self, revision: int) -> tuple[int, bytes] | None:
        """Return the policy in force at a revision, and the revision that set it."""
        for segment in self._lineage.until_revision(revision):
            row = await self._db.fetchrow(
                _SQL.get_policy_at, segment.source, self._tenant, min(revision, segment.last_revision)
            )
            if row:
                return row["revision"], row["policy"]
        return None

    async def overlays(
        self, ranges: Sequence[Run], version: int, revision: int, *, removals: bool, redactions: bool
    ) -> list[Change]:
        """Return what touches some ranges of versions: removals up to a revision, redactions up to a version.

        Either only if it is wanted.
        """
        segments = self._lineage.segments
        rows = await self._db.fetch(
            _SQL.read_overlays,
            self._tenant,
            [segment.source for segment in segments],
            [min(segment.last, version) for segment in segments],
            [min(segment.last_revision, revision) for segment in segments],
            [run.first for run in ranges],
            [run.last for run in ranges],
            removals,
            redactions,
        )
        return [Change(first, last, revision, hides, _WHY[why]) for first, last, revision, hides, why in rows]

    async def turns(self, version: int, limit: int) -> list[int]:
        """Return the newest versions up to one at which the user opened a turn, newest first."""
        found: list[int] = []
        for segment in reversed(self._lineage.between(1, version)):
            rows = await self._db.fetch(
                _SQL.list_turns, segment.source, self._tenant, segment.first, segment.last, limit - len(found)
            )
            found += [row["version"] for row in rows]
            if len(found) == limit:
                break
        return found

    def run(self, after: int, last: int) -> int:
        """Return how far up to `last` the versions beyond `after` are in one log: what the reads below are of."""
        return self._lineage.between(after + 1, last)[0].last

    async def page(self, part: TailPart, *, max_bytes: int, separator: bytes) -> Page | None:
        """Return what of a part is in the window, as far as a page goes: None when nothing of it is."""
        row = await self._db.fetchrow(_SQL.read_window_page, *self._of(part), *part, max_bytes, separator)
        return Page(row["records"], separator, row["last_version"], row["digests"]) if row and row["records"] else None

    async def rows(self, part: TailPart, *, max_bytes: int) -> Sequence[Row]:
        """Return the same as rows."""
        return await self._db.fetch(_SQL.read_window_rows, *self._of(part), *part, max_bytes)

    async def digests(self, part: TailPart) -> bytes:
        """Return the digests of what of a part is in the window, one after the other."""
        digests: bytes | None = await self._db.fetchval(_SQL.read_window_digests, *self._of(part), *part)
        return digests or b""

    def _of(self, part: TailPart) -> tuple[UUID, TenantId]:
        return self._lineage.source(part.last), self._tenant

    async def pinned_page(
        self, after: int, last: int, limit: int, max_bytes: int, others: Collection[int] = ()
    ) -> Sequence[Row]:
        """Return a page of the pinned messages beyond version `after`, and of some others, oldest first."""
        for segment in self._lineage.between(after + 1, last):
            rows = await self._db.fetch(
                _SQL.read_pinned_page,
                segment.source,
                self._tenant,
                segment.first - 1,
                segment.last,
                limit,
                max_bytes,
                list(others),
            )
            if rows:
                return rows
        return []
