"""Messages as rows: the append and the plain reads.

The rows that reads return carry `version` and `record`: the message as it is sent, its length before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.db.query import Query, load
from kata_grpc.limits import MAX_OPEN_CALLS
from kata_grpc.repositories.contexts import context_from_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/messages.sql")
_LOCK = "for no key update of c"


_WAITING = _SQL.append_batches
_PASSING = Query("append_batches_in_passing", _WAITING.text.replace(_LOCK, f"{_LOCK} skip locked"))
"""The same without a wait: a context whose row is locked is passed over."""


class Tally(NamedTuple):
    """What messages add to a context's running state."""

    tokens: int = 0
    items: int = 0
    inexact: int = 0
    pinned_tokens: int = 0
    pinned_messages: int = 0
    pinned_items: int = 0
    turn: int = 0
    """The place, from 1 on, of the newest message that starts a turn; 0 without one."""


class NewMessage(NamedTuple):
    """A message to append; `head` is its record but for the stamp at its end, `tally` runs up to this message."""

    role: str
    token_count: int
    item_count: int
    source: str
    digest: bytes
    head: bytes
    tally: Tally
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Batch:
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

    async def append(self, batches: Sequence[Batch], *, wait: bool) -> list[Context | None]:
        """Append batches to different contexts, each as one revision; return the contexts after it.

        None where a condition does not hold, where the request_id was used and, unless told to `wait`, where another
        transaction holds the context. Raises ConstraintViolated("revisions_request_uq") when a request_id is used by
        another writer at the same moment; then nothing was appended.
        """
        columns = zip(
            *(
                (
                    batch.context_id,
                    batch.tenant,
                    batch.tokenizer,
                    batch.expected_version,
                    batch.request_id,
                    batch.fingerprint,
                    batch.digest,
                    batch.steps_json,
                    len(batch.messages),
                    *batch.messages[-1].tally,
                )
                for batch in batches
            ),
            strict=True,
        )
        message_columns = zip(
            *(
                (place, step, *message[:-2], *message.tally, _array(message.labels))
                for place, batch in enumerate(batches, start=1)
                for step, message in enumerate(batch.messages, start=1)
            ),
            strict=True,
        )
        query = _WAITING if wait else _PASSING
        rows = await self._db.fetch(query, *columns, MAX_OPEN_CALLS, *message_columns)
        after: list[Context | None] = [None] * len(batches)
        for row in rows:
            after[row["place"] - 1] = context_from_row(row)
        return after

    async def open_calls(self, context_id: UUID, tenant: TenantId, steps_json: str) -> int:
        """Return how many tool calls would be open after a batch with these steps; 0 where there is no context."""
        count: int | None = await self._db.fetchval(_SQL.count_open_calls, context_id, tenant, steps_json)
        return count or 0

    async def get(self, lineage: Lineage, tenant: TenantId, version: int) -> bytes | None:
        """Return one message's record."""
        record: bytes | None = await self._db.fetchval(_SQL.get_message, lineage.source(version), tenant, version)
        return record

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
