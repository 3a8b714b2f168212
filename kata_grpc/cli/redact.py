"""`kata-grpc redact`: erase the content of messages for good, or show which those are."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import message_pb2, window_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from kata_grpc.cli.listing import Column, beginning, enum_word, output, print_rows, version_ranges
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.limits import MAX_REDACTED_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kata_grpc.cli import Commands

_MESSAGES: tuple[Column, ...] = (("version", "right"), ("tokens", "right"), ("role", "left"))
_TABLES: tuple[Column, ...] = (("rows", "right"),)

DESCRIPTION = """\
Erase the content of messages, wherever it lies: for the context, its ancestors and all forks at once, with embeddings
and summaries that were made of it. There is no way back. What is left of a message is its version, its role and its
numbers; the group that it belongs to is in no window any more."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "redact", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument(
        "ranges", nargs="+", type=_range, metavar="VERSION", help="a version, or several as in 7-9; 10,000 in all"
    )
    parser.add_argument("--reason", default="", help="why, for the receipt, which the history of the context keeps")
    parser.add_argument("--dry-run", action="store_true", help="show the messages, and erase nothing")
    parser.add_argument("--json", action="store_true", help="print the answer, or each message, as a JSON object")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Redact, and print the receipt."""
    remote = Remote.of(args)
    messages: list[message_pb2.Message] = []
    answer = pb.RedactMessagesResponse()
    with remote.channel() as channel, remote.refusals():
        stub = MessageServiceStub(channel)
        if args.dry_run:
            messages += _messages(stub, args.context_id, args.ranges)
        else:
            request = pb.RedactMessagesRequest(
                context_id=args.context_id, ranges=args.ranges, reason=args.reason, request_id=str(uuid4())
            )
            answer = stub.RedactMessages(request)
    if args.json:
        for one in messages if args.dry_run else [answer]:
            sys.stdout.write(MessageToJson(one, indent=None) + "\n")
    elif args.dry_run:
        print_rows(output(), _MESSAGES, "content", map(_row, messages))
    else:
        _show(answer.receipt)
    return 0


def _show(receipt: pb.RedactionDetail) -> None:
    console = output()
    print_rows(console, _TABLES, "table", ((f"{rows.row_count:,}", rows.table) for rows in receipt.rows))
    if receipt.redacted_before:
        console.print(f"Redacted before: {version_ranges(receipt.redacted_before)}")
    logs = "1 log" if receipt.log_count == 1 else f"{receipt.log_count:,} logs"
    console.print(f"Redacted: {version_ranges(receipt.ranges)}, in {logs}. {receipt.notice}", soft_wrap=True)


def _messages(
    stub: MessageServiceStub, context_id: str, ranges: Sequence[pb.VersionRange]
) -> Iterator[message_pb2.Message]:
    """Yield the messages that would be redacted."""
    versions = sorted({v for run in ranges for v in range(run.first_version, run.last_version + 1)})
    for version in versions[:MAX_REDACTED_MESSAGES]:
        request = pb.GetMessageRequest(context_id=context_id, version=version, view=window_pb2.VIEW_RAW)
        yield stub.GetMessage(request).message


def _row(message: message_pb2.Message) -> tuple[str, ...]:
    role = enum_word(message_pb2.Role.DESCRIPTOR, message.role)
    return str(message.version), f"{message.token_count:,}", role, beginning(message)


def _range(text: str) -> pb.VersionRange:
    first, _, last = text.partition("-")
    try:
        return pb.VersionRange(first_version=int(first), last_version=int(last or first))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no version and no range such as 7-9") from error
