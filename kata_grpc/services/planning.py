"""What a compaction would hide: the messages of a view that no compaction hides yet, read for the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from kata_grpc.domain.compactions import Compaction, Limits, Plan, plan
from kata_grpc.domain.overlays import Run
from kata_grpc.domain.shaping import Reshaping
from kata_grpc.domain.windows import Cost, View
from kata_grpc.repositories.compactions import CompactionRepository, InForce
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.lengths import Lengths
from kata_grpc.services.overlays import Overlays, visible_state
from kata_grpc.services.snapshots import At, Snapshot, Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.windows import Entry, WindowOptions
    from kata_grpc.tokenizers import Tokenizers

MAX_PLANNED = 100_000
"""So many messages are looked at for one compaction; what is behind them is left to the next one."""
_REST = 10_000
"""A rest of at most as many is looked at, too, so that what is recent is known; behind a longer one nothing is."""
_PAGE = 4_096


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, the snapshot that it is of, and what was in force there."""

    snapshot: Snapshot
    in_force: InForce
    previous: Compaction | None
    """The one that holds of what was in force, and those that it was built upon."""
    plan: Plan


async def planned(
    executor: Executor,
    tokenizers: Tokenizers,
    tenant: TenantId,
    context_id: UUID,
    limits: Limits,
    options: WindowOptions,
) -> Planned:
    """Plan a compaction of a context as it is now; groups that `options` pin stay. Raises ContextNotFound."""
    snapshot = await Snapshots(executor).find(tenant, context_id, At())
    log = WindowRepository(executor, snapshot.lineage, tenant)
    compactions = CompactionRepository(executor, tenant)
    in_force = await compactions.in_force(snapshot.lineage, snapshot.revision)
    previous = await compactions.that_holds(snapshot.lineage, in_force.id, snapshot.version, snapshot.revision)
    covered = previous.covered if previous else ()
    state = await log.state(snapshot.version)
    overlays = Overlays(
        log,
        View.CURRENT,
        snapshot.version,
        snapshot.revision,
        removals=snapshot.context.has_removals,
        compacted=covered,
    )
    state = await visible_state(log, overlays, state)
    entries: list[tuple[Entry, bool]] = []
    last, beyond = 0, 0
    for run in (page for gap in _gaps(covered, snapshot.version) for page in _pages(gap)):
        if len(entries) >= MAX_PLANNED and snapshot.version - last > _REST:
            break
        entries += await _read(log, overlays, run)
        last = run.last
    else:
        last = snapshot.version
    if last < snapshot.version:
        # None of what was read is recent.
        beyond = state.tokens - (await log.state(last)).tokens
        limits = replace(limits, preserve_recent=0)
    pinned: set[int] = set()
    if options.pinned_versions or options.pinned_labels:
        rows = await log.pinned_groups(options.pinned_versions, options.pinned_labels, snapshot.version)
        pinned = {row["group_version"] for row in rows}
    if limits.target is not None and beyond:
        limits = replace(limits, target=max(0, limits.target - beyond))
    reshaping = previous.reshaping if previous else Reshaping()
    summary_tokens = previous.summary_tokens if previous else 0
    count = partial(tokenizers.count_now, tokenizer=snapshot.context.tokenizer)
    known = Lengths(log, count, tokenizers.counter(snapshot.context.tokenizer), entries, pinned)
    effective = await known.now(reshaping)
    is_enough = limits.target is not None and summary_tokens + _tokens(effective) <= limits.target
    shorter = {} if is_enough else await known.shorter(effective, reshaping, limits)
    found = plan(
        effective,
        covered,
        hidden=_hidden(previous),
        summary_tokens=summary_tokens,
        turn=state.turn_version,
        open_groups=state.open_groups,
        pinned=pinned,
        limits=limits,
        reshaping=reshaping,
        shorter=shorter,
    )
    rest = snapshot.version - last
    found = replace(
        found,
        before=found.before + beyond,
        steps=tuple(step._replace(before=step.before + beyond, after=step.after + beyond) for step in found.steps),
        visible_messages=found.visible_messages + rest,
        visible_groups=found.visible_groups + rest,
    )
    return Planned(snapshot, in_force, previous, found)


def _hidden(previous: Compaction | None) -> Cost:
    if previous is None:
        return Cost()
    return Cost(previous.plan["hidden_tokens"], previous.plan["hidden_messages"])


def _gaps(runs: Sequence[Run], last: int) -> Iterator[Run]:
    """Yield what of the versions up to one is in no run."""
    begin = 1
    for run in runs:
        if begin < run.first:
            yield Run(begin, run.first - 1)
        begin = run.last + 1
    if begin <= last:
        yield Run(begin, last)


def _pages(run: Run) -> Iterator[Run]:
    for first in range(run.first, run.last + 1, _PAGE):
        yield Run(first, min(first + _PAGE - 1, run.last))


async def _read(log: WindowRepository, overlays: Overlays, run: Run) -> list[tuple[Entry, bool]]:
    """Return what a plan needs of a run of messages, in order, and whether each is visible."""
    entries = (await log.costs(run.last, run.last - run.first + 1))[::-1]
    hidden = await overlays.at({version for entry in entries for version in (entry.version, entry.group_version)})
    return [(entry, not hidden.hides(entry.version, entry.group_version)) for entry in entries]


def _tokens(entries: Sequence[tuple[Entry, bool]]) -> int:
    return sum(entry.tokens for entry, visible in entries if visible and entry.in_windows)
