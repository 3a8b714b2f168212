"""`kata-grpc diff`: two contexts side by side, from the last version on that they share."""

from __future__ import annotations

import argparse
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import context_service_pb2 as pb
from kata.context.v1 import message_pb2
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.lineage_pb2 import ContextPoint
from rich.table import Table
from rich.text import Text

from kata_grpc.cli.listing import beginning, enum_word, one_line, output
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.limits import MAX_PAGE

if TYPE_CHECKING:
    from kata.context.v1.lineage_pb2 import ComparedContext
    from rich.console import Console

    from kata_grpc.cli import Commands

DESCRIPTION = """\
Show what two contexts have since they parted, side by side. What they share is found by lineage, not by text."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("diff", description=DESCRIPTION)
    for side in ("left", "right"):
        parser.add_argument(side, metavar="CONTEXT_ID[@VERSION]", type=_point)
    parser.add_argument(
        "--limit", type=int, default=50, metavar="N", help="messages of each side; default 50, 0 for all"
    )
    parser.add_argument("--json", action="store_true", help="the comparison as one JSON object")
    add_connection_arguments(parser)


def _point(word: str) -> ContextPoint:
    context_id, at, version = word.partition("@")
    if at and not version.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} has no version behind @")
    return ContextPoint(context_id=context_id, at_version=int(version) if at else None)


def run(args: argparse.Namespace) -> int:
    """Read the comparison and print it."""
    remote = Remote.of(args)
    with remote.channel() as channel, remote.refusals():
        found = read(ContextServiceStub(channel), args.left, args.right, args.limit or sys.maxsize)
    if args.json:
        sys.stdout.write(MessageToJson(found) + "\n")
    else:
        show(found, output())
    return 0


def read(stub: ContextServiceStub, left: ContextPoint, right: ContextPoint, most: int) -> pb.CompareContextsResponse:
    """Read a comparison with at most so many messages of each side."""
    of_left: list[message_pb2.Message] = []
    of_right: list[message_pb2.Message] = []
    request = pb.CompareContextsRequest(left=left, right=right, page_size=min(most, MAX_PAGE))
    while True:
        page = stub.CompareContexts(request)
        of_left += page.left_messages
        of_right += page.right_messages
        request.page_token = page.next_page_token
        if not request.page_token or max(len(of_left), len(of_right)) >= most:
            return pb.CompareContextsResponse(
                common_ancestor_id=page.common_ancestor_id,
                shared_version=page.shared_version,
                left=page.left,
                right=page.right,
                left_messages=of_left[:most],
                right_messages=of_right[:most],
            )


def show(found: pb.CompareContextsResponse, console: Console) -> None:
    """Print a comparison: what is shared, what each side has since, and its messages in two columns."""
    if found.common_ancestor_id:
        shared = f"shared up to version {found.shared_version}, common ancestor {found.common_ancestor_id}"
        console.print(shared, soft_wrap=True)
    else:
        console.print("nothing is shared: there is no common ancestor")
    sides = (("left", found.left, len(found.left_messages)), ("right", found.right, len(found.right_messages)))
    for title, side, _ in sides:
        console.print(_side(title, side), soft_wrap=True)
    if not found.left_messages and not found.right_messages:
        return
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold")
    table.add_column("version", justify="right", no_wrap=True)
    for title in ("left", "right"):
        table.add_column("role", no_wrap=True)
        table.add_column("tokens", justify="right", no_wrap=True)
        table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1)
    pairs = zip_longest(found.left_messages, found.right_messages)
    for version, pair in enumerate(pairs, start=found.shared_version + 1):
        table.add_row(str(version), *(cell for message in pair for cell in _cells(message)))
    console.print()
    console.print(table)
    for title, side, shown in sides:
        if side.message_count > shown:
            console.print(f"… {side.message_count - shown} more on the {title}; --limit 0 shows all")


def _side(title: str, side: ComparedContext) -> Text:
    name = f" {one_line(side.name)}" if side.name else ""
    since = f"{side.message_count} {'message' if side.message_count == 1 else 'messages'}"
    return Text(
        f"{title:<5}  {side.context_id}{name}: {since} since, {side.total_tokens:,} tokens, to version {side.version}"
    )


def _cells(message: message_pb2.Message | None) -> tuple[Text, Text, Text]:
    if message is None:
        return Text(), Text(), Text()
    role = enum_word(message_pb2.Role.DESCRIPTOR, message.role)
    return Text(role), Text(f"{message.token_count:,}"), Text(beginning(message))
