"""Where the messages of a context are: a fork holds its own and reads what came before in its ancestors' logs.

Versions and revisions run on from a parent to its child, so that a lineage is a run of segments without a gap, and a
version has one place in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID  # noqa: TC003 - the fields of a named tuple are looked at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from kata_grpc.domain.contexts import ForkPoint

ENDLESS = 2**62
"""The last version and revision of a context's own log, which grows."""


class Segment(NamedTuple):
    """What a lineage has of one context: its versions in a range, and what it did up to a revision.

    The range of a context is empty (`last` below `first`) when it was forked at a version that it had inherited itself.
    """

    source: UUID
    first: int
    last: int
    last_revision: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """A context's path from its root: segments from the oldest on, the last of which is its own log."""

    segments: tuple[Segment, ...]

    @staticmethod
    def root(context_id: UUID) -> Lineage:
        """Return the lineage of a context that is no fork."""
        return Lineage((Segment(context_id, 1, ENDLESS, ENDLESS),))

    @property
    def own(self) -> Segment:
        """The segment of the context itself."""
        return self.segments[-1]

    @property
    def is_flat(self) -> bool:
        """Whether all is in the context's own log."""
        return len(self.segments) == 1

    def source(self, version: int) -> UUID:
        """Return the context that appended a version."""
        return next(segment.source for segment in reversed(self.segments) if segment.first <= version <= segment.last)

    def at_revision(self, revision: int) -> Segment:
        """Return the segment in whose context a revision was made."""
        return next(segment for segment in self.segments if revision <= segment.last_revision)

    def until_revision(self, revision: int) -> list[Segment]:
        """Return the segment of a revision and those before it, from the newest on."""
        return list(reversed(self.segments[: self.segments.index(self.at_revision(revision)) + 1]))

    def revisions(self, first: int, last: int) -> list[tuple[UUID, int, int, int]]:
        """Return who made which part of a range of revisions, with the last version had of it, from the oldest on."""
        parts, before = [], -1
        for segment in self.segments:
            begin, end = max(first, before + 1), min(last, segment.last_revision)
            if begin <= end:
                parts.append((segment.source, begin, end, segment.last))
            before = segment.last_revision
        return parts

    def between(self, first: int, last: int) -> list[Segment]:
        """Return the segments that have versions in a range, cut to it, from the oldest on."""
        return list(self._cut(first, last))

    def columns(self, last: int) -> tuple[list[UUID], list[int], list[int]]:
        """Return source, first and last version of each segment that has versions up to one."""
        segments = self.between(1, last)
        return [s.source for s in segments], [s.first for s in segments], [s.last for s in segments]

    def _cut(self, first: int, last: int) -> Iterator[Segment]:
        for segment in self.segments:
            cut = segment._replace(first=max(first, segment.first), last=min(last, segment.last))
            if cut.first <= cut.last:
                yield cut

    def forked(self, child: UUID, version: int, revision: int) -> Lineage:
        """Return the lineage of a child that knows this one up to a version and a revision.

        Every ancestor is cut at the smallest fork point on the path, which is this one where it is not smaller already.
        """
        inherited = (
            segment._replace(last=min(segment.last, version), last_revision=min(segment.last_revision, revision))
            for segment in self.segments
        )
        return Lineage((*inherited, Segment(child, version + 1, ENDLESS, ENDLESS)))


@dataclass(frozen=True, slots=True)
class Relative:
    """What a tree of forks shows of a context."""

    id: UUID
    name: str
    fork: ForkPoint | None
    depth: int
    latest_version: int
    latest_revision: int
    total_tokens: int
    create_time: datetime
    delete_time: datetime | None
    has_forks: bool
