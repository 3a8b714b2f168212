"""The listener's certificates: read from files, checked, and read again when the files change.

A new certificate is used from the next connection on. One that cannot be used leaves the last good one in place and
a line in the log; at the start it is an error. Who a client's certificate belongs to is not decided here.
"""

from __future__ import annotations

import logging
import ssl
import threading
from typing import TYPE_CHECKING

import grpc

from kata_grpc.db.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(StartupError):
    """The files do not make a listener with TLS."""


class Certificates:
    """The certificate, its key and, for mutual TLS, the authority that signs clients; all PEM files."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._lock = threading.Lock()
        self._stamp = _stamp(self._files)
        self._initial = self._load()

    @property
    def _files(self) -> Sequence[Path]:
        return [path for path in (self._certificate, self._key, self._client_ca) if path is not None]

    def server_credentials(self) -> grpc.ServerCredentials:
        """Make credentials that follow the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._initial,
            self._fetch,  # type: ignore[arg-type]  # may return None by gRPC's documentation, not by its type stubs
            require_client_authentication=self._client_ca is not None,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Give gRPC the new certificate, or None for the one it has; called in its threads, at each connection."""
        with self._lock:
            try:
                stamp = _stamp(self._files)
                if stamp == self._stamp:
                    return None
                self._stamp = stamp
                fresh = self._load()
            except CertificateError as error:
                _log.error("%s The certificate in use stays.", error)
                return None
        _log.info("the listener uses the new certificate in %s", self._certificate)
        return fresh

    def _load(self) -> grpc.ServerCertificateConfiguration:
        _check(self._certificate, self._key, self._client_ca)
        try:
            key, certificate = self._key.read_bytes(), self._certificate.read_bytes()
            roots = self._client_ca.read_bytes() if self._client_ca else None
        except OSError as error:
            raise CertificateError(f"{error.filename} cannot be read: {error.strerror}.") from error
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=roots)


def _stamp(files: Sequence[Path]) -> _Stamp:
    try:
        states = [path.stat() for path in files]
    except OSError as error:
        raise CertificateError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)


def _check(certificate: Path, key: Path, client_ca: Path | None) -> None:
    """Have OpenSSL read the files, because gRPC takes anything and then refuses every connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password function, as otherwise OpenSSL asks the terminal for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CertificateError(
            f"The certificate {certificate} and the unencrypted key {key} cannot be used together: {_said(error)}."
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(f"The client CA {client_ca} cannot be used: {_said(error)}.") from error


def _said(error: Exception) -> str:
    """Say what OpenSSL or the system said, in words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
