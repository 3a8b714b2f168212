"""The one door for errors: a table from domain errors to what goes out on the wire.

Every answer that is not OK is a google.rpc.Status with ErrorInfo first; its code stands beside the reason in the proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from kata.context.v1 import error_reason_pb2

from kata_grpc.domain import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message as Proto

DOMAIN = "kata.context.v1"
_PREFIX = "ERROR_REASON_"
_RETRY_SECONDS = 1
_MESSAGE_BYTES = 400
_VIOLATION_BYTES = 4_000
"""Clients take 8 KiB of trailers and drop the whole error beyond: in them the message is spelled twice, once with up to
three bytes a byte, and the details in base64. What is not listed is still counted."""

StatusError = tuple[grpc.StatusCode, str, bytes]
"""Code, message, and the serialized google.rpc.Status."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one class of errors goes out: its reason, and what its ErrorInfo and further details hold."""

    reason: str
    metadata: Callable[[Any], dict[str, object]] = lambda _: {}
    details: Callable[[Any], list[Proto]] = lambda _: []


def _bad_request(error: errors.InvalidRequest) -> list[Proto]:
    listed, room = [], _VIOLATION_BYTES
    for v in error.violations:
        violation = details.BadRequest.FieldViolation(field=v.field, description=v.description, reason=v.reason)
        room -= violation.ByteSize() + 4
        if room < 0:
            break
        listed.append(violation)
    return [details.BadRequest(field_violations=listed)]


def _resource(error: errors.NotFound) -> list[Proto]:
    return [details.ResourceInfo(resource_type=error.resource_type, resource_name=error.resource_name)]


def _named_context(error: errors.ContextExists) -> list[Proto]:
    return [details.ResourceInfo(resource_type="kata.context.v1.Context", resource_name=error.name)]


def _named_tag(error: errors.TagExists) -> list[Proto]:
    name = f"{error.context_id}/{error.tag}"
    return [details.ResourceInfo(resource_type="kata.context.v1.Tag", resource_name=name)]


def _retry(_: errors.KataError) -> list[Proto]:
    return [details.RetryInfo(retry_delay=Duration(seconds=_RETRY_SECONDS))]


def _retry_summary(error: errors.NoSummary) -> list[Proto]:
    delay = Duration()
    delay.FromMilliseconds(round(1_000 * (error.retry_after or _RETRY_SECONDS)))
    return [details.RetryInfo(retry_delay=delay)]


def _precondition(error: errors.Precondition) -> list[Proto]:
    violation = details.PreconditionFailure.Violation(type=type(error).__name__, description=str(error))
    return [details.PreconditionFailure(violations=[violation])]


