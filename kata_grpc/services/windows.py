"""The use cases of windows: choosing one, reading it page by page, rendering it.

No transaction is open and no connection is held while a window's reader takes its time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.codec import decode_options, decode_records
from kata_grpc.dialects import Rendered, WindowMessage, render
from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.domain.lineage import Lineage
from kata_grpc.domain.messages import Message, Role, Row
from kata_grpc.domain.tokens import FRAMING
from kata_grpc.domain.windows import RunningState, View, WindowOptions, WindowRequest
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES, KIB
from kata_grpc.repositories.compactions import CompactionRepository
from kata_grpc.repositories.contexts import lineage_of
from kata_grpc.repositories.windows import Page, TailPart, WindowRepository, state_from_row
from kata_grpc.services.accounting import Window, account
from kata_grpc.services.cache import BoundedCache
from kata_grpc.services.choosing import PINNED_MOST, Choice, Snapshot
from kata_grpc.services.counting import NO_RESHAPING, Counting
from kata_grpc.services.overlays import Overlays, visible_state
from kata_grpc.services.snapshots import At, Snapshots, is_current
from kata_grpc.services.standing import in_force, standing
from kata_grpc.services.tails import LOOK_LEAST, LOOK_MOST

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.tokens import Framing
    from kata_grpc.tokenizers import Tokenizers

_RENDERED_AT_ONCE = 8 * KIB
"""Rendering this many bytes takes about a millisecond."""
_TOOLS_FRAMING = 8
"""More than any recorded request had beyond the tokens of its schemas' JSON; see docs/tokens.md."""
_DIGESTS_AT_ONCE = 8_192
_KNOWN_FORKS = 10_000


