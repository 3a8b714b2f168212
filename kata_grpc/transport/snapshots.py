"""The fields by which requests name a snapshot, the same in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.domain.windows import View
from kata_grpc.services.snapshots import At

if TYPE_CHECKING:
    from kata.context.v1 import context_service_pb2, message_service_pb2, policy_service_pb2

    from kata_grpc.transport.validate import Checker

    Request = (
        context_service_pb2.ForkContextRequest
        | context_service_pb2.TagVersionRequest
        | message_service_pb2.GetMessageRequest
        | message_service_pb2.ListMessagesRequest
        | message_service_pb2.ListHistoryRequest
        | message_service_pb2.GetWindowRequest
        | message_service_pb2.StreamWindowRequest
        | policy_service_pb2.ListArtifactsRequest
    )
    ViewRequest = (
        message_service_pb2.GetMessageRequest
        | message_service_pb2.ListMessagesRequest
        | message_service_pb2.GetWindowRequest
        | message_service_pb2.StreamWindowRequest
        | policy_service_pb2.ListArtifactsRequest
    )


def at_of(check: Checker, request: Request) -> At:
    """Read what snapshot a request is about: a version, a revision or both; or a time; or a tag."""
    at = At(
        version=request.at_version if request.HasField("at_version") else None,
        revision=request.at_revision if request.HasField("at_revision") else None,
        time=check.time("at_time", request.at_time) if request.HasField("at_time") else None,
        tag=check.tag("at_tag", request.at_tag) if request.at_tag else None,
    )
    check.at_least("at_version", at.version or 0, 0)
    check.at_least("at_revision", at.revision or 0, 0)
    given = [
        field
        for field, value in (
            ("at_version", at.version),
            ("at_revision", at.revision),
            ("at_time", at.time),
            ("at_tag", at.tag),
        )
        if value is not None
    ]
    for field in ("at_time", "at_tag"):
        others = [other for other in given if other != field]
        if field in given and others:
            check.add(field, f"excludes {' and '.join(others)}", "EXCLUSIVE")
    return at


def show_deleted_of(check: Checker, request: ViewRequest, view: View) -> bool:
    """Read whether a deleted context is shown, which has no current view."""
    if request.show_deleted and view is View.CURRENT:
        check.add("show_deleted", "goes with VIEW_AS_THEN and VIEW_RAW alone", "EXCLUSIVE")
    return request.show_deleted
