"""`kata-grpc history`: everything that happened to a context, newest first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kata_grpc.cli.remote import add_connection_arguments, connected, refusals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from kata_grpc.cli import Commands


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("history", description="List what happened to a context, newest first.")
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="revisions to show; default 50, 0 for all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read the history and print it."""
    with connected(args) as channel, refusals():
        revisions = list(_revisions(MessageServiceStub(channel), args.context_id, args.limit))
    if args.json:
        for revision in revisions:
            sys.stdout.write(MessageToJson(revision, indent=None) + "\n")
        return 0
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("revision", "versions"):
        table.add_column(name, justify="right")
    for name in ("time", "kind", "role"):
        table.add_column(name, no_wrap=True)
    table.add_column("begins with", no_wrap=True, overflow="ellipsis", max_width=80)
    for revision in revisions:
        table.add_row(*_row(revision))
    Console().print(table)
    return 0


def _revisions(stub: MessageServiceStub, context_id: str, limit: int) -> Iterator[pb.Revision]:
    token, left = "", limit or sys.maxsize
    while left > 0:
        request = pb.ListHistoryRequest(context_id=context_id, page_size=min(left, 1_000), page_token=token)
        page = stub.ListHistory(request)
        yield from page.revisions
        left -= len(page.revisions)
        token = page.next_page_token
        if not token:
            return


def _row(revision: pb.Revision) -> tuple[str | Text, ...]:
    versions = ""
    if revision.first_version:
        several = revision.last_version > revision.first_version
        versions = f"{revision.first_version}" + (f" to {revision.last_version}" if several else "")
    role = message_pb2.Role.Name(revision.role).removeprefix("ROLE_").lower() if revision.role else ""
    kind = pb.RevisionKind.Name(revision.kind).removeprefix("REVISION_KIND_").lower()
    time = revision.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
    return str(revision.revision), versions, time, kind, role, Text(revision.preview.replace("\n", "⏎"))
