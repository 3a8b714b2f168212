"""Who calls: the one place that says which tenant a call acts for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kata_grpc.domain.contexts import TenantId

Metadata = Sequence[tuple[str, str | bytes]]


class Authenticator(Protocol):
    """Tells the tenant of a call from what came with it."""

    def tenant(self, metadata: Metadata) -> TenantId:
        """Return the tenant, or raises a KataError."""
        ...


class FixedTenant:
    """Lets every call act for one tenant."""

    def __init__(self, tenant: TenantId = TenantId("default")) -> None:  # noqa: B008 - a NewType call is its argument
        self._tenant = tenant

    def tenant(self, metadata: Metadata) -> TenantId:  # noqa: ARG002 - the seam's signature
        """Return the one tenant."""
        return self._tenant
