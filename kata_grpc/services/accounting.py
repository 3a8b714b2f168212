"""The account of a window that was chosen: what is in it and what that costs, what is not and why, and its name.

Also says whether all of the window is here already, so that nothing has to be read.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.domain.messages import Row, TokenCountSource
from kata_grpc.domain.windows import ENGINE_VERSION, Accuracy, Excluded, ExclusionReason, exclude
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES
from kata_grpc.services.choosing import version_of
from kata_grpc.services.counting import NO_RESHAPING
from kata_grpc.services.tails import CountedTail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.domain.compactions import Compaction
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.domain.shaping import Reshaping
    from kata_grpc.domain.windows import Entry, WindowOptions, WindowRequest
    from kata_grpc.services.choosing import Choice
    from kata_grpc.services.overlays import Overlays
    from kata_grpc.services.standing import Standing

_EPOCH_BYTES = 8
_ENDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was chosen: everything about it but its messages, which `Windows.pages` reads."""

    lineage: Lineage
    tenant: TenantId
    request: WindowRequest
    options: WindowOptions
    tokenizer: str
    context_tokenizer: str
    snapshot_version: int
    snapshot_revision: int
    policy_revision: int
    tail_start: int
    first_version: int
    last_version: int
    epoch: str
    message_count: int
    window_tokens: int
    pinned_tokens: int
    tail_tokens: int
    tools_tokens: int
    accuracy: Accuracy
    excluded: Sequence[Excluded]
    pending: Sequence[str]
    left_out: str
    """What of the tail's range is not in it: versions and groups, spelled as a multirange."""
    overlays: Overlays | None
    compaction: Compaction | None
    summary: Standing | None
    kept_groups: frozenset[int]
    kept_before: Sequence[int]
    """Versions of what is kept from before the tail."""
    pinned_groups: frozenset[int]
    clear_through: int
    held: Sequence[Row] | None
    engine_version: str = ENGINE_VERSION

    @property
    def context_id(self) -> UUID:
        """The context."""
        return self.lineage.own.source

    @property
    def reshaping(self) -> Reshaping:
        """What the compaction in force leaves out of messages."""
        return self.compaction.reshaping if self.compaction else NO_RESHAPING

    @property
    def reshapes(self) -> bool:
        """Whether messages may be sent otherwise than they are stored."""
        return self.options.reshapes or bool(self.reshaping)

    @property
    def empty_tail(self) -> bool:
        """Whether the window has no tail."""
        return self.tail_start > self.snapshot_version

    @property
    def overhead_tokens(self) -> int:
        """The dialect's framing."""
        return self.window_tokens - self.pinned_tokens - self.summary_tokens - self.tail_tokens

    @property
    def summary_tokens(self) -> int:
        """The content of the summary."""
        return self.summary.cost.tokens if self.summary else 0

    @property
    def unused_tokens(self) -> int:
        """What of the budget was not needed."""
        return self.request.token_budget - self.request.reserve_tokens - self.tools_tokens - self.window_tokens


