"""The tail of a window: its groups selected from a log's end, at a cost that follows the tail and not the history.

Two ways to know what messages cost: the counts that stand in the log, where a long tail is found through the running
sums, and counts made now, of another tokenizer or of reshaped messages. The rules are those of
`kata_grpc.domain.windows`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import compress
from typing import TYPE_CHECKING

from kata_grpc.domain.messages import PINNED_ROLES, Role, Row
from kata_grpc.domain.overlays import Run, merged, multirange
from kata_grpc.domain.windows import Cost, Entry, Kept, RunningState, TailSelector
from kata_grpc.limits import FRAME_MESSAGES, PAGE_BYTES
from kata_grpc.repositories.windows import entry_from_row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kata_grpc.domain.tokens import Framing
    from kata_grpc.repositories.windows import WindowRepository
    from kata_grpc.services.counting import Counting
    from kata_grpc.services.overlays import Overlays

LOOK_LEAST = 16
LOOK_MOST = 512
_COSTS_PAGE = 512
_SEEN_MOST = 65_536
"""So many messages of a view with hidden ones are kept in mind; of a longer tail some are read again."""


class Tail(ABC):
    """The end of a log up to a snapshot: `seen` and `rows` hold its newest messages, newest first.

    `seen` is None when it does not hold the whole tail, and then the log is asked.
    """

    def __init__(
        self,
        log: WindowRepository,
        state: RunningState,
        framing: Framing,
        most: int,
        newest: Sequence[Row],
        overlays: Overlays | None = None,
    ) -> None:
        """`newest` are the rows of the first look, hidden ones among them; without `overlays` nothing is hidden."""
        self._log = log
        self._state = state
        self._framing = framing
        self._most = most
        self._overlays = overlays
        self._below = newest[-1]["version"] - 1 if newest else state.version
        """The newest version that the first look has not looked at."""
        self.late: dict[int, Entry] = {}
        """Messages in no hidden run of versions, by version, whose group is hidden or was not looked at yet."""
        self._looked_at: list[Row] = list(newest)
        """Newest first, hidden ones among them."""
        self.rows: list[Row] = []
        self.seen: list[Entry] | None = []

    @abstractmethod
    async def select(self, allowance: int, kept: Kept) -> TailSelector:
        """Return the selector of the longest run of newest groups that fits."""

    async def cost(self, start: int, passed_over: Collection[int], kept: Kept) -> Cost:
        """Return what the tail from `start` on costs."""
        if self.seen is None:
            return (await self.measure(start, passed_over, kept))[0]
        total, kept_groups = Cost(), kept.groups
        for entry in self.seen:
            version, group, role, _, _ = entry
            if version < start:
                break
            if role not in PINNED_ROLES and group >= start and group not in passed_over and group not in kept_groups:
                total = total.plus(entry.cost)
        return total

    def shows(self, entry: Entry) -> bool:
        """Whether a message is visible, as far as is known."""
        if self._overlays is None:
            return True
        if self._overlays.hidden.around(entry.version) is not None:
            return False
        shown = self._overlays.hidden.around(entry.group_version) is None
        if not shown or 0 < entry.group_version < self._overlays.low:
            self.late[entry.version] = entry
        return shown

    def _forget_hidden(self) -> None:
        """Take what turned out to be hidden out of what was seen: a group may be hidden where its answers are not."""
        if not self.late or self.seen is None:
            return
        self.seen = list(filter(self.shows, self.seen))
        self.rows = [row for row in self.rows if self.shows(entry_from_row(row))]

    async def first_start(self, version: int, user_until: int, passed_over: Collection[int], kept: Kept) -> int | None:
        """Return the first group from `version` on that may open a tail: a user's, unless it stands behind one."""
        if self.seen is None or not self.seen or self.seen[-1].version > version:
            if self._overlays is not None:
                await self._overlays.cover(version)
            left_out = self.left_out(version, {*passed_over, *kept.groups})
            return await self._log.tail_start(version, self._state.version, left_out, user_until)
        found = None
        for entry in self.seen:
            if entry.version < version:
                break
            if (
                entry.group_version == entry.version
                and not entry.pinned
                and entry.version not in passed_over
                and entry.version not in kept.groups
                and (entry.role == Role.USER or entry.version > user_until)
            ):
                found = entry.version
        return found

    async def measure(self, start: int, passed_over: Collection[int], kept: Kept) -> tuple[Cost, dict[int, Cost]]:
        """Return by running sums what `cost` does, and what members of groups from before `start` would add."""
        if self._overlays is not None:
            return await self._measure_visible(start, passed_over, kept), {}
        before = await self._log.state(start - 1)
        taken = self._state.unpinned.minus(before.unpinned).minus(kept.cost(start))
        waiting: dict[int, Cost] = {}
        groups = ({0} | before.open_groups | set(passed_over)) - kept.groups
        for entry in await self._log.group_members(groups, start, self._state.version):
            if entry.pinned:
                continue
            group = entry.group_version
            if group == 0 or group in passed_over or group < start:
                taken = taken.minus(entry.cost)
            if 0 < group < start and group not in passed_over:
                waiting[group] = waiting.get(group, Cost()).plus(entry.cost)
        return taken, waiting

    def left_out(self, start: int, groups: Collection[int]) -> str:
        """Spell what is not in a tail that starts at a version, as a multirange: some groups, and hidden messages."""
        runs = [Run(group, group) for group in groups]
        if self._overlays is not None:
            runs += [Run(first, last) for first, last, _ in self._overlays.hidden.runs(start, self._state.version)]
        return multirange(merged(runs))

    async def _measure_visible(self, start: int, passed_over: Collection[int], kept: Kept) -> Cost:
        """Return what `cost` does, page by page: running sums have what is hidden in them."""
        total, kept_groups, version = Cost(), kept.groups, self._state.version
        while version >= start:
            entries, version = await self._visible_page(version)
            for entry in entries:
                if entry.version >= start and not entry.pinned:
                    group = entry.group_version
                    if group >= start and group not in passed_over and group not in kept_groups:
                        total = total.plus(entry.cost)
        return total

    async def _visible_page(self, version: int) -> tuple[list[Entry], int]:
        """Return visible messages up to a version, newest first, and the version to go on at, 0 at the end."""
        if self._overlays is not None:
            version = await self._overlays.skip(version)
            await self._overlays.cover(max(1, version - _COSTS_PAGE + 1))
        entries = await self._log.costs(version, _COSTS_PAGE) if version > 0 else []
        below = entries[-1].version - 1 if entries else 0
        return list(filter(self.shows, entries)), below

    async def _read_more(self, count: int) -> Sequence[Row]:
        """Return the next older rows, hidden ones among them, as many as fit a page."""
        if self._overlays is not None:
            self._below = await self._overlays.skip(self._below)
            if self._below <= 0:
                return ()
            await self._overlays.cover(max(1, self._below - count + 1))
        newest = await self._log.newest(self._below, count, PAGE_BYTES)
        return [row for row in newest if row["record"] is not None]

    def held(self, start: int, passed_over: Collection[int], kept: Kept) -> list[Row] | None:
        """Return the tail's rows, oldest first, if they are all here; those of pinned and kept messages with them."""
        if self.seen is None or (len(self.seen) > len(self.rows) and self.seen[len(self.rows)].version >= start):
            return None
        held: list[Row] = []
        kept_groups = kept.groups
        for row, (version, group, role, _, _) in zip(self.rows, self.seen, strict=False):
            if version < start:
                break
            if role in PINNED_ROLES or group in kept_groups or (group >= start and group not in passed_over):
                held.append(row)
        held.reverse()
        return held


