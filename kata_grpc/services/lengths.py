"""What messages cost where something is left out of them: read and shaped as windows do it, and counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kata_grpc.codec import decode_record
from kata_grpc.domain.messages import PINNED_ROLES, Role
from kata_grpc.domain.policy import Rung
from kata_grpc.domain.shaping import clear, elide

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from kata_grpc.domain.compactions import Limits
    from kata_grpc.domain.messages import Message, Row
    from kata_grpc.domain.shaping import Reshaping, Shaped
    from kata_grpc.domain.tokens import Counted, TextCounter
    from kata_grpc.domain.windows import Entry
    from kata_grpc.repositories.windows import WindowRepository

MOST = 10_000
"""So many messages, from the oldest on, are looked at for what a rung would leave out of them."""
_READ = 128
_READ_TOKENS = 256 * 1024
"""What is read at a time: in all but odd cases less than 4 MiB."""
_STAND_IN = 24
"""A line that stands for a result takes more tokens than this."""
_WITH_RESULTS = frozenset({Role.TOOL, Role.USER})


class Lengths:
    """The lengths of the visible messages of a view, those of pinned groups as they are."""

    def __init__(
        self,
        log: WindowRepository,
        count: Callable[[Sequence[Message]], list[Counted]],
        count_text: TextCounter,
        entries: Sequence[tuple[Entry, bool]],
        pinned: Collection[int],
    ) -> None:
        self._log = log
        self._count = count
        self._count_text = count_text
        self._entries = entries
        self._pinned = pinned

    async def now(self, reshaping: Reshaping) -> Sequence[tuple[Entry, bool]]:
        """Return the entries with what they cost as far as a compaction leaves something out of them."""
        if not reshaping:
            return self._entries

        def shape(message: Message, version: int) -> Shaped:
            if reshaping.clears(version):
                shaped = self._clear(message, version)
                if shaped[1]:
                    return shaped
            most = reshaping.longest(version)
            return elide(message, version, most, self._count_text) if most else (message, ())

        def concerned(entry: Entry) -> bool:
            if reshaping.clears(entry.version) and _may_clear(entry):
                return True
            return 0 < reshaping.longest(entry.version) < entry.tokens

        found = await self._shaped([entry for entry in self._visible() if concerned(entry)], shape)
        return [
            (entry._replace(tokens=found.get(entry.version, entry.tokens)), visible) for entry, visible in self._entries
        ]

    async def shorter(
        self, entries: Sequence[tuple[Entry, bool]], reshaping: Reshaping, limits: Limits
    ) -> dict[Rung, dict[int, int]]:
        """Return by rung what messages would cost that are whole and may be made shorter."""
        found: dict[Rung, dict[int, int]] = {}
        whole = [entry for entry, visible in entries if visible and self._may_change(entry)]
        if Rung.CLEAR_TOOL_RESULTS in limits.reshape:
            clearable = [one for one in whole if _may_clear(one) and not reshaping.clears(one.version)]
            found[Rung.CLEAR_TOOL_RESULTS] = await self._shaped(clearable[:MOST], self._clear)
        most = reshaping.max_part_tokens or limits.max_part_tokens
        if most and Rung.ELIDE_PARTS in limits.reshape:
            long = [one for one in whole if one.tokens > most and not reshaping.longest(one.version)]
            found[Rung.ELIDE_PARTS] = await self._shaped(
                long[:MOST], lambda message, version: elide(message, version, most, self._count_text)
            )
        return found

    def _visible(self) -> Iterator[Entry]:
        return (entry for entry, visible in self._entries if visible and self._may_change(entry))

    def _may_change(self, entry: Entry) -> bool:
        return entry.role not in PINNED_ROLES and entry.group_version not in self._pinned

    def _clear(self, message: Message, version: int) -> Shaped:
        return clear(message, version, {}, frozenset(), self._count_text)

    async def _shaped(self, entries: Sequence[Entry], shape: Callable[[Message, int], Shaped]) -> dict[int, int]:
        """Return the tokens of those that are not as they were."""

        def work(rows: Sequence[Row]) -> dict[int, int]:
            shaped = {row["version"]: shape(decode_record(row["record"]), row["version"]) for row in rows}
            changed = {version: message for version, (message, elisions) in shaped.items() if elisions}
            counts = self._count(list(changed.values()))
            return {version: counted.tokens for version, counted in zip(changed, counts, strict=True)}

        found: dict[int, int] = {}
        for part in _parts(entries):
            rows = await self._log.records([entry.version for entry in part])
            found |= await asyncio.to_thread(work, rows)
        return found


def _may_clear(entry: Entry) -> bool:
    return entry.role in _WITH_RESULTS and entry.items > 0 and entry.tokens > _STAND_IN


def _parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    tokens = 0
    for entry in entries:
        part.append(entry)
        tokens += entry.tokens
        if len(part) == _READ or tokens > _READ_TOKENS:
            yield part
            part, tokens = [], 0
    if part:
        yield part
