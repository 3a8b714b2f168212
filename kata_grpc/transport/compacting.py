"""The methods of PolicyService about compactions: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import compaction_pb2
from kata.context.v1 import message_service_pb2 as messages_pb
from kata.context.v1 import policy_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.codec import NUMBER_OF_RUNG
from kata_grpc.domain.compactions import CompactionOrigin, CompactionState, Nothing, Protection
from kata_grpc.domain.lineage import ENDLESS
from kata_grpc.domain.policy import Rung
from kata_grpc.services.compacting import Wanted
from kata_grpc.transport.convert import timestamp
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kata_grpc.domain.compactions import Compaction
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.overlays import Run
    from kata_grpc.services.compacting import Compactions

_LIST_LAYOUT = ">q"
"""The token of the last compaction of a page."""
_HELD_MOST = 1_000
_STATES = {
    CompactionState.BEGUN: compaction_pb2.COMPACTION_STATE_BEGUN,
    CompactionState.COMMITTED: compaction_pb2.COMPACTION_STATE_COMMITTED,
    CompactionState.ABANDONED: compaction_pb2.COMPACTION_STATE_ABANDONED,
    CompactionState.FAILED: compaction_pb2.COMPACTION_STATE_FAILED,
    CompactionState.EXPIRED: compaction_pb2.COMPACTION_STATE_EXPIRED,
}
_STATE_OF_NUMBER: dict[int, CompactionState] = {number: state for state, number in _STATES.items()}
_ORIGINS = {
    CompactionOrigin.CALLER: compaction_pb2.COMPACTION_ORIGIN_CALLER,
    CompactionOrigin.REQUEST: compaction_pb2.COMPACTION_ORIGIN_REQUEST,
    CompactionOrigin.POLICY: compaction_pb2.COMPACTION_ORIGIN_POLICY,
}
_PROTECTIONS = {
    Protection.SYSTEM: compaction_pb2.COMPACTION_PROTECTION_SYSTEM,
    Protection.RECENT: compaction_pb2.COMPACTION_PROTECTION_RECENT,
    Protection.PINNED: compaction_pb2.COMPACTION_PROTECTION_PINNED,
    Protection.PENDING: compaction_pb2.COMPACTION_PROTECTION_PENDING,
    Protection.TURN: compaction_pb2.COMPACTION_PROTECTION_TURN,
}
_NOTHING = {
    None: compaction_pb2.NOTHING_TO_COMPACT_UNSPECIFIED,
    Nothing.EMPTY: compaction_pb2.NOTHING_TO_COMPACT_EMPTY,
    Nothing.ALL_PROTECTED: compaction_pb2.NOTHING_TO_COMPACT_ALL_PROTECTED,
    Nothing.BELOW_TARGET: compaction_pb2.NOTHING_TO_COMPACT_BELOW_TARGET,
    Nothing.GAIN_TOO_SMALL: compaction_pb2.NOTHING_TO_COMPACT_GAIN_TOO_SMALL,
}


class CompactionServicer:
    """Methods of PolicyService, under their names on the wire."""

    def __init__(self, compactions: Compactions, tokens: TokenMaker) -> None:
        self._compactions = compactions
        self._tokens = tokens

    async def PreviewCompaction(
        self, tenant: TenantId, request: pb.PreviewCompactionRequest
    ) -> pb.PreviewCompactionResponse:
        """Say what would be hidden."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        wanted = _wanted(check, request)
        check.done()
        preview = await self._compactions.preview(tenant, context_id, wanted)
        found, summary = preview.planned, preview.summary
        plan = found.plan
        nothing = plan.nothing is not None
        return pb.PreviewCompactionResponse(
            added_ranges=[] if nothing else _ranges(plan.added),
            ranges=_ranges(found.previous.covered if found.previous else ()) if nothing else _ranges(plan.covered),
            group_count=0 if nothing else plan.groups,
            message_count=0 if nothing else plan.messages,
            added_tokens=0 if nothing else plan.gain,
            tokens_before=plan.before,
            summary_target_tokens=0 if nothing else plan.summary_target,
            tokens_after=plan.before if nothing else plan.after,
            held=[
                compaction_pb2.HeldGroup(version=held.first, protection=_PROTECTIONS[held.why])
                for held in plan.held[:_HELD_MOST]
            ],
            nothing=_NOTHING[plan.nothing],
            steps=() if nothing else [_step(*step) for step in plan.steps],
            summary=summary.text if summary else "",
            artifacts_kept=summary.artifacts_kept if summary else 0,
            artifacts_dropped=summary.artifacts_dropped if summary else 0,
            snapshot_version=found.snapshot.version,
            snapshot_revision=found.snapshot.revision,
        )

    async def CompactContext(self, tenant: TenantId, request: pb.CompactContextRequest) -> pb.CompactContextResponse:
        """Compact now."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        wanted = _wanted(check, request)
        request_id = check.request_id(request.request_id)
        check.done()
        done = await self._compactions.compact(tenant, context_id, wanted, request_id)
        compaction = compaction_to_proto(done.compaction) if done.compaction else None
        return pb.CompactContextResponse(compaction=compaction, nothing=_NOTHING[done.nothing], replayed=done.replayed)

    async def BeginCompaction(self, tenant: TenantId, request: pb.BeginCompactionRequest) -> pb.BeginCompactionResponse:
        """Begin a compaction."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        wanted = _wanted(check, request)
        lease = float(limits.COMPACTION_LEASE_SECONDS)
        if request.HasField("lease"):
            lease = request.lease.seconds + request.lease.nanos / 1e9
            if not 1 <= lease <= limits.MAX_LEASE_SECONDS:
                check.add("lease", f"is {lease:g} s, not 1 to {limits.MAX_LEASE_SECONDS}", "OUT_OF_BOUNDS")
        request_id = check.request_id(request.request_id)
        check.done()
        begun = await self._compactions.begin(tenant, context_id, wanted, lease, request_id)
        return pb.BeginCompactionResponse(
            compaction=compaction_to_proto(begun.compaction),
            **begun.material._asdict(),
            replayed=begun.replayed,
        )

    async def CommitCompaction(
        self, tenant: TenantId, request: pb.CommitCompactionRequest
    ) -> pb.CommitCompactionResponse:
        """Commit a summary."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        compaction_id = check.context_id(request.compaction_id, "compaction_id")
        check.at_least("token", request.token, 1)
        if (size := len(request.summary.encode())) > limits.MAX_SUMMARY_BYTES:
            check.add("summary", f"has {size} bytes, more than {limits.MAX_SUMMARY_BYTES}", "TOO_LARGE")
        if len(request.summariser) > limits.MAX_NAME_CHARS:
            check.add("summariser", f"has more than {limits.MAX_NAME_CHARS} characters", "TOO_LONG")
        for field in ("summary", "summariser"):
            if "\0" in getattr(request, field):
                check.add(field, "has U+0000", "INVALID")
        request_id = check.request_id(request.request_id)
        check.done()
        done = await self._compactions.commit(
            tenant, context_id, compaction_id, request.token, request.summary, request.summariser, request_id
        )
        assert done.compaction is not None, "it was committed"
        return pb.CommitCompactionResponse(compaction=compaction_to_proto(done.compaction), replayed=done.replayed)

    async def AbandonCompaction(
        self, tenant: TenantId, request: pb.AbandonCompactionRequest
    ) -> pb.AbandonCompactionResponse:
        """Give a compaction up."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        compaction_id = check.context_id(request.compaction_id, "compaction_id")
        check.at_least("token", request.token, 1)
        if len(request.reason) > limits.MAX_NAME_CHARS:
            check.add("reason", f"has more than {limits.MAX_NAME_CHARS} characters", "TOO_LONG")
        if "\0" in request.reason:
            check.add("reason", "has U+0000", "INVALID")
        check.done()
        given_up = await self._compactions.abandon(tenant, context_id, compaction_id, request.token, request.reason)
        return pb.AbandonCompactionResponse(compaction=compaction_to_proto(given_up))

    async def RevertCompaction(
        self, tenant: TenantId, request: pb.RevertCompactionRequest
    ) -> pb.RevertCompactionResponse:
        """Undo a compaction, or put one in force again."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        compaction_id = None
        if request.compaction_id or request.reapply:
            compaction_id = check.context_id(request.compaction_id, "compaction_id")
        request_id = check.request_id(request.request_id)
        check.done()
        done = await self._compactions.revert(
            tenant, context_id, compaction_id, reapply=request.reapply, request_id=request_id
        )
        in_force = compaction_to_proto(done.in_force) if done.in_force else None
        return pb.RevertCompactionResponse(revision=done.revision, in_force=in_force, replayed=done.replayed)

    async def ListCompactions(self, tenant: TenantId, request: pb.ListCompactionsRequest) -> pb.ListCompactionsResponse:
        """List compactions."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        limit = check.page_size(request.page_size, limits.DEFAULT_COMPACTION_PAGE)
        for index, state in enumerate(request.states):
            check.known(f"states[{index}]", state, _STATE_OF_NUMBER)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        below = ENDLESS
        if request.page_token:
            (below,) = map(int, self._tokens.read("page_token", request.page_token, bound, _LIST_LAYOUT))
        states = {_STATE_OF_NUMBER[state] for state in request.states}
        found = await self._compactions.page(tenant, context_id, below, states, limit + 1)
        response = pb.ListCompactionsResponse(compactions=map(compaction_to_proto, found[:limit]))
        if len(found) > limit:
            response.next_page_token = self._tokens.make(bound, _LIST_LAYOUT, found[limit - 1].token)
        return response


