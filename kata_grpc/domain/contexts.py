"""What a context is, and what happens to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.domain.details import Detail
    from kata_grpc.domain.messages import Role

TenantId = NewType("TenantId", str)

DEFAULT_TOKENIZER = "o200k_base"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an imported conversation came from: (format, id) identifies it, `extra_json` holds its other keys."""

    format: str
    id: str
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class ContextSpec:
    """What a context is created with."""

    name: str = ""
    labels: Mapping[str, str] | None = None
    metadata_json: str = ""
    tokenizer: str = DEFAULT_TOKENIZER
    unique_name: bool = False
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """Where a fork left its parent: it knows the parent up to a version and a revision."""

    parent_id: UUID
    version: int
    revision: int


@dataclass(frozen=True, slots=True)
class Context:
    """One conversation, as it is at one moment."""

    id: UUID
    tenant_id: TenantId
    name: str
    unique_name: bool
    labels: Mapping[str, str]
    metadata_json: str
    tokenizer: str
    origin: Origin | None
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    update_revision: int
    latest_revision: int
    latest_version: int
    total_tokens: int
    fork: ForkPoint | None = None
    depth: int = 0
    """How many ancestors it has."""
    has_removals: bool = False
    """Whether any revision that it knows of removed messages."""

    @property
    def message_count(self) -> int:
        """The messages of the log: versions are dense from 1."""
        return self.latest_version

    @property
    def etag(self) -> str:
        """Changes with every update, and with nothing else."""
        return f"u{self.update_revision}"


def settings_digest(settings: ContextSpec | Context) -> str:
    """Return a digest of all that callers set of a context, as it stands beside the last revision that set some."""
    origin = settings.origin and [settings.origin.format, settings.origin.id, settings.origin.extra_json]
    content = [settings.name, settings.unique_name, dict(settings.labels or {}), settings.metadata_json]
    canonical = json.dumps([*content, settings.tokenizer, origin], sort_keys=True)
    return sha256(canonical.encode()).hexdigest()


class RevisionKind(StrEnum):
    """What a revision did. CREATE is revision 0, which only holds the claim of the creation's request_id."""

    CREATE = "create"
    APPEND = "append"
    UPDATE = "update"
    DELETE = "delete"
    UNDELETE = "undelete"
    POLICY = "policy"
    FORK = "fork"
    REMOVE = "remove"
    RESTORE = "restore"
    REDACT = "redact"
    TAG = "tag"
    UNTAG = "untag"
    FLATTEN = "flatten"
    COMPACT = "compact"
    REVERT = "revert"


@dataclass(frozen=True, slots=True)
class Tag:
    """The name of a snapshot of a context, and when it was set or moved last."""

    name: str
    version: int
    revision: int
    update_time: datetime


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy as it is stored, and the revision that set it; 0 and empty when none was."""

    revision: int
    policy: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The revision that a request_id stands for."""

    revision: int
    kind: RevisionKind
    first_version: int
    last_version: int
    fingerprint: bytes
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """One acknowledged change, for a reader of the history; `context_id` is the context that made it."""

    context_id: UUID
    revision: int
    kind: RevisionKind
    first_version: int
    last_version: int
    create_time: datetime
    request_id: str
    role: Role | None
    preview: str
    detail: Detail | None = None
