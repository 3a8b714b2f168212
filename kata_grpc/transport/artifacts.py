"""The method of PolicyService about artifacts: decode, one call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import artifact_pb2
from kata.context.v1 import policy_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.compaction import ArtifactKind, Outcome
from kata_grpc.compaction.artifacts import MAX_ARTIFACT_CHARS
from kata_grpc.domain.windows import View
from kata_grpc.services.artifacts import Asked
from kata_grpc.services.snapshots import At
from kata_grpc.transport.convert import VIEWS
from kata_grpc.transport.snapshots import at_of, show_deleted_of
from kata_grpc.transport.tokens import TokenMaker, bind
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from kata_grpc.compaction import Artifact, ToolRun
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.artifacts import Artifacts

_PAGE_LAYOUT = ">qqq"
"""The last version of a page, and the version and revision of the snapshot."""
_KINDS = {
    ArtifactKind.PATH: artifact_pb2.ARTIFACT_KIND_PATH,
    ArtifactKind.URL: artifact_pb2.ARTIFACT_KIND_URL,
    ArtifactKind.TOOL_CALL: artifact_pb2.ARTIFACT_KIND_TOOL_CALL,
    ArtifactKind.IDENTIFIER: artifact_pb2.ARTIFACT_KIND_IDENTIFIER,
    ArtifactKind.QUANTITY: artifact_pb2.ARTIFACT_KIND_QUANTITY,
    ArtifactKind.SYMBOL: artifact_pb2.ARTIFACT_KIND_SYMBOL,
    ArtifactKind.ARGUMENT: artifact_pb2.ARTIFACT_KIND_ARGUMENT,
}
_KIND_OF_NUMBER: dict[int, ArtifactKind] = {number: kind for kind, number in _KINDS.items()}
_OUTCOMES = {
    Outcome.ANSWERED: artifact_pb2.TOOL_OUTCOME_ANSWERED,
    Outcome.FAILED: artifact_pb2.TOOL_OUTCOME_FAILED,
    Outcome.TIMED_OUT: artifact_pb2.TOOL_OUTCOME_TIMED_OUT,
    Outcome.UNANSWERED: artifact_pb2.TOOL_OUTCOME_UNANSWERED,
}


class ArtifactServicer:
    """The method, under its name on the wire."""

    def __init__(self, artifacts: Artifacts, tokens: TokenMaker) -> None:
        self._artifacts = artifacts
        self._tokens = tokens

    async def ListArtifacts(self, tenant: TenantId, request: pb.ListArtifactsRequest) -> pb.ListArtifactsResponse:
        """List artifacts."""
        check = Checker()
        context_id = check.context_id(request.context_id)
        limit = check.page_size(request.page_size, limits.DEFAULT_ARTIFACT_PAGE)
        for index, kind in enumerate(request.kinds):
            check.known(f"kinds[{index}]", kind, _KIND_OF_NUMBER)
        first = check.at_least("first_version", request.first_version, 0) or 1
        last = check.at_least("last_version", request.last_version, 0) or None
        if last is not None and 0 < last < first:
            check.add("last_version", f"is {last}, before first_version ({first})", "OUT_OF_BOUNDS")
        view = VIEWS.get(check.known("view", request.view, VIEWS), View.CURRENT)
        show_deleted = show_deleted_of(check, request, view)
        at = at_of(check, request)
        check.done()
        bound = bind(tenant, request, "page_size", "page_token")
        after = 0
        if request.page_token:
            places = self._tokens.read("page_token", request.page_token, bound, _PAGE_LAYOUT)
            after, version, revision = map(int, places)
            at = At(version, revision)
        kinds = frozenset(_KIND_OF_NUMBER[kind] for kind in request.kinds) or frozenset(_KINDS)
        page = await self._artifacts.page(
            tenant,
            context_id,
            at,
            Asked(kinds, first, last),
            after=after,
            limit=limit,
            view=view,
            show_deleted=show_deleted,
        )
        snapshot = page.snapshot.version, page.snapshot.revision
        response = pb.ListArtifactsResponse(
            artifacts=map(_to_proto, page.artifacts), snapshot_version=snapshot[0], snapshot_revision=snapshot[1]
        )
        if page.first <= page.last:
            response.first_version, response.last_version = page.first, page.last
        if page.more:
            response.next_page_token = self._tokens.make(bound, _PAGE_LAYOUT, page.last, *snapshot)
        return response


def _to_proto(artifact: Artifact) -> artifact_pb2.Artifact:
    return artifact_pb2.Artifact(
        kind=_KINDS[artifact.kind],
        text=artifact.text,
        versions=artifact.versions,
        run=_run_to_proto(artifact.run) if artifact.run else None,
    )


def _run_to_proto(run: ToolRun) -> artifact_pb2.ToolRun:
    return artifact_pb2.ToolRun(
        tool_call_id=run.id,
        name=run.name,
        arguments=run.arguments[:MAX_ARTIFACT_CHARS],
        version=run.version,
        result_version=run.result_version,
        outcome=_OUTCOMES[run.outcome],
        exit_code=run.exit_code,
        detail=run.detail,
    )
