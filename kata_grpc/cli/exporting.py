"""`kata-grpc export`: contexts back as the JSON lines that they came from, or could have come from."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, get_args

import grpc
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as contexts_pb
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from kata_grpc import limits
from kata_grpc.cli.remote import add_connection_arguments, async_channel, explain
from kata_grpc.codec import from_proto
from kata_grpc.formats import FORMATS, Conversation, ConversionError, Format, export_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kata_grpc.cli import Commands
    from kata_grpc.domain.messages import Message

_NOT_ALL = 3
"""The exit status when some contexts could not be written."""
_AHEAD = 8

DESCRIPTION = """\
Write contexts to standard output, one JSON object a line, as `kata-grpc import` reads them. An imported conversation
comes back equal to its line. Nothing is lost silently: a context that --format has no place for is named on standard
error with the path of each field, the others are written, and the exit status is 3."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every live context; those imported in another format apart")
    which.add_argument("context_ids", nargs="*", default=[], metavar="CONTEXT_ID")
    parser.add_argument("--format", choices=FORMATS, help="default: the one a context was imported in, else openai")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Export."""
    return asyncio.run(_export(args))


async def _export(args: argparse.Namespace) -> int:
    status = 0
    async with async_channel(args) as channel:
        exporter = Exporter(channel)
        try:
            contexts = exporter.every() if args.all else exporter.named(args.context_ids)
            async for context, messages in _ahead(exporter, contexts):
                try:
                    line = _line(context, messages, args.format, every=args.all)
                except ConversionError as error:
                    print(f"kata-grpc: context {context.context_id} is not written: {error}", file=sys.stderr)
                    status = _NOT_ALL
                else:
                    sys.stdout.buffer.write(line + b"\n")
        except grpc.RpcError as error:
            print(f"kata-grpc: {explain(error)}", file=sys.stderr)
            return 1
    sys.stdout.buffer.flush()
    return status


def _line(context: context_pb2.Context, messages: list[Message], wanted: Format | None, *, every: bool) -> bytes:
    """Return the context as a line."""
    origin = context.origin
    source = next((name for name in get_args(Format) if name == origin.format), "")
    if every and wanted and source not in ("", wanted):
        raise ConversionError((), f"it was imported as {source}; name it to have it converted")
    conversation = Conversation(source, origin.id or context.context_id, tuple(messages), origin.extra_json)
    return export_line(conversation, wanted)


async def _ahead(
    exporter: Exporter, contexts: AsyncIterator[context_pb2.Context]
) -> AsyncIterator[tuple[context_pb2.Context, list[Message]]]:
    """Read some contexts ahead of the one that is written, in order."""
    reading: list[tuple[context_pb2.Context, asyncio.Task[list[Message]]]] = []
    async for context in contexts:
        reading.append((context, asyncio.create_task(exporter.messages(context))))
        if len(reading) == _AHEAD:
            first, task = reading.pop(0)
            yield first, await task
    for last, task in reading:
        yield last, await task


class Exporter:
    """Reads contexts from a server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._contexts = ContextServiceStub(channel)
        self._messages = MessageServiceStub(channel)

    async def every(self) -> AsyncIterator[context_pb2.Context]:
        """Yield all live contexts."""
        token = ""
        while True:
            page = await self._contexts.ListContexts(contexts_pb.ListContextsRequest(page_size=200, page_token=token))
            for context in page.contexts:
                yield context
            token = page.next_page_token
            if not token:
                return

    async def named(self, context_ids: list[str]) -> AsyncIterator[context_pb2.Context]:
        """Yield the contexts that are named."""
        for context_id in context_ids:
            yield (await self._contexts.GetContext(contexts_pb.GetContextRequest(context_id=context_id))).context

    async def messages(self, context: context_pb2.Context) -> list[Message]:
        """Return a context's messages."""
        found: list[Message] = []
        token = ""
        while True:
            page = await self._messages.ListMessages(
                pb.ListMessagesRequest(
                    context_id=context.context_id, page_size=limits.MAX_PAGE, page_token=token
                )
            )
            found.extend(map(from_proto, page.messages))
            token = page.next_page_token
            if not token:
                return found
