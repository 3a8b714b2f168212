"""`kata-grpc purge`: erase a soft-deleted context for good, or show what that would erase."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import context_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub

from kata_grpc.cli.listing import Column, output, print_rows
from kata_grpc.cli.remote import Remote, add_connection_arguments

if TYPE_CHECKING:
    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (("rows", "right"), ("bytes", "right"))

DESCRIPTION = """\
Erase a context that was deleted, with everything that belongs to it alone; there is no way back. A context whose log
forks read is refused, unless --detach-children copies it into theirs. What is left is the receipt, and that the id is
used up."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("purge", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("--dry-run", action="store_true", help="show what would be erased, and erase nothing")
    parser.add_argument(
        "--detach-children", action="store_true", help="give forks that read it a log of their own first"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as one JSON object")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Purge, and print the receipt."""
    remote = Remote.of(args)
    request = pb.PurgeContextRequest(
        context_id=args.context_id,
        request_id=str(uuid4()),
        dry_run=args.dry_run,
        detach_children=args.detach_children,
    )
    with remote.channel() as channel, remote.refusals():
        answer = ContextServiceStub(channel).PurgeContext(request)
    if args.json:
        sys.stdout.write(MessageToJson(answer, indent=None) + "\n")
        return 0
    rows = [(f"{erased.row_count:,}", f"{erased.byte_count:,}", erased.table) for erased in answer.receipt.erased]
    console = output()
    print_rows(console, _COLUMNS, "table", rows)
    if answer.detached_count:
        console.print(
            f"Forks that {'would get' if args.dry_run else 'got'} a log of their own: {answer.detached_count:,}"
        )
    if not args.dry_run:
        console.print(f"Purged. {answer.receipt.notice}", soft_wrap=True)
    return 0
