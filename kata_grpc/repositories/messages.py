"""Messages as rows: the append and the plain reads.

The rows that reads return carry `version` and `record`: the message as it is sent, its length before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kata_grpc.db.query import load
from kata_grpc.limits import MAX_OPEN_CALLS
from kata_grpc.repositories.contexts import context_from_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/messages.sql")


@dataclass(slots=True)
class Batch:
    """The columns of one append, a list an element a message; running values start from 0 within the batch."""

    roles: list[str] = field(default_factory=list)
    token_counts: list[int] = field(default_factory=list)
    item_counts: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    inexact: list[int] = field(default_factory=list)
    pinned_tokens: list[int] = field(default_factory=list)
    pinned_messages: list[int] = field(default_factory=list)
    pinned_items: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    steps_json: str | None = None
    digest: bytes = b""


class MessageRepository:
    """Appends to and reads the log of one context at a time."""

    def __init__(self, executor: Executor) -> None:
        self._db = executor

    async def append(
        self,
        context_id: UUID,
        tenant: TenantId,
        tokenizer: str,
        batch: Batch,
        *,
        expected_version: int | None,
        request_id: str | None,
        fingerprint: bytes,
    ) -> Context | None:
        """Append the batch as one revision and return the context after it; None when a condition does not hold.

        Raises ConstraintViolated("revisions_request_uq") when the request_id was used.
        """
        row = await self._db.fetchrow(
            _SQL.append_messages,
            context_id,
            tenant,
            tokenizer,
            expected_version,
            request_id,
            fingerprint,
            batch.digest,
            batch.steps_json,
            MAX_OPEN_CALLS,
            batch.roles,
            batch.token_counts,
            batch.item_counts,
            batch.sources,
            batch.digests,
            batch.bodies,
            batch.tokens,
            batch.items,
            batch.inexact,
            batch.pinned_tokens,
            batch.pinned_messages,
            batch.pinned_items,
            batch.turns,
        )
        return context_from_row(row) if row else None

    async def get(self, context_id: UUID, tenant: TenantId, version: int) -> bytes | None:
        """Return one message's record."""
        record: bytes | None = await self._db.fetchval(_SQL.get_message, context_id, tenant, version)
        return record

    async def page(
        self,
        context_id: UUID,
        tenant: TenantId,
        *,
        newest_first: bool,
        after: int,
        up_to: int,
        roles: Sequence[str] | None,
        max_bytes: int,
        limit: int,
    ) -> Sequence[Row]:
        """Return a page of messages beyond version `after`, none above `up_to`."""
        query = _SQL.list_messages_before if newest_first else _SQL.list_messages_after
        return await self._db.fetch(query, context_id, tenant, after, up_to, roles, max_bytes, limit)
