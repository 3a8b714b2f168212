"""How commands reach a running server, and what they say when it refuses."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.rpc import error_details_pb2, status_pb2

from kata_grpc import limits
from kata_grpc.config import Settings
from kata_grpc.transport.calls import STATUS_KEY

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_OPTIONS = (
    ("grpc.max_receive_message_length", 2 * limits.MAX_UNARY_WINDOW_BYTES),
    ("grpc.max_send_message_length", -1),
)




def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments that say where the server is and how it is trusted."""
    parser.add_argument("--address", metavar="HOST:PORT", help="the server; default KATA_LISTEN")
    parser.add_argument("--ca", type=Path, help="use TLS, and trust the server's certificate if this signed it")
    parser.add_argument("--cert", type=Path, help="for mutual TLS: the certificate to show")
    parser.add_argument("--key", type=Path, help="for mutual TLS: its key")


def target(args: argparse.Namespace) -> tuple[str, grpc.ChannelCredentials | None]:
    """Find the address to connect to and, where TLS is wanted, the credentials."""
    settings = Settings.from_env(os.environ)
    address = args.address or _reachable(settings.listen)
    if args.ca is None and settings.tls_cert is None:
        return address, None
    roots, key, certificate = (path.read_bytes() if path else None for path in (args.ca, args.key, args.cert))
    return address, grpc.ssl_channel_credentials(roots, key, certificate)


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[grpc.Channel]:
    """Open a channel for the length of the block."""
    address, credentials = target(args)
    if credentials is None:
        channel = grpc.insecure_channel(address, options=_OPTIONS)
    else:
        channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
    with channel:
        yield channel


def async_channel(args: argparse.Namespace) -> grpc.aio.Channel:
    """Open a channel for asyncio."""
    address, credentials = target(args)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)


def explain(error: grpc.RpcError) -> str:
    """Say what the server refused and why, with every violation on a line of its own."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return str(error)
    lines = [f"{error.code().name}: {error.details()}"]
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_KEY and isinstance(value, bytes):
            lines.extend(_violations(status_pb2.Status.FromString(value)))
    return "\n".join(lines)


def _violations(status: status_pb2.Status) -> Iterator[str]:
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            for violation in bad.field_violations:
                yield f"  {violation.field}: {violation.description}"


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refusal into its sentence on standard error and exit status 1."""
    try:
        yield
    except grpc.RpcError as error:
        print(f"kata-grpc: {explain(error)}", file=sys.stderr)
        raise SystemExit(1) from error


def _reachable(listen: str) -> str:
    """Turn an address to listen on everywhere into one to connect to; certificates are made for names."""
    host, _, port = listen.rpartition(":")
    return f"localhost:{port}" if host in ("0.0.0.0", "[::]") else listen  # noqa: S104 - compared, not bound
