"""What the rows of a log must be by those before them: running state, groups of tool calls, links of the chain.

Told again apart from the statements that write them, so that both would have to be wrong in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.domain.messages import PINNED_ROLES, Role, TokenCountSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kata_grpc.domain.messages import Row

SUMS = ("total_tokens", "total_items", "inexact_messages", "pinned_tokens", "pinned_messages", "pinned_items")
"""Columns that a message and its context have of everything up to it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not what it must be: a column of a table, where, and both values as text.

    `version` and `revision` are 0 where it is about none.
    """

    what: str
    version: int
    revision: int
    expected: str
    found: str

    def __str__(self) -> str:
        """Say it in one line."""
        places = ((f"version {self.version}", self.version), (f"revision {self.revision}", self.revision))
        where = ", ".join(name for name, number in places if number)
        return f"{self.what}{f' at {where}' if where else ''}: expected {self.expected}, found {self.found}"


class Differs(Exception):  # noqa: N818 - what is found is an answer, and no error
    """Ends a verification at the first difference."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


def expect(what: str, expected: object, found: object, *, version: int = 0, revision: int = 0) -> None:
    """Raise Differs unless what was found is what was expected."""
    if found != expected:
        raise Differs(Difference(what, version, revision, _spelled(expected), _spelled(found)))


def _spelled(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return "nothing" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Told:
    """What a message says of itself, as far as its row follows from it."""

    role: str
    labels: Sequence[str]
    results: Sequence[str]
    calls: Sequence[str]
    answers_only: bool


@dataclass(slots=True)
class Running:
    """The state of a log after a message, from which the next message's columns follow."""

    version: int = 0
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    turn_version: int = 0
    open_calls: dict[str, list[int]] = field(default_factory=dict)

    @staticmethod
    def after(row: Row, open_calls: Mapping[str, Sequence[int]]) -> Running:
        """Return the state that stands beside a message."""
        sums = {name: row[name] for name in SUMS}
        return Running(row["version"], sums, row["turn_version"], {key: list(v) for key, v in open_calls.items()})

    def add(self, row: Row, told: Told | None) -> None:
        """Follow the log to its next row; `told` is None where the content was erased."""
        version = self.version + 1
        expect("messages.version", version, row["version"], version=version)
        pinned, source = row["role"] in PINNED_ROLES, row["token_count_source"]
        tokens, items = row["token_count"], row["item_count"]
        more = (tokens, items, source != TokenCountSource.COUNTED, pinned * tokens, pinned, pinned * items)
        for name, added in zip(SUMS, more, strict=True):
            self.sums[name] += added
            expect(f"messages.{name}", self.sums[name], row[name], version=version)
        self.version = version
        if told is None:
            self._believe(row)
            return
        expect("messages.role", told.role, row["role"], version=version)
        expect("messages.labels", list(told.labels) or None, row["labels"], version=version)
        expect("messages.group_version", self._fold(told), row["group_version"], version=version)
        if told.role == Role.USER and not told.results:
            self.turn_version = version
        expect("messages.turn_version", self.turn_version, row["turn_version"], version=version)

    def _fold(self, told: Told) -> int:
        """Match results with the newest open calls of their keys, and open the message's own; return its group."""
        groups = []
        for key in told.results:
            if waiting := self.open_calls.get(key):
                groups.append(waiting.pop())
                if not waiting:
                    del self.open_calls[key]
        group = max(groups, default=0 if told.answers_only else self.version)
        for key in told.calls:
            self.open_calls.setdefault(key, []).append(group)
        return group

    def _believe(self, row: Row) -> None:
        """Go on from a message of which nobody can tell any more what it did to turns."""
        if row["turn_version"] != self.turn_version:
            expect("messages.turn_version", self.version, row["turn_version"], version=self.version)
            expect("messages.role", Role.USER, row["role"], version=self.version)
        self.turn_version = row["turn_version"]


def link(chain: bytes, *digests: bytes) -> bytes:
    """Return the chain after a revision; before the first it is empty.

    All that it links are digests, so that the chain stays what it is when content is erased and its digest kept.
    """
    return sha256(b"".join((chain, *digests))).digest()
