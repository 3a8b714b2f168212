"""What is hidden in the view that a window is of, read as far down the log as the window goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.domain.overlays import Hidden, Run, merged
from kata_grpc.domain.windows import View

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kata_grpc.domain.messages import Row
    from kata_grpc.domain.overlays import Change
    from kata_grpc.domain.windows import Entry
    from kata_grpc.repositories.windows import WindowRepository

_SPAN = 1_024
"""The least part of a log that is looked at for what is hidden in it."""
_MOST_AT_ONCE = 1_000_000


class Overlays:
    """The hidden messages of one view, from the snapshot down to where it was asked for."""

    def __init__(
        self, log: WindowRepository, view: View, version: int, revision: int, *, redactions: bool = True
    ) -> None:
        self._log = log
        self._revision = revision
        self._removals = view is not View.RAW
        self._redactions = redactions
        self._version = version
        self.low = version + 1
        """The lowest version of which it is known whether it is hidden."""
        self._span = _SPAN
        self.hidden = Hidden()
        """From the lowest version that was asked for to the snapshot."""

    async def cover(self, version: int) -> None:
        """Know of all from a version on."""
        while version < self.low:
            low = max(1, min(version, self.low - self._span))
            self.hidden = Hidden(await self._read([Run(low, self.low - 1)]), self.hidden)
            self.low = low

    async def skip(self, version: int) -> int:
        """Return the newest version up to one that is not in a hidden run; 0 for none. Knows a page below it."""
        while version > 0:
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
        wanted = merged(Run(version, version) for version in versions if 0 < version <= self._version)
        return Hidden(await self._read(wanted)) if wanted else Hidden()

    async def visible(self, rows: Iterable[Row]) -> list[Row]:
        """Return those of some rows that are not hidden, wherever they are."""
        rows = list(rows)
        hidden = await self.at({version for row in rows for version in (row["version"], row["group_version"])})
        return [row for row in rows if not hidden.hides(row["version"], row["group_version"])]

    async def _read(self, ranges: list[Run]) -> list[Change]:
        return await self._log.overlays(ranges, self._revision, removals=self._removals, redactions=self._redactions)

    def shows(self, entry: Entry) -> bool:
        """Whether a message is visible, as far as is known down to its version."""
        return not self.hidden.hides(entry.version, entry.group_version)
