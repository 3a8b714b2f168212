"""Compactions as rows: finding the one that holds in a view, and writing what becomes of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kata_grpc.db.query import load
from kata_grpc.domain.compactions import Compaction, CompactionOrigin, CompactionState
from kata_grpc.domain.details import CompactionDetail, detail_to_json
from kata_grpc.domain.overlays import Run, multirange
from kata_grpc.repositories.contexts import context_from_row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.compactions import Plan
    from kata_grpc.domain.contexts import Context, RevisionKind, TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.messages import Row

_SQL = load("kata_grpc.repositories", "sql/compactions.sql")


class InForce(NamedTuple):
    """Which compaction was put in force, and by which revision; 0 and None before the first."""

    revision: int = 0
    id: UUID | None = None


class CompactionRepository:
    """Reads and writes compactions of one tenant."""

    def __init__(self, executor: Executor, tenant: TenantId) -> None:
        self._db = executor
        self._tenant = tenant

    async def in_force(self, lineage: Lineage, revision: int) -> InForce:
        """Return what was in force at a revision."""
        for segment in lineage.until_revision(revision):
            row = await self._db.fetchrow(
                _SQL.get_compaction_at, segment.source, self._tenant, min(revision, segment.last_revision)
            )
            if row:
                return InForce(row["revision"], row["compaction_id"])
        return InForce()

    async def that_holds(
        self, lineage: Lineage, compaction_id: UUID | None, version: int, revision: int
    ) -> Compaction | None:
        """Return the first that holds in a view of a compaction and those that it was built upon."""
        segments = lineage.segments
        sources = [s.source for s in segments], [s.last for s in segments], [s.last_revision for s in segments]
        while compaction_id is not None:
            row = await self._db.fetchrow(
                _SQL.find_compaction, self._tenant, *sources, compaction_id, version, revision
            )
            if row is None or row["holds"]:
                return _from_row(row) if row else None
            compaction_id = row["previous_id"]
        return None

    async def in_lineage(self, lineage: Lineage, compaction_id: UUID | None) -> Compaction | None:
        """Return a compaction that a context or an ancestor made, whether it holds or not."""
        sources = [segment.source for segment in lineage.segments]
        ends = [0] * len(sources)
        row = compaction_id and await self._db.fetchrow(
            _SQL.find_compaction, self._tenant, sources, ends, ends, compaction_id, 0, 0
        )
        return _from_row(row) if row else None

    async def get(self, context_id: UUID, compaction_id: UUID) -> Compaction | None:
        """Return a compaction that a context made."""
        row = await self._db.fetchrow(_SQL.get_compaction, context_id, self._tenant, compaction_id)
        return _from_row(row) if row else None

    async def by_request(self, context_id: UUID, request_id: str) -> Compaction | None:
        """Return the compaction that a request_id began."""
        row = await self._db.fetchrow(_SQL.find_compaction_by_request, context_id, self._tenant, request_id)
        return _from_row(row) if row else None

    async def begun(self, context_id: UUID) -> tuple[Compaction, bool] | None:
        """Return the compaction of a context that is under way, and whether its lease has ended."""
        row = await self._db.fetchrow(_SQL.get_begun_compaction, context_id, self._tenant)
        return (_from_row(row), row["expired"]) if row else None

    async def begin(
        self,
        lineage: Lineage,
        compaction_id: UUID,
        plan: Plan,
        *,
        lease_seconds: float,
        request_id: str | None,
        fingerprint: bytes,
        origin: CompactionOrigin,
        previous: InForce,
        built_upon: UUID | None,
        version: int,
        revision: int,
        policy_revision: int,
        attempt: int,
        summariser: str,
    ) -> Compaction:
        """Begin a compaction of a locked context on which no other is under way."""
        segments = lineage.between(plan.covered[0].first, plan.last) if plan.covered else ()
        row = await self._db.fetchrow(
            _SQL.begin_compaction,
            lineage.own.source,
            self._tenant,
            compaction_id,
            lease_seconds,
            request_id,
            fingerprint,
            origin,
            built_upon,
            previous.revision,
            version,
            revision,
            policy_revision,
            multirange(plan.covered),
            multirange(plan.added),
            json.dumps({**figures(plan), "attempt": attempt}),
            [s.source for s in segments],
            [s.first for s in segments],
            [s.last for s in segments],
            summariser,
        )
        assert row is not None, "it returns what it inserts"
        return _from_row(row)

    async def end(self, compaction: Compaction, token: int, state: CompactionState, reason: str) -> Compaction | None:
        """End a compaction without a commit; None when it is not under way under this token."""
        row = await self._db.fetchrow(
            _SQL.end_compaction, compaction.context_id, self._tenant, compaction.id, token, state, reason
        )
        return _from_row(row) if row else None

    async def commit(
        self,
        compaction: Compaction,
        summary: str,
        summary_tokens: int,
        summary_state: str,
        summariser: str,
        costs: Mapping[str, Any],
        request_id: str | None,
        fingerprint: bytes,
    ) -> Context | None:
        """Put a compaction of a locked context in force; None when it is not under way under its token."""
        row = await self._db.fetchrow(
            _SQL.commit_compaction,
            compaction.context_id,
            self._tenant,
            compaction.id,
            compaction.token,
            summary,
            summary_tokens,
            summary_state,
            summariser,
            request_id,
            fingerprint,
            json.dumps(costs),
        )
        return context_from_row(row) if row else None

    async def put_in_force(
        self,
        context_id: UUID,
        compaction_id: UUID | None,
        kind: RevisionKind,
        request_id: str | None,
        fingerprint: bytes,
    ) -> Context:
        """Put another compaction of a locked context in force, or none."""
        row = await self._db.fetchrow(
            _SQL.put_in_force,
            context_id,
            self._tenant,
            compaction_id,
            kind,
            request_id,
            fingerprint,
            detail_to_json(CompactionDetail(str(compaction_id or ""))),
        )
        assert row is not None, "the row is locked by this transaction"
        return context_from_row(row)

    async def list(
        self, context_id: UUID, below: int, states: Collection[CompactionState], limit: int
    ) -> list[Compaction]:
        """Return compactions that a context made, newest first."""
        rows = await self._db.fetch(_SQL.list_compactions, context_id, self._tenant, below, list(states) or None, limit)
        return list(map(_from_row, rows))

    async def erase_summaries(self, logs: Sequence[UUID], versions: Sequence[int]) -> int:
        """Erase what was made of some messages, each in a log, and copies of that; return how many summaries that were.

        The caller has locked the logs. A copy that was on its way is seen by a statement after the wait for it.
        """
        rows = await self._db.fetch(_SQL.erase_summaries, self._tenant, logs, versions)
        count = len(rows)
        owners, ids = [row["owner_id"] for row in rows], [row["compaction_id"] for row in rows]
        while copies := await self._db.fetch(_SQL.erase_copied_summaries, self._tenant, owners, ids):
            count += len(copies)
        return count


def figures(plan: Plan) -> dict[str, Any]:
    """Return what is kept of a plan, but for what it hides."""
    reshaping = plan.reshaping
    return {
        "reshaping": {
            "cleared": reshaping.cleared,
            "elided": reshaping.elided,
            "max_part_tokens": reshaping.max_part_tokens,
        },
        "reshaped_last": reshaping.last,
        "freed": plan.freed,
        "steps": plan.steps,
        "groups": plan.groups,
        "messages": plan.messages,
        "gain": plan.gain,
        "before": plan.before,
        "previous_tokens": plan.previous_tokens,
        "hidden_tokens": plan.hidden_tokens,
        "hidden_messages": plan.hidden_messages,
        "summary_target": plan.summary_target,
    }


def _runs(ranges: Sequence[Row]) -> tuple[Run, ...]:
    return tuple(Run(r.lower, r.upper - 1) for r in ranges)  # type: ignore[attr-defined]


def _from_row(row: Row) -> Compaction:
    return Compaction(
        context_id=row["context_id"],
        id=row["compaction_id"],
        state=CompactionState(row["state"]),
        token=row["token"],
        origin=CompactionOrigin(row["origin"]),
        create_time=row["create_time"],
        lease_time=row["lease_time"],
        end_time=row["end_time"],
        revision=row["revision"] or 0,
        request_id=row["request_id"] or "",
        fingerprint=row["fingerprint"],
        previous_id=row["previous_id"],
        previous_revision=row["previous_revision"],
        base_version=row["base_version"],
        base_revision=row["base_revision"],
        policy_revision=row["policy_revision"],
        covered=_runs(row["covered"]),
        added=_runs(row["added"]),
        plan=json.loads(row["plan"]),
        summariser=row["summariser"] or "",
        reason=row["reason"] or "",
        summary=row["summary"] or "",
        summary_tokens=row["summary_tokens"] or 0,
        summary_state=row["summary_state"] or "",
        erased=row["erase_time"] is not None,
    )