class Windows:
    """The use cases of windows."""

    def __init__(self, database: Executor, tokenizers: Tokenizers) -> None:
        self._db = database
        self._tokenizers = tokenizers
        # Of forks alone, and only believed: each look says whether it is so.
        self._lineages: BoundedCache[UUID, Lineage] = BoundedCache(_KNOWN_FORKS)

    async def choose(
        self,
        tenant: TenantId,
        context_id: UUID,
        request: WindowRequest,
        options: WindowOptions,
        snapshot: tuple[int, int] | None = None,
    ) -> Window:
        """Choose a window, of `snapshot` (version and revision) where it goes on; `options` go before the policy's.

        Raises BudgetTooSmall, NoLegalWindow, OutOfRange, TagNotFound or ContextNotFound.
        """
        if request.at_time is not None or request.at_tag is not None:
            version, revision = snapshot or await self._find(tenant, context_id, request)
            request = replace(request, at_version=version, at_revision=revision, at_time=None, at_tag=None)
        framing = FRAMING[request.dialect]
        while True:
            lineage, row, rows = await self._look(tenant, context_id, request, framing, snapshot and snapshot[0])
            try:
                window = await self._choose(tenant, lineage, row, rows, request, options, framing, snapshot)
            except Exception:
                # What was chosen from may have gone meanwhile, where a fork got a log of its own.
                if await is_current(self._db, tenant, lineage):
                    raise
                continue
            if window.held is not None or await is_current(self._db, tenant, lineage):
                return window

    async def _choose(
        self,
        tenant: TenantId,
        lineage: Lineage,
        row: Row,
        rows: Sequence[Row],
        request: WindowRequest,
        options: WindowOptions,
        framing: Framing,
        snapshot: tuple[int, int] | None,
    ) -> Window:
        """Choose a window after a look at the end of the log."""
        log = WindowRepository(self._db, lineage, tenant)
        self._check_range(request, options, row)
        state = state_from_row(row) if row["revision"] is not None else RunningState()
        revision = snapshot[1] if snapshot else _revision(request, row)
        policy_revision, policy = await self._policy(log, row, revision)
        options = options.over(policy)
        tokenizer = request.tokenizer or row["tokenizer"]
        tools = await self._tools_tokens(request.tools_json, tokenizer) if request.tools_json else 0
        compaction = await in_force(self._db, lineage, tenant, row, request.view, state.version, revision)
        summary = None
        if compaction is not None and compaction.covered:
            summary = await standing(compaction, tokenizer, row["tokenizer"], self._tokenizers)
        removals = row["has_removals"] and request.view is not View.RAW
        overlays = None
        if row["has_redactions"] or removals or summary is not None:
            overlays = Overlays(
                log,
                request.view,
                state.version,
                revision,
                removals=removals,
                redactions=row["has_redactions"],
                compacted=compaction.covered if compaction else (),
            )
            if rows:
                await overlays.cover(min(rows[-1]["version"], state.version))
            state = await visible_state(log, overlays, state)
        taken = Snapshot(state, revision, policy_revision, row["tokenizer"])

        async def chosen(options: WindowOptions) -> tuple[Choice, Counting | None]:
            counting = None
            stored = tokenizer == row["tokenizer"]
            reshaping = compaction.reshaping if compaction else NO_RESHAPING
            if options.reshapes or reshaping or not stored:
                counting = Counting(log, self._tokenizers, tokenizer, options, stored=stored, reshaping=reshaping)
            choice = Choice(log, request, options, taken, framing, tools, counting, overlays, compaction, summary)
            await choice.choose(rows)
            return choice, counting

        choice, counting = await chosen(options)
        if counting is not None and options.clearing is not None:
            freed = sum(tokens for version, tokens in counting.freed.items() if version >= choice.start)
            if freed < options.clearing.min_gain_tokens:
                choice, _ = await chosen(replace(options, clearing=None))
        return await account(choice, lineage, tenant, tokenizer)

    async def _find(self, tenant: TenantId, context_id: UUID, request: WindowRequest) -> tuple[int, int]:
        """Return the version and the revision that a time or a tag stands for."""
        at = At(time=request.at_time, tag=request.at_tag)
        found = await Snapshots(self._db).find(tenant, context_id, at, show_deleted=request.show_deleted)
        return found.version, found.revision

    async def _look(
        self, tenant: TenantId, context_id: UUID, request: WindowRequest, framing: Framing, at_version: int | None
    ) -> tuple[Lineage, Row, Sequence[Row]]:
        """Look at the end of the log: once, or once more when the context is found to be a fork."""
        lineage = self._lineages.get(context_id) or Lineage.root(context_id)
        while True:
            look = await WindowRepository(self._db, lineage, tenant).look(
                request.at_version if at_version is None else at_version,
                request.at_revision,
                allowance=request.token_budget - request.reserve_tokens - framing.prime,
                framing=framing,
                least=LOOK_LEAST,
                most=LOOK_MOST,
                most_pinned=PINNED_MOST,
                max_bytes=FRAME_BYTES,
            )
            if look is None or (look[0]["deleted"] and not request.show_deleted):
                raise ContextNotFound(str(context_id))
            found = lineage_of(context_id, look[0]["fork_version"], look[0]["segments"])
            if found == lineage:
                return lineage, *look
            lineage = self._lineages[context_id] = found

    @staticmethod
    def _check_range(request: WindowRequest, options: WindowOptions, row: Row) -> None:
        for name, asked, latest in (
            ("at_version", request.at_version, row["latest_version"]),
            ("at_revision", request.at_revision, row["latest_revision"]),
            ("options.pinned_versions", max(options.pinned_versions, default=None), row["latest_version"]),
        ):
            if asked is not None and asked > latest:
                raise OutOfRange(name, asked, latest)

    @staticmethod
    async def _policy(log: WindowRepository, row: Row, revision: int) -> tuple[int, WindowOptions]:
        """Return the revision and the options of the context's policy at a revision."""
        set_at, policy = row["policy_revision"], bytes.fromhex(row["policy"] or "")
        if set_at > revision:
            found = await log.policy(revision)
            set_at, policy = found or (0, b"")
        return set_at, decode_options(policy) if policy else WindowOptions()

    async def _tools_tokens(self, tools_json: str, tokenizer: str) -> int:
        """Count tool schemas from above: providers write them in fewer tokens than their JSON has, but frame them."""
        (counted,) = await self._tokenizers.count([Message(Role.USER, text=tools_json)], tokenizer)
        return counted.tokens + _TOOLS_FRAMING

    async def render(self, window: Window, pages: Sequence[Page]) -> Rendered:
        """Return the messages of a window as its dialect's API takes them, off the event loop where they are many."""

        def work() -> Rendered:
            messages = [
                # The summary has no version: it stands where the newest message is that it hides.
                WindowMessage(version or (window.summary.after if window.summary else 0), None, message)
                for page in pages
                for version, message in decode_records(page.records, len(page.separator))
            ]
            # Only where one message answers calls of two groups, of which one is left out, is a call here without its
            # result. A made-up one would be untrue, and cost what was not counted.
            return render(window.request.dialect, messages, "drop")

        if sum(len(page.records) for page in pages) < _RENDERED_AT_ONCE:
            return work()
        return await asyncio.to_thread(work)

    def pages(self, window: Window, separator: bytes, after: int = 0) -> AsyncGenerator[Page, None]:
        """Yield the window's messages beyond version `after`, in version order, a page at a time; close it at the end.

        Where a page ends follows from the window and `after` alone. One page is read ahead of the one that is being
        sent. No connection is held between two pages.
        """
        if window.held is not None:
            return _one(window.held, separator, after)
        return _ahead(self._with_summary(window, separator, after, window.snapshot_version))

    async def digests_until(self, window: Window, last: int) -> AsyncGenerator[bytes, None]:
        """Yield the digests of the window's messages up to version `last`, in order, some at a time."""
        if window.held is not None:
            yield b"".join([row["digest"] for row in window.held if row["version"] <= last])
            return
        if window.reshapes:
            # What is sent is made anew, and only up to there.
            async for page in self._with_summary(window, b"", 0, last):
                yield page.digests
            return
        after = 0
        if window.summary is not None and window.summary.after <= last:
            after = window.summary.after
            async for digests in self._digests(window, 0, after):
                yield digests
            yield window.summary.row["digest"]
        async for digests in self._digests(window, after, last):
            yield digests

    async def _digests(self, window: Window, after: int, last: int) -> AsyncGenerator[bytes, None]:
        """Yield the digests of the window's messages beyond a version and up to another one."""
        log = WindowRepository(self._db, window.lineage, window.tenant)
        until = min(last, window.tail_start - 1)
        while after < until:
            rows = await log.pinned_page(after, until, FRAME_MESSAGES, FRAME_BYTES, window.kept_before)
            if not rows:
                break
            after = rows[-1]["version"]
            yield b"".join([row["digest"] for row in await _visible(window, rows)])
        after = max(after, window.tail_start - 1)
        while after < last:
            until = log.run(after, min(after + _DIGESTS_AT_ONCE, last))
            yield await log.digests(_part(window, after, until))
            after = until

    async def _with_summary(
        self, window: Window, separator: bytes, after: int, last: int
    ) -> AsyncGenerator[Page, None]:
        """Yield the window beyond a version and up to another one, with the summary behind what it hides."""
        if window.summary is not None and after < window.summary.after <= last:
            async for page in self._read(window, separator, after, window.summary.after):
                yield page
            after = window.summary.after
            if await self._stands(window):
                yield _page([window.summary.row], separator)
        async for page in self._read(window, separator, after, last):
            yield page

    async def _stands(self, window: Window) -> bool:
        """Whether nothing of what the window's summary was made of was erased since it was chosen."""
        assert window.summary is not None
        compactions = CompactionRepository(self._db, window.tenant)
        found = await compactions.in_lineage(window.lineage, window.summary.compaction.id)
        return found is not None and not found.erased

    async def _read(self, window: Window, separator: bytes, after: int, last: int) -> AsyncGenerator[Page, None]:
        log = WindowRepository(self._db, window.lineage, window.tenant)
        counting = None
        if window.reshapes:
            counting = Counting(
                log,
                self._tokenizers,
                window.tokenizer,
                window.options,
                stored=window.tokenizer == window.context_tokenizer,
                clear_through=window.clear_through,
                reshaping=window.reshaping,
            )
            counting.pinned_groups = window.pinned_groups
        before = min(window.tail_start - 1, last)
        while after < before:
            rows = await log.pinned_page(after, before, FRAME_MESSAGES, FRAME_BYTES, window.kept_before)
            if not rows:
                break
            after = rows[-1]["version"]
            if rows := await _visible(window, rows):
                yield _page((await counting.count(rows)).rows if counting else rows, separator)
        after = max(after, window.tail_start - 1)
        while after < last:
            part = _part(window, after, log.run(after, min(after + FRAME_MESSAGES, last)))
            if counting is None:
                page = await log.page(part, max_bytes=FRAME_BYTES, separator=separator)
            else:
                rows = await log.rows(part, max_bytes=FRAME_BYTES)
                page = _page((await counting.count(rows)).rows, separator) if rows else None
            if page is not None:
                yield page
            after = part.last if page is None else page.last_version


