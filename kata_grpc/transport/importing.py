"""The import stream: batch after batch of one context, the next ones read and prepared while one is written.

Owns the grammar of the frames and the numbers of the batches. A batch is an append like any other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from kata_grpc import limits
from kata_grpc.domain.errors import InvalidRequest, Violation
from kata_grpc.transport.convert import context_to_proto
from kata_grpc.transport.drafts import drafts_of
from kata_grpc.transport.validate import Checker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.services.importing import Imports
    from kata_grpc.services.messages import Appended, Draft, Messages, Prepared
    from kata_grpc.transport.draining import Draining


_PREPARED = 1
"""Batches that wait while one is written, so that the database does not wait while the next is prepared."""


class Import:
    """One stream. At most one batch is written, one waits and one is prepared; a fourth waits with the caller."""

    def __init__(self, messages: Messages, imports: Imports, draining: Draining) -> None:
        self._messages = messages
        self._imports = imports
        self._draining = draining
        self._response = pb.ImportMessagesResponse()
        self._writing: deque[asyncio.Task[Appended]] = deque()
        """The batches that are not known to be written, oldest first; each waits for the one before it."""

    async def run(
        self, tenant: TenantId, requests: AsyncIterator[pb.ImportMessagesRequest]
    ) -> pb.ImportMessagesResponse:
        """Append all batches; what was read before something goes wrong is written."""
        header = _header(await self._draining.next(requests) or pb.ImportMessagesRequest())
        check = Checker()
        context_id = check.context_id(header.context_id, "header.context_id")
        request_id = check.request_id(header.request_id, limits.MAX_IMPORT_REQUEST_ID_CHARS, "header.request_id")
        expected = header.expected_version if header.HasField("expected_version") else None
        check.at_least("header.expected_version", expected or 0, 0)
        if check.at_least("header.first_batch", header.first_batch, 0) and request_id is None:
            check.add("header.request_id", "is required with first_batch", "REQUIRED")
        check.done()
        response = self._response
        await self._imports.check_start(tenant, context_id, request_id or "", header.first_batch)
        response.next_batch = header.first_batch
        try:
            while request := await self._draining.next(requests):
                drafts = _drafts(request, response.batch_count + len(self._writing))
                await asyncio.sleep(0)  # a batch may be large: what waits has its turn in between
                prepared = await self._messages.prepare(context_id, drafts)
                await self._written(_PREPARED)
                batch_id = f"{request_id}/{response.next_batch + len(self._writing)}" if request_id else None
                before = self._writing[-1] if self._writing else None
                writing = self._write(tenant, prepared, batch_id, expected, before)
                self._writing.append(asyncio.create_task(writing))
                if expected is not None:
                    expected += len(drafts)
            await self._written(0)
        except Exception:
            await self._written(0)
            raise
        finally:
            for task in self._writing:
                task.cancel()
            await asyncio.gather(*self._writing, return_exceptions=True)
        if not response.batch_count and request_id is not None:
            response.next_batch = await self._imports.next_batch(tenant, context_id, request_id)
        context = await self._imports.context(tenant, context_id, deleted=response.batch_count > 0)
        response.context.CopyFrom(context_to_proto(context))
        return response

    async def _write(
        self,
        tenant: TenantId,
        prepared: Prepared,
        batch_id: str | None,
        expected: int | None,
        before: asyncio.Task[Appended] | None,
    ) -> Appended:
        if before is not None:
            await asyncio.wait([before])
            before.result()  # nothing is written after a batch that was not
        return await self._messages.write(tenant, prepared, batch_id, expected)

    async def _written(self, but: int) -> None:
        """Wait for batches to be written, oldest first, until no more than `but` are not; count them."""
        while len(self._writing) > but:
            appended = await self._writing[0]
            del self._writing[0]
            response = self._response
            response.first_version = response.first_version or appended.first_version
            response.last_version = appended.last_version
            response.batch_count += 1
            response.next_batch += 1
            response.replayed_batch_count += appended.replayed


def _header(request: pb.ImportMessagesRequest) -> pb.ImportHeader:
    if request.WhichOneof("frame") != "header":
        raise InvalidRequest([Violation("frame", "the first frame of an import must be its header", "WRONG_FRAME")])
    return request.header


def _drafts(request: pb.ImportMessagesRequest, number: int) -> list[Draft]:
    check = Checker()
    drafts = []
    if request.WhichOneof("frame") != "batch":
        check.add("frame", f"frame {number + 1} of an import must be a batch", "WRONG_FRAME")
    else:
        drafts = drafts_of(check, request.batch.messages, request.ByteSize())
    check.done()
    return drafts
