"""What is hidden in the view that a window is of, read as far down the log as the window goes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from kata_grpc.domain.overlays import Change, Hidden, Run, Why, merged
from kata_grpc.domain.windows import View

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from kata_grpc.domain.messages import Row
    from kata_grpc.domain.windows import Entry, RunningState
    from kata_grpc.repositories.windows import WindowRepository

_SPAN = 256
"""The least part of a log that is looked at for what is hidden in it."""
_MOST_AT_ONCE = 1_000_000
_TURNS_AT_FIRST, _TURNS_AT_MOST = 16, 4_096


class Overlays:
    """The hidden messages of one view, from the snapshot down to where it was asked for."""

    def __init__(
        self,
        log: WindowRepository,
        view: View,
        version: int,
        revision: int,
        *,
        removals: bool = True,
        redactions: bool = True,
        compacted: Iterable[Run] = (),
    ) -> None:
        """Without `removals` or `redactions` there are none; `compacted` is what a compaction hides."""
        self._log = log
        self._revision = revision
        self._removals = removals and view is not View.RAW
        self._redactions = redactions
        self._compacted = list(compacted)
        self._version = version
        self._span = _SPAN
        self.low = version + 1
        """The lowest version of which it is known whether it is hidden."""
        self.hidden = Hidden()
        """From the lowest version that was asked for to the snapshot."""

    def show(self, versions: Collection[int]) -> None:
        """Have some messages visible although they are compacted; what was known is forgotten."""
        self._compacted = list(_without(self._compacted, versions))
        self.low, self.hidden = self._version + 1, Hidden()

    async def cover(self, version: int) -> None:
        """Know of all from a version on."""
        while version < self.low:
            low = max(1, min(version, self.low - self._span))
            self.hidden = Hidden(await self._read([Run(low, self.low - 1)]), self.hidden)
            self.low = low

    async def skip(self, version: int) -> int:
        """Return the newest version up to one that is not in a hidden run; 0 for none."""
        while version > 0:
            if version < self.low:
                await self.cover(max(1, version - self._span + 1))
            run = self.hidden.around(version)
            if run is None:
                break
            version = run[0] - 1
            # A long run is followed in growing steps.
            self._span = min(2 * self._span, _MOST_AT_ONCE)
        self._span = _SPAN
        return max(version, 0)

    async def at(self, versions: Collection[int]) -> Hidden:
        """Return what is hidden of some versions, wherever they are."""
        wanted = merged(Run(version, version) for version in versions if 0 < version < self.low)
        return Hidden(await self._read(wanted), self.hidden) if wanted else self.hidden

    async def visible(self, rows: Iterable[Row]) -> list[Row]:
        """Return those of some rows that are not hidden, wherever they are."""
        rows = list(rows)
        hidden = await self.at({version for row in rows for version in (row["version"], row["group_version"])})
        return [row for row in rows if not hidden.hides(row["version"], row["group_version"])]

    async def _read(self, ranges: list[Run]) -> list[Change]:
        changes = [
            Change(max(run.first, part.first), min(run.last, part.last), 0, True, Why.COMPACTED)
            for part in ranges
            for run in _meeting(self._compacted, part)
        ]
        if self._removals or self._redactions:
            changes += await self._log.overlays(
                ranges, self._version, self._revision, removals=self._removals, redactions=self._redactions
            )
        return changes

    def shows(self, entry: Entry) -> bool:
        """Whether a message is visible, as far as is known down to its version."""
        return not self.hidden.hides(entry.version, entry.group_version)


async def visible_state(log: WindowRepository, overlays: Overlays, state: RunningState) -> RunningState:
    """Return a running state in which hidden groups have no open calls, and the turn is the newest visible one."""
    hidden = await overlays.at({state.turn_version, *state.open_groups})
    turn = state.turn_version
    if hidden.around(turn) is not None:
        turn = await _visible_turn(log, overlays, turn - 1)
    open_calls = {
        key: visible
        for key, groups in state.open_calls.items()
        if (visible := [group for group in groups if hidden.around(group) is None])
    }
    return replace(state, turn_version=turn, open_calls=open_calls)


async def _visible_turn(log: WindowRepository, overlays: Overlays, version: int) -> int:
    """Return the newest visible version up to one at which the user opened a turn; 0 without one."""
    limit = _TURNS_AT_FIRST
    while turns := await log.turns(version, limit):
        hidden = await overlays.at(turns)
        for turn in turns:
            if hidden.around(turn) is None:
                return turn
        version, limit = turns[-1] - 1, min(4 * limit, _TURNS_AT_MOST)
    return 0


def _meeting(runs: Sequence[Run], part: Run) -> Sequence[Run]:
    """Return those of runs in order that have a version of a part."""
    return runs[bisect_left(runs, part.first, key=_last) : bisect_right(runs, part.last, key=_first)]


def _first(run: Run) -> int:
    return run.first


def _last(run: Run) -> int:
    return run.last


def _without(runs: Iterable[Run], versions: Collection[int]) -> Iterator[Run]:
    """Yield runs without some versions."""
    for first, last in runs:
        begin = first
        for version in sorted(version for version in versions if first <= version <= last):
            if begin < version:
                yield Run(begin, version - 1)
            begin = version + 1
        if begin <= last:
            yield Run(begin, last)
