"""A client of Kata gRPC: create a context, append to it, stream a window, handle an error.

Needs the stubs and the standard error types, nothing of the server:
    pip install ./generated/python googleapis-common-protos
    python examples/client.py [HOST:PORT]
"""
# ruff: noqa: T201 - an example prints

from __future__ import annotations

import sys
from uuid import uuid4

import grpc
from google.rpc import error_details_pb2, status_pb2
from kata.context.v1 import message_pb2, service_config
from kata.context.v1.context_service_pb2 import CreateContextRequest
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2 import AppendMessagesRequest, StreamWindowRequest
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub


def error_info(error: object) -> error_details_pb2.ErrorInfo:
    """Return why a call was refused: a reason to switch on, and its numbers."""
    info = error_details_pb2.ErrorInfo()
    metadata = error.trailing_metadata() if isinstance(error, grpc.Call) else None
    raw = dict(metadata or ()).get("grpc-status-details-bin")
    if isinstance(raw, bytes):
        status_pb2.Status.FromString(raw).details[0].Unpack(info)
    return info


def converse(channel: grpc.Channel) -> None:
    """Hold a short conversation. Every write has a request_id, so that the channel may repeat it."""
    messages = MessageServiceStub(channel)
    create = CreateContextRequest(name="from Python", request_id=str(uuid4()))
    context = ContextServiceStub(channel).CreateContext(create, timeout=10).context

    def append(text: str, expected_version: int) -> int:
        request = AppendMessagesRequest(
            context_id=context.context_id,
            messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text=text)],
            request_id=str(uuid4()),
            expected_version=expected_version,
        )
        return messages.AppendMessages(request, timeout=10).last_version

    version = append("hi", expected_version=0)
    try:
        append("written by someone who has not read the first message", expected_version=0)
    except grpc.RpcError as error:
        info = error_info(error)
        if info.reason != "VERSION_CONFLICT":
            raise
        print(f"refused: {info.reason}, the context is at version {info.metadata['actual']}")
        append("hello again", expected_version=version)

    window, complete = StreamWindowRequest(context_id=context.context_id, token_budget=1_000), False
    for frame in messages.StreamWindow(window, timeout=30):
        for message in frame.chunk.messages:
            print(f"{message.version}: {message.text}")
        complete = frame.HasField("trailer")
    print("the window is complete" if complete else "the window is incomplete: ask again")


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    # Calls that end with UNAVAILABLE are repeated; see generated/README.md.
    options = [("grpc.service_config", service_config(with_request_ids=True))]
    with grpc.insecure_channel(address, options=options) as opened:
        converse(opened)
