"""What makes a change repeatable: fingerprints of canonical requests and ids derived from request_ids."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID, uuid4, uuid5

from kata_grpc.domain.errors import RequestIdReused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kata_grpc.domain.contexts import Claim, TenantId

_IDS = UUID("5b0f8a53-2f6c-5a0e-9d3b-6a2b8f0c7d11")
"""The namespace of ids that follow from a request_id."""


def fingerprint(method: str, content: Mapping[str, object]) -> bytes:
    """Return 32 bytes that are equal for equal requests, whatever client and order of keys they came from."""
    canonical = json.dumps([method, content], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(canonical.encode("utf-8")).digest()


def new_id(tenant: TenantId, method: str, request_id: str | None) -> UUID:
    """Return the id of what a creation creates: always the same for the same request_id."""
    if request_id is None:
        return uuid4()
    return uuid5(_IDS, json.dumps([tenant, method, request_id]))


def check_claim(claim: Claim, request_id: str, wanted: bytes) -> None:
    """Raise RequestIdReused when the request_id stands for other content."""
    if claim.fingerprint != wanted:
        raise RequestIdReused(request_id)
