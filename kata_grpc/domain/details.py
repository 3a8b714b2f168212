"""What a revision did beyond its kind, and how that is stored beside it: as a JSON object of the fields."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from kata_grpc.domain.contexts import RevisionKind


@dataclass(frozen=True, slots=True)
class TagDetail:
    """What a tag names since, nothing when it was deleted, and what it named before, nothing when it is new."""

    name: str
    version: int | None
    revision: int | None
    previous_version: int | None
    previous_revision: int | None


@dataclass(frozen=True, slots=True)
class ForkDetail:
    """Where a fork left its parent."""

    parent_id: str
    fork_version: int
    fork_revision: int


@dataclass(frozen=True, slots=True)
class UpdateDetail:
    """The fields of the context that an update set, in order, and the digest of all that was set afterwards."""

    fields: tuple[str, ...]
    settings: str = ""


@dataclass(frozen=True, slots=True)
class RemovalDetail:
    """The runs of versions that were removed or restored, whole groups."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CompactionDetail:
    """The compaction that is in force since; "" for none."""

    compaction_id: str


@dataclass(frozen=True, slots=True)
class RedactionDetail:
    """The runs of versions whose content was erased, those that were redacted before, and what was touched.

    By context how many messages, the owner's log first, as far as they are named, and how many logs that were; by table
    how many rows.
    """

    ranges: tuple[tuple[int, int], ...]
    redacted_before: tuple[tuple[int, int], ...]
    reason: str
    logs: tuple[tuple[str, int], ...]
    log_count: int
    rows: tuple[tuple[str, int], ...]


Detail = TagDetail | ForkDetail | UpdateDetail | RemovalDetail | RedactionDetail | CompactionDetail


def detail_to_json(detail: Detail) -> str:
    """Return a detail as it is stored."""
    return json.dumps(asdict(detail))


def detail_from_json(kind: RevisionKind, text: str | None) -> Detail | None:
    """Read the detail of a revision of a kind; None where it has none."""
    if text is None:
        return None
    fields = json.loads(text)
    match kind:
        case RevisionKind.TAG | RevisionKind.UNTAG:
            return TagDetail(**fields)
        case RevisionKind.FORK:
            return ForkDetail(fields["parent_id"], fields["fork_version"], fields["fork_revision"])
        case RevisionKind.UPDATE:
            return UpdateDetail(tuple(fields["fields"]), fields.get("settings", ""))
        case RevisionKind.REMOVE | RevisionKind.RESTORE:
            return RemovalDetail(tuple((first, last) for first, last in fields["ranges"]))
        case RevisionKind.REDACT:
            lists = {name: tuple(map(tuple, pairs)) for name, pairs in fields.items() if isinstance(pairs, list)}
            return RedactionDetail(**fields | lists)
        case RevisionKind.COMPACT | RevisionKind.REVERT:
            return CompactionDetail(fields["compaction_id"])
        case _:
            return None