class StoredTail(Tail):
    """A tail by the counts that stand in the log."""

    async def select(self, allowance: int, kept: Kept) -> TailSelector:
        """Select from the rows of the first look on."""
        selector = TailSelector(allowance, self._framing, self._state.open_groups, kept.groups, self._most)
        self.seen = []
        self.rows = []
        place = 0
        while not self._feed_rows(self._looked_at[place:], selector):
            place = len(self._looked_at)
            if await self._read_on():
                continue
            if self._below > 0:
                if self._overlays is None:
                    self.seen = None
                await self._go_on_below(self._below, selector, kept)
            break
        self._forget_hidden()
        return selector

    def _feed_rows(self, rows: Sequence[Row], selector: TailSelector) -> bool:
        """Feed and keep those of some rows that are visible; tell whether the selector has enough."""
        assert self.seen is not None, "rows are fed first"
        for row in rows:
            entry = entry_from_row(row)
            if self.shows(entry):
                self.rows.append(row)
                self.seen.append(entry)
                if selector.feed(entry):
                    return True
        return False

    async def _read_on(self) -> bool:
        """Read the next older rows where some of those before are hidden, so that a small window is all here."""
        if self._overlays is None or self._below <= 0 or len(self.rows) >= FRAME_MESSAGES:
            return False
        rows = await self._read_more(min(LOOK_MOST, max(LOOK_LEAST, 2 * len(self.rows))))
        if rows:
            self._looked_at += rows
            self._below = rows[-1]["version"] - 1
        return bool(rows)

    async def _go_on_below(self, version: int, selector: TailSelector, kept: Kept) -> None:
        """Go on where the first look ended: by the running sums, and from there message by message."""
        while version > 0 and not selector.newest:
            version = await self._feed_costs(version, selector)
        if version <= 0 or selector.blocked is not None:
            return
        state, framing = self._state, self._framing
        start = 0
        if not self._most and self._overlays is None:
            total = state.unpinned.framed(framing)
            start = 1
            if total > selector.allowance:
                start = await self._log.find_start(
                    state.version, total, max(0, selector.allowance), framing.per_message, framing.per_item
                )
            if start <= version:
                taken, waiting = await self.measure(start, selector.abandon(), kept)
                selector.skip_to(start, taken, waiting)
                version = start - 1
        while version > 0 and selector.blocked is None:
            version = await self._feed_costs(version, selector)
        if start and selector.start == start:
            # The sums may lead into the middle of a group; the tail starts with the first one that is in it. It is
            # empty where all of them stand before it or are passed over.
            left_out = self.left_out(start, selector.abandon() | kept.groups)
            selector.start = await self._log.tail_start(start, state.version, left_out, 0) or 0

    async def _feed_costs(self, version: int, selector: TailSelector) -> int:
        """Feed one page of messages up to `version`; return the version to go on at, 0 at the end."""
        entries, below = await self._visible_page(version)
        for entry in entries:
            if self.seen is not None:
                self.seen.append(entry)
            if selector.feed(entry):
                return entry.version
        if self.seen is not None and len(self.seen) > _SEEN_MOST:
            self.seen = None
        return below


