"""Compaction in the background: whoever appends marks what is due, and here it is taken up, one context at a time.

A context is taken for a while by one worker of one server, which says at the end when it is looked at again. Who is
killed says nothing, and another one takes it after that while.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from kata_grpc.domain.compactions import CompactionState
from kata_grpc.domain.errors import (
    CompactionInProgress,
    CompactionStale,
    ContextNotFound,
    KataError,
    NoSummary,
    SummaryRejected,
)
from kata_grpc.domain.policy import Alarm, Measure, alarm, is_due
from kata_grpc.repositories.policies import Due, PolicyRepository
from kata_grpc.services.policies import effective_policy

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.db.pool import Database
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.policy import CompactionPolicy
    from kata_grpc.repositories.policies import Ended
    from kata_grpc.services.compacting import Compactions

_log = logging.getLogger(__name__)

TAKEN_SECONDS = 600.0
"""For how long a context is one worker's."""
_LATE_SECONDS = 0.05
"""How much later than the database's clock says it looks: this one may be ahead."""
_FAILURES_SEEN = 8
_FIRST_WAIT = 30.0
"""After a failure, doubled with each that follows."""
_MOST_WAIT = 3_600.0


class Compactor:
    """Takes up what is due, as long as it runs."""

    def __init__(self, database: Database, compactions: Compactions, poll_seconds: float) -> None:
        """Without a nudge it looks after `poll_seconds`: what a server left that was killed, and others marked."""
        self._db = database
        self._compactions = compactions
        self._poll = poll_seconds
        self._task: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        self._alarms: list[float] = []
        """When something is due again that was not yet, the next one first."""

    def nudge(self) -> None:
        """Look soon; never waits."""
        self._nudged.set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End, in the middle of a compaction if need be, which then is as if it had not begun."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            self._nudged.clear()
            while self._alarms and self._alarms[0] <= now():
                heapq.heappop(self._alarms)
            try:
                while await self.once():
                    pass
            except KataError as error:
                _log.warning("compaction in the background waits: %s", error)
            with suppress(TimeoutError):
                wait = min([self._poll, *(alarm - now() for alarm in self._alarms[:1])])
                await asyncio.wait_for(self._nudged.wait(), max(wait, 0))

    async def once(self) -> bool:
        """Take up one context that is due; False when there is none."""
        claimed = await PolicyRepository(self._db).claim_due(1, TAKEN_SECONDS)
        for context_id, tenant in claimed:
            try:
                due = await self._look(tenant, context_id)
            except ContextNotFound:
                due = Due()
            except (SummaryRejected, CompactionStale) as error:
                _log.info("context %s was not compacted: %s", context_id, error)
                due = Due(seconds=_FIRST_WAIT)
            except NoSummary as error:
                _log.warning("context %s was not compacted: %s", context_id, error)
                due = Due(seconds=min(max(_FIRST_WAIT, error.retry_after or 0), _MOST_WAIT))
            except CompactionInProgress:
                due = Due(seconds=_FIRST_WAIT)
            except asyncio.CancelledError:
                # Others need not wait for as long as it was taken.
                leaving = PolicyRepository(self._db).set_alarm(context_id, tenant, Due(seconds=0))
                await asyncio.shield(asyncio.ensure_future(leaving))
                raise
            await PolicyRepository(self._db).set_alarm(context_id, tenant, due)
            if due.seconds is not None:
                heapq.heappush(self._alarms, asyncio.get_running_loop().time() + due.seconds + _LATE_SECONDS)
        return bool(claimed)

    async def _look(self, tenant: TenantId, context_id: UUID) -> Due:
        """Compact a context if it is due; return when it is looked at next."""
        policies = PolicyRepository(self._db)
        policy = (await effective_policy(self._db, tenant, context_id)).effective
        if not policy.enabled:
            return Due()
        quiet = await policies.seconds_since_change(context_id, tenant)
        if quiet < policy.debounce_seconds:
            return Due(seconds=policy.debounce_seconds - quiet)
        ended = await policies.last_compactions(context_id, tenant, _FAILURES_SEEN)
        if (wait := _wait(policy, ended)) > 0:
            return Due(seconds=wait)
        since = next((one.ago for one in ended if one.state is CompactionState.COMMITTED), float("inf"))
        found = await self._compactions.measured(tenant, context_id)
        measure = Measure(found.tokens, found.messages, found.groups, since)
        if is_due(policy, measure):
            done = await self._compactions.compact_by_policy(tenant, context_id)
            if done.compaction is None:
                # What is due and cannot be compacted is due again when there is more of it.
                more = Alarm(max(1, policy.min_gain_tokens), policy.preserve_recent)
                return _due(found.total_tokens, found.version, more)
            _log.info("context %s was compacted: %s", context_id, done.compaction.id)
            found = await self._compactions.measured(tenant, context_id)
            measure = Measure(found.tokens, found.messages, found.groups)
        return _due(found.total_tokens, found.version, alarm(policy, measure))


def _wait(policy: CompactionPolicy, ended: list[Ended]) -> float:
    """Return how long to wait after the last compactions."""
    if not ended:
        return 0.0
    failures = 0
    for one in ended:
        if one.state is not CompactionState.FAILED:
            break
        failures += 1
    wait = min(_FIRST_WAIT * 2 ** (failures - 1), _MOST_WAIT) if failures else 0.0
    committed = next((one for one in ended if one.state is CompactionState.COMMITTED), None)
    cooldown = policy.cooldown_seconds - committed.ago if committed else 0.0
    return max(wait - ended[0].ago, cooldown)


def _due(tokens: int, version: int, more: Alarm) -> Due:
    return Due(
        None if more.tokens is None else tokens + more.tokens,
        None if more.messages is None else version + more.messages,
        more.seconds,
    )
