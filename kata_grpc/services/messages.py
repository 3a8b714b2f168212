"""Appending messages and reading them back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.codec import context_fields, record_head
from kata_grpc.db.errors import ConstraintViolated
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER, Context, Revision, RevisionKind, TenantId
from kata_grpc.domain.details import detail_from_json
from kata_grpc.domain.errors import (
    ContextNotFound,
    MessageNotFound,
    TooManyOpenCalls,
    VersionConflict,
    WriteContention,
)
from kata_grpc.domain.messages import Message, Role, Row, TokenCountSource
from kata_grpc.domain.tokens import Counted
from kata_grpc.domain.windows import View
from kata_grpc.limits import HISTORY_LOOK, MAX_OPEN_CALLS, PAGE_BYTES
from kata_grpc.preview import preview_of_record
from kata_grpc.repositories.contexts import ContextRepository, context_from_row
from kata_grpc.repositories.messages import Batch, MessageRepository, NewMessage
from kata_grpc.repositories.windows import WindowRepository
from kata_grpc.services.appending import GroupCommit
from kata_grpc.services.cache import BoundedCache
from kata_grpc.services.changes import OnChange, unwatched
from kata_grpc.services.overlays import Overlays
from kata_grpc.services.requests import check_claim
from kata_grpc.services.snapshots import At, Snapshot, Snapshots, is_current

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Database
    from kata_grpc.tokenizers import Tokenizers

_ATTEMPTS = 4
"""How often an append may find the context changed between its statement and the look at why it wrote nothing."""
_KNOWN_CONTEXTS = 100_000
PREVIEW_BYTES = 4_096
"""Enough of a record to show the first characters of its text."""


class Draft(NamedTuple):
    """A message to append: its content, its bytes as they will be stored, and the caller's count with its tokenizer."""

    message: Message
    body: bytes
    given_count: int | None = None
    given_tokenizer: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A count that the caller gave and the server counted otherwise."""

    index: int
    given: int
    counted: int


class Appended(NamedTuple):
    """Where a batch stands in the log."""

    context: Callable[[], Context]
    """Makes the context, for who sends it."""
    first_version: int
    last_version: int
    revision: int
    replayed: bool
    differences: Sequence[Difference]


class LaidOut(NamedTuple):
    """The messages of a batch as they will be stored, counted in one tokenizer."""

    tokenizer: str
    messages: Sequence[NewMessage]
    steps_json: str | None
    differences: Sequence[Difference]


class Prepared(NamedTuple):
    """A batch that only waits to be written; it is counted as the context's tokenizer was last known."""

    context_id: UUID
    drafts: Sequence[Draft]
    digests: Sequence[bytes]
    digest: bytes
    wanted: bytes
    laid_out: LaidOut

    def batch(self, tenant: TenantId, request_id: str | None = None, expected_version: int | None = None) -> Batch:
        """Return what is written."""
        return Batch(
            self.context_id,
            tenant,
            self.laid_out.tokenizer,
            expected_version,
            request_id,
            self.wanted,
            self.digest,
            self.laid_out.steps_json,
            self.laid_out.messages,
        )


