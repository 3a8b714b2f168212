"""Retention: contexts that were kept long enough are soft-deleted, and soft-deleted ones purged.

What goes is decided on what a page of contexts looked like; each is then taken by itself, under its row's lock, and
only if nothing has happened to it since. A context whose log others read stays. One process at a time has the turn;
should two believe so, nothing breaks, as each takes the same locks.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from kata_grpc import limits
from kata_grpc.codec import decode_rules
from kata_grpc.domain.contexts import RevisionKind, TenantId
from kata_grpc.domain.errors import KataError, NotFound, Precondition
from kata_grpc.domain.retention import Reason, TenantRules
from kata_grpc.repositories.contexts import BEFORE_ALL, ContextRepository
from kata_grpc.repositories.retention import RetentionRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.requests import fingerprint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from kata_grpc.db.pool import Database
    from kata_grpc.domain.messages import Row
    from kata_grpc.services.purging import Purging

_log = logging.getLogger(__name__)

_TURN_SECONDS = 60.0
_RENEW_SECONDS = 15.0
_FIRST_SECONDS = 60.0
"""After the start of a process, at most, it looks for the first time."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A context that goes, and why; or that would, were its log not read by forks."""

    tenant: TenantId
    context_id: UUID
    name: str
    reason: Reason
    update_time: datetime
    has_forks: bool

    @property
    def purges(self) -> bool:
        """Whether it goes for good."""
        return self.reason is Reason.PURGE


@dataclass(slots=True)
class Report:
    """What a run did, or one would do: contexts by reason, and those that stay because forks read them."""

    gone: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    has_forks: int = 0
    changed: int = 0
    """Of those that were to go, how many something happened to in between; they stay."""
    finished: int = 0
    """Purges from before that were cut off."""


class TurnLostError(Exception):
    """It is another process's turn."""