def _revision(request: WindowRequest, row: Row) -> int:
    """Find the revision that a window knows of."""
    if request.at_revision is not None:
        return request.at_revision
    then = request.view is View.AS_THEN and request.at_version is not None
    revision: int = (row["revision"] or 0) if then else row["latest_revision"]
    return revision


async def _visible(window: Window, rows: Sequence[Row]) -> Sequence[Row]:
    return rows if window.overlays is None else await window.overlays.visible(rows)


def _part(window: Window, after: int, last: int) -> TailPart:
    return TailPart(after, last, window.tail_start, window.left_out, list(window.kept_groups))


def _page(rows: Sequence[Row], separator: bytes) -> Page:
    records = separator.join([row["record"] for row in rows])
    return Page(records, separator, rows[-1]["version"], b"".join([row["digest"] for row in rows]))


async def _one(rows: Sequence[Row], separator: bytes, after: int) -> AsyncGenerator[Page, None]:
    rows = [row for row in rows if row["version"] > after] if after else rows
    if rows:
        yield _page(rows, separator)


async def _ahead(pages: AsyncGenerator[Page, None]) -> AsyncGenerator[Page, None]:
    """Yield `pages`, reading the next while its taker is busy with one: the database and the wire work side by side."""

    async def read() -> Page | None:
        return await anext(pages, None)

    reading = asyncio.create_task(read())
    try:
        while (page := await reading) is not None:
            reading = asyncio.create_task(read())
            yield page
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await pages.aclose()


class ContentDigest:
    """The digest of a window's content: SHA-256 over the digests of its messages, in order."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.messages = 0
        """How many there were so far."""

    def add(self, digests: bytes) -> None:
        """Go on with more messages."""
        self._hash.update(digests)
        self.messages += len(digests) // self._hash.digest_size

    def value(self) -> bytes:
        """Return the 32 bytes for the messages so far."""
        return self._hash.digest()