class Messages:
    """The use cases of MessageService apart from windows."""

    def __init__(
        self,
        database: Database,
        tokenizers: Tokenizers,
        changed: OnChange = unwatched,
        due: Callable[[], None] | None = None,
    ) -> None:
        """`due` is called when a context became due for compaction."""
        self._db = database
        self._messages = MessageRepository(database)
        self._group = GroupCommit(self._messages)
        self._contexts = ContextRepository(database)
        self._snapshots = Snapshots(database)
        self._tokenizers = tokenizers
        self._changed = changed
        self._due = due
        # A context's tokenizer never changes, so that an entry is never wrong; an append that guesses wrong finds no
        # row, learns the right one and counts again.
        self._tokenizer_of: BoundedCache[UUID, str] = BoundedCache(_KNOWN_CONTEXTS)

    async def append(
        self,
        tenant: TenantId,
        context_id: UUID,
        drafts: Sequence[Draft],
        request_id: str | None,
        expected_version: int | None,
    ) -> Appended:
        """Append a batch."""
        return await self.write(tenant, await self.prepare(context_id, drafts), request_id, expected_version)

    async def prepare(self, context_id: UUID, drafts: Sequence[Draft], tokenizer: str | None = None) -> Prepared:
        """Do what a batch needs before it is its turn: nothing is read, nothing written.

        `tokenizer` is the context's where that is known for sure.
        """
        digests = [sha256(draft.body).digest() for draft in drafts]
        digest = sha256(b"".join(digests)).digest()
        tokenizer = tokenizer or self._tokenizer_of.get(context_id, DEFAULT_TOKENIZER)
        laid_out = await self._lay_out(context_id, drafts, digests, tokenizer)
        return Prepared(context_id, drafts, digests, digest, _fingerprint(drafts, digest), laid_out)

    async def write(
        self, tenant: TenantId, prepared: Prepared, request_id: str | None, expected_version: int | None
    ) -> Appended:
        """Write a batch: one statement, with others, when it succeeds; one more read to say why when it does not."""
        context_id, drafts = prepared.context_id, prepared.drafts
        write = self._group.append
        for _ in range(_ATTEMPTS):
            laid_out = prepared.laid_out
            tokenizer, steps_json = laid_out.tokenizer, laid_out.steps_json
            try:
                row = await write(prepared.batch(tenant, request_id, expected_version))
            except ConstraintViolated as violated:
                if violated.constraint != "revisions_request_uq":
                    raise
                row = None
            if row is not None:
                self._tokenizer_of[context_id] = tokenizer
                last, revision = row["latest_version"], row["latest_revision"]
                self._tell(context_id, row)
                first = last - len(drafts) + 1
                return Appended(partial(context_from_row, row), first, last, revision, False, laid_out.differences)

            # Before the claim is looked for: the calls of a twin that is committed in between are not counted.
            too_many = False
            if steps_json is not None:
                too_many = await self._messages.open_calls(context_id, tenant, steps_json) > MAX_OPEN_CALLS
            found = await self._contexts.get_with_claim(context_id, tenant, request_id)
            if found is None:
                raise ContextNotFound(str(context_id))
            context, claim = found
            if context.tokenizer != tokenizer:
                self._tokenizer_of[context_id] = context.tokenizer
                laid_out = await self._lay_out(context_id, drafts, prepared.digests, context.tokenizer)
                prepared = prepared._replace(laid_out=laid_out)
            if claim is not None:
                assert request_id is not None
                check_claim(claim, request_id, prepared.wanted)
                first, last = claim.first_version, claim.last_version
                return Appended(partial(_same, context), first, last, claim.revision, True, laid_out.differences)
            if context.delete_time is not None:
                raise ContextNotFound(str(context_id))
            if too_many:
                raise TooManyOpenCalls(str(context_id), MAX_OPEN_CALLS)
            if expected_version is not None and context.latest_version != expected_version:
                raise VersionConflict(expected_version, context.latest_version)
            write = self._group.append_alone  # it was held, perhaps: wait for it
        raise WriteContention

    def _tell(self, context_id: UUID, row: Row) -> None:
        self._changed(context_id, row["latest_revision"])
        if row["is_due"] and self._due is not None:
            self._due()

    async def _lay_out(
        self, context_id: UUID, drafts: Sequence[Draft], digests: Sequence[bytes], tokenizer: str
    ) -> LaidOut:
        counts, differences = await self._count(drafts, tokenizer)
        new, steps_json = _new_messages(drafts, counts, digests, context_fields(context_id, tokenizer))
        return LaidOut(tokenizer, new, steps_json, differences)

    async def _count(self, drafts: Sequence[Draft], tokenizer: str) -> tuple[list[Counted], list[Difference]]:
        """Count the drafts in the context's tokenizer, or takes the caller's counts where the server cannot."""
        counts = await self._tokenizers.count([draft.message for draft in drafts], tokenizer)
        differences = []
        for index, draft in enumerate(drafts):
            if draft.given_count is None or draft.given_tokenizer not in ("", tokenizer):
                continue
            counted = counts[index]
            if not self._tokenizers.has(tokenizer):
                counts[index] = Counted(draft.given_count, counted.items, TokenCountSource.CALLER)
            elif draft.given_count != counted.tokens:
                differences.append(Difference(index, draft.given_count, counted.tokens))
        return counts, differences

    @staticmethod
    def fingerprint(drafts: Sequence[Draft]) -> bytes:
        """Return what stands for the content of a batch; the drafts are not counted."""
        return _fingerprint(drafts, sha256(b"".join(sha256(draft.body).digest() for draft in drafts)).digest())

    async def get(
        self,
        tenant: TenantId,
        context_id: UUID,
        version: int,
        at: At,
        view: View = View.CURRENT,
        *,
        show_deleted: bool = False,
    ) -> bytes:
        """Return the record of a message of a snapshot."""
        snapshot = await self._snapshots.find_viewed(tenant, context_id, at, view, show_deleted=show_deleted)
        if version <= snapshot.version and (row := await self._messages.get(snapshot.lineage, tenant, version)):
            overlays = self._overlays(tenant, snapshot, view)
            if overlays is None or await overlays.visible([row]):
                record: bytes = row["record"]
                return record
        raise MessageNotFound(str(context_id), version)

    def _overlays(self, tenant: TenantId, snapshot: Snapshot, view: View) -> Overlays | None:
        """Return what hides messages of lists; None where nothing does. Redacted messages are listed."""
        if view is View.RAW or not snapshot.context.has_removals:
            return None
        log = WindowRepository(self._db, snapshot.lineage, tenant)
        return Overlays(log, view, snapshot.version, snapshot.revision, redactions=False)

    async def page(
        self,
        tenant: TenantId,
        context_id: UUID,
        at: At,
        *,
        newest_first: bool,
        after: int | None,
        roles: Sequence[Role],
        limit: int,
        view: View = View.CURRENT,
        show_deleted: bool = False,
    ) -> tuple[Snapshot, Sequence[Row], int | None]:
        """Return a snapshot, a page of its messages beyond version `after`, and where the next page goes on, or None.

        It goes on with the version and the revision of the snapshot.
        """
        snapshot = await self._snapshots.find_viewed(tenant, context_id, at, view, show_deleted=show_deleted)
        overlays = self._overlays(tenant, snapshot, view)
        place = after if after is not None else (snapshot.version + 1 if newest_first else 0)
        page: list[Row] = []
        room = PAGE_BYTES
        while True:
            rows, more = await self._messages.page(
                snapshot.lineage,
                tenant,
                newest_first=newest_first,
                after=place,
                up_to=snapshot.version,
                roles=[str(role) for role in roles] or None,
                max_bytes=room,
                limit=limit - len(page),
            )
            is_whole = not roles and _is_whole(
                [row["version"] for row in rows], place, snapshot.version, newest_first, more
            )
            if not is_whole and not await is_current(self._db, tenant, snapshot.lineage):
                return await self.page(
                    tenant,
                    context_id,
                    at,
                    newest_first=newest_first,
                    after=after,
                    roles=roles,
                    limit=limit,
                    view=view,
                    show_deleted=show_deleted,
                )
            if rows:
                place = rows[-1]["version"]
            found = rows if overlays is None else await overlays.visible(rows)
            page += found
            room -= sum(len(row["record"]) for row in found)
            if not more:
                return snapshot, page, None
            if overlays is None or len(page) == limit or room <= 0:
                return snapshot, page, place

    async def history(
        self,
        tenant: TenantId,
        context_id: UUID,
        at: At,
        *,
        newest_first: bool,
        after: int | None,
        kinds: Collection[RevisionKind],
        limit: int,
    ) -> tuple[int, list[Revision], int | None]:
        """Return the newest revision of a walk, a page beyond `after`, and after which revision it goes on, if it does.

        Each revision has the beginning of what it appended. With `kinds` a page looks only so far, and may be empty.
        """
        snapshot = await self._snapshots.find(tenant, context_id, at)
        newest = snapshot.revision
        if at.version is not None and at.revision is None:
            newest = await self._messages.revision_of(snapshot.lineage, tenant, at.version) if at.version else 0
        first, last = 1, newest
        if after is not None:
            first, last = (first, after - 1) if newest_first else (after + 1, last)
        reach = HISTORY_LOOK if kinds else newest
        until = max(first, last - reach + 1) if newest_first else min(last, first + reach - 1)
        rows = await self._contexts.list_revisions(
            snapshot.lineage,
            tenant,
            *((until, last) if newest_first else (first, until)),
            newest_first=newest_first,
            kinds=kinds,
            limit=limit + 1,
            preview_bytes=PREVIEW_BYTES,
        )
        is_whole = not kinds and len(rows) == min(limit + 1, last - first + 1)
        if not is_whole and not await is_current(self._db, tenant, snapshot.lineage):
            return await self.history(
                tenant, context_id, at, newest_first=newest_first, after=after, kinds=kinds, limit=limit
            )
        page = [revision_from_row(row) for row in rows[:limit]]
        if len(rows) > limit:
            return newest, page, page[-1].revision
        return newest, page, None if until == (first if newest_first else last) else until


