"""`kata-grpc history`: everything that happened to a context, newest first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from kata_grpc.cli.listing import Column, enum_word, enum_words, one_line, output, print_rows, version_ranges
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.cli.travelling import add_at_arguments, at_fields

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (
    ("revision", "right"),
    ("versions", "left"),
    ("time (UTC)", "left"),
    ("kind", "left"),
    ("role", "left"),
)


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("history", description="List what happened to a context, newest first.")
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="revisions to show; default 50, 0 for all")
    parser.add_argument(
        "--kind",
        action="append",
        metavar="KIND",
        choices=enum_words(pb.RevisionKind.DESCRIPTOR),
        help=f"only revisions of this kind; repeatable: {', '.join(enum_words(pb.RevisionKind.DESCRIPTOR))}",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_at_arguments(parser)
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read the history and print it."""
    kinds = [pb.RevisionKind.Value(f"REVISION_KIND_{kind.upper()}") for kind in args.kind or ()]
    asked = {"context_id": args.context_id, "kinds": kinds, **at_fields(args)}
    remote = Remote.of(args)
    with remote.channel() as channel, remote.refusals():
        revisions = list(_revisions(MessageServiceStub(channel), asked, args.limit))
    if args.json:
        for revision in revisions:
            sys.stdout.write(MessageToJson(revision, indent=None) + "\n")
        return 0
    show(revisions, output())
    return 0


def show(revisions: Sequence[pb.Revision], console: Console) -> None:
    """Print revisions as a table."""
    print_rows(console, _COLUMNS, "what", map(_row, revisions))


def show_one(revision: pb.Revision, console: Console) -> None:
    """Print a revision on a line of its own, as wide as such lines mostly are."""
    number, versions, time, kind, role, what = _row(revision)
    line = f"{number:>8}  {versions:<14}  {time}  {kind:<8}  {role:<9}  {one_line(what)}".rstrip()
    console.print(line, markup=False, soft_wrap=True)


def _revisions(stub: MessageServiceStub, asked: Mapping[str, Any], limit: int) -> Iterator[pb.Revision]:
    token, left = "", limit or sys.maxsize
    while left > 0:
        request = pb.ListHistoryRequest(page_size=min(left, 1_000), page_token=token, **asked)
        page = stub.ListHistory(request)
        yield from page.revisions
        left -= len(page.revisions)
        token = page.next_page_token
        if not token:
            return


def _what(revision: pb.Revision) -> str:
    """Say what a revision did, or how what it appended begins."""
    match revision.WhichOneof("detail"):
        case "tag":
            tag = revision.tag
            place = f" → version {tag.version}, revision {tag.revision}" if tag.HasField("version") else ""
            before = ""
            if tag.HasField("previous_version"):
                before = f" (was version {tag.previous_version}, revision {tag.previous_revision})"
            return f"{tag.name}{place}{before}"
        case "fork":
            fork = revision.fork
            return f"of {fork.parent_id} at version {fork.fork_version}, revision {fork.fork_revision}"
        case "update":
            return ", ".join(revision.update.fields)
        case "removal":
            return version_ranges(revision.removal.ranges)
        case "redaction":
            why = revision.redaction.reason
            return version_ranges(revision.redaction.ranges) + (f": {why}" if why else "")
        case _:
            return revision.preview


def _row(revision: pb.Revision) -> tuple[str, ...]:
    versions = ""
    if revision.first_version:
        several = revision.last_version > revision.first_version
        versions = f"{revision.first_version}" + (f" to {revision.last_version}" if several else "")
    role = enum_word(message_pb2.Role.DESCRIPTOR, revision.role) if revision.role else ""
    kind = enum_word(pb.RevisionKind.DESCRIPTOR, revision.kind)
    time = revision.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
    return str(revision.revision), versions, time, kind, role, _what(revision)
