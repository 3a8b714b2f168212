"""`kata-grpc export`: contexts back as the JSON lines that they came from, or could have come from."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import grpc
import uvloop
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as contexts_pb
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from kata_grpc import limits
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.cli.travelling import add_at_arguments, at_fields
from kata_grpc.codec import from_proto
from kata_grpc.config import ConfigurationError
from kata_grpc.domain.messages import Message
from kata_grpc.formats import FORMATS, Conversation, ConversionError, Format, Violation, export_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kata_grpc.cli import Commands

Reading = tuple[str, asyncio.Task[tuple[context_pb2.Context, list[Message]]]]
"""A context's id and the reading of it."""

_NOT_ALL = 3
"""The exit status when some contexts could not be written."""
_AHEAD = 8
_CALL_SECONDS = 60.0
_ABOUT_THIS_ONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)
"""Refusals of one context, after which others can be written."""

DESCRIPTION = """\
Write contexts to standard output, one JSON object a line, as `kata-grpc import` reads them. An imported conversation
comes back equal to its line.

Nothing is lost silently: a context that --format has no place for is named on standard error with the path of each
field, the others are written, and the exit status is 3. Redacted messages are left out, and counted there. With
--all, contexts that were imported in another format are named as well; name them as CONTEXT_ID to have them converted.
The exit status is 1 when something that was asked for, or the server, is not there."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--all",
        action="store_true",
        help="every live context, newest first",
    )
    which.add_argument("context_ids", nargs="*", default=[], metavar="CONTEXT_ID")
    parser.add_argument("--format", choices=FORMATS, help="default: the one a context was imported in, else openai")
    add_at_arguments(parser)
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Export."""
    if args.all and at_fields(args):
        raise ConfigurationError(("--at-… is of a context: name those to export instead of --all.",))
    return uvloop.run(_export(args))


async def _export(args: argparse.Namespace) -> int:
    status = 0
    remote = Remote.of(args)
    # A person who watches the lines themselves needs no count of them.
    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    columns = (SpinnerColumn(), TextColumn("{task.completed} contexts"))
    async with remote.async_channel() as channel:
        exporter = Exporter(channel, at_fields(args))
        every = exporter.every() if args.all else exporter.named(args.context_ids)
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
            task = progress.add_task("")
            try:
                async for context_id, read in _ahead(exporter, every):
                    try:
                        context, messages = await read
                        line = _line(context, messages, args.format, every=args.all)
                    except ConversionError as error:
                        print(f"kata-grpc: context {context_id} is not written: {error}", file=sys.stderr)
                        status = status or _NOT_ALL
                    except grpc.aio.AioRpcError as error:
                        if error.code() not in _ABOUT_THIS_ONE:
                            raise
                        print(f"kata-grpc: context {context_id}: {remote.explain(error)}", file=sys.stderr)
                        status = 1
                    else:
                        sys.stdout.buffer.write(line + b"\n")
                    progress.advance(task)
            except grpc.RpcError as error:
                print(f"kata-grpc: {remote.explain(error)}", file=sys.stderr)
                status = 1
    sys.stdout.buffer.flush()
    return status


def _line(context: context_pb2.Context, messages: list[Message], wanted: Format | None, *, every: bool) -> bytes:
    """Return the context as a line."""
    origin = context.origin
    source: Format | Literal[""] = next((name for name in FORMATS if name == origin.format), "")
    if every and wanted and source not in ("", wanted):
        raise ConversionError((Violation("", f"it was imported as {source}; name it to have it converted"),))
    conversation = Conversation(source, origin.id or context.context_id, tuple(messages), origin.extra_json)
    return export_line(conversation, wanted)


async def _ahead(exporter: Exporter, contexts: AsyncIterator[str | context_pb2.Context]) -> AsyncIterator[Reading]:
    """Read some contexts ahead of the one that is written, in order."""
    reading: deque[Reading] = deque()
    try:
        async for context in contexts:
            context_id = context if isinstance(context, str) else context.context_id
            reading.append((context_id, asyncio.create_task(exporter.read(context))))
            if len(reading) == _AHEAD:
                yield reading.popleft()
        while reading:
            yield reading.popleft()
    finally:
        for _, task in reading:
            task.cancel()


class Exporter:
    """Reads contexts from a server, as of what `at` says."""

    def __init__(self, channel: grpc.aio.Channel, at: Mapping[str, Any]) -> None:
        self._at = at
        self._contexts = ContextServiceStub(channel)
        self._messages = MessageServiceStub(channel)

    async def every(self) -> AsyncIterator[context_pb2.Context]:
        """Yield all live contexts."""
        token = ""
        while True:
            request = contexts_pb.ListContextsRequest(page_size=200, page_token=token)
            page = await self._contexts.ListContexts(request, timeout=_CALL_SECONDS)
            for context in page.contexts:
                yield context
            token = page.next_page_token
            if not token:
                return

    async def named(self, context_ids: list[str]) -> AsyncIterator[str]:
        """Yield what was asked for."""
        for context_id in context_ids:
            yield context_id

    async def read(self, context: str | context_pb2.Context) -> tuple[context_pb2.Context, list[Message]]:
        """Return a context and its messages; say how many were redacted: there is nothing of them to write."""
        if isinstance(context, str):
            wanted = contexts_pb.GetContextRequest(context_id=context)
            context = (await self._contexts.GetContext(wanted, timeout=_CALL_SECONDS)).context
        found: list[Message] = []
        redacted = 0
        token = ""
        while True:
            request = pb.ListMessagesRequest(
                context_id=context.context_id, page_size=limits.MAX_PAGE, page_token=token, **self._at
            )
            page = await self._messages.ListMessages(request, timeout=_CALL_SECONDS)
            kept = [message for message in page.messages if not message.HasField("redact_time")]
            redacted += len(page.messages) - len(kept)
            found.extend(map(from_proto, kept))
            token = page.next_page_token
            if not token:
                if redacted:
                    about = "1 redacted message is" if redacted == 1 else f"{redacted:,} redacted messages are"
                    print(f"kata-grpc: context {context.context_id}: {about} left out", file=sys.stderr)
                return context, found
