"""Choosing a window, at a cost that follows the window and not the history.

A small window is one look at the context's newest messages. A larger one is found through the running sums, and only
what selection needs of its edges is read. The rules are those of `kata_grpc.domain.windows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.codec import decode_record
from kata_grpc.domain.errors import BudgetTooSmall, NoLegalWindow
from kata_grpc.domain.messages import PINNED_ROLES, Row, TokenCountSource
from kata_grpc.domain.windows import (
    ENGINE_VERSION,
    Accuracy,
    Cost,
    Entry,
    Excluded,
    ExclusionReason,
    RunningState,
    TailSelector,
    WindowRequest,
    exclude,
)
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES, MAX_TOKEN_BUDGET, PAGE_BYTES
from kata_grpc.repositories.windows import entry_from_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.tokens import Framing
    from kata_grpc.repositories.windows import WindowRepository
    from kata_grpc.tokenizers import Tokenizers

_LOOK_LEAST = 16
_LOOK_MOST = 512
_PINNED_MOST = 64
_COSTS_PAGE = 512


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was chosen: everything about it but its messages, which `Windows.pages` reads."""

    context_id: UUID
    tenant: TenantId
    request: WindowRequest
    tokenizer: str
    context_tokenizer: str
    snapshot_version: int
    snapshot_revision: int
    tail_start: int
    message_count: int
    window_tokens: int
    pinned_tokens: int
    tail_tokens: int
    tools_tokens: int
    accuracy: Accuracy
    excluded: Sequence[Excluded]
    pending: Sequence[str]
    passed_over: frozenset[int]
    held: Sequence[Row] | None
    engine_version: str = ENGINE_VERSION
    policy_revision: int = 0

    @property
    def empty_tail(self) -> bool:
        """Whether the window has pinned messages only, or none."""
        return self.tail_start > self.snapshot_version

    @property
    def overhead_tokens(self) -> int:
        """The dialect's framing."""
        return self.window_tokens - self.pinned_tokens - self.tail_tokens

    @property
    def unused_tokens(self) -> int:
        """What of the budget was not needed."""
        return self.request.token_budget - self.request.reserve_tokens - self.tools_tokens - self.window_tokens


async def first_look(
    log: WindowRepository, request: WindowRequest, framing: Framing, at_version: int | None
) -> tuple[Row, Sequence[Row]] | None:
    """Read the context's facts at the snapshot with, after them, its pinned and as many newest messages as may fit."""
    return await log.look(
        at_version,
        request.at_revision,
        tokenizer=request.tokenizer,
        allowance=request.token_budget - request.reserve_tokens - framing.prime,
        framing=framing,
        least=_LOOK_LEAST,
        most=_LOOK_MOST,
        most_pinned=_PINNED_MOST,
        max_bytes=FRAME_BYTES,
    )


