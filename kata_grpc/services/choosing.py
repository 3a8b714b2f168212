"""Choosing a window: what is always in, the tail beside it, where the tail may start, and the account of both.

The tail itself is selected in `tails`, what messages cost in `counting`. The rules are those of
`kata_grpc.domain.windows`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import BudgetTooSmall, NoLegalWindow
from kata_grpc.domain.messages import Role, Row, TokenCountSource
from kata_grpc.domain.windows import (
    ENGINE_VERSION,
    Accuracy,
    Cost,
    Entry,
    Excluded,
    ExclusionReason,
    Kept,
    RunningState,
    TailSelector,
    WindowOptions,
    WindowRequest,
    exclude,
)
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES, PAGE_BYTES
from kata_grpc.repositories.windows import entry_from_row
from kata_grpc.services.tails import CountedTail, StoredTail, Tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.tokens import Framing
    from kata_grpc.repositories.windows import WindowRepository
    from kata_grpc.services.counting import Counting

PINNED_MOST = 64
_PINNED_PAGE = 512
_STEPS_TRIED = 8
"""How many steps may gain too little, one after the other, before the first that fits is taken all the same."""
_EPOCH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a window is taken of: the running state at its version, its revision, and the policy in force."""

    state: RunningState
    revision: int
    policy_revision: int
    context_tokenizer: str


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was chosen: everything about it but its messages, which `Windows.pages` reads."""

    context_id: UUID
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
    passed_over: frozenset[int]
    kept_groups: frozenset[int]
    kept_before: Sequence[int]
    """Versions of what is kept from before the tail."""
    pinned_groups: frozenset[int]
    clear_through: int
    held: Sequence[Row] | None
    engine_version: str = ENGINE_VERSION

    @property
    def empty_tail(self) -> bool:
        """Whether the window has no tail."""
        return self.tail_start > self.snapshot_version

    @property
    def overhead_tokens(self) -> int:
        """The dialect's framing."""
        return self.window_tokens - self.pinned_tokens - self.tail_tokens

    @property
    def unused_tokens(self) -> int:
        """What of the budget was not needed."""
        return self.request.token_budget - self.request.reserve_tokens - self.tools_tokens - self.window_tokens


