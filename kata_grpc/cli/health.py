"""`kata-grpc health`: ask a running server over gRPC whether it serves; made for container health checks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kata_grpc.cli.remote import Remote, add_connection_arguments

if TYPE_CHECKING:
    import argparse

    from kata_grpc.cli import Commands


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "health", description="Ask a running server whether it serves. Exits 0 when it does, and 1 when it does not."
    )
    parser.add_argument("--service", default="", help="one service in place of the whole server")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS", help="default 3")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask once."""
    remote = Remote.of(args)
    try:
        with remote.channel() as channel:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined] # not in its declarations
            answer = check(health_pb2.HealthCheckRequest(service=args.service), timeout=args.timeout)
    except grpc.RpcError as error:
        print(f"kata-grpc: {remote.explain(error)}", file=sys.stderr)
        return 1
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{remote.address} {status}")
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1
