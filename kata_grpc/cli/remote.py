"""How commands reach a running server, and what they say when it refuses or is not there. Knows no RPC."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.rpc import error_details_pb2, status_pb2

from kata_grpc import limits
from kata_grpc.config import ConfigurationError, Settings
from kata_grpc.transport.calls import STATUS_KEY

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_OPTIONS = (
    ("grpc.max_receive_message_length", 2 * limits.MAX_UNARY_WINDOW_BYTES),
    ("grpc.max_send_message_length", -1),
    # A server whose machine is gone says nothing: ask, so that no call waits for it without end.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A server that is started again is found within this time.
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments that say where the server is and how it is trusted."""
    group = parser.add_argument_group("where the server is")
    group.add_argument("--address", metavar="HOST:PORT", help="the server; default KATA_LISTEN")
    group.add_argument("--ca", type=Path, help="use TLS, and trust the server's certificate if this signed it")
    group.add_argument("--cert", type=Path, help="for mutual TLS: the certificate to show")
    group.add_argument("--key", type=Path, help="for mutual TLS: its key")


@dataclass(frozen=True, slots=True)
class Remote:
    """A server as a command reaches it."""

    address: str
    credentials: grpc.ChannelCredentials | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Remote:
        """Find the address to connect to and, where TLS is wanted, the credentials."""
        settings = Settings.from_env(os.environ)
        address = args.address or _reachable(settings.listen)
        if args.ca is None and settings.tls_cert is None:
            return cls(address)
        try:
            roots, key, certificate = (path.read_bytes() if path else None for path in (args.ca, args.key, args.cert))
        except OSError as error:
            raise ConfigurationError((f"{error.filename}: {error.strerror}.",)) from error
        return cls(address, grpc.ssl_channel_credentials(roots, key, certificate))

    def channel(self) -> grpc.Channel:
        """Open a channel; the caller closes it."""
        if self.credentials is None:
            return grpc.insecure_channel(self.address, options=_OPTIONS)
        return grpc.secure_channel(self.address, self.credentials, options=_OPTIONS)

    def async_channel(self) -> grpc.aio.Channel:
        """Open a channel for asyncio; the caller closes it."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        return grpc.aio.secure_channel(self.address, self.credentials, options=_OPTIONS)

    def explain(self, error: grpc.RpcError) -> str:
        """Say what the server refused and why, with every violation, or that it is not there."""
        if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
            return str(error)
        status = status_of(error)
        if status is None and error.code() is grpc.StatusCode.UNAVAILABLE:
            return (
                f"No server answers at {self.address}: start one with `kata-grpc serve`, or say where it is with "
                f"--address or KATA_LISTEN ({error.details()})."
            )
        violations = list(_violations(status)) if status else []
        if len(violations) > 1:  # the sentence names only the first ones
            return "\n  ".join([f"{error.code().name}:", *violations])
        return f"{error.code().name}: {error.details()}"

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn a refusal into its sentence on standard error and exit status 1."""
        try:
            yield
        except grpc.RpcError as error:
            print(f"kata-grpc: {self.explain(error)}", file=sys.stderr)
            raise SystemExit(1) from error


def status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    """Return the status that the server sent with an error; None if the error did not come from it."""
    if isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        for key, value in error.trailing_metadata() or ():
            if key == STATUS_KEY and isinstance(value, bytes):
                return status_pb2.Status.FromString(value)
    return None


def reason_of(error: grpc.RpcError) -> str:
    """Return the reason that the server gave for an error, "" if the error did not come from it."""
    status = status_of(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


def _violations(status: status_pb2.Status) -> Iterator[str]:
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            for violation in bad.field_violations:
                yield f"{violation.field}: {violation.description}"


def _reachable(listen: str) -> str:
    """Turn an address to listen on everywhere into one to connect to; certificates are made for names."""
    host, _, port = listen.rpartition(":")
    return f"localhost:{port}" if host in ("0.0.0.0", "[::]") else listen  # noqa: S104 - compared, not bound
