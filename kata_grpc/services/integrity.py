"""Whether a context is what its rows say: all of them recomputed from one another, up to the first difference.

What a fork inherits is verified where it is stored. Nothing is locked: rows up to the revision at which the walk starts
do not change any more, but for what is erased meanwhile, and tags are compared where nobody moved them since.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kata_grpc.codec import CodecError, body_of, context_fields, decode_body, is_tombstone
from kata_grpc.domain.contexts import RevisionKind, TenantId, settings_digest
from kata_grpc.domain.details import (
    CompactionDetail,
    ForkDetail,
    RedactionDetail,
    RemovalDetail,
    TagDetail,
    detail_from_json,
)
from kata_grpc.domain.errors import ContextNotFound
from kata_grpc.domain.integrity import SUMS, Difference, Differs, Running, Told, expect, link
from kata_grpc.domain.lineage import ENDLESS, Lineage
from kata_grpc.domain.messages import TokenCountSource
from kata_grpc.domain.overlays import Run, split
from kata_grpc.repositories.compactions import CompactionRepository
from kata_grpc.repositories.contexts import context_from_row, lineage_of
from kata_grpc.repositories.integrity import BEFORE_ALL, IntegrityRepository
from kata_grpc.repositories.verifying import VerifyingRepository, lineage_from_row
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.messages import tool_step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.messages import Row

_PAGE = 100
_STRAYS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST_BYTES = 32
_MALFORMED = (ValueError, TypeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True)
class Verified:
    """Up to where a context was verified, how many rows were looked at, and the first difference; None without one."""

    version: int
    revision: int
    messages: int
    revisions: int
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One context that is not what its rows say."""

    context_id: UUID
    tenant_id: str
    difference: str


async def verify(database: Executor, tenant: TenantId, context_id: UUID) -> Verified:
    """Verify a context, deleted or not.

    What is found is looked at once more: rows that were erased or moved between two statements are none the next time.
    """
    verified = await _verify(database, tenant, context_id)
    return verified if verified.difference is None else await _verify(database, tenant, context_id)


async def _verify(database: Executor, tenant: TenantId, context_id: UUID) -> Verified:
    context = await VerifyingRepository(database, tenant).context(context_id)
    if context is None:
        raise ContextNotFound(str(context_id))
    verification = _Verification(database, tenant, context)
    difference = None
    try:
        await verification.run()
    except Differs as found:
        difference = found.difference
    except _MALFORMED as error:
        # It reads nothing but what is stored, which can be anything once it is not what was written.
        expected = "values of the form in which they are written"
        difference = Difference("form", verification.version, verification.revision, expected, repr(error))
    return Verified(
        context["latest_version"], context["latest_revision"], verification.messages, verification.revisions, difference
    )


async def verify_all(database: Executor, only: UUID | None = None) -> AsyncIterator[tuple[int, list[Finding]]]:
    """Verify every context, or one; yield how many there were since and what was found."""
    contexts = IntegrityRepository(database)
    if only is not None:
        row = await contexts.find(only)
        if row is None:
            raise ContextNotFound(str(only))
        yield 1, await _findings(database, row)
        return
    after = BEFORE_ALL
    while page := await contexts.contexts(after, _PAGE):
        for row in page:
            yield 1, await _findings(database, row)
        after = page[-1]["id"]
    for row in await contexts.stray_rows(_STRAYS):
        yield 0, [Finding(row["context_id"], row["tenant_id"], f"{row['name']} has a row for it without reason")]


async def _findings(database: Executor, row: Row) -> list[Finding]:
    try:
        found = await verify(database, TenantId(row["tenant_id"]), row["id"])
    except ContextNotFound:  # purged since it was listed
        return []
    return [Finding(row["id"], row["tenant_id"], str(found.difference))] if found.difference else []


class _Message(NamedTuple):
    """What of a verified message the revision that appended it is held to."""

    version: int
    revision: int
    create_time: datetime
    digest: bytes
    origin_id: UUID | None


@dataclass(slots=True)
class _Tag:
    version: int | None
    revision: int | None
    create_time: datetime
    update_time: datetime


