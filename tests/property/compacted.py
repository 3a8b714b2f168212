"""Compactions of contexts, told in sets of versions: what they may hide, and whether they hold in a view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kata.context.v1 import compaction_pb2 as cp
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc.domain.tokens import FRAMING
from kata_grpc.domain.windows import Dialect
from tests.property.reference import PINNED, Reference, Standing
from tests.rpc.serving import refused

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Iterable

    from kata.context.v1 import message_service_pb2 as ms

    from tests.property.trees import Model
    from tests.rpc.serving import Running

SUMMARY = "They talked about it [v1]."


@dataclass
class Compaction:
    """A compaction that was committed, or is under way."""

    id: str
    token: int
    covered: frozenset[int]
    base: int
    """The revision that it was made of."""
    put_before: int
    """The revision that had put in force what it was built upon; 0 for none."""
    previous: Compaction | None
    made_of: frozenset[tuple[str, int]]
    """Who appended what it covers, and its version."""
    tokens: int = 0
    erased: bool = False

    def holds(self, model: Model, version: int, revision: int) -> bool:
        """Whether it does in a view."""
        if self.erased or max(self.covered) > version:
            return False
        # A fork below what it covers has other messages there.
        are_there = self.made_of == {(model.log[v - 1].owner, v) for v in self.covered}
        touched = (did.touched for did in model.revisions[self.base : revision])
        return are_there and not any(map(self.covered.intersection, touched))


def in_force(model: Model, version: int, revision: int) -> Compaction | None:
    """What holds in a view: the one that was put in force last, or the next that it was built upon."""
    found = model.revisions[revision - 1].compaction if revision else None
    while found is not None and not found.holds(model, version, revision):
        found = found.previous
    return found


def standing(model: Model, version: int, revision: int) -> Standing:
    """What a window knows of it."""
    found = in_force(model, version, revision)
    return Standing(found.covered, found.tokens) if found else Standing()


@dataclass
class Hideable:
    """What of a view may be hidden, from the oldest group on, and what that costs."""

    reference: Reference
    covered: frozenset[int]
    groups: list[int] = field(default_factory=list)
    has_groups: bool = False

    def with_groups(self, count: int) -> frozenset[int]:
        """All that is hidden with so many of the groups: what is between their messages and not seen goes with them."""
        if not count:
            return self.covered
        log, chosen = self.reference.log, self.groups[:count]
        last = max(v for start in chosen for v in self.reference.members(start))
        added = {
            v
            for v in range(1, last + 1)
            if self.reference.groups[v - 1] in chosen
            or v in self.reference.hidden
            or (self.reference.groups[v - 1] == 0 and log[v - 1].role not in PINNED)
        }
        return self.covered | added


def hideable(model: Model, erased: Iterable[int], preserve_recent: int) -> Hideable:
    """Tells what may be hidden now."""
    version, revision = model.latest
    stands = standing(model, version, revision)
    reference = Reference(
        model.told(version),
        FRAMING[Dialect.OPENAI_CHAT],
        removed=model.removed_at(revision),
        redacted=list(erased),
        compaction=stands,
    )
    groups = reference.talk(reference.hidden)
    stay = {*groups[-preserve_recent:], reference.turn, *reference.unanswered}
    return Hideable(reference, stands.covered, [start for start in groups if start not in stay], bool(groups))


class Compacting:
    """Steps of trees that compact."""

    server: Running
    erased: set[tuple[str, int]]
    """What was redacted: who appended it, and its version."""
    compactions: list[Compaction]
    """All that there ever were, but those that came to nothing."""

    async def live(self, model: Model, call: Awaitable[Any]) -> Any:
        """Awaits a call that is refused where the context is deleted; returns nothing then."""
        if not model.deleted:
            return await call
        assert (await refused(call)).reason == "CONTEXT_NOT_FOUND"
        return None

    async def compact(self, context_id: str, model: Model, rng: random.Random) -> None:
        wanted = wishes(rng, model)
        preview = ps.PreviewCompactionRequest(context_id=context_id, **wanted)
        seen = await self.live(model, self.server.policies.PreviewCompaction(preview))
        request = ps.CompactContextRequest(context_id=context_id, **wanted)
        call = self.server.policies.CompactContext(request)
        if seen is None or model.under_way:
            reason = "CONTEXT_NOT_FOUND" if seen is None else "COMPACTION_IN_PROGRESS"
            if seen is not None and seen.nothing:
                assert (await call).nothing == seen.nothing
                return
            assert (await refused(call)).reason == reason
            return
        done = await call
        assert done.nothing == seen.nothing
        self.check_plan(model, seen, wanted)
        if not done.HasField("compaction"):
            return
        assert list(done.compaction.ranges) == list(seen.ranges)
        assert list(done.compaction.added_ranges) == list(seen.added_ranges)
        assert done.compaction.tokens_after <= seen.tokens_after
        made = self.made(model, done.compaction)
        self.committed(context_id, model, made, done.compaction)

    def check_plan(self, model: Model, seen: ps.PreviewCompactionResponse, wanted: dict[str, Any]) -> None:
        """Holds a preview to what lists say may be hidden."""
        may = hideable(model, self.erased_of(model), wanted["preserve_recent"])
        assert seen.tokens_before == may.reference.content()
        covered = frozenset(spread(seen.ranges))
        if seen.nothing:
            assert covered == may.covered
            if seen.nothing == cp.NOTHING_TO_COMPACT_EMPTY:
                assert not may.has_groups
            elif seen.nothing == cp.NOTHING_TO_COMPACT_ALL_PROTECTED:
                assert may.has_groups
                assert not may.groups
            elif seen.nothing == cp.NOTHING_TO_COMPACT_BELOW_TARGET:
                assert seen.tokens_before <= wanted["target_tokens"]
            return
        count = seen.group_count
        assert covered == may.with_groups(count)
        if "target_tokens" not in wanted:
            assert count == len(may.groups)
        else:
            assert count == len(may.groups) or seen.tokens_after <= wanted["target_tokens"] < seen.tokens_before

    def erased_of(self, model: Model) -> list[int]:
        return [v for v, entry in enumerate(model.log, start=1) if (entry.owner, v) in self.erased]

    @staticmethod
    def made(model: Model, compaction: cp.Compaction) -> Compaction:
        version, revision = model.latest
        covered = frozenset(spread(compaction.ranges))
        return Compaction(
            compaction.compaction_id,
            compaction.token,
            covered,
            revision,
            model.put(revision),
            in_force(model, version, revision),
            frozenset((model.log[v - 1].owner, v) for v in covered),
        )

    def committed(self, context_id: str, model: Model, made: Compaction, compaction: cp.Compaction) -> None:
        made.tokens = compaction.summary_tokens
        assert compaction.revision == model.do(context_id, "COMPACT", compaction=made)
        self.compactions.append(made)

    async def begin(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Begins a compaction whose summary is made while other things happen."""
        wanted = wishes(rng, model)
        call = self.server.policies.BeginCompaction(ps.BeginCompactionRequest(context_id=context_id, **wanted))
        if model.deleted:
            await self.live(model, call)
            return
        preview = ps.PreviewCompactionRequest(context_id=context_id, **wanted)
        seen = await self.server.policies.PreviewCompaction(preview)
        if seen.nothing:
            assert (await refused(call)).reason == "NOTHING_TO_COMPACT"
        elif model.under_way:
            assert (await refused(call)).reason == "COMPACTION_IN_PROGRESS"
        else:
            begun = (await call).compaction
            assert list(begun.ranges) == list(seen.ranges)
            model.begun = self.made(model, begun)
            self.compactions.append(model.begun)

    async def commit(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Commits it, if nothing of it has changed since."""
        if (made := model.begun) is None:
            return
        request = ps.CommitCompactionRequest(
            context_id=context_id, compaction_id=made.id, token=made.token, summary=SUMMARY
        )
        if rng.random() < 0.1:
            request.token += 1
            assert (await refused(self.server.policies.CommitCompaction(request))).reason in (
                "COMPACTION_STALE",
                "CONTEXT_NOT_FOUND",
            )
            return
        call = self.server.policies.CommitCompaction(request)
        if model.deleted:
            await self.live(model, call)
            return
        version, revision = model.latest
        model.begun = None
        if made.put_before == model.put(revision) and made.holds(model, version, revision):
            self.compactions.remove(made)
            self.committed(context_id, model, made, (await call).compaction)
        else:
            assert (await refused(call)).reason == "COMPACTION_STALE"

    async def revert(self, context_id: str, model: Model, _: random.Random) -> None:
        call = self.server.policies.RevertCompaction(ps.RevertCompactionRequest(context_id=context_id))
        newest = model.revisions[-1].compaction if model.revisions else None
        if not model.deleted and newest is None:
            assert (await refused(call)).reason == "COMPACTION_NOT_IN_FORCE"
        elif reverted := await self.live(model, call):
            assert newest is not None
            previous = newest.previous
            assert reverted.in_force.compaction_id == (previous.id if previous else "")
            assert reverted.revision == model.do(context_id, "REVERT", compaction=previous)

    async def reapply(self, context_id: str, model: Model, rng: random.Random) -> None:
        known = {did.compaction.id: did.compaction for did in model.revisions if did.compaction}
        if not known:
            return
        again = known[rng.choice(sorted(known))]
        request = ps.RevertCompactionRequest(context_id=context_id, compaction_id=again.id, reapply=True)
        call = self.server.policies.RevertCompaction(request)
        if not model.deleted and not again.holds(model, *model.latest):
            assert (await refused(call)).reason == "COMPACTION_NOT_IN_FORCE"
        elif applied := await self.live(model, call):
            assert applied.in_force.compaction_id == again.id
            assert applied.revision == model.do(context_id, "COMPACT", compaction=again)

    def erase_summaries(self, erased: set[tuple[str, int]]) -> None:
        """Erases what was made of messages."""
        for compaction in self.compactions:
            compaction.erased |= not compaction.made_of.isdisjoint(erased)


def wishes(rng: random.Random, model: Model) -> dict[str, Any]:
    """What is asked of a compaction."""
    wanted: dict[str, Any] = {"preserve_recent": rng.choice([1, 1, 2, 4])}
    if rng.random() < 0.4:
        wanted["target_tokens"] = rng.randint(0, 2 * sum(entry.told.tokens for entry in model.log) // 3 + 1)
    return wanted


def spread(ranges: Iterable[ms.VersionRange]) -> list[int]:
    """Spreads ranges out."""
    return [version for run in ranges for version in range(run.first_version, run.last_version + 1)]