def _wanted(
    check: Checker, request: pb.PreviewCompactionRequest | pb.CompactContextRequest | pb.BeginCompactionRequest
) -> Wanted:
    target = request.target_tokens if request.HasField("target_tokens") else None
    check.at_least("target_tokens", target or 0, 0)
    preserve = request.preserve_recent if request.HasField("preserve_recent") else None
    if preserve is not None and not 1 <= preserve <= limits.MAX_PRESERVED:
        check.add("preserve_recent", f"is {preserve}, not 1 to {limits.MAX_PRESERVED}", "OUT_OF_BOUNDS")
    summary = request.summary_tokens if request.HasField("summary_tokens") else None
    if summary is not None and not limits.LEAST_SUMMARY_TOKENS <= summary <= limits.MAX_SUMMARY_TOKENS:
        bounds = f"{limits.LEAST_SUMMARY_TOKENS} to {limits.MAX_SUMMARY_TOKENS}"
        check.add("summary_tokens", f"is {summary}, not {bounds}", "OUT_OF_BOUNDS")
    return Wanted(target, preserve, summary)


def _ranges(runs: Iterable[Run]) -> list[messages_pb.VersionRange]:
    return [messages_pb.VersionRange(first_version=run.first, last_version=run.last) for run in runs]


def compaction_to_proto(compaction: Compaction) -> compaction_pb2.Compaction:
    """Return a compaction as it is sent."""
    plan, reshaping = compaction.plan, compaction.reshaping
    proto = compaction_pb2.Compaction(
        compaction_id=str(compaction.id),
        context_id=str(compaction.context_id),
        state=_STATES[compaction.state],
        token=compaction.token,
        origin=_ORIGINS[compaction.origin],
        create_time=timestamp(compaction.create_time),
        lease_expire_time=timestamp(compaction.lease_time),
        end_time=timestamp(compaction.end_time) if compaction.end_time else None,
        revision=compaction.revision,
        previous_compaction_id=str(compaction.previous_id or ""),
        base_version=compaction.base_version,
        base_revision=compaction.base_revision,
        policy_revision=compaction.policy_revision,
        ranges=_ranges(compaction.covered),
        added_ranges=_ranges(compaction.added),
        group_count=plan["groups"],
        message_count=plan["messages"],
        added_tokens=plan["gain"],
        hidden_tokens=plan["hidden_tokens"],
        tokens_before=plan["before"],
        summary_target_tokens=plan["summary_target"],
        summary_tokens=compaction.summary_tokens,
        summariser=compaction.summariser,
        reason=compaction.reason,
        summary=compaction.summary,
        erased=compaction.erased,
        model=plan.get("model", ""),
        input_tokens=plan.get("input_tokens", 0),
        output_tokens=plan.get("output_tokens", 0),
        artifacts_kept=plan.get("artifacts_kept", 0),
        artifacts_dropped=plan.get("artifacts_dropped", 0),
        attempt=plan.get("attempt", 1),
        steps=[_step(Rung(rung), *numbers) for rung, *numbers in plan.get("steps", ())],
        cleared_ranges=_ranges(reshaping.cleared),
        elided_ranges=_ranges(reshaping.elided),
        max_part_tokens=reshaping.max_part_tokens,
    )
    if compaction.state is CompactionState.COMMITTED:
        freed = plan.get("freed", 0) + compaction.replaced_tokens
        proto.tokens_after = plan["before"] - freed + compaction.summary_tokens
    return proto


def _step(rung: Rung, messages: int, before: int, after: int) -> compaction_pb2.CompactionStep:
    return compaction_pb2.CompactionStep(
        rung=NUMBER_OF_RUNG[rung], message_count=messages, tokens_before=before, tokens_after=after
    )
