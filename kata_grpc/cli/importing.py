"""`kata-grpc import`: conversations from JSON lines into contexts, each once however often it is run."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as contexts_pb
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from kata_grpc import limits
from kata_grpc.cli.remote import add_connection_arguments, async_channel, explain
from kata_grpc.codec import to_proto
from kata_grpc.formats import FORMATS, Conversation, Entry, FormatError, read_conversations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kata_grpc.cli import Commands

_BATCH_BYTES = limits.MAX_CALL_BYTES // 2
"""A batch ends here, so that a call with its framing stays below the server's bound."""
_ATTEMPTS = 5
_WAIT_SECONDS = 0.5

DESCRIPTION = """\
Read conversations, one JSON object a line with `id` and `messages`, in OpenAI Chat or Anthropic Messages form, and keep
each as a context. Other keys of a line are kept as well, and `kata-grpc export` gives the same lines back.

A conversation is identified by its format and id: running the same import again, after a kill or for no reason, adds
what is missing and nothing twice. A line that would lose something is refused with the path of the field; the others are
imported. Exits 1 if any line was refused."""


@dataclass(slots=True)
class Report:
    """What an import did."""

    conversations: int = 0
    messages: int = 0
    replayed: int = 0
    errors: list[str] = field(default_factory=list)


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "import", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".jsonl or .jsonl.gz")
    parser.add_argument("--format", default="auto", choices=("auto", *FORMATS), help="default auto: told by each line")
    parser.add_argument("--tokenizer", default="", help="of the new contexts; default the server's")
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="conversations at a time; default 8")
    parser.add_argument("--json", action="store_true", help="say what was done as one JSON object")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Import the files."""
    report = asyncio.run(_import(args))
    if args.json:
        done = {"conversations": report.conversations, "messages": report.messages, "replayed": report.replayed}
        print(json.dumps({**done, "errors": report.errors}))
    else:
        again = f", {report.replayed:,} of them there already" if report.replayed else ""
        print(f"{report.conversations:,} conversations with {report.messages:,} messages{again}")
    for error in report.errors:
        print(f"kata-grpc: {error}", file=sys.stderr)
    return 1 if report.errors else 0


async def _import(args: argparse.Namespace) -> Report:
    report = Report()
    async with async_channel(args) as channel:
        importer = Importer(channel, args.tokenizer, report)
        with _progress() as progress:
            for path in args.files:
                if not path.is_file():
                    report.errors.append(f"{path}: there is no such file")
                    continue
                task = progress.add_task(path.name, total=path.stat().st_size)

                def advance(entry: Entry, task=task) -> None:  # type: ignore[no-untyped-def] # a bound TaskID
                    progress.update(task, completed=entry.position)

                await importer.file(path, args.format, max(1, args.jobs), advance)
                progress.update(task, completed=path.stat().st_size)
    return report


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class Importer:
    """Takes conversations to a server."""

    def __init__(self, channel: grpc.aio.Channel, tokenizer: str, report: Report) -> None:
        self._contexts = ContextServiceStub(channel)
        self._messages = MessageServiceStub(channel)
        self._tokenizer = tokenizer
        self._report = report

    async def file(self, path: Path, form: str, jobs: int, advance: Callable[[Entry], None]) -> None:
        """Import one file, `jobs` conversations at a time; what goes wrong is in the report."""
        running: set[asyncio.Task[None]] = set()
        try:
            for entry in read_conversations(path, form):  # type: ignore[arg-type] # argparse checked the name
                if entry.conversation is None:
                    self._report.errors.append(str(entry.error))
                    continue
                running.add(asyncio.create_task(self._entry(f"{path}:{entry.line}", entry.conversation)))
                if len(running) >= jobs:
                    _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                advance(entry)
        except FormatError as error:
            self._report.errors.append(str(error))
        if running:
            await asyncio.wait(running)

    async def _entry(self, where: str, conversation: Conversation) -> None:
        try:
            await self.conversation(conversation)
        except grpc.RpcError as error:
            self._report.errors.append(f"{where}: {explain(error)}")

    async def conversation(self, conversation: Conversation) -> context_pb2.Context:
        """Import one conversation and return its context; waits out a server that is away for a moment."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._once(conversation)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(_WAIT_SECONDS * attempt)
        return await self._once(conversation)

    async def _once(self, conversation: Conversation) -> context_pb2.Context:
        identity = hashlib.sha256(f"{conversation.format}\n{conversation.id}".encode()).hexdigest()[:40]
        request_id = f"import/{identity}"
        created = await self._contexts.CreateContext(
            contexts_pb.CreateContextRequest(
                name=conversation.id.replace("\x00", "")[: limits.MAX_NAME_CHARS],
                tokenizer=self._tokenizer,
                request_id=request_id,
                origin=context_pb2.Origin(
                    format=conversation.format, id=conversation.id, extra_json=conversation.extra_json
                ),
            )
        )
        answer = await self._messages.ImportMessages(
            _frames(created.context.context_id, request_id, conversation), wait_for_ready=True
        )
        self._report.conversations += 1
        self._report.messages += len(conversation.messages)
        if answer.batch_count == answer.replayed_batch_count and created.replayed:
            self._report.replayed += len(conversation.messages)
        return answer.context


async def _frames(context_id: str, request_id: str, conversation: Conversation) -> AsyncIterator[pb.ImportMessagesRequest]:
    yield pb.ImportMessagesRequest(header=pb.ImportHeader(context_id=context_id, request_id=request_id))
    for batch in _batches(conversation):
        yield pb.ImportMessagesRequest(batch=batch)


def _batches(conversation: Conversation) -> Iterator[pb.ImportBatch]:
    """Cut a conversation into batches; always at the same places, so that a batch keeps its request_id."""
    batch, size = pb.ImportBatch(), 0
    for message in map(to_proto, conversation.messages):
        length = message.ByteSize()
        if batch.messages and (size + length > _BATCH_BYTES or len(batch.messages) == limits.MAX_APPEND_MESSAGES):
            yield batch
            batch, size = pb.ImportBatch(), 0
        batch.messages.append(message)
        size += length
    if batch.messages:
        yield batch
