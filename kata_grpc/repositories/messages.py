"""Messages as rows: the append and the plain reads.

The rows that reads return carry `version`, `group_version` and `record`: a message as it is sent, its length before it.
"""

from __future__ import annotations

from itertools import accumulate, chain
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import Query, load
from kata_grpc.domain.messages import PINNED_ROLES, Role, TokenCountSource
from kata_grpc.limits import MAX_OPEN_CALLS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/messages.sql")
_LOCK = "for no key update of c"
_WAITING = _SQL.append_batches
_PASSING = Query("append_batches_in_passing", _WAITING.text.replace(_LOCK, f"{_LOCK} skip locked"))
"""The same without a wait: a context whose row is locked is passed over."""
_ROLES = tuple(Role)
_SOURCES = tuple(TokenCountSource)
_PLACES = {name: place for names in (_ROLES, _SOURCES) for place, name in enumerate(names, start=1)}


class NewMessage(NamedTuple):
    """A message to append; `head` is its record but for the stamp at its end."""

    role: Role
    token_count: int
    item_count: int
    source: TokenCountSource
    starts_turn: bool
    digest: bytes
    head: bytes
    labels: Sequence[str] = ()


class Batch(NamedTuple):
    """One append, with its conditions."""

    context_id: UUID
    tenant: TenantId
    tokenizer: str
    expected_version: int | None
    request_id: str | None
    fingerprint: bytes
    digest: bytes
    steps_json: str | None
    messages: Sequence[NewMessage]

    @property
    def is_plain(self) -> bool:
        """Whether it is one message that does nothing to tool calls."""
        return self.steps_json is None and len(self.messages) == 1


def _array(labels: Sequence[str]) -> str | None:
    """Spell labels as PostgreSQL does an array; None for none: arrays within an array would have to be equally long."""
    if not labels:
        return None
    quoted = (label.replace("\\", "\\\\").replace('"', '\\"') for label in labels)
    return "{" + ",".join(f'"{label}"' for label in quoted) + "}"


class MessageRepository:
    """Appends to contexts and reads the log of one at a time."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def append(self, batches: Sequence[Batch], *, wait: bool) -> list[Row | None]:
        """Append batches to different contexts, each as one revision; return the rows of the contexts after it.

        None where a condition does not hold, where the request_id was used and, unless told to `wait`, where another
        transaction holds the context. Raises ConstraintViolated("revisions_request_uq") when a request_id is used by
        another writer at the same moment; then nothing was appended.
        """
        if not wait and all(batch.is_plain for batch in batches):
            rows = await self._db.fetch(_SQL.append_plain, *_plain_columns(batches))
        else:
            rows = await self._db.fetch(_WAITING if wait else _PASSING, *_columns(batches))
        after: list[Row | None] = [None] * len(batches)
        for row in rows:
            after[row["place"] - 1] = row
        return after

    async def open_calls(self, context_id: UUID, tenant: TenantId, steps_json: str) -> int:
        """Return how many tool calls would be open after a batch with these steps; 0 where there is no context."""
        count: int | None = await self._db.fetchval(_SQL.count_open_calls, context_id, tenant, steps_json)
        return count or 0

    async def get(self, lineage: Lineage, tenant: TenantId, version: int) -> Row | None:
        """Return one message's row."""
        return await self._db.fetchrow(_SQL.get_message, lineage.source(version), tenant, version)

    async def groups_of(self, lineage: Lineage, tenant: TenantId, versions: Sequence[int]) -> dict[int, int]:
        """Return the group of each of some messages."""
        groups: dict[int, int] = {}
        for segment in lineage.between(min(versions), max(versions)):
            rows = await self._db.fetch(
                _SQL.list_groups_of,
                segment.source,
                tenant,
                [version for version in versions if segment.first <= version <= segment.last],
            )
            groups.update((row["version"], row["group_version"]) for row in rows)
        return groups

    async def rest_of_groups(
        self, lineage: Lineage, tenant: TenantId, groups: Collection[int], after: int, up_to: int, max_bytes: int
    ) -> Sequence[Row]:
        """Return what some groups have beyond a version, oldest first; none only where there is no more."""
        for segment in lineage.between(after + 1, up_to):
            rows = await self._db.fetch(
                _SQL.list_rest_of_groups,
                segment.source,
                tenant,
                list(groups),
                segment.first - 1,
                segment.last,
                max_bytes,
            )
            if rows:
                return rows
        return []

    async def revision_of(self, lineage: Lineage, tenant: TenantId, version: int) -> int:
        """Return the revision that appended a message that is there."""
        revision: int = await self._db.fetchval(_SQL.revision_of_message, lineage.source(version), tenant, version)
        return revision

    async def page(
        self,
        lineage: Lineage,
        tenant: TenantId,
        *,
        newest_first: bool,
        after: int,
        up_to: int,
        roles: Sequence[str] | None,
        max_bytes: int,
        limit: int,
    ) -> tuple[list[Row], bool]:
        """Return a page of messages beyond version `after`, none above `up_to`, and whether there may be more."""
        if newest_first:
            query, segments = _SQL.list_messages_before, lineage.between(1, min(after - 1, up_to))[::-1]
        else:
            query, segments = _SQL.list_messages_after, lineage.between(after + 1, up_to)
        page: list[Row] = []
        for segment in segments:
            if len(page) == limit or max_bytes <= 0:
                return page, True
            start = segment.first if newest_first else segment.first - 1
            rows = await self._db.fetch(
                query, segment.source, tenant, start, segment.last, roles, max_bytes, limit - len(page)
            )
            if page and rows and len(rows[0]["record"]) > max_bytes:
                return page, True
            page += rows
            if rows and rows[0]["found"] > len(rows):
                return page, True
            max_bytes -= sum(len(row["record"]) for row in rows)
        return page, False