def _is_whole(versions: Sequence[int], after: int, latest: int, newest_first: bool, more: bool) -> bool:
    """Tell whether a page has each version beyond one, up to the end or to where there is more."""
    step, end = (-1, 1) if newest_first else (1, latest)
    if list(versions) != list(range(after + step, after + step * (len(versions) + 1), step)):
        return False
    return more or (versions[-1] if versions else after) == end


def revision_from_row(row: Row) -> Revision:
    """Read an entry of the history, with the beginning of what it appended."""
    kind = RevisionKind(row["kind"])
    return Revision(
        row["context_id"],
        row["revision"],
        kind,
        row["first_version"] or 0,
        row["last_version"],
        row["create_time"],
        row["request_id"] or "",
        Role(row["role"]) if row["role"] else None,
        preview_of_record(row["record_start"]) if row["record_start"] else "",
        detail_from_json(kind, row["detail"]),
    )


def _same(context: Context) -> Context:
    return context


def _fingerprint(drafts: Sequence[Draft], digest: bytes) -> bytes:
    """Stands for the content of the request: the messages and the counts given with them."""
    given = _canonical(tuple((draft.given_count, draft.given_tokenizer) for draft in drafts))
    return sha256(b"AppendMessages" + digest + given).digest()


@lru_cache(maxsize=64)  # almost always nothing was given
def _canonical(given: tuple[tuple[int | None, str], ...]) -> bytes:
    return json.dumps(given).encode()


def _new_messages(
    drafts: Sequence[Draft], counts: Sequence[Counted], digests: Sequence[bytes], fields: bytes
) -> tuple[list[NewMessage], str | None]:
    """Lay the messages out; return them and their tool steps."""
    steps = [tool_step(draft.message) if draft.message.parts else {} for draft in drafts]
    new = [
        NewMessage(
            draft.message.role,
            counted.tokens,
            counted.items,
            counted.source,
            draft.message.role is Role.USER and "r" not in step,
            digest,
            record_head(fields, counted.tokens, counted.source, draft.body),
            draft.message.labels,
        )
        for draft, counted, digest, step in zip(drafts, counts, digests, steps, strict=True)
    ]
    return new, json.dumps(steps) if any(steps) else None


def tool_step(message: Message) -> dict[str, object]:
    """Describe what a message does to the open tool calls, as `kata_fold_calls` reads it."""
    step: dict[str, object] = {}
    if results := [result.key for result in message.results()]:
        step["r"] = results
        if message.answers_only or message.role is Role.TOOL:
            step["a"] = True
    if calls := [call.key for call in message.calls()]:
        step["c"] = calls
    return step
