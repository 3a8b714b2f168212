"""Compactions: begun with a lease, worked at without one, committed if nothing has changed; and put out of force again.

The context's row is locked for as long as it takes to write: while a summary is made nothing is, and appends go on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

from kata_grpc import limits as bounds
from kata_grpc.codec import decode_options
from kata_grpc.domain.compactions import (
    Compaction,
    CompactionOrigin,
    CompactionState,
    Limits,
    Nothing,
)
from kata_grpc.domain.contexts import RevisionKind
from kata_grpc.domain.details import CompactionDetail
from kata_grpc.domain.errors import (
    CompactionInProgress,
    CompactionNotFound,
    CompactionNotInForce,
    CompactionStale,
    ContextNotFound,
    NoSummary,
    NothingToCompact,
    RequestIdReused,
    SummaryRejected,
)
from kata_grpc.domain.lineage import ENDLESS
from kata_grpc.domain.policy import CompactionSettings, Rung
from kata_grpc.repositories.compactions import CompactionRepository
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.planning import Planned, planned
from kata_grpc.services.policies import effective_policy
from kata_grpc.services.requests import check_claim, fingerprint
from kata_grpc.services.standing import summary_message
from kata_grpc.services.summarising import Hiding, Material, Summarising
from kata_grpc.summarisers import Summariser, SummariserFailed, Summary, check, check_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kata_grpc.db.pool import Database, Executor
    from kata_grpc.domain.contexts import Claim, Context, TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.tokenizers import Tokenizers

_TRIES = 5
"""How often a plan is made anew because another compaction came first."""
_ATTEMPTS_SEEN = 100
CALLER = "caller"
"""What made a summary whose maker does not say."""


class Wanted(NamedTuple):
    """What a caller says of a compaction; None leaves it to the policy, or hides all that may be hidden."""

    target_tokens: int | None = None
    preserve_recent: int | None = None
    summary_tokens: int | None = None


class Measured(NamedTuple):
    """What a view has, its summary included in the tokens, and the running tokens and the version of the log."""

    tokens: int
    messages: int
    groups: int
    total_tokens: int
    version: int


class _Order(NamedTuple):
    """Who begins a compaction, under which request, and for how long nobody else may."""

    origin: CompactionOrigin
    summariser: str
    fingerprint: bytes
    request_id: str | None = None
    lease_seconds: float = bounds.COMPACTION_LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Preview:
    """What a compaction would do, and the summary by rule of what it would hide, if anything."""

    planned: Planned
    summary: Summary | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A compaction under way, and what its summary is made of."""

    compaction: Compaction
    material: Material
    replayed: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A compaction, whether an earlier call is answered by it; or why there is none."""

    compaction: Compaction | None
    nothing: Nothing | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Reverted:
    """What is in force since a revision."""

    revision: int
    in_force: Compaction | None
    replayed: bool


class Compactions:
    """The use cases of compaction."""

    def __init__(
        self, database: Database, tokenizers: Tokenizers, summariser: Summariser, changed: OnChange = unwatched
    ) -> None:
        self._db = database
        self._tokenizers = tokenizers
        self._summarising = Summarising(database, tokenizers, summariser)
        self._changed = changed

    async def close(self) -> None:
        """Let go of the summariser."""
        await self._summarising.close()

    async def preview(self, tenant: TenantId, context_id: UUID, wanted: Wanted) -> Preview:
        """Return what would be done, with the summary as it would be by rule."""
        planned, _ = await self._plan(tenant, context_id, wanted)
        plan, snapshot, previous = planned.plan, planned.snapshot, planned.previous
        if plan.nothing is not None or not plan.added:
            return Preview(planned)
        hiding = Hiding(
            context_id,
            UUID(int=0),
            plan.covered,
            plan.added,
            previous.id if previous else None,
            snapshot.version,
            snapshot.revision,
            plan.summary_target,
        )
        return Preview(planned, await self._summarising.draft(tenant, hiding))

    async def begin(
        self, tenant: TenantId, context_id: UUID, wanted: Wanted, lease_seconds: float, request_id: str | None
    ) -> Begun:
        """Begin a compaction whose summary the caller makes."""
        digest = fingerprint("BeginCompaction", {"wanted": wanted, "lease": lease_seconds})
        if request_id is not None and (before := await self._begun_before(tenant, context_id, request_id, digest)):
            return Begun(before, await self._summarising.material(tenant, before), replayed=True)
        order = _Order(CompactionOrigin.CALLER, CALLER, digest, request_id, lease_seconds)
        begun = await self._begin(tenant, context_id, wanted, order)
        if isinstance(begun, Nothing):
            raise NothingToCompact(str(context_id), begun)
        compaction, replayed = begun
        return Begun(compaction, await self._summarising.material(tenant, compaction), replayed)

    async def commit(
        self,
        tenant: TenantId,
        context_id: UUID,
        compaction_id: UUID,
        token: int,
        summary: str,
        summariser: str,
        request_id: str | None,
    ) -> Done:
        """Hide what was begun behind a summary that a caller made."""
        content = {"compaction_id": str(compaction_id), "token": token, "summary": summary, "summariser": summariser}
        digest = fingerprint("CommitCompaction", content)
        compaction = await CompactionRepository(self._db, tenant).get(context_id, compaction_id)
        state = ""
        if compaction is not None and compaction.state is CompactionState.BEGUN and not check_text(summary):
            state = await self._summarising.state_beside(tenant, compaction, summary)
        made = Summary(text=summary, state=state, summariser=summariser or CALLER)
        return await self._commit(tenant, context_id, compaction_id, token, made, request_id, digest)

    async def abandon(
        self, tenant: TenantId, context_id: UUID, compaction_id: UUID, token: int, reason: str
    ) -> Compaction:
        """Give a compaction up."""
        await self._check_live(tenant, context_id)
        compactions = CompactionRepository(self._db, tenant)
        compaction = await compactions.get(context_id, compaction_id)
        if compaction is None:
            raise CompactionNotFound(str(context_id), str(compaction_id))
        ended = await compactions.end(compaction, token, CompactionState.ABANDONED, reason)
        if ended is not None:
            return ended
        compaction = await compactions.get(context_id, compaction_id) or compaction
        if compaction.state is not CompactionState.ABANDONED or compaction.token != token:
            raise _stale(compaction, token)
        return compaction

    async def compact(self, tenant: TenantId, context_id: UUID, wanted: Wanted, request_id: str | None) -> Done:
        """Hide what may be hidden behind a summary that is made here."""
        digest = fingerprint("CompactContext", {"wanted": wanted})
        if request_id is not None and (before := await self._committed_before(tenant, context_id, request_id, digest)):
            return before
        order = _Order(CompactionOrigin.REQUEST, self._summarising.name, digest)
        return await self._compact(tenant, context_id, wanted, order, request_id)

    async def compact_by_policy(self, tenant: TenantId, context_id: UUID) -> Done:
        """Compact as the policy says."""
        order = _Order(CompactionOrigin.POLICY, self._summarising.name, fingerprint("", {}))
        return await self._compact(tenant, context_id, None, order, None)

    async def measured(self, tenant: TenantId, context_id: UUID) -> Measured:
        """Return what triggers look at."""
        found, _ = await self._plan(tenant, context_id, Wanted())
        plan, snapshot = found.plan, found.snapshot
        return Measured(
            plan.before, plan.visible_messages, plan.visible_groups, snapshot.context.total_tokens, snapshot.version
        )

    async def _compact(
        self, tenant: TenantId, context_id: UUID, wanted: Wanted | None, order: _Order, request_id: str | None
    ) -> Done:
        begun = await self._begin(tenant, context_id, wanted, order)
        if isinstance(begun, Nothing):
            return Done(None, begun)
        return await self._summarise_and_commit(tenant, begun[0], request_id, order.fingerprint)

    async def revert(
        self, tenant: TenantId, context_id: UUID, compaction_id: UUID | None, *, reapply: bool, request_id: str | None
    ) -> Reverted:
        """Put in force what was before a compaction, or the compaction again."""
        digest = fingerprint("RevertCompaction", {"compaction_id": str(compaction_id or ""), "reapply": reapply})
        async with self._db.transaction() as executor:
            compactions = CompactionRepository(executor, tenant)
            context, lineage, claim = await _locked(executor, tenant, context_id, request_id, digest)
            if claim is not None:
                assert isinstance(claim.detail, CompactionDetail), "its fingerprint is that of a reversal"
                then = UUID(claim.detail.compaction_id) if claim.detail.compaction_id else None
                found = await compactions.in_lineage(lineage, then)
                return Reverted(claim.revision, found, replayed=True)
            if context.delete_time is not None:
                raise ContextNotFound(str(context_id))
            in_force = await compactions.in_force(lineage, context.latest_revision)
            version, revision = context.latest_version, context.latest_revision
            wanted = await compactions.in_lineage(lineage, compaction_id or in_force.id)
            if wanted is None and compaction_id is not None:
                raise CompactionNotFound(str(context_id), str(compaction_id))
            if reapply:
                put = await compactions.that_holds(lineage, compaction_id, version, revision)
                if put is None or put.id != compaction_id or put.state is not CompactionState.COMMITTED:
                    raise CompactionNotInForce(str(context_id), str(compaction_id or ""))
            else:
                if wanted is None or wanted.id != in_force.id:
                    raise CompactionNotInForce(str(context_id), str(compaction_id or ""))
                put = await compactions.in_lineage(lineage, wanted.previous_id)
            kind = RevisionKind.COMPACT if reapply else RevisionKind.REVERT
            changed = await compactions.put_in_force(context_id, put.id if put else None, kind, request_id, digest)
        self._changed(context_id, changed.latest_revision)
        return Reverted(changed.latest_revision, put, replayed=False)

    async def page(
        self, tenant: TenantId, context_id: UUID, below: int, states: Collection[CompactionState], limit: int
    ) -> Sequence[Compaction]:
        """Return compactions that a context made, newest first, from the one below a token on."""
        await self._check_live(tenant, context_id)
        return await CompactionRepository(self._db, tenant).list(context_id, below, states, limit)

    # --- steps --------------------------------------------------------------------------------------------------------

    async def _check_live(self, tenant: TenantId, context_id: UUID) -> None:
        context = await ContextRepository(self._db).get(context_id, tenant)
        if context is None or context.delete_time is not None:
            raise ContextNotFound(str(context_id))

    async def _plan(
        self, tenant: TenantId, context_id: UUID, wanted: Wanted | None, *, by_caller: bool = False
    ) -> tuple[Planned, int]:
        """Plan what a caller wants or, without one, the policy; return also the revision of the policy.

        A caller who makes the summary makes nothing else.
        """
        said = wanted and CompactionSettings(
            preserve_recent=wanted.preserve_recent, summary_tokens=wanted.summary_tokens
        )
        policy = await effective_policy(self._db, tenant, context_id, said or None)
        holds = policy.effective
        target, gain = (wanted.target_tokens, 0) if wanted is not None else (holds.target_tokens, holds.min_gain_tokens)
        rungs = (Rung.SUMMARISE,) if by_caller else holds.rungs
        limits = Limits(
            holds.preserve_recent,
            target,
            gain,
            holds.summary_tokens,
            rungs,
            holds.keep_results,
            holds.max_part_tokens,
        )
        options = decode_options(policy.stored.policy)
        found = await planned(self._db, self._tokenizers, tenant, context_id, limits, options)
        return found, policy.stored.revision

    async def _begun_before(
        self, tenant: TenantId, context_id: UUID, request_id: str, digest: bytes
    ) -> Compaction | None:
        before = await CompactionRepository(self._db, tenant).by_request(context_id, request_id)
        if before is not None and before.fingerprint != digest:
            raise RequestIdReused(request_id)
        return before

    async def _begin(
        self, tenant: TenantId, context_id: UUID, wanted: Wanted | None, order: _Order
    ) -> tuple[Compaction, bool] | Nothing:
        """Begin a compaction, made of a plan that holds when the row is locked; say whether it was begun before."""
        request_id, digest = order.request_id, order.fingerprint
        for _ in range(_TRIES):
            by_caller = order.origin is CompactionOrigin.CALLER
            found, policy_revision = await self._plan(tenant, context_id, wanted, by_caller=by_caller)
            if found.plan.nothing is not None:
                return found.plan.nothing
            async with self._db.transaction() as executor:
                compactions = CompactionRepository(executor, tenant)
                context, lineage, claim = await _locked(executor, tenant, context_id, None, digest)
                if request_id is not None:
                    before = await compactions.by_request(context_id, request_id)
                    if before is not None:
                        if before.fingerprint != digest:
                            raise RequestIdReused(request_id)
                        return before, True
                    claim = await ContextRepository(executor).find_claim(context_id, tenant, request_id)
                    if claim is not None:
                        raise RequestIdReused(request_id)
                if context.delete_time is not None:
                    raise ContextNotFound(str(context_id))
                if under_way := await compactions.begun(context_id):
                    other, expired = under_way
                    if not expired:
                        raise CompactionInProgress(str(context_id), str(other.id))
                    await compactions.end(other, other.token, CompactionState.EXPIRED, "its lease had ended")
                if lineage != found.snapshot.lineage or found.in_force != await compactions.in_force(
                    lineage, context.latest_revision
                ):
                    continue
                ended = await compactions.list(context_id, ENDLESS, (), _ATTEMPTS_SEEN)
                attempt = 1 + len(list(takewhile(lambda one: one.state is not CompactionState.COMMITTED, ended)))
                begun = await compactions.begin(
                    lineage,
                    uuid4(),
                    found.plan,
                    lease_seconds=order.lease_seconds,
                    request_id=request_id,
                    fingerprint=digest,
                    origin=order.origin,
                    previous=found.in_force,
                    built_upon=found.previous.id if found.previous else None,
                    version=found.snapshot.version,
                    revision=found.snapshot.revision,
                    policy_revision=policy_revision,
                    attempt=attempt,
                    summariser=order.summariser,
                )
                return begun, False
        raise CompactionInProgress(str(context_id), "")

    async def _commit(
        self,
        tenant: TenantId,
        context_id: UUID,
        compaction_id: UUID,
        token: int,
        made: Summary,
        request_id: str | None,
        digest: bytes,
    ) -> Done:
        compactions = CompactionRepository(self._db, tenant)
        if request_id is not None and (before := await self._committed_before(tenant, context_id, request_id, digest)):
            return before
        await self._check_live(tenant, context_id)
        compaction = await compactions.get(context_id, compaction_id)
        if compaction is None:
            raise CompactionNotFound(str(context_id), str(compaction_id))
        if compaction.state is not CompactionState.BEGUN or compaction.token != token:
            raise _stale(compaction, token)
        tokens = await self._accept(tenant, compaction, made)
        committed = replace(compaction, summary=made.text, summary_tokens=tokens)
        stale: str | None = None
        changed: Context | None = None
        async with self._db.transaction() as executor:
            compactions = CompactionRepository(executor, tenant)
            context, lineage, claim = await _locked(executor, tenant, context_id, request_id, digest)
            if claim is not None:
                return await self._replayed(tenant, context_id, claim)
            if context.delete_time is not None:
                raise ContextNotFound(str(context_id))
            in_force = await compactions.in_force(lineage, context.latest_revision)
            version, revision = context.latest_version, context.latest_revision
            holds = await compactions.that_holds(lineage, compaction_id, version, revision)
            if in_force.revision != compaction.previous_revision:
                stale = "another compaction came first, or one was reverted"
            elif holds is None or holds.id != compaction_id:
                stale = "some of what it would have hidden was removed, restored or redacted"
            if stale is not None:
                await compactions.end(compaction, token, CompactionState.FAILED, stale)
            else:
                changed = await compactions.commit(
                    committed,
                    made.text,
                    tokens,
                    made.state,
                    made.summariser,
                    _costs(made),
                    request_id,
                    digest,
                )
                if changed is None:
                    stale = "it was taken over or given up"
        if stale is not None:
            compaction = await CompactionRepository(self._db, tenant).get(context_id, compaction_id) or compaction
            raise CompactionStale(str(context_id), str(compaction_id), compaction.state, stale)
        assert changed is not None, "it is not stale"
        self._changed(context_id, changed.latest_revision)
        return Done(await CompactionRepository(self._db, tenant).get(context_id, compaction_id))

    async def _accept(self, tenant: TenantId, compaction: Compaction, made: Summary) -> int:
        """Return what a summary takes in a window; one that is none ends its compaction, and is refused."""
        if not compaction.covered:
            return 0
        tokenizer = await self._tokenizer(tenant, compaction.context_id)
        message = summary_message(replace(compaction, summary=made.text))
        ((tokens, _, _),) = await self._tokenizers.count([message], tokenizer)
        # Where nothing is hidden anew, it is the one that stands already.
        why = compaction.added and check(
            made.text,
            tokens=tokens,
            input_tokens=compaction.replaced_tokens,
            target_tokens=compaction.plan["summary_target"],
        )
        if why:
            compactions = CompactionRepository(self._db, tenant)
            await compactions.end(compaction, compaction.token, CompactionState.FAILED, ", ".join(why))
            raise SummaryRejected(str(compaction.context_id), str(compaction.id), why)
        return tokens

    async def _committed_before(
        self, tenant: TenantId, context_id: UUID, request_id: str, digest: bytes
    ) -> Done | None:
        claim = await ContextRepository(self._db).find_claim(context_id, tenant, request_id)
        if claim is None:
            return None
        check_claim(claim, request_id, digest)
        return await self._replayed(tenant, context_id, claim)

    async def _replayed(self, tenant: TenantId, context_id: UUID, claim: Claim) -> Done:
        assert isinstance(claim.detail, CompactionDetail), "its fingerprint is that of a compaction"
        compactions = CompactionRepository(self._db, tenant)
        return Done(await compactions.get(context_id, UUID(claim.detail.compaction_id)), replayed=True)

    async def _tokenizer(self, tenant: TenantId, context_id: UUID) -> str:
        context = await ContextRepository(self._db).get(context_id, tenant)
        if context is None:
            raise ContextNotFound(str(context_id))
        return context.tokenizer

    async def _summarise_and_commit(
        self, tenant: TenantId, compaction: Compaction, request_id: str | None, digest: bytes
    ) -> Done:
        context_id, token = compaction.context_id, compaction.token
        compactions = CompactionRepository(self._db, tenant)
        try:
            made = await self._summarising.summarise(tenant, compaction)
        except SummariserFailed as failure:
            await compactions.end(compaction, token, CompactionState.FAILED, failure.why)
            if failure.rejection is not None:
                raise SummaryRejected(str(context_id), str(compaction.id), (failure.rejection,)) from failure
            raise NoSummary(str(context_id), str(compaction.id), failure.why, failure.retry_after) from failure
        except asyncio.CancelledError:
            # Whoever comes next need not wait for the lease to end.
            giving_up = compactions.end(compaction, token, CompactionState.ABANDONED, "the call was cancelled")
            await asyncio.shield(asyncio.ensure_future(giving_up))
            raise
        return await self._commit(tenant, context_id, compaction.id, token, made, request_id, digest)


async def _locked(
    executor: Executor, tenant: TenantId, context_id: UUID, request_id: str | None, digest: bytes
) -> tuple[Context, Lineage, Claim | None]:
    """Lock a context; return it, and what the request_id stands for."""
    contexts = ContextRepository(executor)
    found = await contexts.lock_with_lineage(context_id, tenant)
    if found is None:
        raise ContextNotFound(str(context_id))
    claim = None
    if request_id is not None and (claim := await contexts.find_claim(context_id, tenant, request_id)):
        check_claim(claim, request_id, digest)
    return *found, claim


def _stale(compaction: Compaction, token: int) -> CompactionStale:
    why = compaction.reason or "it has ended"
    if compaction.state is CompactionState.BEGUN and compaction.token != token:
        why = f"its token is not {token}"
    return CompactionStale(str(compaction.context_id), str(compaction.id), compaction.state, why)


def _costs(made: Summary) -> dict[str, Any]:
    """Return what a summary took, as it is kept beside the numbers of the plan."""
    return {
        "model": made.model,
        "input_tokens": made.input_tokens or 0,
        "output_tokens": made.output_tokens or 0,
        "artifacts_kept": made.artifacts_kept,
        "artifacts_dropped": made.artifacts_dropped,
    }
