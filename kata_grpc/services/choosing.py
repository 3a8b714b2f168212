"""Choosing a window: what is always in, the tail beside it, and where the tail may start.

The tail itself is selected in `tails`, what messages cost in `counting`, the account of it all in `accounting`. The
rules are those of `kata_grpc.domain.windows`.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import BudgetTooSmall, NoLegalWindow
from kata_grpc.domain.messages import Role, Row, TokenCountSource
from kata_grpc.domain.windows import (
    Cost,
    Entry,
    ExclusionReason,
    Kept,
    RunningState,
    TailSelector,
    WindowOptions,
    WindowRequest,
)
from kata_grpc.limits import PAGE_BYTES
from kata_grpc.repositories.windows import entry_from_row
from kata_grpc.services.tails import CountedTail, StoredTail, Tail

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from kata_grpc.domain.compactions import Compaction
    from kata_grpc.domain.tokens import Framing
    from kata_grpc.repositories.windows import WindowRepository
    from kata_grpc.services.counting import Counting
    from kata_grpc.services.overlays import Overlays
    from kata_grpc.services.standing import Standing

PINNED_MOST = 64
_PINNED_PAGE = 512
_STEPS_TRIED = 8
"""How many steps may gain too little, one after the other, before the first that fits is taken all the same."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a window is taken of: the running state at its version, its revision, and the policy in force."""

    state: RunningState
    revision: int
    policy_revision: int
    context_tokenizer: str


