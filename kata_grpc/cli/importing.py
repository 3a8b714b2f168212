"""`kata-grpc import`: conversations from JSON lines into contexts, each once however often it is run."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import uvloop
from kata.context.v1 import context_pb2, error_reason_pb2
from kata.context.v1 import context_service_pb2 as contexts_pb
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from kata_grpc import limits
from kata_grpc.cli.remote import Remote, add_connection_arguments, reason_of
from kata_grpc.codec import CodecError, to_proto
from kata_grpc.formats import FORMATS, Conversation, Entry, FormatError, read_conversations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kata_grpc.cli import Commands

_BATCH_BYTES = limits.MAX_CALL_BYTES // 2
"""A batch ends here, so that a call with its framing stays below the server's bound."""
_PATIENCE_SECONDS = 60.0
"""How long a server that went away during an import is waited for."""
_PAUSE_SECONDS = 0.5
_CALL_SECONDS = 600.0
_REUSED = error_reason_pb2.ErrorReason.Name(error_reason_pb2.ERROR_REASON_REQUEST_ID_REUSED).removeprefix(
    "ERROR_REASON_"
)

DESCRIPTION = """\
Read conversations, one JSON object a line with `id` and `messages`, in OpenAI Chat or Anthropic Messages form, and keep
each as a context. Other keys of a line are kept as well, and `kata-grpc export` gives the same lines back.

A conversation is identified by its format and id: running the same import again, after a kill or for no reason, adds
what is missing and nothing twice. A line that would lose something is refused with the path of the field; the others
are imported. Exits 1 if anything was refused or the server went away for good."""


@dataclass(slots=True)
class Report:
    """What an import did."""

    conversations: int = 0
    messages: int = 0
    replayed: int = 0
    errors: list[str] = field(default_factory=list)


class ServerGone(Exception):  # noqa: N818 - a state of the server
    """The server does not answer, so that nothing more can be imported."""


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
    report = uvloop.run(_import(args))
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
    remote = Remote.of(args)
    report = Report()
    async with remote.async_channel() as channel:
        importer = Importer(remote, channel, args.tokenizer, report)
        with _progress() as progress:
            try:
                for path in args.files:
                    if not path.is_file():
                        report.errors.append(f"{path}: there is no such file")
                        continue
                    size = path.stat().st_size
                    advance = partial(progress.update, progress.add_task(path.name, total=size))
                    await importer.file(path, args.format, args.jobs, advance)
                    advance(completed=size)
            except* ServerGone as gone:
                report.errors.append(str(gone.exceptions[0]))
    return report


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