class _Verification:
    """One walk through a context."""

    def __init__(self, database: Executor, tenant: TenantId, context: Row) -> None:
        self._db = database
        self._tenant = tenant
        self._context = context
        self._id: UUID = context["id"]
        self._rows = VerifyingRepository(database, tenant)
        self._lineage = Lineage.root(self._id)
        is_fork = context["segments"] is not None
        self._base = context["fork_version"] or 0 if is_fork else 0
        """The last version that is in another log."""
        self._base_revision = context["fork_revision"] if is_fork else -1
        self._copied = -1 if is_fork or context["parent_id"] is None else context["fork_revision"]
        """The last revision that was copied by flattening, with the versions before it."""
        self._copied_version = 0 if is_fork or context["parent_id"] is None else context["fork_version"]
        self._cuts: list[tuple[int, int]] = []
        self._state = Running()
        self._policy: tuple[int, bytes | None] = (0, None)
        self._in_force: tuple[int, UUID | None] = (0, None)
        self._tags: dict[str, _Tag] = {}
        self._removals = self._puts = self._policies = 0
        self._update_revision = 0
        self._settings: str | None = None
        """The digest of what callers set last, None where that was before digests of it were kept."""
        self._deleted = False
        self._flattened = -1
        self._last: Row | None = None
        self.messages = 0
        self.revisions = 0
        self.version = 0
        self.revision = 0

    async def run(self) -> None:
        """Raise Differs at the first difference."""
        context = self._context
        expect("purged_contexts.context_id", False, context["purged"])
        latest_version, latest_revision = context["latest_version"], context["latest_revision"]
        expect("contexts.latest_version", max(context["newest_message"] or 0, self._base), latest_version)
        expect("contexts.latest_revision", context["newest_revision"], latest_revision)
        for table in ("removals", "compactions_in_force", "policies"):
            if (context[table] or 0) > latest_revision:
                expect(f"{table}.revision", f"at most {latest_revision}", context[table])
        self._lineage = lineage_from_row(context)
        chain = await self._lineage_and_start()
        await self._walk(chain)
        await self._row()
        await self._beside()
        await self._compactions()
        await self._tags_as_set()

    # --- where it comes from ------------------------------------------------------------------------------------------

    async def _lineage_and_start(self) -> bytes:
        """Hold the lineage to the parent's; take the state at the fork over, and return the chain there."""
        context = self._context
        if context["parent_id"] is None:
            for column in ("fork_version", "fork_revision", "segments", "child_number"):
                expect(f"contexts.{column}", None, context[column])
            expect("contexts.depth", 0, context["depth"])
            return b""
        for column in ("fork_version", "fork_revision", "child_number"):
            if context[column] is None or context[column] < (column == "child_number"):
                expect(f"contexts.{column}", "a number", context[column])
        expect("contexts.depth", len(self._lineage.segments) - 1, context["depth"])
        parent = await self._rows.parent(context["parent_id"])
        if parent["id"] is None:
            if not parent["purged"]:
                expect("contexts.parent_id", "a context or one that was purged", context["parent_id"])
        else:
            await self._held_to(parent)
        if context["segments"] is None:
            self._cuts = await self._rows.fork_points(self._id, self._copied + 1)
            return b""
        return await self._at_the_fork()

    async def _held_to(self, parent: Row) -> None:
        context = self._context
        expect("contexts.tokenizer", parent["tokenizer"], context["tokenizer"])
        if context["fork_revision"] > parent["latest_revision"]:
            expect("contexts.fork_revision", f"at most {parent['latest_revision']}", context["fork_revision"])
        if context["segments"] is None:
            return
        lines = [lineage_from_row(parent)]
        if parent["parent_id"] is not None and parent["segments"] is None:
            # It was flattened, perhaps since: then its fork reads what it read before.
            detail = await self._rows.detail_of_newest(parent["id"], RevisionKind.FLATTEN)
            before = json.loads(detail).get("segments") if detail else None
            lines.append(lineage_of(parent["id"], parent["fork_version"], before))
        fork = (self._id, context["fork_version"], context["fork_revision"])
        wanted = [line.forked(*fork) for line in lines]
        if self._lineage not in wanted:
            expect("contexts.segments", _segments(wanted[0]), _segments(self._lineage))
        sources = [segment.source for segment in self._lineage.segments]
        expect("contexts.segments", len(sources), await self._rows.count(sources))

    async def _at_the_fork(self) -> bytes:
        context = self._context
        version, revision = context["fork_version"], context["fork_revision"]
        segment = self._lineage.at_revision(revision)
        made = await self._rows.revision(segment.source, revision)
        if made is None:
            expect("contexts.fork_revision", "a revision of its lineage", revision)
            return b""
        if version > made["last_version"]:
            expect("contexts.fork_version", f"at most {made['last_version']}", version)
        if version:
            row = await self._rows.state(self._lineage.source(version), version)
            if row is None:
                expect("contexts.fork_version", "a version of its lineage", version)
            else:
                self._state = Running.after(row, json.loads(row["open_calls"]) if row["open_calls"] else {})
        inherited = await WindowRepository(self._db, self._lineage, self._tenant).policy(revision)
        self._policy = inherited or (0, None)
        put = await CompactionRepository(self._db, self._tenant).in_force(self._lineage, revision)
        self._in_force = (put.revision, put.id)
        chain: bytes = made["chain"]
        return chain

    # --- revisions and messages ---------------------------------------------------------------------------------------

    async def _walk(self, chain: bytes) -> None:
        """Follow the revisions, and the messages that each appended."""
        context = self._context
        log = self._log()
        revision, version = self._base_revision, self._base
        time: datetime | None = None
        async for row in self._rows.revisions(self._lineage, self._base_revision, context["latest_revision"]):
            revision = self.revision = revision + 1
            expect("revisions.revision", revision, row["revision"], revision=revision)
            kind = self._kind(row, first=revision == self._base_revision + 1)
            if time is not None and row["create_time"] < time:
                expect("revisions.create_time", f"at least {time}", row["create_time"], revision=revision)
            if kind is RevisionKind.APPEND:
                parts = [await self._append(row, version, log)]
            elif kind is RevisionKind.FORK:
                parts = [row["fingerprint"], self._forked(row, version)]
                version = row["last_version"]
            else:
                parts = [row["fingerprint"]]
            if kind is not RevisionKind.APPEND:
                expect("revisions.first_version", None, row["first_version"], revision=revision)
                expect("revisions.last_version", version, row["last_version"], revision=revision)
                await self._did(kind, row)
            self._link(kind, chain, parts, row)
            version, time, chain = row["last_version"], row["create_time"], row["chain"]
            self._last = row
            self.revisions += 1
        expect("contexts.latest_revision", revision, context["latest_revision"])
        expect("contexts.latest_version", version, context["latest_version"])
        async for message in log:
            expect("messages.version", "none", message.version, version=message.version)

    def _kind(self, row: Row, *, first: bool) -> RevisionKind:
        """Return the kind of a revision, which must be that of a first one where it is."""
        revision = row["revision"]
        if row["kind"] not in set(RevisionKind):
            expect("revisions.kind", "a kind", row["kind"], revision=revision)
        kind = RevisionKind(row["kind"])
        begins = kind is RevisionKind.CREATE if revision == 0 else kind is RevisionKind.FORK
        if first or kind in (RevisionKind.CREATE, RevisionKind.FORK):
            of_copies = revision <= self._copied + 1 if self._copied >= 0 else first
            if not begins or not of_copies:
                expect("revisions.kind", "create" if revision == 0 else "fork", kind, revision=revision)
        expect("revisions.fingerprint", _DIGEST_BYTES, len(row["fingerprint"]), revision=revision)
        is_copy = revision <= self._copied
        expect("revisions.origin_id", is_copy, row["origin_id"] is not None, revision=revision)
        if is_copy:
            expect("revisions.origin_id", True, row["is_as_made"], revision=revision)
            expect("revisions.request_id", None, row["request_id"], revision=revision)
            before = self._last
            if before is not None and kind is not RevisionKind.FORK:
                expect("revisions.origin_id", before["origin_id"], row["origin_id"], revision=revision)
        return kind

    def _cut(self, revision: int) -> int:
        """Return the last version that the history of a flattened context has of what a revision did."""
        if revision > self._copied:
            return ENDLESS
        return min((version for forked, version in self._cuts if forked > revision), default=ENDLESS)

    async def _append(self, row: Row, version: int, log: AsyncIterator[_Message]) -> bytes:
        """Hold an append to its messages; return the digest of their digests."""
        revision, cut = row["revision"], self._cut(row["revision"])
        if row["first_version"] is None:
            expect("revisions.last_version", (cut, cut), (version, row["last_version"]), revision=revision)
            return b""
        expect("revisions.first_version", version + 1, row["first_version"], revision=revision)
        if not version < row["last_version"] <= cut:
            expect("revisions.last_version", f"{version + 1} to {cut}", row["last_version"], revision=revision)
        expect("revisions.detail", None, row["detail"], revision=revision)
        digests = sha256()
        for expected in range(version + 1, row["last_version"] + 1):
            message = await anext(log, None)
            if message is None:
                expect("messages.version", expected, None, version=expected, revision=revision)
                break
            expect("messages.revision", revision, message.revision, version=expected)
            expect("messages.create_time", row["create_time"], message.create_time, version=expected)
            expect("messages.origin_id", row["origin_id"], message.origin_id, version=expected)
            digests.update(message.digest)
        return digests.digest()

    def _forked(self, row: Row, version: int) -> bytes:
        """Hold a fork to where it says that it was forked; return what the chain has of that."""
        revision, detail = row["revision"], _detail(row)
        assert isinstance(detail, ForkDetail), "its kind says so"
        expect("revisions.detail", revision - 1, detail.fork_revision, revision=revision)
        if revision > self._copied:
            fork = (str(self._context["parent_id"]), self._context["fork_version"], self._context["fork_revision"])
            expect(
                "revisions.detail",
                fork,
                (detail.parent_id, detail.fork_version, detail.fork_revision),
                revision=revision,
            )
            expect("revisions.last_version", detail.fork_version, row["last_version"], revision=revision)
        elif not version <= row["last_version"] <= detail.fork_version:
            expect(
                "revisions.last_version", f"{version} to {detail.fork_version}", row["last_version"], revision=revision
            )
        return detail.fork_version.to_bytes(8)

    def _link(self, kind: RevisionKind, chain: bytes, parts: Sequence[bytes], row: Row) -> None:
        """Hold the chain after a revision to the chain before it.

        Appends linked no fingerprints once, and other revisions no details: such links are right as they are.
        """
        more = row["fingerprint"] if kind is RevisionKind.APPEND else (row["detail"] or "").encode()
        if row["chain"] == link(chain, *parts):
            return
        if kind is RevisionKind.APPEND and row["last_version"] == self._cut(row["revision"]):
            # What a fork has not of a batch is in no row of its, and the next link holds this one.
            return
        expect("revisions.chain", link(chain, *parts, more), row["chain"], revision=row["revision"])

    async def _did(self, kind: RevisionKind, row: Row) -> None:
        """Hold a revision to the rows of what it did."""
        revision, detail = row["revision"], _detail(row)
        if kind in (RevisionKind.DELETE, RevisionKind.UNDELETE, RevisionKind.POLICY):
            expect("revisions.detail", None, row["detail"], revision=revision)
        match kind:
            case RevisionKind.CREATE | RevisionKind.FORK | RevisionKind.UPDATE:
                self._called(kind, row)
            case RevisionKind.DELETE | RevisionKind.UNDELETE:
                expect("revisions.kind", "undelete" if self._deleted else "delete", kind, revision=revision)
                self._deleted = kind is RevisionKind.DELETE
            case RevisionKind.FLATTEN:
                expect("revisions.detail", True, "segments" in _fields(row), revision=revision)
                self._flattened = revision
            case _:
                pass
        self._set(kind, row)
        if isinstance(detail, RemovalDetail):
            await self._removed(kind, revision, detail)
        if isinstance(detail, RedactionDetail):
            cut = self._cut(revision)
            left = await self._rows.unredacted(
                self._lineage, [(first, min(last, cut)) for first, last in detail.ranges]
            )
            expect("messages.redact_revision", None, left, revision=revision)
        if isinstance(detail, CompactionDetail):
            expect("compactions_in_force.revision", revision, row["in_force_revision"], revision=revision)
            found = str(row["in_force_id"] or "")
            expect("compactions_in_force.compaction_id", detail.compaction_id, found, revision=revision)
            if kind is RevisionKind.COMPACT:
                # Later than its own where it was put in force once more.
                expect("compactions.state", "committed", row["compaction_state"], revision=revision)
                if row["compaction_revision"] > revision:
                    expect("compactions.revision", f"at most {revision}", row["compaction_revision"], revision=revision)
            self._in_force = (revision, row["in_force_id"])
            self._puts += 1
        if isinstance(detail, TagDetail) and revision > self._copied:
            self._tag(kind, row, detail)

    def _called(self, kind: RevisionKind, row: Row) -> None:
        """Take over what a revision says of what callers set."""
        fields = _fields(row)
        self._settings = fields.get("settings")
        self._update_revision = 0 if kind is RevisionKind.CREATE else row["revision"]
        if kind is not RevisionKind.UPDATE:
            self._deleted = False
            if row["revision"] > self._copied and "child_number" in fields:
                expect("contexts.child_number", fields["child_number"], self._context["child_number"])

    def _set(self, kind: RevisionKind, row: Row) -> None:
        """Take the policy over that a revision set."""
        revision, policy = row["revision"], row["policy"]
        if kind is RevisionKind.POLICY:
            if policy is None:
                expect("policies.revision", revision, None, revision=revision)
            expect("policies.policy", row["fingerprint"], sha256(b"SetPolicy" + policy).digest(), revision=revision)
        elif kind is not RevisionKind.FORK:
            expect("policies.revision", None, policy and revision, revision=revision)
        if policy is not None:
            self._policy = (revision, policy)
            self._policies += 1

    async def _removed(self, kind: RevisionKind, revision: int, detail: RemovalDetail) -> None:
        cut, removed = self._cut(revision), kind is RevisionKind.REMOVE
        runs = split(starmap(Run, detail.ranges))
        wanted = [(first, min(last, cut), removed) for first, last in runs if first <= cut]
        expect("removals", wanted, await self._rows.removals(self._id, revision), revision=revision)
        self._removals += len(wanted)

    def _tag(self, kind: RevisionKind, row: Row, detail: TagDetail) -> None:
        revision, before = row["revision"], self._tags.get(detail.name)
        previous = (before.version, before.revision) if before else (None, None)
        expect("revisions.detail", previous, (detail.previous_version, detail.previous_revision), revision=revision)
        expect("revisions.kind", detail.version is None, kind is RevisionKind.UNTAG, revision=revision)
        if detail.version is None or detail.revision is None:
            self._tags.pop(detail.name, None)
            return
        if detail.version > row["last_version"] or detail.revision >= revision:
            expect("revisions.detail", "a place before it", f"{detail.version}, {detail.revision}", revision=revision)
        created = before.create_time if before else row["create_time"]
        self._tags[detail.name] = _Tag(detail.version, detail.revision, created, row["create_time"])

    async def _log(self) -> AsyncIterator[_Message]:
        """Yield the messages, each held to the one before."""
        async for page in self._rows.messages(self._id, self._base, self._context["latest_version"]):
            for message in await asyncio.to_thread(list, self._page(page)):
                if isinstance(message, Differs):
                    raise message
                self.messages += 1
                yield message

    def _page(self, rows: Sequence[Row]) -> Iterator[_Message | Differs]:
        """Yield what is right of a page, and the first difference in its place."""
        try:
            for row in rows:
                self.version = row["version"]
                told = self._told(row)
                self._state.add(row, told)
                version, stored = row["version"], json.loads(row["open_calls"]) if row["open_calls"] else {}
                if told is None:
                    self._state.open_calls = stored
                expect("messages.open_calls", self._state.open_calls, stored, version=version)
                is_copy = version <= self._copied_version
                expect("messages.origin_id", is_copy, row["origin_id"] is not None, version=version)
                expect("messages.origin_id", True, row["is_as_made"], version=version)
                yield _Message(version, row["revision"], row["create_time"], row["digest"], row["origin_id"])
        except Differs as found:
            yield found

    def _told(self, row: Row) -> Told | None:
        """Hold a record to the columns beside it; return what the message says, None where its content was erased."""
        version, record = row["version"], row["record"]
        erased = row["redact_revision"] is not None
        redacted_group = row["redacted_group"]
        expect("redactions.group_version", row["group_version"] if erased else None, redacted_group, version=version)
        expect("messages.digest", _DIGEST_BYTES, len(row["digest"]), version=version)
        if record is None:
            expect("messages.record", "a record", None, version=version)
        if row["token_count_source"] not in set(TokenCountSource):
            expect("messages.token_count_source", "a source", row["token_count_source"], version=version)
        fields = context_fields(row["origin_id"] or self._id, self._context["tokenizer"])
        stamp = (version, row["revision"], (row["create_time"] - _EPOCH) // _MICROSECOND)
        body = body_of(record, fields, row["token_count"], row["token_count_source"], stamp)
        if body is None:
            expect("messages.record", "a record of the columns beside it", "another", version=version)
        assert body is not None, "else it differs"
        if erased:
            left = is_tombstone(body, row["role"], row["redact_revision"])
            expect("messages.record", True, left and row["labels"] is None, version=version)
            return None
        expect("messages.digest", sha256(body).digest(), row["digest"], version=version)
        try:
            message = decode_body(body)
        except CodecError as error:
            raise Differs(Difference("messages.record", version, 0, "a message", str(error))) from error
        step = tool_step(message)
        results, calls = cast("list[str]", step.get("r", [])), cast("list[str]", step.get("c", []))
        return Told(message.role, message.labels, results, calls, "a" in step)

    # --- what stands beside them --------------------------------------------------------------------------------------

    async def _row(self) -> None:
        """Hold the context's row to where the walk ended."""
        context, last, state = self._context, self._last, self._state
        assert last is not None, "there is a newest revision"
        expect("contexts.chain", last["chain"], context["chain"])
        expect("contexts.update_time", last["create_time"], context["update_time"])
        for name in SUMS:
            expect(f"contexts.{name}", state.sums[name], context[name])
        expect("contexts.turn_version", state.turn_version, context["turn_version"])
        expect("contexts.open_calls", state.open_calls, json.loads(context["open_calls"]))
        first = 0 if context["fork_revision"] is None else context["fork_revision"] + 1
        made = await self._rows.revision(self._id, first)
        expect("contexts.create_time", made and made["create_time"], context["create_time"])
        expect("contexts.update_revision", self._update_revision, context["update_revision"])
        if context["origin_format"] is None:
            expect("contexts.origin_id", None, context["origin_id"])
            expect("contexts.origin_extra_json", None, context["origin_extra_json"])
        if self._settings is not None:
            expect("contexts.settings", self._settings, settings_digest(context_from_row(context)))
        expect("contexts.delete_time", self._deleted, context["delete_time"] is not None)
        expect("contexts.policy_revision", self._policy[0], context["policy_revision"])
        expect("contexts.policy", self._policy[1] or b"", context["policy"] or b"")
        in_force = (context["compaction_revision"], context["compaction_id"])
        expect("contexts.compaction_id", self._in_force, in_force)
        if self._copied >= 0:
            expect("contexts.segments", True, self._flattened > 0)
        holds = context["unique_name"] and bool(context["name"]) and context["delete_time"] is None
        expect("context_names.context_id", holds, context["holder_id"] == self._id)

    async def _beside(self) -> None:
        """Hold the rows beside the log to what the revisions said."""
        context = self._context
        revisions = (self._base_revision, context["latest_revision"])
        found = await self._rows.beside(self._id, revisions, (self._base, ENDLESS))
        expect("removals", self._removals, found["removals"])
        expect("compactions_in_force", self._puts, found["in_force"])
        expect("policies", self._policies, found["policies"])
        expect("redactions.version", None, found["stray_redaction"])
        expect("message_embeddings.version", None, found["stray_embedding"])
        overlays = await self._rows.overlays(self._lineage, context["latest_revision"])
        has = overlays["removals"] or overlays["redactions"]
        if overlays["removals"]:
            expect("contexts.has_removals", True, context["has_removals"])
        elif context["has_removals"] and not has:
            parent = context["parent_id"] and await self._rows.parent(context["parent_id"])
            if not parent or (parent["id"] is not None and not parent["has_removals"]):
                expect("contexts.has_removals", False, True)

    async def _compactions(self) -> None:
        """Hold what was committed to the revisions that did so, and what it hides to what there was."""
        async for row in self._rows.compactions(self._lineage, self._context["latest_revision"]):
            name, revision = row["compaction_id"], row["revision"]
            if revision <= self._base_revision:
                continue  # an unfinished flatten's
            is_copy = revision <= self._copied
            expect("compactions.revision", ("compact", str(name)), _committed(row), revision=revision)
            expect("compactions.origin_id", is_copy, row["origin_id"] is not None, revision=revision)
            if not row["highest"] or row["lowest"] < 1 or row["highest"] > row["base_version"]:
                expect(
                    "compactions.covered", f"versions up to {row['base_version']}", row["covered"], revision=revision
                )
            _hold_to_digests(row)
            expect("compactions.added", True, row["holds_added"], revision=revision)
            expect("compactions.first_version", row["lowest_added"] or 0, row["first_version"], revision=revision)
            if not is_copy or row["last_version"] != ENDLESS:
                expect("compactions.last_version", row["highest"], row["last_version"], revision=revision)
                expect("compaction_sources", True, row["has_sources"], revision=revision)
            if not row["base_revision"] < revision or row["previous_revision"] > row["base_revision"]:
                expect("compactions.base_revision", f"below {revision}", row["base_revision"], revision=revision)
            if is_copy:
                expect("compactions.origin_id", True, row["is_as_made"], revision=revision)
            elif row["version_at_base"] is not None and row["base_version"] > row["version_at_base"]:
                expected = f"at most {row['version_at_base']}"
                expect("compactions.base_version", expected, row["base_version"], revision=revision)
            if row["in_force_at_base"] is not None or self._context["segments"] is None:
                previous = row["in_force_at_base"] or 0
                expect("compactions.previous_revision", previous, row["previous_revision"], revision=revision)
            if not row["create_time"] <= row["end_time"]:
                expect("compactions.end_time", f"at least {row['create_time']}", row["end_time"], revision=revision)

    async def _tags_as_set(self) -> None:
        """Hold the tags to the revisions that set them, but those that were set, moved or deleted since."""
        since = self._context["latest_revision"]
        async for row in self._rows.revisions(self._lineage, since, ENDLESS):
            detail = _detail(row)
            if isinstance(detail, TagDetail):
                self._tags[detail.name] = _Tag(None, None, row["create_time"], row["create_time"])
        async for row in self._rows.tags(self._id):
            tag = self._tags.pop(row["name"], None)
            if tag is None:
                if row["update_time"] > self._context["update_time"]:
                    continue
                expect("tags.name", "none of this name", row["name"])
            elif tag.version is not None:
                for column in ("version", "revision", "create_time", "update_time"):
                    expect(f"tags.{column}", getattr(tag, column), row[column])
        for name, tag in self._tags.items():
            if tag.version is not None:
                expect("tags.name", name, None)


def _fields(row: Row) -> dict[str, Any]:
    """Return what a revision says of itself, as it is stored."""
    fields = json.loads(row["detail"] or "{}")
    if not isinstance(fields, dict):
        expect("revisions.detail", "an object", row["detail"], revision=row["revision"])
    return cast("dict[str, Any]", fields)


def _detail(row: Row) -> object:
    """Read what a revision says of itself."""
    kind = RevisionKind(row["kind"])
    detail = detail_from_json(kind, row["detail"])
    if detail is None and kind in _WITH_DETAIL:
        expect("revisions.detail", f"what {kind} has", None, revision=row["revision"])
    return detail


_WITH_DETAIL = {
    RevisionKind.FORK,
    RevisionKind.UPDATE,
    RevisionKind.REMOVE,
    RevisionKind.RESTORE,
    RevisionKind.REDACT,
    RevisionKind.TAG,
    RevisionKind.UNTAG,
    RevisionKind.COMPACT,
    RevisionKind.REVERT,
}


def _committed(row: Row) -> tuple[str, str]:
    """Return what the revision that a compaction names did."""
    detail = json.loads(row["detail"]) if row["detail"] else {}
    return row["kind"] or "", detail.get("compaction_id", "")


def _hold_to_digests(row: Row) -> None:
    """Hold a compaction to the digests that the revision kept that committed it, once they were kept."""
    kept, digests, revision = json.loads(row["detail"]), json.loads(row["digests"]), row["revision"]
    erased = row["erase_time"] is not None
    for digest in ("made",) if erased else ("made", "summary"):
        expect(f"compactions.{digest}", kept.get(digest, digests[digest]), digests[digest], revision=revision)
    if erased:
        expect("compactions.summary", None, row["summary"], revision=revision)


def _segments(lineage: Lineage) -> str:
    return "; ".join(f"{s.source} {s.first} to {s.last} at {s.last_revision}" for s in lineage.segments[:-1])