class Choice:
    """One choosing of a window: what is known so far, and the steps that add to it.

    Once chosen: `pinned` is what messages of the system cost and `pins` their rows, None where there are too many;
    `kept` is what else is always in, with `kept_rows` of it, and `pinned_groups` those of it that a caller pinned; the
    tail could have started at `fits_from`, and starts at `start` for the reason `moved`: beyond the snapshot without
    one.
    """

    def __init__(
        self,
        log: WindowRepository,
        request: WindowRequest,
        options: WindowOptions,
        snapshot: Snapshot,
        framing: Framing,
        tools_tokens: int,
        counting: Counting | None,
        overlays: Overlays | None = None,
        compaction: Compaction | None = None,
        summary: Standing | None = None,
    ) -> None:
        """Without `counting` the counts in the log are the window's, without `overlays` nothing is hidden.

        `summary` stands for what is hidden by the `compaction` in force.
        """
        self.log = log
        self.request = request
        self.options = options
        self.snapshot = snapshot
        self.state = snapshot.state
        self.framing = framing
        self.tools_tokens = tools_tokens
        self.counting = counting
        self.overlays = overlays
        self.compaction = compaction
        self.summary = summary
        self.exact = summary is None or summary.exact
        self.pinned = snapshot.state.pinned
        self.pins: Sequence[Row] | None = []
        self.kept = Kept()
        self.kept_rows: list[Row] = []
        self._opening = 0
        self.pinned_groups: frozenset[int] = frozenset()
        self._turn: Entry | None = None
        self.tail: Tail
        self.selector: TailSelector
        self.start = 0
        self.fits_from = 0
        self.moved = ExclusionReason.ILLEGAL_START

    # --- what is always in --------------------------------------------------------------------------------------------

    def fixed(self) -> int:
        """Find what is spent whatever the tail is."""
        framing, pinned = self.framing, self.pinned
        labels = framing.per_label * pinned.messages
        summary = self.summary.cost.framed(framing) if self.summary else 0
        return framing.prime + pinned.framed(framing) + labels + self._opening + self.tools_tokens + summary

    def _allowance(self) -> int:
        """Find the tokens that are left for the tail; negative when what is always in is too much."""
        request = self.request
        kept = self.kept.cost().framed(self.framing)
        return request.token_budget - request.reserve_tokens - self.fixed() - kept

    async def choose(self, look: Sequence[Row]) -> None:
        """Choose, from the rows of the first look on. Raises BudgetTooSmall or NoLegalWindow."""
        state, options = self.state, self.options
        if not state.version:
            self.start = 1
            self.tail = StoredTail(self.log, state, self.framing, 0, ())
            self.selector = await self.tail.select(0, self.kept)
            return
        all_pins = state.pinned_messages <= PINNED_MOST
        count = state.pinned_messages if all_pins else 0
        self.pins = look[:count] if all_pins else None
        newest = look[count:]
        if options.pinned_versions or options.pinned_labels:
            await self._keep_pinned()
        if self.overlays is not None:
            await self._hide_pins(self.overlays)
            await self.overlays.cover(newest[-1]["version"] if newest else state.version)
        if self.counting is None:
            self.tail = StoredTail(self.log, state, self.framing, options.max_messages or 0, newest, self.overlays)
        else:
            self.counting.pinned_groups = self.pinned_groups
            await self._count_pinned()
            self.tail = CountedTail(
                self.log, state, self.framing, options.max_messages or 0, newest, self.counting, self.overlays
            )
        self.selector = selector = await self.tail.select(self._allowance(), self.kept)
        await self._check_fit(selector)
        self.start = self.fits_from = selector.start or state.version + 1
        if state.turn_version and self._turn_is_out():
            await self._keep_turn()
        # Of the selector that is now: beside the turn that was kept, nothing older may be left to give up.
        if options.steps and self.selector.blocked is not None and self.start <= state.version:
            await self._step(options.steps.low_water_tokens, options.steps.min_gain_tokens)
        elif self.start <= state.version:
            await self._start_legally()

    async def _keep_pinned(self) -> None:
        """Keep the groups that are pinned by version or label, but those that wait for a result."""
        options, state = self.options, self.state
        rows = await self.log.pinned_groups(options.pinned_versions, options.pinned_labels, state.version)
        rows = [row for row in rows if row["group_version"] not in state.open_groups]
        if self.overlays is not None:
            # Who pins what a compaction hides wants it all the same.
            shown = {row["version"] for row in rows}
            self.overlays.show(shown)
            self.summary = self.summary and self.summary.beside(shown)
            rows = await self.overlays.visible(rows)
        self.pinned_groups = frozenset(row["group_version"] for row in rows)
        if rows and self.counting is not None:
            rows = await self.log.records([row["version"] for row in rows])
            self.counting.pinned_groups = self.pinned_groups
            self.kept_rows, entries, exact = await self.counting.count(rows)
            self.exact = all(exact)
        else:
            entries = [entry_from_row(row) for row in rows]
            self.exact = all(row["token_count_source"] == TokenCountSource.COUNTED for row in rows)
        self.kept = Kept(tuple(sorted(entries)))
        if entries and self.request.dialect.starts_on_user:
            first = self.kept.entries[0]
            led = self.summary is not None and self.summary.after < first.version
            if first.role != Role.USER and not 0 < state.turn_version < first.version and not led:
                self._opening = self.framing.opening

    async def pinned_pages(self) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the visible messages of the system, page by page; close it at the end."""
        version = 0
        while rows := await self.log.pinned_page(version, self.state.version, _PINNED_PAGE, PAGE_BYTES):
            version = rows[-1]["version"]
            yield await self.overlays.visible(rows) if self.overlays is not None else rows

    async def _hide_pins(self, overlays: Overlays) -> None:
        """Take hidden messages of the system out of what is always in."""
        if self.pins is not None:
            self.pins = await overlays.visible(self.pins)
            self.pinned = _total([entry_from_row(row) for row in self.pins])
            return
        self.pinned = Cost()
        async with aclosing(self.pinned_pages()) as pages:
            async for rows in pages:
                self.pinned = self.pinned.plus(_total([entry_from_row(row) for row in rows]))

    async def _count_pinned(self) -> None:
        """Count the messages of the system now."""
        assert self.counting is not None
        self.pinned = Cost()
        if self.pins is not None and all(row["record"] is not None for row in self.pins):
            _, entries, exact = await self.counting.count(self.pins)
            self.pinned = _total(entries)
            self.exact = self.exact and all(exact)
            return
        self.pins = None
        async with aclosing(self.pinned_pages()) as pages:
            async for rows in pages:
                _, entries, exact = await self.counting.count(rows)
                self.pinned = self.pinned.plus(_total(entries))
                self.exact = self.exact and all(exact)

    def _turn_is_out(self) -> bool:
        """Whether the tail does not reach the newest message that the user started a group with."""
        turn = self.state.turn_version
        return turn < self.start and turn not in self.kept.groups

    async def _read_turn(self) -> Entry | None:
        turn = self.state.turn_version
        if self._turn is None and turn and (row := await self.log.turn(turn)):
            if self.counting is not None:
                (row,), (self._turn,), (exact,) = await self.counting.count([row])
            else:
                self._turn = entry_from_row(row)
                exact = row["token_count_source"] == TokenCountSource.COUNTED
            self.exact = self.exact and exact
            self.kept_rows = sorted([*self.kept_rows, row], key=version_of)
        return self._turn

    async def _keep_turn(self) -> None:
        """Keep the turn's message before a tail that does not reach it, and let the tail make room for it."""
        turn = await self._read_turn()
        if turn is None or turn.version >= self.start or turn.version in self.kept.groups:
            return
        self.kept = self.kept.plus(turn)
        self.selector = selector = await self.tail.select(self._allowance(), self.kept)
        await self._check_fit(selector)
        self.start = self.fits_from = selector.start or self.state.version + 1

    async def _check_fit(self, selector: TailSelector) -> None:
        """Hold that what is always in fits, with the newest group."""
        if not selector.newest and not self.pinned.messages and self.summary is None:
            return
        led = self.state.turn_version or self.kept.entries or self.summary is not None
        if selector.newest and self.request.dialect.starts_on_user and not led:
            raise NoLegalWindow(self.request.dialect, self.state.version)
        refused = selector.refused
        if selector.allowance >= 0 and refused is None:
            return
        turn = 0
        newest = refused.framed(self.framing) if refused else 0
        kept = self.kept.cost().framed(self.framing)
        if self.state.turn_version < selector.newest and self.state.turn_version not in self.kept.groups:
            entry = await self._read_turn()
            turn = entry.cost.framed(self.framing) if entry and entry.version < selector.newest else 0
        elif self._turn is not None and self._turn.version in self.kept.groups:
            turn = self._turn.cost.framed(self.framing)
            kept -= turn
        request, framing = self.request, self.framing
        pinned = self.pinned.framed(framing) + framing.per_label * self.pinned.messages + kept
        if self.summary is not None:
            pinned += self.summary.cost.framed(framing)
        required = request.reserve_tokens + self.fixed() + kept + turn + newest
        raise BudgetTooSmall(
            required, request.token_budget, request.reserve_tokens, pinned, newest, turn=turn, tools=self.tools_tokens
        )

    # --- where the tail may start -------------------------------------------------------------------------------------

    def _user_until(self) -> int:
        """Up to which version a tail must start with the user: behind it something of the user's stands before."""
        if not self.request.dialect.starts_on_user:
            return 0
        leading = [self.state.turn_version or self.state.version, *(entry.version for entry in self.kept.entries)]
        if self.summary is not None:
            leading.append(self.summary.after)
        return min(leading)

    async def _start_legally(self) -> None:
        if not self.request.dialect.starts_on_user:
            return
        start = await self._legal_start(self.start)
        if start is None:
            if self.kept.entries or self.summary is not None:
                return
            raise NoLegalWindow(self.request.dialect, self.state.version)
        await self._move(start, ExclusionReason.ILLEGAL_START)

    async def _legal_start(self, version: int) -> int | None:
        return await self.tail.first_start(version, self._user_until(), self.selector.abandon(), self.kept)

    async def _move(self, start: int, why: ExclusionReason) -> None:
        """Start the tail later than it could."""
        if start == self.start:
            return
        self.start, self.moved = start, why
        if self._turn_is_out() and (turn := await self._read_turn()) and turn.version < start:
            self.kept = self.kept.plus(turn)

    async def _step(self, low_water: int, min_gain: int) -> None:
        """Start where a step of the log's running cost begins: the first that fits, and that gains enough."""
        request, state, framing = self.request, self.state, self.framing
        step = max(1, request.token_budget - request.reserve_tokens - low_water, min_gain)
        total = state.unpinned.framed(framing)

        async def running(version: int) -> int:
            return (await self.log.state(version - 1)).unpinned.framed(framing)

        async def start_of(number: int) -> int | None:
            if number <= 0:
                return await self._legal_start(1)
            if number * step > total:
                return None
            first = await self.log.find_start(
                state.version, total, total - number * step, framing.per_message, framing.per_item
            )
            return await self._legal_start(first)

        number = await running(self.start) // step
        before = await start_of(number - 1) if number and min_gain else None
        for _ in range(_STEPS_TRIED):
            start = await start_of(number)
            if start is None:
                break
            fits = start >= self.start
            if fits and (not before or await running(start) - await running(before) >= min_gain):
                await self._move(start, ExclusionReason.LOW_WATER)
                return
            number, before = number + 1, start if min_gain else None
        await self._start_legally()


def _total(entries: Sequence[Entry]) -> Cost:
    total = Cost()
    for entry in entries:
        total = total.plus(entry.cost)
    return total


def version_of(row: Row) -> int:
    """Return the version that a row is of."""
    version: int = row["version"]
    return version