class Retention:
    """The use cases of retention, and the job that runs it."""

    def __init__(
        self, database: Database, purging: Purging, rules: TenantRules | None, changed: OnChange = unwatched
    ) -> None:
        self._db = database
        self._purging = purging
        self._rules = rules
        self._changed = changed
        self._repository = RetentionRepository(database)
        self._holder = uuid4()
        self._renewed = float("-inf")

    async def plan(self) -> AsyncIterator[Planned]:
        """Yield what goes by the rules as they are now, tenant by tenant, and what stays for its forks."""
        if self._rules is None:
            return
        tenant = await self._repository.next_tenant("")
        while tenant is not None:
            rules = self._rules.of(tenant)
            before, newer = BEFORE_ALL, 0
            while rows := await self._repository.scan(tenant, before, limits.RETENTION_PAGE):
                page = []
                for row in rows:
                    own = decode_rules(row["policy"]).over(rules) if row["policy"] else rules
                    times = row["create_time"], row["update_time"], row["delete_time"]
                    if reason := own.due(*times, row["now"], newer):
                        page.append((row, reason))
                    newer += row["delete_time"] is None and not own.keep
                for planned in await self._of_page(tenant, page):
                    yield planned
                before = rows[-1]["create_time"], rows[-1]["id"]
            tenant = await self._repository.next_tenant(tenant)

    async def _of_page(self, tenant: TenantId, page: Sequence[tuple[Row, Reason]]) -> list[Planned]:
        if not page:
            return []
        read = await self._repository.read_by_others(
            tenant, {row["id"]: reason is Reason.PURGE for row, reason in page}
        )
        return [
            Planned(tenant, row["id"], row["name"], reason, row["update_time"], row["id"] in read)
            for row, reason in page
        ]

    async def preview(self) -> Report:
        """Return what a run would do now."""
        report = Report(finished=await self._repository.count_unfinished())
        async for planned in self.plan():
            _count(report, planned)
        return report

    async def run(self) -> Report | None:
        """Do what the rules say, once; None where it is another process's turn."""
        if await self._repository.take_turn(self._holder, _TURN_SECONDS, 0) is None:
            return None
        return await self._run()

    async def _run(self) -> Report:
        """Do it, in this process's turn, which ends with it."""
        report, whole = Report(), False
        try:
            await self._finish(report)
            more = True
            while more:
                batch, more = await self._batch(report)
                for number, planned in enumerate(batch, 1):
                    await self._renew()
                    gone = await (self._purge(planned) if planned.purges else self._delete(planned))
                    _count(report, planned, gone=gone)
                    if number % limits.RETENTION_PAGE == 0:
                        _log.info("retention: %s so far", _told(report))
                more = more and any(report.gone.values())
            whole = True
        finally:
            await self._repository.end_turn(self._holder, ran=whole)
        if any(report.gone.values()) or report.has_forks or report.finished:
            _log.info("retention: %s", _told(report))
        return report

    async def _batch(self, report: Report) -> tuple[list[Planned], bool]:
        """Return what goes, as much as is planned at once, and whether there is more."""
        batch: list[Planned] = []
        report.has_forks = 0
        async for planned in self.plan():
            await self._renew()
            if planned.has_forks:
                _count(report, planned)
            elif len(batch) == limits.RETENTION_PLANNED:
                return batch, True
            else:
                batch.append(planned)
        return batch, False

    async def _finish(self, report: Report) -> None:
        """Erase what purges that were cut off have left."""
        while found := await self._repository.unfinished(limits.RETENTION_PAGE):
            for context_id, tenant in found:
                while await self._purging.erase_some(tenant, context_id):
                    await self._renew()
                report.finished += 1

    async def _delete(self, planned: Planned) -> bool:
        async with self._db.transaction() as executor:
            contexts = ContextRepository(executor)
            context = await contexts.lock_against_forks(planned.context_id, planned.tenant)
            if context is None or context.update_time != planned.update_time:
                return False
            if await RetentionRepository(executor).read_by_others(planned.tenant, {context.id: False}):
                return False
            if context.unique_name and context.name:
                await contexts.free_name(context)
            wanted = fingerprint("Retention", {"reason": planned.reason})
            changed = await contexts.change(
                context, deleted=True, kind=RevisionKind.DELETE, request_id=None, fingerprint=wanted
            )
        self._changed(context.id, changed.latest_revision)
        return True

    async def _purge(self, planned: Planned) -> bool:
        try:
            await self._purging.take(planned.tenant, planned.context_id, planned.update_time)
        except (NotFound, Precondition):
            return False
        while await self._purging.erase_some(planned.tenant, planned.context_id):
            await self._renew()
        return True

    async def _renew(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._renewed < _RENEW_SECONDS:
            return
        if await self._repository.take_turn(self._holder, _TURN_SECONDS, 0) is None:
            raise TurnLostError
        self._renewed = now

    async def keep_running(self, interval: float) -> None:
        """Run again and again, without end; one process does it for all that share the database."""
        pause = min(_FIRST_SECONDS, interval)
        while True:
            await asyncio.sleep(pause)
            pause = interval
            try:
                # Half an interval: processes that started at other moments do not make it twice as long.
                due = await self._repository.take_turn(self._holder, _TURN_SECONDS, interval / 2)
                if due:
                    await self._run()
                elif due is not None:
                    await self._repository.end_turn(self._holder, ran=False)
            except TurnLostError:
                _log.warning("retention: another process took over")
            except KataError as error:
                _log.warning("retention: stopped, and goes on in %g s: %s", interval, error)
            except Exception:  # noqa: BLE001 - whatever this was, the next run may do better
                _log.exception("retention failed")


def _count(report: Report, planned: Planned, *, gone: bool = True) -> None:
    if planned.has_forks:
        report.has_forks += 1
    elif gone:
        report.gone[planned.reason] += 1
    else:
        report.changed += 1


def _told(report: Report) -> str:
    gone = ", ".join(f"{count:,} for {reason}" for reason, count in report.gone.items() if count)
    return (
        f"{gone or 'nothing'} gone, {report.has_forks:,} stay for their forks, {report.changed:,} have changed, "
        f"{report.finished:,} purges finished"
    )
