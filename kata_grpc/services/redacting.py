"""Redaction: the content of messages is erased for good, with what was made of it, wherever it lies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.codec import tombstone_record
from kata_grpc.domain.details import RedactionDetail
from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.domain.overlays import Run, merged
from kata_grpc.limits import MAX_NAMED_LOGS
from kata_grpc.repositories.compactions import CompactionRepository
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.repositories.policies import PolicyRepository
from kata_grpc.repositories.redactions import RedactionRepository, Tombstone
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import check_claim, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Database, Executor
    from kata_grpc.domain.contexts import Context, TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.repositories.redactions import Erased


@dataclass(frozen=True, slots=True)
class Redacted:
    """What was redacted, by a revision of the context that asked for it."""

    context: Context
    revision: int
    replayed: bool
    receipt: RedactionDetail


class Redactions:
    """The use case of redaction."""

    def __init__(self, database: Database, changed: OnChange = unwatched) -> None:
        self._db = database
        self._changed = changed

    async def redact(
        self, tenant: TenantId, context_id: UUID, ranges: Sequence[Run], reason: str, request_id: str | None
    ) -> Redacted:
        """Erase the content of the messages in some ranges, also of those that a fork reads in its ancestors' logs.

        Raises ContextNotFound, OutOfRange or RequestIdReused.
        """
        runs = merged(ranges)
        wanted = fingerprint("RedactMessages", {"ranges": runs, "reason": reason})

        async def work(executor: Executor) -> Redacted:
            contexts = ContextRepository(executor)
            found = await contexts.lock_with_lineage(context_id, tenant)
            if found is None:
                raise ContextNotFound(str(context_id))
            before, lineage = found
            if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
                check_claim(claim, request_id, wanted)
                assert isinstance(claim.detail, RedactionDetail), "its fingerprint is that of a redaction"
                return Redacted(before, claim.revision, True, claim.detail)
            if before.delete_time is not None:
                raise ContextNotFound(str(context_id))
            if runs[-1].last > before.latest_version:
                raise OutOfRange("ranges", runs[-1].last, before.latest_version)
            return await _erase(executor, before, lineage, runs, reason, request_id, wanted)

        redacted = await self._db.in_transaction(work)
        if not redacted.replayed:
            self._changed(context_id, redacted.revision)
        return redacted


async def _erase(
    executor: Executor,
    context: Context,
    lineage: Lineage,
    runs: Sequence[Run],
    reason: str,
    request_id: str | None,
    wanted: bytes,
) -> Redacted:
    """Erase messages of a locked context, and take its revision. The number of its forks makes no difference."""
    redactions = RedactionRepository(executor, context.tenant_id)
    revision = context.latest_revision + 1
    rows = await redactions.find(lineage, [version for run in runs for version in range(run.first, run.last + 1)])
    owners = {row["owner_id"] for row in rows}
    await redactions.lock(owners)
    time = await redactions.next_stamp(context.id)
    tombstones = [
        Tombstone(
            row["owner_id"],
            row["version"],
            tombstone_record(
                row["owner_id"],
                context.tokenizer,
                row["role"],
                row["token_count"],
                row["token_count_source"],
                time,
                revision,
                row["stamp"],
            ),
        )
        for row in rows
    ]
    erased = await redactions.erase(tombstones, revision)
    while copies := await redactions.erase_copies(tombstones, revision):
        erased += copies
    if copied := {one.context_id for one in erased} - owners:
        await redactions.lock(copied)
    counts = await _erase_what_was_made(executor, context.tenant_id, erased)
    detail = RedactionDetail(
        tuple(runs),
        tuple(_runs(row["version"] for row in rows if row["redact_revision"] is not None)),
        reason,
        *_logs(erased, owners),
        tuple(counts),
    )
    if any(table == "compactions" for table, _ in counts):
        # What its summary hid is in the view again, which may be due for that.
        await PolicyRepository(executor).mark_context(context.id, context.tenant_id)
    changed = await redactions.take_revision(context.id, time, detail, request_id, wanted)
    return Redacted(changed, revision, False, detail)


async def _erase_what_was_made(executor: Executor, tenant: TenantId, erased: Sequence[Erased]) -> list[tuple[str, int]]:
    """Erase what was made of erased messages, and note that they are; return how many rows of which table that were."""
    if not erased:
        return []
    redactions, compactions = RedactionRepository(executor, tenant), CompactionRepository(executor, tenant)
    await redactions.keep(erased)
    logs, versions = [one.context_id for one in erased], [one.version for one in erased]
    embeddings = await redactions.erase_embeddings(logs, versions)
    summaries = await compactions.erase_summaries(logs, versions)
    counts = (
        ("messages", len(erased)),
        ("redactions", len(erased)),
        ("message_embeddings", embeddings),
        ("compactions", summaries),
    )
    return [(table, count) for table, count in counts if count]


def _runs(versions: Iterable[int]) -> list[Run]:
    return merged(Run(version, version) for version in versions)


def _logs(erased: Sequence[Erased], owners: set[UUID]) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return how many messages of which logs were erased, the owners' first, as far as they are named; and how many."""
    counts = Counter(one.context_id for one in erased)
    logs = sorted(counts, key=lambda log: (log not in owners, log))
    return tuple((str(log), counts[log]) for log in logs[:MAX_NAMED_LOGS]), len(logs)
