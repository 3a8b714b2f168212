"""What selecting and streaming a window reads."""

from __future__ import annotations

import json
from collections.abc import Sequence  # noqa: TC003 - the fields of a named tuple are looked at
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import load
from kata_grpc.domain.windows import Entry, RunningState

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.messages import Row
    from kata_grpc.domain.tokens import Framing

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
    """The versions above `after` and up to `last` of a tail that starts at `start`.

    `passed_over` are groups that are not in it, `kept` groups from before it that are.
    """

    after: int
    last: int
    start: int
    passed_over: Sequence[int]
    kept: Sequence[int]


class WindowRepository:
    """Reads one context's log from its end."""

    def __init__(self, executor: Executor, context_id: UUID, tenant: TenantId) -> None:
        self._db = executor
        self._of = (context_id, tenant)

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
        newest first. Records beyond `max_bytes` are None.
        """
        rows = await self._db.fetch(
            _SQL.look,
            *self._of,
            at_version,
            at_revision,
            allowance,
            framing.per_message,
            framing.per_item,
            least,
            most,
            most_pinned,
            max_bytes,
        )
        return (json.loads(rows[0]["snapshot"]), rows[1:]) if rows else None

    async def newest(self, version: int, limit: int, max_bytes: int) -> Sequence[Row]:
        """Return the newest messages up to `version`, newest first, with records up to `max_bytes`, or one."""
        return await self._db.fetch(_SQL.read_newest, *self._of, version, limit, max_bytes)

    async def costs(self, version: int, limit: int) -> list[Entry]:
        """Return what selection needs of the messages up to `version`, newest first."""
        return [entry_from_row(row) for row in await self._db.fetch(_SQL.read_costs, *self._of, version, limit)]

    async def state(self, version: int) -> RunningState:
        """Return the running state after `version`."""
        if version == 0:
            return RunningState()
        row = await self._db.fetchrow(_SQL.get_running_state, *self._of, version)
        assert row is not None, "versions are dense"
        return state_from_row(row)

    async def find_start(self, version: int, running_cost: int, allowance: int, per_message: int, per_item: int) -> int:
        """Return the first version of the longest run up to `version` whose cost is within `allowance`."""
        before: int = await self._db.fetchval(
            _SQL.find_start, *self._of, version, running_cost, allowance, per_message, per_item
        )
        return before + 1

    async def group_members(self, groups: Collection[int], first: int, last: int) -> list[Entry]:
        """Return the messages of `groups` within a range of versions; group 0 holds the orphan results."""
        rows = await self._db.fetch(_SQL.list_group_members, *self._of, list(groups), first, last)
        return [entry_from_row(row) for row in rows]

    async def tail_start(self, first: int, last: int, passed_over: Collection[int], user_until: int) -> int | None:
        """Return where the first group of a range starts; up to a version a user's message must start it."""
        version: int | None = await self._db.fetchval(
            _SQL.find_tail_start, *self._of, first, last, list(passed_over), user_until
        )
        return version

    async def turn(self, version: int) -> Row | None:
        """Return the newest message up to `version` of the user's that starts a group, or rather is one."""
        return await self._db.fetchrow(_SQL.read_turn, *self._of, version)

    async def pinned_groups(self, versions: Collection[int], labels: Collection[str], last: int) -> Sequence[Row]:
        """Return the groups of messages that are pinned by version or label, whole up to `last`, without records."""
        return await self._db.fetch(_SQL.list_pinned_groups, *self._of, list(versions), list(labels), last)

    async def records(self, versions: Collection[int]) -> Sequence[Row]:
        """Return messages by version, in order."""
        return await self._db.fetch(_SQL.read_records, *self._of, list(versions))

    async def policy(self, revision: int) -> tuple[int, bytes] | None:
        """Return the policy in force at a revision, and the revision that set it."""
        row = await self._db.fetchrow(_SQL.get_policy_at, *self._of, revision)
        return (row["revision"], row["policy"]) if row else None

    async def page(self, part: TailPart, *, versions: int, max_bytes: int, separator: bytes) -> Page | None:
        """Return what of the next `versions` of a part is in the window: None when nothing of them is."""
        row = await self._db.fetchrow(_SQL.read_window_page, *self._of, *part, versions, max_bytes, separator)
        return Page(row["records"], separator, row["last_version"], row["digests"]) if row and row["records"] else None

    async def rows(self, part: TailPart, *, versions: int, max_bytes: int) -> Sequence[Row]:
        """Return the same as rows."""
        return await self._db.fetch(_SQL.read_window_rows, *self._of, *part, versions, max_bytes)

    async def digests(self, part: TailPart) -> bytes:
        """Return the digests of what of a part is in the window, one after the other."""
        digests: bytes | None = await self._db.fetchval(_SQL.read_window_digests, *self._of, *part)
        return digests or b""

    async def pinned_page(
        self, after: int, last: int, limit: int, max_bytes: int, others: Collection[int] = ()
    ) -> Sequence[Row]:
        """Return a page of the pinned messages beyond version `after`, and of some others, oldest first."""
        return await self._db.fetch(_SQL.read_pinned_page, *self._of, after, last, limit, max_bytes, list(others))