async def account(choice: Choice, lineage: Lineage, tenant: TenantId, tokenizer: str) -> Window:
    """Put the window together, with the account of what is in it and what is not."""
    state, framing, start = choice.state, choice.framing, choice.start
    passed_over = choice.selector.abandon()
    if start == choice.selector.start:
        tail = choice.selector.taken
    else:
        tail = await choice.tail.cost(start, passed_over, choice.kept)
    kept = choice.kept.cost()
    held = _held(choice, passed_over)
    message_count = choice.pinned.messages + kept.messages + tail.messages + (choice.summary is not None)
    window_tokens = choice.fixed() - choice.tools_tokens + kept.framed(framing) + tail.framed(framing)
    kept_before = choice.kept.before(start)
    first, last = await _ends(choice, held, start, kept_before)
    if held is not None and choice.summary is not None:
        held = sorted([*held, choice.summary.row], key=version_of)
    clear_through = (choice.counting and choice.counting.clear_through) or 0
    return Window(
        lineage=lineage,
        tenant=tenant,
        request=choice.request,
        options=choice.options,
        tokenizer=tokenizer,
        context_tokenizer=choice.snapshot.context_tokenizer,
        snapshot_version=state.version,
        snapshot_revision=choice.snapshot.revision,
        policy_revision=choice.snapshot.policy_revision,
        tail_start=start,
        first_version=first,
        last_version=last,
        epoch=await _epoch(choice, kept_before, clear_through),
        message_count=message_count,
        window_tokens=window_tokens if message_count else 0,
        pinned_tokens=choice.pinned.tokens + kept.tokens,
        tail_tokens=tail.tokens,
        tools_tokens=choice.tools_tokens,
        accuracy=await _accuracy(choice, held, choice.pinned.items + kept.items + tail.items),
        excluded=await _excluded(choice, passed_over),
        pending=state.pending(choice.selector.newest) if choice.selector.newest else (),
        left_out=choice.tail.left_out(start, passed_over),
        overlays=choice.overlays,
        compaction=choice.compaction,
        summary=choice.summary,
        kept_groups=choice.kept.groups,
        kept_before=kept_before,
        pinned_groups=choice.pinned_groups,
        clear_through=clear_through,
        held=held,
    )


def _held(choice: Choice, passed_over: frozenset[int]) -> Sequence[Row] | None:
    """Return the window's rows in version order, if all of them are here and fit one page."""
    start = choice.start
    tail = choice.tail.held(start, passed_over, choice.kept) if choice.pins is not None else None
    if tail is None or choice.pins is None:
        return None
    before = set(choice.kept.before(start))
    kept = [row for row in choice.kept_rows if row["version"] in before]
    if len(kept) < len(before):
        return None
    rows = [row for row in choice.pins if row["version"] < start]
    if kept:
        rows = sorted([*rows, *kept], key=version_of)
    rows += tail
    if len(rows) > FRAME_MESSAGES or any(row["record"] is None for row in rows):
        return None
    return rows if sum(len(row["record"]) for row in rows) <= FRAME_BYTES else None


async def _ends(choice: Choice, held: Sequence[Row] | None, start: int, kept_before: Sequence[int]) -> tuple[int, int]:
    """Return the first and the last version in the window; 0 where there is none."""
    if held is not None:
        return (held[0]["version"], held[-1]["version"]) if held else (0, 0)
    version = choice.state.version
    first = [*kept_before[:1], *([start] if start <= version else [])]
    if choice.pins is None:
        async with aclosing(choice.pinned_pages()) as pages:
            async for rows in pages:
                if rows:
                    first.append(rows[0]["version"])
                    break
    elif choice.pins:
        first.append(choice.pins[0]["version"])
    return min(first, default=0), await _last(choice, version)


async def _last(choice: Choice, version: int) -> int:
    """Find the newest message in the window: those behind it are passed over, or answer nothing in it."""
    passed_over, kept, start = choice.selector.abandon(), choice.kept.groups, choice.start
    overlays = choice.overlays
    while version > 0:
        if overlays is not None:
            version = await overlays.skip(version)
            await overlays.cover(max(1, version - _ENDS_AT_ONCE + 1))
        for entry in await choice.log.costs(version, _ENDS_AT_ONCE):
            group, version = entry.group_version, entry.version - 1
            if overlays is not None and not overlays.shows(entry):
                continue
            if entry.pinned or group in kept or (group >= start and group not in passed_over):
                return entry.version
    return 0