class Choice:
    """One choosing of a window: what is known so far, and the steps that add to it."""

    def __init__(
        self, log: WindowRepository, request: WindowRequest, state: RunningState, framing: Framing, tools_tokens: int
    ) -> None:
        self._log = log
        self._request = request
        self._state = state
        self._framing = framing
        self._tools_tokens = tools_tokens
        self._pinned = state.pinned
        self._pins: Sequence[Row] | None = []
        self._newest: Sequence[Row] | None = None
        self._seen: list[Entry] | None = []
        self._inexact: bool | None = None
        self._recounted: Callable[[Sequence[Row]], Awaitable[list[Entry]]] | None = None
        self._trimmed_from = 0
        self._selector = TailSelector(self._allowance(), framing, state.open_groups)

    def _allowance(self) -> int:
        """Find the tokens that are left for the tail; negative when the pinned messages alone are too many."""
        request = self._request
        fixed = self._framing.prime + self._pinned.framed(self._framing) + self._tools_tokens
        return request.token_budget - request.reserve_tokens - fixed

    async def by_stored_counts(self, rows: Sequence[Row]) -> None:
        """Select by the counts that stand in the log, from the rows of the first look on."""
        state, selector = self._state, self._selector
        if not state.version:
            return
        all_pins = state.pinned_messages <= _PINNED_MOST
        count = state.pinned_messages if all_pins else 0
        self._pins = rows[:count] if all_pins else None
        self._newest = rows[count:]
        self._seen = []
        for row in self._newest:
            entry = entry_from_row(row)
            self._seen.append(entry)
            if selector.feed(entry):
                return
        await self._go_on_below(self._seen[-1].version - 1)

    async def _go_on_below(self, version: int) -> None:
        """Go on where the first look ended: by the running sums, and from there message by message."""
        if version <= 0:
            return
        self._newest = self._seen = None
        selector = self._selector
        while version > 0 and not selector.newest:
            version = await self._feed_costs(version)
        if version <= 0 or selector.blocked is not None:
            return
        state, framing = self._state, self._framing
        total = state.unpinned.framed(framing)
        start = 1
        if total > selector.allowance:
            start = await self._log.find_start(
                state.version, total, max(0, selector.allowance), framing.per_message, framing.per_item
            )
        if start <= version:
            taken, waiting = await self._measure(start)
            selector.skip_to(start, taken, waiting)
            version = start - 1
        while version > 0 and selector.blocked is None:
            version = await self._feed_costs(version)
        if selector.start == start:
            # The sums may lead into the middle of a group; the tail starts with the first one that is in it.
            first = await self._log.tail_start(start, state.version, selector.abandon(), user_only=False)
            selector.start = first or start

    async def _feed_costs(self, version: int) -> int:
        """Feed one page of messages up to `version`; return the version to go on at, 0 at the end."""
        entries = await self._log.costs(version, _COSTS_PAGE)
        for entry in entries:
            if self._selector.feed(entry):
                return entry.version
        return entries[-1].version - 1 if entries else 0

    async def _measure(self, start: int) -> tuple[Cost, dict[int, Cost]]:
        """Return the cost of the tail from `start` on, and what members of groups from before it would add."""
        before = await self._log.state(start - 1)
        passed_over = self._selector.abandon()
        taken = self._state.unpinned.minus(before.unpinned)
        waiting: dict[int, Cost] = {}
        groups = {0} | before.open_groups | passed_over
        for entry in await self._log.group_members(groups, start, self._state.version):
            if entry.pinned:
                continue
            group = entry.group_version
            if group == 0 or group in passed_over or group < start:
                taken = taken.minus(entry.cost)
            if 0 < group < start and group not in passed_over:
                waiting[group] = waiting.get(group, Cost()).plus(entry.cost)
        return taken, waiting

    async def by_recount(self, tokenizers: Tokenizers, tokenizer: str) -> None:
        """Select by counting every message that may be in the window in another tokenizer than the log's."""
        self._inexact = not tokenizers.has(tokenizer)
        self._pins = self._newest = self._seen = None
        self._pinned = Cost()
        version = 0
        while version < self._state.version:
            rows = await self._log.pinned_page(version, self._state.version, _COSTS_PAGE, PAGE_BYTES)
            if not rows:
                break
            for entry in await self._recount(tokenizers, tokenizer, rows):
                self._pinned = self._pinned.plus(entry.cost)
            version = rows[-1]["version"]
        self._selector = TailSelector(self._allowance(), self._framing, self._state.open_groups)
        self._recounted = lambda rows: self._recount(tokenizers, tokenizer, rows)
        await self._feed_recounted(self._selector)

    async def _feed_recounted(self, selector: TailSelector, *, to_opening: bool = False) -> None:
        """Feed message by message until the selector is done or, if asked for, has a group that may open a window."""
        version, look = self._state.version, _LOOK_LEAST
        while version > 0:
            look = min(_LOOK_MOST, 2 * look)
            rows = await self._log.newest(version, look, PAGE_BYTES)
            with_record = [row for row in rows if row["record"] is not None]
            assert self._recounted is not None
            for entry in await self._recounted(with_record):
                if selector.feed(entry) or (to_opening and selector.opening):
                    return
            version = with_record[-1]["version"] - 1

    async def _recount(self, tokenizers: Tokenizers, tokenizer: str, rows: Sequence[Row]) -> list[Entry]:
        counts = await tokenizers.count([decode_record(row["record"]) for row in rows], tokenizer)
        if any(counted.source is not TokenCountSource.COUNTED for counted in counts):
            self._inexact = True
        return [
            entry_from_row(row)._replace(tokens=counted.tokens, items=counted.items)
            for row, counted in zip(rows, counts, strict=True)
        ]

    async def open_legally(self) -> None:
        """Check that the newest group fits, and move the start to a message that may open the window."""
        selector, request = self._selector, self._request
        if not selector.newest and not self._pinned.messages:
            return
        if selector.allowance < 0 or (not selector.start and selector.blocked is not None):
            raise self._too_small(await self._least_tail())
        if not request.dialect.starts_on_user or not selector.start:
            return
        fits_from = selector.start
        if selector.opening:
            selector.start, selector.taken = selector.opening, selector.opening_taken
            self._trimmed_from = fits_from if fits_from < selector.start else 0
            return
        start = await self._log.tail_start(selector.start, self._state.version, selector.abandon(), user_only=True)
        if start is not None:
            taken, _ = await self._measure(start)
            selector.start, selector.taken = start, taken
            self._trimmed_from = fits_from if fits_from < start else 0
            return
        raise self._too_small(await self._least_tail())

    async def _least_tail(self) -> int:
        """Return the cost of the shortest tail that a window of this dialect may have."""
        selector, state = self._selector, self._state
        if not selector.newest or not self._request.dialect.starts_on_user:
            return (selector.blocked or Cost()).framed(self._framing)
        turn = await self._log.newest_turn(state.turn_version)
        if turn is None:
            raise NoLegalWindow(self._request.dialect, state.version)
        if self._recounted is None:
            taken, _ = await self._measure(turn)
            return taken.framed(self._framing)
        unbounded = TailSelector(MAX_TOKEN_BUDGET**2, self._framing, state.open_groups)
        await self._feed_recounted(unbounded, to_opening=True)
        return unbounded.opening_taken.framed(self._framing)

    def _too_small(self, tail: int) -> BudgetTooSmall:
        request = self._request
        pinned = self._pinned.framed(self._framing)
        required = request.reserve_tokens + self._tools_tokens + self._framing.prime + pinned + tail
        return BudgetTooSmall(
            required, request.token_budget, request.reserve_tokens, pinned, tail, tools=self._tools_tokens
        )

    async def window(
        self, context_id: UUID, tenant: TenantId, tokenizer: str, context_tokenizer: str, revision: int
    ) -> Window:
        """Put the window together."""
        state, selector, framing = self._state, self._selector, self._framing
        passed_over = selector.abandon()
        start = selector.start or state.version + 1
        held = self._held(start, passed_over)
        message_count = self._pinned.messages + selector.taken.messages
        framed = framing.prime + self._pinned.framed(framing) + selector.taken.framed(framing)
        return Window(
            context_id=context_id,
            tenant=tenant,
            request=self._request,
            tokenizer=tokenizer,
            context_tokenizer=context_tokenizer,
            snapshot_version=state.version,
            snapshot_revision=revision,
            tail_start=start,
            message_count=message_count,
            window_tokens=framed if message_count else 0,
            pinned_tokens=self._pinned.tokens,
            tail_tokens=selector.taken.tokens,
            tools_tokens=self._tools_tokens,
            accuracy=Accuracy.ESTIMATED if await self._is_inexact(held, start) else Accuracy.EXACT,
            excluded=await self._excluded(start, passed_over),
            pending=state.pending(selector.newest) if selector.newest else (),
            passed_over=passed_over,
            held=held,
        )

    def _held(self, start: int, passed_over: frozenset[int]) -> Sequence[Row] | None:
        """Return the window's rows in version order, if the first look brought all of them and they fit one page."""
        if self._pins is None or self._newest is None or self._seen is None:
            return None
        tail: list[Row] = []
        for row, (version, group, role, _, _) in zip(self._newest, self._seen, strict=False):
            if version < start:
                break
            if role in PINNED_ROLES or (group >= start and group not in passed_over):
                tail.append(row)
        rows = [row for row in self._pins if row["version"] < start]
        rows.extend(reversed(tail))
        if len(rows) > FRAME_MESSAGES or any(row["record"] is None for row in rows):
            return None
        return rows if sum(len(row["record"]) for row in rows) <= FRAME_BYTES else None

    async def _is_inexact(self, held: Sequence[Row] | None, start: int) -> bool:
        """Whether some content of the window was not counted by the tokenizer; in doubt it was not."""
        if self._inexact is not None:
            return self._inexact
        if held is not None:
            return any(row["token_count_source"] != TokenCountSource.COUNTED for row in held)
        before = await self._log.state(start - 1)
        return self._state.inexact > before.inexact or bool(before.pinned_messages and before.inexact)

    async def _excluded(self, start: int, passed_over: frozenset[int]) -> list[Excluded]:
        """Say what is not in the window, and why."""
        state, blocked = self._state, self._selector.blocked is not None
        fits_from = self._trimmed_from or start
        # Where nothing was too large every message was looked at, and each that is out has a reason of its own.
        floor = fits_from if blocked else 1
        if self._seen is not None:
            entries = [entry for entry in reversed(self._seen) if entry.version >= floor]
            older = state.unpinned.messages - sum(1 for e in entries if e.version >= fits_from and not e.pinned)
        else:
            before = await self._log.state(floor - 1)
            older = before.unpinned.messages
            trimmed = (await self._log.state(start - 1)).open_groups if self._trimmed_from else frozenset()
            groups = {0} | passed_over | before.open_groups | trimmed
            entries = await self._log.group_members(groups, floor, state.version)
        runs = exclude((e for e in entries if not fits_from <= e.version < start), start, passed_over)
        if self._trimmed_from:
            runs.append(Excluded(fits_from, start - 1, ExclusionReason.ILLEGAL_START))
        if blocked and older:
            runs.append(Excluded(1, fits_from - 1, ExclusionReason.BUDGET))
        return sorted(runs, key=lambda run: run.first)