class CountedTail(Tail):
    """A tail of messages that are counted now, each of them that may be in it."""

    def __init__(
        self,
        log: WindowRepository,
        state: RunningState,
        framing: Framing,
        most: int,
        newest: Sequence[Row],
        counting: Counting,
        overlays: Overlays | None = None,
    ) -> None:
        super().__init__(log, state, framing, most, (), overlays)
        self._counting = counting
        self._stored: list[Row] = []
        for row in newest:
            if row["record"] is None:
                break
            self._stored.append(row)
        self._entries: list[Entry] = []
        self._exact: list[bool] = []
        self._look = LOOK_LEAST

    async def select(self, allowance: int, kept: Kept) -> TailSelector:
        """Select message by message, counting as many as are needed."""
        selector = TailSelector(allowance, self._framing, self._state.open_groups, kept.groups, self._most)
        self.seen = self._entries
        place = 0
        while place < len(self._entries) or await self._count_more():
            if selector.feed(self._entries[place]):
                break
            place += 1
        visible = list(map(self.shows, self._entries))
        if not all(visible):
            self.rows = list(compress(self.rows, visible))
            self._exact = list(compress(self._exact, visible))
            self.seen = self._entries = list(compress(self._entries, visible))
        return selector

    async def _count_more(self) -> bool:
        """Count the next older messages that are visible; False at the end of the log."""
        rows: Sequence[Row] = ()
        while not rows and self._below > 0:
            rows, self._stored = self._stored, []
            if not rows:
                self._look = min(LOOK_MOST, 2 * self._look)
                rows = await self._read_more(self._look)
            if rows:
                self._below = rows[-1]["version"] - 1
                rows = [row for row in rows if self.shows(entry_from_row(row))]
        if not rows:
            return False
        counted = await self._counting.count(rows)
        self.rows += counted.rows
        self._entries += counted.entries
        self._exact += counted.exact
        return True

    def is_exact(self, start: int) -> bool:
        """Whether all from `start` on was counted by the tokenizer itself."""
        return all(exact for exact, entry in zip(self._exact, self._entries, strict=True) if entry.version >= start)
