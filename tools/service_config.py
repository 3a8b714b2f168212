"""Derives the gRPC service config, the retry policy of clients, from the descriptors; knows nothing of files.

Only UNAVAILABLE is retried, and only where a second execution does no harm. That is so for every read. A write is
safe exactly when the call carries a `request_id`, which no service config can see: so there are two configs, and the
one that retries writes is for callers that set `request_id` on every write. A stream of both sides is never retried:
what of it is unanswered only its caller knows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet, MethodDescriptorProto

READ_VERBS = ("Compare", "Count", "Get", "List", "Preview", "Search", "Stream", "Verify", "Watch")
"""First words of the names of methods that change nothing."""

RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
RETRY_THROTTLING = {"maxTokens": 10, "tokenRatio": 0.1}


def _methods(descriptors: FileDescriptorSet) -> Iterator[tuple[str, MethodDescriptorProto]]:
    for file in descriptors.file:
        for service in file.service:
            for method in service.method:
                yield f"{file.package}.{service.name}", method


def _repeatable(message: DescriptorProto, types: dict[str, DescriptorProto]) -> bool:
    """Tell whether a request has a `request_id`, itself or in the header that opens a stream of requests."""
    fields = {field.name: field for field in message.field}
    if "request_id" in fields:
        return True
    header = fields.get("header")
    return header is not None and _repeatable(types[header.type_name], types)


def service_config(descriptors: FileDescriptorSet, *, writes: bool) -> str:
    """Return the config as JSON text; with `writes`, methods that take a `request_id` are retried too."""
    types = {f".{file.package}.{message.name}": message for file in descriptors.file for message in file.message_type}
    names = [
        {"service": service, "method": method.name}
        for service, method in _methods(descriptors)
        if not (method.client_streaming and method.server_streaming)
        and (method.name.startswith(READ_VERBS) or (writes and _repeatable(types[method.input_type], types)))
    ]
    names.sort(key=lambda name: (name["service"], name["method"]))
    config = {"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}], "retryThrottling": RETRY_THROTTLING}
    return json.dumps(config, indent=2) + "\n"