async def _epoch(choice: Choice, kept_before: Sequence[int], clear_through: int) -> str:
    """Name what stands before the growing end of the tail: equal names mean an equal beginning."""
    start = choice.start
    if choice.pins is not None:
        pinned = sum(row["version"] < start for row in choice.pins)
    else:
        pinned = (await choice.log.state(min(start - 1, choice.state.version))).pinned_messages
        pinned -= choice.state.pinned_messages - choice.pinned.messages  # what is hidden of them
    content = [ENGINE_VERSION, start, pinned, list(kept_before), clear_through, choice.options.max_part_tokens or 0]
    if choice.overlays is not None and (runs := choice.overlays.hidden.runs(start, choice.state.version)):
        content.append(runs)
    if choice.compaction is not None:
        content.append(str(choice.compaction.id))
    return sha256(json.dumps(content).encode()).digest()[:_EPOCH_BYTES].hex()


async def _accuracy(choice: Choice, held: Sequence[Row] | None, items: int) -> Accuracy:
    """Say what the count is worth; in doubt about one message it is an estimate."""
    exact = choice.exact
    if isinstance(choice.tail, CountedTail):
        exact = exact and choice.tail.is_exact(choice.start)
    elif held is not None:
        exact = exact and all(row["token_count_source"] == TokenCountSource.COUNTED for row in held)
    else:
        before = await choice.log.state(min(choice.start - 1, choice.state.version))
        exact = exact and choice.state.inexact == before.inexact and not (before.pinned_messages and before.inexact)
    if not exact:
        return Accuracy.ESTIMATED
    bound = items or choice.tools_tokens or not choice.framing.exact
    return Accuracy.UPPER_BOUND if bound else Accuracy.EXACT


async def _excluded(choice: Choice, passed_over: frozenset[int]) -> list[Excluded]:
    """Say what is not in the window, and why."""
    state, selector, start, fits_from = choice.state, choice.selector, choice.start, choice.fits_from
    if not state.version:
        return []
    kept = choice.kept.groups
    # Where nothing was too large every message was looked at, and each that is out has a reason of its own.
    floor = fits_from if selector.blocked is not None else 1
    if choice.tail.seen is not None:
        entries = [entry for entry in reversed(choice.tail.seen) if entry.version >= floor]
    else:
        open_before = (await choice.log.state(min(floor - 1, state.version))).open_groups
        if fits_from < start:
            open_before |= (await choice.log.state(min(start - 1, state.version))).open_groups
        entries = await choice.log.group_members({0} | passed_over | open_before, floor, state.version)
        entries = list(filter(choice.tail.shows, entries))
    hidden: list[Excluded] = []
    if choice.overlays is not None:
        entries, hidden = await _hidden(choice, choice.overlays, entries, floor)
    runs = exclude((e for e in entries if not fits_from <= e.version < start), start, passed_over, kept)
    if fits_from < start:
        runs.append(Excluded(fits_from, start - 1, choice.moved))
    if selector.blocked is not None and fits_from > 1:
        why = ExclusionReason.MAX_MESSAGES if selector.too_many else ExclusionReason.BUDGET
        runs.append(Excluded(1, min(fits_from - 1, state.version), why))
    return sorted([*runs, *hidden], key=lambda run: run.first)


async def _hidden(
    choice: Choice, overlays: Overlays, entries: Sequence[Entry], floor: int
) -> tuple[list[Entry], list[Excluded]]:
    """Return entries that are not hidden, and what is, from a version on: runs, and what came late for hidden groups.

    What was given up although it fits is accounted for already.
    """
    given_up = range(choice.fits_from, choice.start)
    parts = [(floor, choice.fits_from - 1), (choice.start, choice.state.version)]
    excluded = [
        Excluded(run[0], run[1], ExclusionReason(run[2]))
        for first, last in (parts if given_up else [(floor, choice.state.version)])
        for run in overlays.hidden.runs(first, last)
    ]
    suspects = choice.tail.late
    hidden = await overlays.at({entry.group_version for entry in suspects.values()})
    runs = {version: hidden.around(entry.group_version) for version, entry in suspects.items()}
    late = {version: run[2] for version, run in runs.items() if run is not None}
    excluded += [
        Excluded(version, version, ExclusionReason(why))
        for version, why in late.items()
        if version >= floor and version not in given_up
    ]
    return [entry for entry in entries if entry.version not in late], excluded
