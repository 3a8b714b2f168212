"""The use cases of windows: choosing one, reading it page by page, rendering it.

No transaction is open and no connection is held while a window's reader takes its time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.codec import decode_records
from kata_grpc.dialects import Rendered, WindowMessage, render
from kata_grpc.domain.errors import ContextNotFound, OutOfRange
from kata_grpc.domain.messages import Message, Role, Row
from kata_grpc.domain.tokens import FRAMING
from kata_grpc.domain.windows import RunningState, View, WindowRequest
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES, KIB
from kata_grpc.repositories.windows import WindowRepository, state_from_row
from kata_grpc.services.choosing import Choice, Window, first_look

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.tokenizers import Tokenizers

_RENDERED_AT_ONCE = 8 * KIB
"""Rendering this many bytes takes about a millisecond."""
_TOOLS_FRAMING = 8
"""More than any recorded request had beyond the tokens of its schemas' JSON; see docs/tokens.md."""


class Page(NamedTuple):
    """A run of messages: their records, one after the other with a separator between two, and their last version."""

    records: bytes
    separator: bytes
    last_version: int


class Windows:
    """The use cases of windows."""

    def __init__(self, database: Executor, tokenizers: Tokenizers) -> None:
        self._db = database
        self._tokenizers = tokenizers

    async def choose(
        self,
        tenant: TenantId,
        context_id: UUID,
        request: WindowRequest,
        snapshot: tuple[int, int] | None = None,
    ) -> Window:
        """Choose a window, of `snapshot` (version and revision) where it goes on.

        Raises BudgetTooSmall, NoLegalWindow, OutOfRange or ContextNotFound.
        """
        log = WindowRepository(self._db, context_id, tenant)
        framing = FRAMING[request.dialect]
        look = await first_look(log, request, framing, snapshot[0] if snapshot else request.at_version)
        if look is None or look[0]["deleted"]:
            raise ContextNotFound(str(context_id))
        row, newest = look
        for name, asked, latest in (
            ("at_version", request.at_version, row["latest_version"]),
            ("at_revision", request.at_revision, row["latest_revision"]),
        ):
            if asked is not None and asked > latest:
                raise OutOfRange(name, asked, latest)
        state = state_from_row(row) if row["revision"] is not None else RunningState()
        revision = request.at_revision
        if revision is None:
            then = request.view is View.AS_THEN and request.at_version is not None
            revision = (row["revision"] or 0) if then else row["latest_revision"]
        if snapshot:
            revision = snapshot[1]
        tokenizer = request.tokenizer or row["tokenizer"]
        tools = await self._tools_tokens(request.tools_json, tokenizer) if request.tools_json else 0
        choice = Choice(log, request, state, framing, tools)
        if tokenizer == row["tokenizer"]:
            await choice.by_stored_counts(newest)
        else:
            await choice.by_recount(self._tokenizers, tokenizer)
        await choice.open_legally()
        return await choice.window(context_id, tenant, tokenizer, row["tokenizer"], revision)

    async def _tools_tokens(self, tools_json: str, tokenizer: str) -> int:
        """Count tool schemas from above: providers write them in fewer tokens than their JSON has, but frame them."""
        (counted,) = await self._tokenizers.count([Message(Role.USER, text=tools_json)], tokenizer)
        return counted.tokens + _TOOLS_FRAMING

    async def render(self, window: Window, pages: Sequence[Page]) -> Rendered:
        """Return the messages of a window as its dialect's API takes them, off the event loop where they are many."""

        def work() -> Rendered:
            messages = [
                WindowMessage(version, None, message)
                for page in pages
                for version, message in decode_records(page.records, len(page.separator))
            ]
            return render(window.request.dialect, messages)

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
        return _ahead(self._read(window, separator, after))

    async def _read(self, window: Window, separator: bytes, after: int) -> AsyncGenerator[Page, None]:
        log = WindowRepository(self._db, window.context_id, window.tenant)
        while after < window.tail_start - 1:
            rows = await log.pinned_page(after, window.tail_start - 1, FRAME_MESSAGES, FRAME_BYTES)
            if not rows:
                break
            yield _page(rows, separator)
            after = rows[-1]["version"]
        after = max(after, window.tail_start - 1)
        while after < window.snapshot_version:
            found = await log.page(
                after,
                window.snapshot_version,
                window.tail_start,
                window.passed_over,
                versions=FRAME_MESSAGES,
                max_bytes=FRAME_BYTES,
                separator=separator,
            )
            if found:
                records, after = found
                yield Page(records, separator, after)
            else:
                after += FRAME_MESSAGES


def _page(rows: Sequence[Row], separator: bytes) -> Page:
    return Page(separator.join([row["record"] for row in rows]), separator, rows[-1]["version"])


async def _one(rows: Sequence[Row], separator: bytes, after: int) -> AsyncGenerator[Page, None]:
    if rows and rows[-1]["version"] > after:
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
