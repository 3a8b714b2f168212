"""What is hidden of a log in a view of it: removed messages, groups of which content was erased, compacted groups.

A message is hidden where its own version is, or that of its group's first message: so what arrives for a group that was
removed is removed with it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LONGEST_RUN = 4_096
"""In one row of removals, so that those that reach into a range are found by where they start."""
ALWAYS = 2**62
"""The revision of what no later one undoes."""


class Why(StrEnum):
    """Why a message is hidden."""

    REMOVED = "removed"
    REDACTED = "redacted"
    COMPACTED = "compacted"


class Run(NamedTuple):
    """Versions from the first to the last."""

    first: int
    last: int


class Change(NamedTuple):
    """A revision hid a run of versions, or showed what was removed again. What is compacted stays hidden either way."""

    first: int
    last: int
    revision: int
    hides: bool
    why: Why = Why.REMOVED


def merged(runs: Iterable[Run]) -> list[Run]:
    """Return runs in order, with those joined that overlap or touch."""
    joined: list[Run] = []
    for run in sorted(runs):
        if joined and run.first <= joined[-1].last + 1:
            joined[-1] = Run(joined[-1].first, max(joined[-1].last, run.last))
        else:
            joined.append(run)
    return joined


def within(runs: Sequence[Run], version: int) -> bool:
    """Whether a version is in one of some runs, which are in order and do not overlap."""
    place = bisect_right(runs, version, key=_first) - 1
    return place >= 0 and version <= runs[place].last


def _first(run: Run) -> int:
    return run.first


def split(runs: Iterable[Run]) -> Iterator[Run]:
    """Yield runs cut to LONGEST_RUN."""
    for first, last in runs:
        for start in range(first, last + 1, LONGEST_RUN):
            yield Run(start, min(start + LONGEST_RUN - 1, last))


class Hidden:
    """The hidden versions of a part of a log, as runs in order that do not overlap."""

    def __init__(self, changes: Iterable[Change] = (), above: Hidden | None = None) -> None:
        """`above` is what was known of versions beyond those of the changes."""
        self._runs: list[tuple[int, int, Why]] = list(_painted(sorted(changes)))
        if above is not None:
            rest = above._runs
            if self._runs and rest and self._runs[-1][1] == rest[0][0] - 1 and self._runs[-1][2] == rest[0][2]:
                first, _, why = self._runs.pop()
                rest = [(first, rest[0][1], why), *rest[1:]]
            self._runs += rest
        self._firsts = [run[0] for run in self._runs]

    def __bool__(self) -> bool:
        """Whether anything is hidden."""
        return bool(self._runs)

    def around(self, version: int) -> tuple[int, int, Why] | None:
        """Return the run that a version is in, and why it is hidden."""
        place = bisect_right(self._firsts, version) - 1
        if place >= 0 and version <= self._runs[place][1]:
            return self._runs[place]
        return None

    def hides(self, version: int, group: int) -> bool:
        """Whether a message of a group is hidden."""
        return self.around(version) is not None or self.around(group) is not None

    def runs(self, first: int, last: int) -> list[tuple[int, int, Why]]:
        """Return the runs within a range, cut to it."""
        start = max(0, bisect_right(self._firsts, first) - 1)
        found = []
        for run in self._runs[start:]:
            if run[0] > last:
                break
            if run[1] >= first:
                found.append((max(run[0], first), min(run[1], last), run[2]))
        return found


def _painted(changes: Sequence[Change]) -> Iterator[tuple[int, int, Why]]:
    """Lay changes, in order of where they start, one over the other; yield what is hidden in the end.

    What is compacted lies beneath them all, and is hidden where nothing on top of it is.
    """
    edges = sorted({edge for change in changes for edge in (change.first, change.last + 1)})
    on_top: list[tuple[int, int, Change]] = []
    place = 0
    compacted = 0
    run: tuple[int, int, Why] | None = None
    for edge, following in pairwise(edges):
        while place < len(changes) and changes[place].first == edge:
            change = changes[place]
            if change.why is Why.COMPACTED:
                compacted = max(compacted, change.last)
            else:
                heapq.heappush(on_top, (-change.revision, change.last, change))
            place += 1
        while on_top and on_top[0][2].last < edge:
            heapq.heappop(on_top)
        top = on_top[0][2] if on_top else None
        if top is not None and top.hides:
            why = top.why
        elif edge <= compacted:
            why = Why.COMPACTED
        else:
            continue
        if run is not None and run[1] == edge - 1 and run[2] == why:
            run = (run[0], following - 1, why)
        else:
            if run is not None:
                yield run
            run = (edge, following - 1, why)
    if run is not None:
        yield run


def multirange(runs: Iterable[tuple[int, int]]) -> str:
    """Return runs of versions as PostgreSQL spells an int8multirange."""
    return "{" + ",".join(f"[{first},{last}]" for first, last in runs) + "}"
