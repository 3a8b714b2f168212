"""Page and resume tokens: opaque, bound to the call they were made for, and worth nothing to anyone else.

A token is base64url of: format version (1 byte), hash of what it is bound to (8), payload, and a MAC over it all (12).
It grants nothing: whatever a call does with it, it does with the caller's own rights.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.domain.errors import InvalidToken, TokenMismatch

if TYPE_CHECKING:
    from google.protobuf.message import Message as Proto

    from kata_grpc.domain.contexts import TenantId

_FORMAT = b"\x01"
_BOUND = 8
_MAC = 12


def bind(tenant: TenantId, request: Proto, *free: str) -> bytes:
    """Hash a tenant, a method and its parameters, apart from the `free` ones that may differ from call to call."""
    fixed = type(request)()
    fixed.CopyFrom(request)
    for field in free:
        fixed.ClearField(field)
    parts = (tenant.encode(), type(request).__name__.encode(), fixed.SerializeToString(deterministic=True))
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()[:_BOUND]


class TokenMaker:
    """Makes and reads tokens under the key that all workers of a database share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, bound: bytes, layout: str, *values: int | bytes) -> str:
        """Return a token that holds `values`, packed as `struct` says in `layout`."""
        head = _FORMAT + bound + struct.pack(layout, *values)
        return _spell(head + self._mac(head))

    def read(self, field: str, token: str, bound: bytes, layout: str) -> tuple[int | bytes, ...]:
        """Return what `make` put in. Raises InvalidToken or TokenMismatch, naming the request's `field`."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise InvalidToken(field) from error
        if _spell(raw) != token:
            raise InvalidToken(field)
        head, mac = raw[:-_MAC], raw[-_MAC:]
        if not head.startswith(_FORMAT) or not hmac.compare_digest(mac, self._mac(head)):
            raise InvalidToken(field)
        payload = head[len(_FORMAT) + _BOUND :]
        if head[len(_FORMAT) : len(_FORMAT) + _BOUND] != bound or len(payload) != struct.calcsize(layout):
            raise TokenMismatch(field)
        return struct.unpack(layout, payload)

    def _mac(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")[:_MAC]


def _spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