TABLE: dict[type[errors.KataError], Row] = {
    errors.InvalidRequest: Row("INVALID_FIELD", lambda e: {"violations": len(e.violations)}, _bad_request),
    errors.MalformedRequest: Row("MALFORMED_REQUEST"),
    errors.InvalidToken: Row("PAGE_TOKEN_INVALID", lambda e: {"field": e.field}),
    errors.TokenMismatch: Row("PAGE_TOKEN_MISMATCH", lambda e: {"field": e.field}),
    errors.RequestIdReused: Row("REQUEST_ID_REUSED", lambda e: {"request_id": e.request_id}),
    errors.ContextNotFound: Row("CONTEXT_NOT_FOUND", lambda e: {"context_id": e.context_id}, _resource),
    errors.ContextPurged: Row("CONTEXT_PURGED", lambda e: {"context_id": e.context_id}, _resource),
    errors.MessageNotFound: Row(
        "MESSAGE_NOT_FOUND", lambda e: {"context_id": e.context_id, "version": e.version}, _resource
    ),
    errors.TagNotFound: Row("TAG_NOT_FOUND", lambda e: {"context_id": e.context_id, "tag": e.tag}, _resource),
    errors.TagExists: Row("TAG_EXISTS", lambda e: {"context_id": e.context_id, "tag": e.tag}, _named_tag),
    errors.CompactionNotFound: Row(
        "COMPACTION_NOT_FOUND", lambda e: {"context_id": e.context_id, "compaction_id": e.compaction_id}, _resource
    ),
    errors.CompactionInProgress: Row(
        "COMPACTION_IN_PROGRESS", lambda e: {"context_id": e.context_id, "compaction_id": e.compaction_id}, _retry
    ),
    errors.CompactionStale: Row(
        "COMPACTION_STALE",
        lambda e: {"context_id": e.context_id, "compaction_id": e.compaction_id, "state": e.state, "why": e.why},
    ),
    errors.SummaryRejected: Row(
        "SUMMARY_REJECTED",
        lambda e: {"context_id": e.context_id, "compaction_id": e.compaction_id, "why": e.why},
        _precondition,
    ),
    errors.CompactionNotInForce: Row(
        "COMPACTION_NOT_IN_FORCE",
        lambda e: {"context_id": e.context_id, "compaction_id": e.compaction_id},
        _precondition,
    ),
    errors.NothingToCompact: Row(
        "NOTHING_TO_COMPACT", lambda e: {"context_id": e.context_id, "why": e.why}, _precondition
    ),
    errors.ContextExists: Row("CONTEXT_EXISTS", lambda e: {"name": e.name}, _named_context),
    errors.VersionConflict: Row(
        "VERSION_CONFLICT",
        lambda e: {"expected": e.expected, "actual": e.actual, "versions_since": e.versions_since},
    ),
    errors.EtagMismatch: Row("VERSION_CONFLICT", lambda e: {"expected": e.expected, "actual": e.actual}),
    errors.BudgetTooSmall: Row(
        "BUDGET_TOO_SMALL",
        lambda e: {
            "required_tokens": e.required,
            "token_budget": e.budget,
            "reserve_tokens": e.reserve,
            "pinned_tokens": e.pinned,
            "turn_tokens": e.turn,
            "newest_group_tokens": e.newest_group,
            "tools_tokens": e.tools,
        },
        _precondition,
    ),
    errors.NoLegalWindow: Row(
        "NO_LEGAL_WINDOW", lambda e: {"dialect": e.dialect, "snapshot_version": e.snapshot_version}, _precondition
    ),
    errors.WindowGone: Row("WINDOW_GONE", lambda e: {"context_id": e.context_id}, _precondition),
    errors.ContextNotDeleted: Row("CONTEXT_NOT_DELETED", lambda e: {"context_id": e.context_id}, _precondition),
    errors.TooManyOpenCalls: Row(
        "TOO_MANY_OPEN_CALLS", lambda e: {"context_id": e.context_id, "max": e.maximum}, _precondition
    ),
    errors.ForkTooDeep: Row(
        "FORK_TOO_DEEP", lambda e: {"context_id": e.context_id, "depth": e.depth, "max": e.maximum}, _precondition
    ),
    errors.TooManyForks: Row("TOO_MANY_FORKS", lambda e: {"context_id": e.context_id, "max": e.maximum}, _precondition),
    errors.ContextIsFlat: Row("CONTEXT_IS_FLAT", lambda e: {"context_id": e.context_id}, _precondition),
    errors.ContextHasForks: Row(
        "CONTEXT_HAS_FORKS",
        lambda e: {"context_id": e.context_id, "fork_count": e.count, "fork_ids": ",".join(e.fork_ids)},
        _precondition,
    ),
    errors.ResponseTooLarge: Row(
        "RESPONSE_TOO_LARGE", lambda e: {"bytes": e.size, "max_bytes": e.maximum}, _precondition
    ),
    errors.OutOfRange: Row(
        "VERSION_OUT_OF_RANGE",
        lambda e: (
            {"field": e.field, "value": e.value, "latest": e.latest}
            | ({} if e.earliest is None else {"earliest": e.earliest})
        ),
    ),
    errors.TooManyWatchers: Row("TOO_MANY_WATCHERS", lambda e: {"max": e.maximum}, _retry),
    errors.NoSummary: Row(
        "NO_SUMMARY",
        lambda e: {"context_id": e.context_id, "compaction_id": e.compaction_id, "why": e.why},
        _retry_summary,
    ),
    errors.WriteContention: Row("WRITE_CONTENTION", details=_retry),
    errors.StorageUnavailable: Row("STORAGE_UNAVAILABLE", details=_retry),
    errors.ShuttingDown: Row("SHUTTING_DOWN", details=_retry),
    errors.DeadlineExceeded: Row("DEADLINE", lambda e: {"timeout_seconds": f"{e.timeout_seconds:g}"}),
}

_CODES: dict[str, grpc.StatusCode] = {
    value.name.removeprefix(_PREFIX): grpc.StatusCode[code]
    for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
    if (code := value.GetOptions().Extensions[error_reason_pb2.status_code])
}


def status_of(error: errors.KataError) -> StatusError:
    """Return what goes out for a refusal."""
    row = TABLE[type(error)]
    return _status(row.reason, str(error), row.metadata(error), row.details(error))


def internal(request_id: str) -> StatusError:
    """Return what goes out for a fault of the server that was logged under `request_id`."""
    message = f"The server failed; its log says why under {request_id}."
    return _status("INTERNAL", message, {}, [details.RequestInfo(request_id=request_id)])


def _status(reason: str, message: str, metadata: dict[str, object], further: list[Proto]) -> StatusError:
    code = _CODES[reason]
    message = message.encode()[:_MESSAGE_BYTES].decode(errors="ignore")
    info = details.ErrorInfo(
        reason=reason, domain=DOMAIN, metadata={key: str(value) for key, value in metadata.items()}
    )
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in [info, *further]:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return code, message, status.SerializeToString()
