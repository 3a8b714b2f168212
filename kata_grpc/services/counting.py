"""What the messages of a window cost where the counts in the log do not say: in another tokenizer, or reshaped.

Also makes the rows that are sent of those that are stored, for choosing a window and for reading it alike.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.codec import decode_record, reshaped_record
from kata_grpc.domain.messages import PINNED_ROLES, Message, Row, TokenCountSource, ToolCall
from kata_grpc.domain.shaping import Elision, Reshaping, Shaped, clear, elide
from kata_grpc.domain.windows import Entry  # noqa: TC001 - the fields of a named tuple are looked at
from kata_grpc.limits import KIB
from kata_grpc.repositories.windows import entry_from_row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kata_grpc.domain.tokens import Counted
    from kata_grpc.domain.windows import WindowOptions
    from kata_grpc.repositories.windows import WindowRepository
    from kata_grpc.tokenizers import Tokenizers

NO_RESHAPING = Reshaping()
NO_TOOLS: frozenset[str] = frozenset()
_AT_ONCE = 32 * KIB
"""Shaping this many bytes of records takes about a millisecond."""


class CountedRows(NamedTuple):
    """Rows as they are sent, what each costs, and whether the tokenizer itself counted that."""

    rows: list[Row]
    entries: list[Entry]
    exact: list[bool]


class Counting:
    """Counts the messages of one window, newest first, and shapes them by its options."""

    def __init__(
        self,
        log: WindowRepository,
        tokenizers: Tokenizers,
        tokenizer: str,
        options: WindowOptions,
        *,
        stored: bool,
        clear_through: int | None = None,
        reshaping: Reshaping = NO_RESHAPING,
    ) -> None:
        """Where the log's counts are of `tokenizer`, they are `stored`; `clear_through` is given once it is known.

        `reshaping` is what the compaction in force leaves out, whatever the options say.
        """
        self._log = log
        self._tokenizers = tokenizers
        self._tokenizer = tokenizer
        self._options = options
        self._stored = stored
        self._reshaping = reshaping
        self.pinned_groups: Collection[int] = ()
        """Groups that are sent as they are."""
        self.clear_through = clear_through
        """The newest version whose tool results are cleared; None as long as none was found."""
        self._results = 0
        self._cleared_below: int | None = None
        self.freed: dict[int, int] = {}
        """By version, the tokens that clearing by the options saved."""

    async def count(self, rows: Sequence[Row]) -> CountedRows:
        """Return the rows as they are sent, and what they cost."""
        large = sum(len(row["record"]) for row in rows) > _AT_ONCE
        messages = await asyncio.to_thread(_decode, rows) if large else _decode(rows)
        elided: Sequence[tuple[Elision, ...]] = [()] * len(rows)
        if self._options.reshapes or self._reshaping:
            messages, elided = await self._shape(rows, messages, large)
        entries = list(map(entry_from_row, rows))
        exact = [row["token_count_source"] == TokenCountSource.COUNTED for row in rows]
        sent = list(rows)
        recount = [place for place, elisions in enumerate(elided) if elisions or not self._stored]
        counts = await self._tokenizers.count([messages[place] for place in recount], self._tokenizer)
        for place, counted in zip(recount, counts, strict=True):
            exact[place] = counted.source is TokenCountSource.COUNTED
            entries[place] = entries[place]._replace(tokens=counted.tokens, items=counted.items)
            if elisions := elided[place]:
                sent[place] = _row(rows[place], messages[place], elisions, counted, self._tokenizer)
                if elisions[0].cleared and not self._reshaping.clears(entries[place].version):
                    self.freed[entries[place].version] = rows[place]["token_count"] - counted.tokens
        return CountedRows(sent, entries, exact)

    async def _shape(
        self, rows: Sequence[Row], messages: Sequence[Message], large: bool
    ) -> tuple[list[Message], list[tuple[Elision, ...]]]:
        tools = await self._tools(rows, messages)
        options, reshaping, count = self._options, self._reshaping, self._tokenizers.counter(self._tokenizer)
        exclude = frozenset(options.clearing.exclude_tools) if options.clearing else NO_TOOLS
        clearing = [self._is_cleared(row, message) for row, message in zip(rows, messages, strict=True)]

        def shape(row: Row, message: Message, cleared: bool) -> Shaped:
            version, group = row["version"], row["group_version"]
            if message.role in PINNED_ROLES or group in self.pinned_groups:
                return message, ()
            compacted = reshaping.clears(version)
            if cleared or compacted:
                shaped = clear(message, version, tools.get(group, {}), NO_TOOLS if compacted else exclude, count)
                if shaped[1]:
                    return shaped
            bounds = [most for most in (options.max_part_tokens, reshaping.longest(version)) if most]
            return elide(message, version, min(bounds), count) if bounds else (message, ())

        def work() -> list[Shaped]:
            return list(map(shape, rows, messages, clearing))

        shaped = await asyncio.to_thread(work) if large else work()
        return [message for message, _ in shaped], [elisions for _, elisions in shaped]

    def _is_cleared(self, row: Row, message: Message) -> bool:
        """Whether the results of a message are cleared; rows come newest first until `clear_through` is known."""
        clearing = self._options.clearing
        if clearing is None:
            return False
        if self.clear_through is not None:
            return bool(row["version"] <= self.clear_through)
        results = sum(1 for _ in message.results())
        if results and self._cleared_below is None and self._results >= clearing.keep_results:
            # The log's running sum in steps: what is cleared changes when a step is full, not at each result.
            step = clearing.min_gain_tokens
            self._cleared_below = row["total_tokens"] // step * step if step else row["total_tokens"] + 1
        self._results += results
        if self._cleared_below is None or row["total_tokens"] - row["token_count"] >= self._cleared_below:
            return False
        self.clear_through = row["version"]
        return True

    async def _tools(self, rows: Sequence[Row], messages: Sequence[Message]) -> dict[int, dict[str, str]]:
        """Return by group the tool of each call, where names of tools matter: a result may not say its own."""
        clearing = self._options.clearing
        if clearing is None or not clearing.exclude_tools:
            return {}
        tools = {row["version"]: _names(message) for row, message in zip(rows, messages, strict=True)}
        missing = (
            {row["group_version"] for row, message in zip(rows, messages, strict=True) if any(message.results())}
            - tools.keys()
            - {0}
        )
        if missing:
            for row in await self._log.records(sorted(missing)):
                tools[row["version"]] = _names(decode_record(row["record"]))
        return tools


def _decode(rows: Sequence[Row]) -> list[Message]:
    return [decode_record(row["record"]) for row in rows]


def _names(message: Message) -> dict[str, str]:
    return {part.key: part.name for part in message.parts if isinstance(part, ToolCall)}


def _row(row: Row, message: Message, elisions: Sequence[Elision], counted: Counted, tokenizer: str) -> Row:
    """Return a row as it is sent."""
    record = reshaped_record(row["record"], message, elisions, counted, tokenizer)
    return {
        "version": row["version"],
        "group_version": row["group_version"],
        "role": row["role"],
        "token_count": counted.tokens,
        "item_count": counted.items,
        "token_count_source": counted.source,
        "digest": sha256(record).digest(),
        "record": record,
    }