class Choice:
    """One choosing of a window: what is known so far, and the steps that add to it."""

    def __init__(
        self,
        log: WindowRepository,
        request: WindowRequest,
        options: WindowOptions,
        snapshot: Snapshot,
        framing: Framing,
        tools_tokens: int,
        counting: Counting | None,
    ) -> None:
        """Without `counting` the counts in the log are those of the window."""
        self._log = log
        self._request = request
        self._options = options
        self._snapshot = snapshot
        self._state = snapshot.state
        self._framing = framing
        self._tools_tokens = tools_tokens
        self._counting = counting
        self._exact = True
        self._pinned = snapshot.state.pinned
        self._pins: Sequence[Row] | None = []
        self._kept = Kept()
        self._kept_rows: list[Row] = []
        self._opening = 0
        self._pinned_groups: frozenset[int] = frozenset()
        self._turn: Entry | None = None
        self._tail: Tail
        self._selector: TailSelector
        self._start = 0
        self._fits_from = 0
        self._moved = ExclusionReason.ILLEGAL_START

    @property
    def start(self) -> int:
        """Where the tail starts; beyond the snapshot without one."""
        return self._start

    # --- what is always in --------------------------------------------------------------------------------------------

    def _fixed(self) -> int:
        """Find what is spent whatever the tail is."""
        framing, pinned = self._framing, self._pinned
        labels = framing.per_label * pinned.messages
        return framing.prime + pinned.framed(framing) + labels + self._opening + self._tools_tokens

    def _allowance(self) -> int:
        """Find the tokens that are left for the tail; negative when what is always in is too much."""
        request = self._request
        kept = self._kept.cost().framed(self._framing)
        return request.token_budget - request.reserve_tokens - self._fixed() - kept

    async def choose(self, look: Sequence[Row]) -> None:
        """Choose, from the rows of the first look on. Raises BudgetTooSmall or NoLegalWindow."""
        state, options = self._state, self._options
        if not state.version:
            self._start = 1
            self._tail = StoredTail(self._log, state, self._framing, 0, ())
            self._selector = await self._tail.select(0, self._kept)
            return
        all_pins = state.pinned_messages <= PINNED_MOST
        count = state.pinned_messages if all_pins else 0
        self._pins = look[:count] if all_pins else None
        newest = look[count:]
        if options.pinned_versions or options.pinned_labels:
            await self._keep_pinned()
        if self._counting is None:
            self._tail = StoredTail(self._log, state, self._framing, options.max_messages or 0, newest)
        else:
            self._counting.pinned_groups = self._pinned_groups
            await self._count_pinned()
            self._tail = CountedTail(self._log, state, self._framing, options.max_messages or 0, newest, self._counting)
        self._selector = selector = await self._tail.select(self._allowance(), self._kept)
        await self._check_fit(selector)
        self._start = self._fits_from = selector.start or state.version + 1
        if state.turn_version and self._turn_is_out():
            await self._keep_turn()
        if options.steps and selector.blocked is not None and self._start <= state.version:
            await self._step(options.steps.low_water_tokens, options.steps.min_gain_tokens)
        elif self._start <= state.version:
            await self._start_legally()

    async def _keep_pinned(self) -> None:
        """Keep the groups that are pinned by version or label, but those that wait for a result."""
        options, state = self._options, self._state
        rows = await self._log.pinned_groups(options.pinned_versions, options.pinned_labels, state.version)
        rows = [row for row in rows if row["group_version"] not in state.open_groups]
        self._pinned_groups = frozenset(row["group_version"] for row in rows)
        if rows and self._counting is not None:
            rows = await self._log.records([row["version"] for row in rows])
            self._counting.pinned_groups = self._pinned_groups
            self._kept_rows, entries, exact = await self._counting.count(rows)
            self._exact = all(exact)
        else:
            entries = [entry_from_row(row) for row in rows]
            self._exact = all(row["token_count_source"] == TokenCountSource.COUNTED for row in rows)
        self._kept = Kept(tuple(sorted(entries)))
        if entries and self._request.dialect.starts_on_user:
            first = self._kept.entries[0]
            if first.role != Role.USER and not 0 < state.turn_version < first.version:
                self._opening = self._framing.opening

    async def _count_pinned(self) -> None:
        """Count the messages of the system now."""
        assert self._counting is not None
        self._pinned = Cost()
        if self._pins is not None and all(row["record"] is not None for row in self._pins):
            _, entries, exact = await self._counting.count(self._pins)
            self._pinned = _total(entries)
            self._exact = self._exact and all(exact)
            return
        self._pins = None
        version = 0
        while rows := await self._log.pinned_page(version, self._state.version, _PINNED_PAGE, PAGE_BYTES):
            _, entries, exact = await self._counting.count(rows)
            self._pinned = self._pinned.plus(_total(entries))
            self._exact = self._exact and all(exact)
            version = rows[-1]["version"]

    def _turn_is_out(self) -> bool:
        """Whether the tail does not reach the newest message that the user started a group with."""
        turn = self._state.turn_version
        return turn < self._start and turn not in self._kept.groups

    async def _read_turn(self) -> Entry | None:
        if self._turn is None and (row := await self._log.turn(self._state.turn_version)):
            if self._counting is not None:
                (row,), (self._turn,), (exact,) = await self._counting.count([row])
            else:
                self._turn = entry_from_row(row)
                exact = row["token_count_source"] == TokenCountSource.COUNTED
            self._exact = self._exact and exact
            self._kept_rows = sorted([*self._kept_rows, row], key=_version)
        return self._turn

    async def _keep_turn(self) -> None:
        """Keep the turn's message before a tail that does not reach it, and let the tail make room for it."""
        turn = await self._read_turn()
        if turn is None or turn.version >= self._start or turn.version in self._kept.groups:
            return
        self._kept = self._kept.plus(turn)
        self._selector = selector = await self._tail.select(self._allowance(), self._kept)
        await self._check_fit(selector)
        self._start = self._fits_from = selector.start or self._state.version + 1

    async def _check_fit(self, selector: TailSelector) -> None:
        """Hold that what is always in fits, with the newest group."""
        if not selector.newest and not self._pinned.messages:
            return
        no_user = self._request.dialect.starts_on_user and not self._state.turn_version and not self._kept.entries
        if selector.newest and no_user:
            raise NoLegalWindow(self._request.dialect, self._state.version)
        refused = selector.refused
        if selector.allowance >= 0 and refused is None:
            return
        turn = 0
        newest = refused.framed(self._framing) if refused else 0
        kept = self._kept.cost().framed(self._framing)
        if self._state.turn_version < selector.newest and self._state.turn_version not in self._kept.groups:
            entry = await self._read_turn()
            turn = entry.cost.framed(self._framing) if entry and entry.version < selector.newest else 0
        elif self._turn is not None and self._turn.version in self._kept.groups:
            turn = self._turn.cost.framed(self._framing)
            kept -= turn
        request, framing = self._request, self._framing
        pinned = self._pinned.framed(framing) + framing.per_label * self._pinned.messages + kept
        required = request.reserve_tokens + self._fixed() + kept + turn + newest
        raise BudgetTooSmall(
            required, request.token_budget, request.reserve_tokens, pinned, newest, turn=turn, tools=self._tools_tokens
        )

    # --- where the tail may start -------------------------------------------------------------------------------------

    def _user_until(self) -> int:
        """Up to which version a tail must start with the user: behind it something of the user's stands before."""
        if not self._request.dialect.starts_on_user:
            return 0
        leading = [self._state.turn_version or self._state.version, *(entry.version for entry in self._kept.entries)]
        return min(leading)

    async def _start_legally(self) -> None:
        if not self._request.dialect.starts_on_user:
            return
        start = await self._legal_start(self._start)
        if start is None:
            if self._kept.entries:
                return
            raise NoLegalWindow(self._request.dialect, self._state.version)
        await self._move(start, ExclusionReason.ILLEGAL_START)

    async def _legal_start(self, version: int) -> int | None:
        return await self._tail.first_start(version, self._user_until(), self._selector.abandon(), self._kept)

    async def _move(self, start: int, why: ExclusionReason) -> None:
        """Start the tail later than it could."""
        if start == self._start:
            return
        self._start, self._moved = start, why
        if self._turn_is_out() and (turn := await self._read_turn()) and turn.version < start:
            self._kept = self._kept.plus(turn)

    async def _step(self, low_water: int, min_gain: int) -> None:
        """Start where a step of the log's running cost begins: the first that fits, and that gains enough."""
        request, state, framing = self._request, self._state, self._framing
        step = max(1, request.token_budget - request.reserve_tokens - low_water, min_gain)
        total = state.unpinned.framed(framing)

        async def running(version: int) -> int:
            return (await self._log.state(version - 1)).unpinned.framed(framing)

        async def start_of(number: int) -> int | None:
            if number <= 0:
                return await self._legal_start(1)
            if number * step > total:
                return None
            first = await self._log.find_start(
                state.version, total, total - number * step, framing.per_message, framing.per_item
            )
            return await self._legal_start(first)

        number = await running(self._start) // step
        before = await start_of(number - 1) if number and min_gain else None
        for _ in range(_STEPS_TRIED):
            start = await start_of(number)
            if start is None:
                break
            fits = start >= self._start
            if fits and (not before or await running(start) - await running(before) >= min_gain):
                await self._move(start, ExclusionReason.LOW_WATER)
                return
            number, before = number + 1, start if min_gain else None
        await self._start_legally()

    # --- the account --------------------------------------------------------------------------------------------------

    async def window(self, context_id: UUID, tenant: TenantId, tokenizer: str) -> Window:
        """Put the window together."""
        state, framing, start = self._state, self._framing, self._start
        passed_over = self._selector.abandon()
        if start == self._selector.start:
            tail = self._selector.taken
        else:
            tail = await self._tail.cost(start, passed_over, self._kept)
        kept = self._kept.cost()
        held = self._held(passed_over)
        message_count = self._pinned.messages + kept.messages + tail.messages
        window_tokens = self._fixed() - self._tools_tokens + kept.framed(framing) + tail.framed(framing)
        kept_before = self._kept.before(start)
        first, last = await self._ends(held, start, kept_before)
        clear_through = (self._counting and self._counting.clear_through) or 0
        return Window(
            context_id=context_id,
            tenant=tenant,
            request=self._request,
            options=self._options,
            tokenizer=tokenizer,
            context_tokenizer=self._snapshot.context_tokenizer,
            snapshot_version=state.version,
            snapshot_revision=self._snapshot.revision,
            policy_revision=self._snapshot.policy_revision,
            tail_start=start,
            first_version=first,
            last_version=last,
            epoch=await self._epoch(kept_before, clear_through),
            message_count=message_count,
            window_tokens=window_tokens if message_count else 0,
            pinned_tokens=self._pinned.tokens + kept.tokens,
            tail_tokens=tail.tokens,
            tools_tokens=self._tools_tokens,
            accuracy=await self._accuracy(held, self._pinned.items + kept.items + tail.items),
            excluded=await self._excluded(passed_over),
            pending=state.pending(self._selector.newest) if self._selector.newest else (),
            passed_over=passed_over,
            kept_groups=self._kept.groups,
            kept_before=kept_before,
            pinned_groups=self._pinned_groups,
            clear_through=clear_through,
            held=held,
        )

    def _held(self, passed_over: frozenset[int]) -> Sequence[Row] | None:
        """Return the window's rows in version order, if all of them are here and fit one page."""
        start = self._start
        tail = self._tail.held(start, passed_over, self._kept) if self._pins is not None else None
        if tail is None or self._pins is None:
            return None
        before = set(self._kept.before(start))
        kept = [row for row in self._kept_rows if row["version"] in before]
        if len(kept) < len(before):
            return None
        rows = [row for row in self._pins if row["version"] < start]
        if kept:
            rows = sorted([*rows, *kept], key=_version)
        rows += tail
        if len(rows) > FRAME_MESSAGES or any(row["record"] is None for row in rows):
            return None
        return rows if sum(len(row["record"]) for row in rows) <= FRAME_BYTES else None

    async def _ends(self, held: Sequence[Row] | None, start: int, kept_before: Sequence[int]) -> tuple[int, int]:
        """Return the first and the last version in the window; 0 where there is none."""
        if held is not None:
            return (held[0]["version"], held[-1]["version"]) if held else (0, 0)
        version = self._state.version
        first = [*kept_before[:1], *([start] if start <= version else [])]
        if self._pins is None or self._pins:
            pins = self._pins or await self._log.pinned_page(0, version, 1, PAGE_BYTES)
            first += [pins[0]["version"]] if pins else []
        return min(first, default=0), await self._last(version)

    async def _last(self, version: int) -> int:
        """Find the newest message in the window: those behind it are passed over, or answer nothing in it."""
        passed_over, kept, start = self._selector.abandon(), self._kept.groups, self._start
        while version > 0:
            for entry in await self._log.costs(version, PINNED_MOST):
                group = entry.group_version
                if entry.pinned or group in kept or (group >= start and group not in passed_over):
                    return entry.version
                version = entry.version - 1
        return 0

    async def _epoch(self, kept_before: Sequence[int], clear_through: int) -> str:
        """Name what stands before the growing end of the tail: equal names mean an equal beginning."""
        start = self._start
        if self._pins is not None:
            pinned = sum(row["version"] < start for row in self._pins)
        else:
            pinned = (await self._log.state(min(start - 1, self._state.version))).pinned_messages
        content = [ENGINE_VERSION, start, pinned, list(kept_before), clear_through, self._options.max_part_tokens or 0]
        return sha256(json.dumps(content).encode()).digest()[:_EPOCH_BYTES].hex()

    async def _accuracy(self, held: Sequence[Row] | None, items: int) -> Accuracy:
        """Say what the count is worth; in doubt about one message it is an estimate."""
        exact = self._exact
        if isinstance(self._tail, CountedTail):
            exact = exact and self._tail.is_exact(self._start)
        elif held is not None:
            exact = exact and all(row["token_count_source"] == TokenCountSource.COUNTED for row in held)
        else:
            before = await self._log.state(min(self._start - 1, self._state.version))
            exact = exact and self._state.inexact == before.inexact and not (before.pinned_messages and before.inexact)
        if not exact:
            return Accuracy.ESTIMATED
        bound = items or self._tools_tokens or not self._framing.exact
        return Accuracy.UPPER_BOUND if bound else Accuracy.EXACT

    async def _excluded(self, passed_over: frozenset[int]) -> list[Excluded]:
        """Say what is not in the window, and why."""
        state, selector, start, fits_from = self._state, self._selector, self._start, self._fits_from
        if not state.version:
            return []
        kept = self._kept.groups
        # Where nothing was too large every message was looked at, and each that is out has a reason of its own.
        floor = fits_from if selector.blocked is not None else 1
        if self._tail.seen is not None:
            entries = [entry for entry in reversed(self._tail.seen) if entry.version >= floor]
        else:
            open_before = (await self._log.state(min(floor - 1, state.version))).open_groups
            if fits_from < start:
                open_before |= (await self._log.state(min(start - 1, state.version))).open_groups
            entries = await self._log.group_members({0} | passed_over | open_before, floor, state.version)
        runs = exclude((e for e in entries if not fits_from <= e.version < start), start, passed_over, kept)
        if fits_from < start:
            runs.append(Excluded(fits_from, start - 1, self._moved))
        if selector.blocked is not None and fits_from > 1:
            why = ExclusionReason.MAX_MESSAGES if selector.too_many else ExclusionReason.BUDGET
            runs.append(Excluded(1, min(fits_from - 1, state.version), why))
        return sorted(runs, key=lambda run: run.first)


def _total(entries: Sequence[Entry]) -> Cost:
    total = Cost()
    for entry in entries:
        total = total.plus(entry.cost)
    return total


def _version(row: Row) -> int:
    version: int = row["version"]
    return version