def _plain_columns(batches: Sequence[Batch]) -> Iterable[object]:
    """Lay out batches of one message as append_plain takes them."""
    *conditions, _, messages = zip(*batches, strict=True)
    roles, tokens, items, sources, _, digests, heads, labels = zip(*chain.from_iterable(messages), strict=True)
    return *map(_given, conditions), roles, _numbers(tokens), _numbers(items), sources, digests, heads, _labels(labels)


def _columns(batches: Sequence[Batch]) -> Iterable[object]:
    """Lay out batches as append_batches takes them."""
    ends = list(accumulate(len(batch.messages) for batch in batches))
    spans = list(zip([0, *ends], ends, strict=False))
    roles, tokens, items, sources, starts, digests, heads, labels = zip(
        *chain.from_iterable(batch.messages for batch in batches), strict=True
    )

    def running(numbers: Sequence[int]) -> str | None:
        return _numbers([total for start, end in spans for total in accumulate(numbers[start:end])])

    pinned = [role in PINNED_ROLES for role in roles]
    turns = [step * starts[start + step - 1] for start, end in spans for step in range(1, end - start + 1)]
    *conditions, _ = zip(*batches, strict=True)
    return (
        *map(_given, conditions),
        [start for start, _ in spans],
        ends,
        MAX_OPEN_CALLS,
        _ROLES,
        _SOURCES,
        bytes(map(_PLACES.__getitem__, roles)),
        bytes(map(_PLACES.__getitem__, sources)),
        _numbers(tokens),
        _numbers(items),
        running(tokens),
        running(items),
        running([source is not TokenCountSource.COUNTED for source in sources]),
        running(list(map(mul, tokens, pinned))),
        running(pinned),
        running(list(map(mul, items, pinned))),
        _numbers([turn for start, end in spans for turn in accumulate(turns[start:end], max)]),
        b"".join(digests),
        b"".join(heads),
        _numbers(list(accumulate(map(len, heads)))),
        _labels(labels),
    )


def _given(column: Sequence[object]) -> Sequence[object] | None:
    """Spare a column in which nothing is given: as null it is as long as the others are."""
    return None if all(value is None for value in column) else column


def _numbers(numbers: Sequence[int]) -> str | None:
    """Spell numbers as PostgreSQL does an array, None where all are zero: the driver looks at each of a list."""
    return f"{{{','.join(map(str, map(int, numbers)))}}}" if any(numbers) else None


def _labels(labels: Sequence[Sequence[str]]) -> Sequence[str | None] | None:
    return list(map(_array, labels)) if any(labels) else None
