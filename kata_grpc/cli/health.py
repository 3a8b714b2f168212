"""`kata-grpc health`: ask a running server over gRPC whether it serves; made for container health checks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kata_grpc.config import Settings

if TYPE_CHECKING:
    import argparse

    from kata_grpc.cli import Commands


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "health", description="Ask a running server whether it serves. Exits 0 when it does, and 1 when it does not."
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="the server; default KATA_LISTEN")
    parser.add_argument("--service", default="", help="one service in place of the whole server")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS", help="default 3")
    parser.add_argument("--ca", type=Path, help="use TLS, and trust the server's certificate if this signed it")
    parser.add_argument("--cert", type=Path, help="for mutual TLS: the certificate to show")
    parser.add_argument("--key", type=Path, help="for mutual TLS: its key")


def run(args: argparse.Namespace) -> int:
    """Ask once."""
    settings = Settings.from_env(os.environ)
    address = args.address or _reachable(settings.listen)
    try:
        with _channel(address, args, tls=args.ca is not None or settings.tls_cert is not None) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=args.service), timeout=args.timeout
            )
    except (grpc.RpcError, OSError) as error:
        said = error.details() if isinstance(error, grpc.Call) else str(error)
        print(f"{address} does not answer: {said}", file=sys.stderr)
        return 1
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{address} {status}")
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


def _channel(address: str, args: argparse.Namespace, *, tls: bool) -> grpc.Channel:
    if not tls:
        return grpc.insecure_channel(address)
    roots, key, certificate = (path.read_bytes() if path else None for path in (args.ca, args.key, args.cert))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots, key, certificate))


def _reachable(listen: str) -> str:
    """Turn an address to listen on everywhere into one to connect to; certificates are made for names."""
    host, _, port = listen.rpartition(":")
    return f"localhost:{port}" if host in ("0.0.0.0", "[::]") else listen  # noqa: S104 - compared, not bound
