"""TLS and mutual TLS on the listener: certificates are followed, and a bad one never takes the server down."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2

from kata_grpc.app import Server
from kata_grpc.config import Settings
from kata_grpc.transport.tls import CertificateError, Certificates
from tests.integration.certificates import Authority, Pair
from tests.integration.processes import health_check, kata, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Files:
    """Where a server's certificate lies."""

    directory: Path

    def put(self, pair: Pair) -> None:
        """Replace the certificate and its key."""
        self.certificate.write_bytes(pair.certificate)
        self.key.write_bytes(pair.key)

    @property
    def certificate(self) -> Path:
        return self.directory / "cert.pem"

    @property
    def key(self) -> Path:
        return self.directory / "key.pem"

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@asynccontextmanager
async def server(files: Files, url: str, *, mutual: bool) -> AsyncIterator[str]:
    ca = files.authority if mutual else None
    settings = Settings(
        listen="127.0.0.1:0", database_url=url, tls_cert=files.certificate, tls_key=files.key, tls_client_ca=ca
    )
    running = Server(settings)
    await running.start()
    try:
        yield running.address
    finally:
        await running.stop(0)


async def check(address: str, credentials: grpc.ChannelCredentials | None) -> int:
    channel = grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)
    async with channel:
        answer = await health_check(channel)(health_pb2.HealthCheckRequest(), timeout=5)
        return int(answer.status)


async def shown_name(address: str, authority: Authority) -> str:
    """Connect, and return the common name in the certificate that the server shows."""

    def connect() -> str:
        context = ssl.create_default_context(cadata=authority.certificate.decode())
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            certificate = secured.getpeercert() or {}
            return str(dict(entry[0] for entry in certificate["subject"])["commonName"])  # type: ignore[misc]

    return await asyncio.to_thread(connect)


@pytest.mark.holds("P10")
async def test_certificates_are_followed_and_a_bad_one_changes_nothing(
    files: Files, fresh_db: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority()
    files.put(authority.issue("first"))
    trusted = grpc.ssl_channel_credentials(authority.certificate)
    async with server(files, fresh_db, mutual=False) as address:
        assert await check(address, trusted) == health_pb2.HealthCheckResponse.SERVING
        assert await shown_name(address, authority) == "first"
        files.put(authority.issue("second"))
        assert await shown_name(address, authority) == "second"
        files.certificate.write_text("half a certif", encoding="ascii")
        assert await shown_name(address, authority) == "second"
        assert "The certificate in use stays." in caplog.text
        files.put(authority.issue("third"))
        assert await shown_name(address, authority) == "third"
        assert await check(address, trusted) == health_pb2.HealthCheckResponse.SERVING
        for refused in (None, grpc.ssl_channel_credentials(Authority().certificate)):
            with pytest.raises(grpc.RpcError):
                await check(address, refused)


@pytest.mark.holds("P10")
async def test_mutual_tls_admits_only_signed_clients(files: Files, fresh_db: str) -> None:
    authority, other = Authority(), Authority("other")
    files.put(authority.issue("server"))
    files.authority.write_bytes(authority.certificate)
    async with server(files, fresh_db, mutual=True) as address:
        mine, foreign = authority.issue("client"), other.issue("client")
        known = grpc.ssl_channel_credentials(authority.certificate, mine.key, mine.certificate)
        assert await check(address, known) == health_pb2.HealthCheckResponse.SERVING
        for refused in (
            grpc.ssl_channel_credentials(authority.certificate),
            grpc.ssl_channel_credentials(authority.certificate, foreign.key, foreign.certificate),
        ):
            with pytest.raises(grpc.RpcError):
                await check(address, refused)


@pytest.mark.holds("P9", "P10")
def test_files_that_make_no_listener_are_one_sentence(files: Files) -> None:
    first, second = Authority().issue("first"), Authority().issue("second")
    files.put(Pair(first.certificate, second.key))
    with pytest.raises(CertificateError, match="key values mismatch"):
        Certificates(files.certificate, files.key)
    files.put(Pair(b"", first.key))
    with pytest.raises(CertificateError, match="cannot be used together"):
        Certificates(files.certificate, files.key)
    files.put(first)
    with pytest.raises(CertificateError, match="cannot be read: No such file"):
        Certificates(files.certificate, files.key, files.authority)
    files.authority.write_text("no certificate", encoding="ascii")
    with pytest.raises(CertificateError, match="client CA"):
        Certificates(files.certificate, files.key, files.authority)


@pytest.mark.holds("P10")
def test_the_health_command_speaks_tls(files: Files, fresh_db: str, tmp_path: Path) -> None:
    authority = Authority()
    pair = authority.issue("server")
    files.put(pair)
    files.authority.write_bytes(authority.certificate)
    env = {
        "DATABASE_URL": fresh_db,
        "KATA_TLS_CERT": str(files.certificate),
        "KATA_TLS_KEY": str(files.key),
        "KATA_TLS_CLIENT_CA": str(files.authority),
    }
    with serving(tmp_path / "data", env) as process:
        assert "with TLS" in process.log
        options = ["--address", process.address, "--ca", str(files.authority)]
        shown = ["--cert", str(files.certificate), "--key", str(files.key)]
        assert kata("health", *options, *shown).returncode == 0
        assert kata("health", *options).returncode == 1
