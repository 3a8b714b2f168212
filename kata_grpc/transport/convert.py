"""Between the domain and the protos, apart from messages, which `kata_grpc.codec` and `frames` take care of."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from google.protobuf.timestamp_pb2 import Timestamp
from kata.context.v1 import context_pb2, message_service_pb2, window_pb2

from kata_grpc.codec import NUMBER_OF_ROLE, metadata_from_json
from kata_grpc.dialects import Adjustment, What
from kata_grpc.domain.contexts import Context, Revision, RevisionKind
from kata_grpc.domain.details import (
    CompactionDetail,
    ForkDetail,
    RedactionDetail,
    RemovalDetail,
    TagDetail,
    UpdateDetail,
)
from kata_grpc.domain.windows import Accuracy, Dialect, ExclusionReason, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.services.accounting import Window

REDACTION_NOTICE = (
    "Until the database has vacuumed the tables named in rows, its files hold what was there before, unreachable. "
    "Write-ahead logs and their archive, base backups and snapshots that were made before then may hold it for as "
    "long as they are kept, replicas until they have caught up. What a stream had read before, one frame of it at "
    "most, may still arrive."
)

DIALECTS: dict[int, Dialect] = {
    window_pb2.DIALECT_UNSPECIFIED: Dialect.OPENAI_CHAT,
    window_pb2.DIALECT_OPENAI_CHAT: Dialect.OPENAI_CHAT,
    window_pb2.DIALECT_OPENAI_RESPONSES: Dialect.OPENAI_RESPONSES,
    window_pb2.DIALECT_ANTHROPIC: Dialect.ANTHROPIC,
    window_pb2.DIALECT_GEMINI: Dialect.GEMINI,
}
VIEWS: dict[int, View] = {
    window_pb2.VIEW_UNSPECIFIED: View.CURRENT,
    window_pb2.VIEW_CURRENT: View.CURRENT,
    window_pb2.VIEW_AS_THEN: View.AS_THEN,
    window_pb2.VIEW_RAW: View.RAW,
}
_DIALECT_NUMBERS = {
    DIALECTS[number]: number for number in window_pb2.Dialect.values() if number != window_pb2.DIALECT_UNSPECIFIED
}
_VIEW_NUMBERS = {VIEWS[number]: number for number in window_pb2.View.values() if number != window_pb2.VIEW_UNSPECIFIED}
_ACCURACIES = {
    Accuracy.EXACT: window_pb2.WINDOW_ACCURACY_EXACT,
    Accuracy.UPPER_BOUND: window_pb2.WINDOW_ACCURACY_UPPER_BOUND,
    Accuracy.ESTIMATED: window_pb2.WINDOW_ACCURACY_ESTIMATED,
}
_REASONS = {
    ExclusionReason.BUDGET: window_pb2.EXCLUSION_REASON_BUDGET,
    ExclusionReason.ORPHAN_RESULT: window_pb2.EXCLUSION_REASON_ORPHAN_RESULT,
    ExclusionReason.UNANSWERED_CALL: window_pb2.EXCLUSION_REASON_UNANSWERED_CALL,
    ExclusionReason.GROUP_OUT: window_pb2.EXCLUSION_REASON_GROUP_OUT,
    ExclusionReason.ILLEGAL_START: window_pb2.EXCLUSION_REASON_ILLEGAL_START,
    ExclusionReason.MAX_MESSAGES: window_pb2.EXCLUSION_REASON_MAX_MESSAGES,
    ExclusionReason.LOW_WATER: window_pb2.EXCLUSION_REASON_LOW_WATER,
    ExclusionReason.REMOVED: window_pb2.EXCLUSION_REASON_REMOVED,
    ExclusionReason.REDACTED: window_pb2.EXCLUSION_REASON_REDACTED,
    ExclusionReason.COMPACTED: window_pb2.EXCLUSION_REASON_COMPACTED,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ADJUSTMENTS = {
    What.DROPPED: window_pb2.RENDER_ADJUSTMENT_KIND_DROPPED,
    What.CHANGED: window_pb2.RENDER_ADJUSTMENT_KIND_CHANGED,
    What.PLACEHOLDER: window_pb2.RENDER_ADJUSTMENT_KIND_PLACEHOLDER,
    What.RENAMED: window_pb2.RENDER_ADJUSTMENT_KIND_RENAMED,
    What.MOVED: window_pb2.RENDER_ADJUSTMENT_KIND_MOVED,
    What.MERGED: window_pb2.RENDER_ADJUSTMENT_KIND_MERGED,
    What.SYNTHESIZED: window_pb2.RENDER_ADJUSTMENT_KIND_SYNTHESIZED,
}
_KIND_NUMBERS = {
    RevisionKind.APPEND: message_service_pb2.REVISION_KIND_APPEND,
    RevisionKind.UPDATE: message_service_pb2.REVISION_KIND_UPDATE,
    RevisionKind.DELETE: message_service_pb2.REVISION_KIND_DELETE,
    RevisionKind.UNDELETE: message_service_pb2.REVISION_KIND_UNDELETE,
    RevisionKind.POLICY: message_service_pb2.REVISION_KIND_POLICY,
    RevisionKind.FORK: message_service_pb2.REVISION_KIND_FORK,
    RevisionKind.REMOVE: message_service_pb2.REVISION_KIND_REMOVE,
    RevisionKind.RESTORE: message_service_pb2.REVISION_KIND_RESTORE,
    RevisionKind.REDACT: message_service_pb2.REVISION_KIND_REDACT,
    RevisionKind.TAG: message_service_pb2.REVISION_KIND_TAG,
    RevisionKind.UNTAG: message_service_pb2.REVISION_KIND_UNTAG,
    RevisionKind.FLATTEN: message_service_pb2.REVISION_KIND_FLATTEN,
    RevisionKind.COMPACT: message_service_pb2.REVISION_KIND_COMPACT,
    RevisionKind.REVERT: message_service_pb2.REVISION_KIND_REVERT,
}
KINDS: dict[int, RevisionKind] = {number: kind for kind, number in _KIND_NUMBERS.items()}


def timestamp(time: datetime) -> Timestamp:
    """Return a time as it is sent."""
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def context_to_proto(context: Context) -> context_pb2.Context:
    """Return a context as it is sent."""
    proto = context_pb2.Context(
        context_id=str(context.id),
        name=context.name,
        message_count=context.message_count,
        total_tokens=context.total_tokens,
        latest_version=context.latest_version,
        latest_revision=context.latest_revision,
        tokenizer=context.tokenizer,
        etag=context.etag,
        unique_name=context.unique_name,
    )
    if context.fork is not None:
        proto.parent_id = str(context.fork.parent_id)
        proto.fork_version, proto.fork_revision = context.fork.version, context.fork.revision
        proto.depth = context.depth
    if context.labels:
        proto.labels.update(context.labels)
    if context.metadata_json:
        proto.metadata.CopyFrom(metadata_from_json(context.metadata_json))
    if context.origin is not None:
        origin = context.origin
        proto.origin.CopyFrom(context_pb2.Origin(format=origin.format, id=origin.id, extra_json=origin.extra_json))
    proto.create_time.CopyFrom(timestamp(context.create_time))
    proto.update_time.CopyFrom(timestamp(context.update_time))
    if context.delete_time is not None:
        proto.delete_time.CopyFrom(timestamp(context.delete_time))
    return proto


def revision_to_proto(revision: Revision) -> message_service_pb2.Revision:
    """Return an entry of the history as it is sent."""
    proto = message_service_pb2.Revision(
        revision=revision.revision,
        kind=_KIND_NUMBERS[revision.kind],
        first_version=revision.first_version,
        last_version=revision.last_version,
        create_time=timestamp(revision.create_time),
        preview=revision.preview,
        request_id=revision.request_id,
        context_id=str(revision.context_id),
    )
    if revision.role is not None:
        proto.role = NUMBER_OF_ROLE[revision.role]
    match revision.detail:
        case TagDetail() as tag:
            proto.tag.CopyFrom(message_service_pb2.TagDetail(**asdict(tag)))
        case ForkDetail() as fork:
            proto.fork.CopyFrom(message_service_pb2.ForkDetail(**asdict(fork)))
        case UpdateDetail() as update:
            proto.update.CopyFrom(message_service_pb2.UpdateDetail(fields=update.fields))
        case RemovalDetail(ranges):
            proto.removal.ranges.extend(ranges_to_proto(ranges))
        case RedactionDetail() as redaction:
            proto.redaction.CopyFrom(redaction_to_proto(redaction))
        case CompactionDetail(compaction_id):
            proto.compaction.compaction_id = compaction_id
        case None:
            pass
        case unknown:
            assert_never(unknown)
    return proto


def ranges_to_proto(ranges: Sequence[tuple[int, int]]) -> list[message_service_pb2.VersionRange]:
    """Return runs of versions as they are sent."""
    return [message_service_pb2.VersionRange(first_version=first, last_version=last) for first, last in ranges]


def redaction_to_proto(redaction: RedactionDetail) -> message_service_pb2.RedactionDetail:
    """Return the receipt of a redaction."""
    return message_service_pb2.RedactionDetail(
        ranges=ranges_to_proto(redaction.ranges),
        redacted_before=ranges_to_proto(redaction.redacted_before),
        reason=redaction.reason,
        logs=[
            message_service_pb2.RedactedLog(context_id=context_id, message_count=count)
            for context_id, count in redaction.logs
        ],
        log_count=redaction.log_count,
        rows=[message_service_pb2.RedactedRows(table=table, row_count=count) for table, count in redaction.rows],
        notice=REDACTION_NOTICE,
    )


def header_to_proto(window: Window) -> window_pb2.WindowHeader:
    """Return what a window is a function of."""
    request = window.request
    return window_pb2.WindowHeader(
        context_id=str(window.context_id),
        snapshot_version=window.snapshot_version,
        snapshot_revision=window.snapshot_revision,
        token_budget=request.token_budget,
        reserve_tokens=request.reserve_tokens,
        tokenizer=window.tokenizer,
        dialect=_DIALECT_NUMBERS[request.dialect],
        view=_VIEW_NUMBERS[request.view],
        policy_revision=window.policy_revision,
        engine_version=window.engine_version,
        tail_first_version=0 if window.empty_tail else window.tail_start,
        message_count=window.message_count,
        window_tokens=window.window_tokens,
        accuracy=_ACCURACIES[window.accuracy],
        first_version=window.first_version,
        last_version=window.last_version,
        window_epoch=window.epoch,
        compaction_id=str(window.compaction.id) if window.compaction else "",
    )


def trailer_to_proto(window: Window, content_sha256: bytes) -> window_pb2.WindowTrailer:
    """Return the account of a window that was sent."""
    return window_pb2.WindowTrailer(
        ledger=window_pb2.WindowLedger(
            pinned_tokens=window.pinned_tokens,
            tail_tokens=window.tail_tokens,
            overhead_tokens=window.overhead_tokens,
            reserve_tokens=window.request.reserve_tokens,
            tools_tokens=window.tools_tokens,
            summary_tokens=window.summary_tokens,
            unused_tokens=window.unused_tokens,
        ),
        excluded=[
            window_pb2.ExcludedRange(first_version=run.first, last_version=run.last, reason=_REASONS[run.reason])
            for run in window.excluded
        ],
        pending_call_ids=window.pending,
        content_sha256=content_sha256,
    )


def adjustment_to_proto(adjustment: Adjustment) -> window_pb2.RenderAdjustment:
    """Return a difference between a rendered window and its messages."""
    return window_pb2.RenderAdjustment(
        version=adjustment.version, kind=_ADJUSTMENTS[adjustment.what], description=adjustment.why
    )