class Importer:
    """Takes conversations to a server; what goes wrong is in the report."""

    def __init__(self, remote: Remote, channel: grpc.aio.Channel, tokenizer: str, report: Report) -> None:
        self._remote = remote
        self._contexts = ContextServiceStub(channel)
        self._messages = MessageServiceStub(channel)
        self._tokenizer = tokenizer
        self._report = report
        self._answered = False

    async def file(self, path: Path, form: str, jobs: int, advance: Callable[..., None]) -> None:
        """Import one file, `jobs` conversations at a time. Raises a group of ServerGone if the server is."""
        entries = read_conversations(path, form)  # type: ignore[arg-type] # argparse checked the name
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, jobs)):
                group.create_task(self._worker(path, entries, advance))

    async def _worker(self, path: Path, entries: Iterator[Entry], advance: Callable[..., None]) -> None:
        """Import one conversation after the other of those that the workers share."""
        try:
            for entry in entries:
                if entry.conversation is None:
                    self._report.errors.append(str(entry.error))
                else:
                    await self._entry(f"{path}:{entry.line}", entry.conversation)
                advance(completed=entry.position)
        except FormatError as error:
            self._report.errors.append(str(error))

    async def _entry(self, where: str, conversation: Conversation) -> None:
        try:
            await self.conversation(conversation)
        except CodecError as error:
            self._report.errors.append(f"{where}: {error}")
        except grpc.RpcError as error:
            reason = (
                f"the conversation with the id {conversation.id!r} was imported before with other content; "
                "give it another id"
                if reason_of(error) == _REUSED
                else self._remote.explain(error)
            )
            self._report.errors.append(f"{where}: {reason}")

    async def conversation(self, conversation: Conversation) -> context_pb2.Context:
        """Import one conversation and return its context. Waits for a server that went away, but not for its first."""
        loop = asyncio.get_running_loop()
        give_up: float | None = None
        while True:
            try:
                return await self._once(conversation, again=give_up is not None)
            except grpc.aio.AioRpcError as error:
                if not _is_away(error):
                    raise
                give_up = give_up or loop.time() + (_PATIENCE_SECONDS if self._answered else 0.0)
                if loop.time() >= give_up:
                    raise ServerGone(self._remote.explain(error)) from error
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _once(self, conversation: Conversation, *, again: bool) -> context_pb2.Context:
        request = creation(conversation, self._tokenizer)
        created = await self._contexts.CreateContext(request, timeout=_CALL_SECONDS)
        self._answered = True
        batches = list(_batches(conversation))
        context, added = await self._add(created.context, request.request_id, batches, again=again)
        self._report.conversations += 1
        self._report.messages += len(conversation.messages)
        if created.replayed and not added and not again:
            self._report.replayed += len(conversation.messages)
        return context

    async def _add(
        self, context: context_pb2.Context, request_id: str, batches: list[pb.ImportBatch], *, again: bool
    ) -> tuple[context_pb2.Context, bool]:
        """Append the batches and tell whether any of them was new; `again` where this import sent some of them before.

        They are the beginning of their context: an append that came between them would be exported with them.
        """
        if not batches:
            return context, False
        if len(batches) == 1:
            # What ImportMessages does with its first batch, and cheaper: most conversations are short.
            request = pb.AppendMessagesRequest(
                context_id=context.context_id,
                messages=batches[0].messages,
                request_id=f"{request_id}/0",
                expected_version=0,
            )
            one = await self._messages.AppendMessages(request, timeout=_CALL_SECONDS)
            return one.context, not one.replayed
        header = pb.ImportHeader(context_id=context.context_id, request_id=request_id, expected_version=0)
        if again:
            asked = await self._messages.ImportMessages(
                _each([pb.ImportMessagesRequest(header=header)]), timeout=_CALL_SECONDS
            )
            header.first_batch = asked.next_batch
            header.expected_version = sum(len(one.messages) for one in batches[: asked.next_batch])
        rest = batches[header.first_batch :]
        frames = [pb.ImportMessagesRequest(header=header), *(pb.ImportMessagesRequest(batch=one) for one in rest)]
        answer = await self._messages.ImportMessages(_each(frames), timeout=_CALL_SECONDS)
        return answer.context, answer.batch_count > answer.replayed_batch_count


def creation(conversation: Conversation, tokenizer: str) -> contexts_pb.CreateContextRequest:
    """Return the request for a conversation's context: equal for equal conversations, and so is the request_id."""
    identity = hashlib.sha256(f"{conversation.format}\n{conversation.id}".encode()).hexdigest()[:40]
    return contexts_pb.CreateContextRequest(
        name=conversation.id.replace("\x00", "")[: limits.MAX_NAME_CHARS],
        tokenizer=tokenizer,
        request_id=f"import/{identity}",
        origin=context_pb2.Origin(format=conversation.format, id=conversation.id, extra_json=conversation.extra_json),
    )


def _is_away(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether a later try may succeed: the server is gone, stops, or is out of connections."""
    return error.code() is grpc.StatusCode.UNAVAILABLE


async def _each(frames: list[pb.ImportMessagesRequest]) -> AsyncIterator[pb.ImportMessagesRequest]:
    for frame in frames:
        yield frame


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
