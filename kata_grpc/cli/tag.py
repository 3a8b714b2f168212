"""`kata-grpc tag`: names of snapshots of a context, set, moved, deleted or listed."""

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
from kata_grpc.cli.travelling import add_at_arguments, at_fields
from kata_grpc.config import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kata.context.v1 import context_pb2

    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (("version", "right"), ("revision", "right"), ("set at (UTC)", "left"))

DESCRIPTION = """\
List the tags of a context or, with a NAME, tag what is there now, or was as of what is said. Wherever a command takes
--at-tag, the tag then stands for it. A tag stays where it is until it is moved or deleted, which its history shows."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("tag", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("name", nargs="?", metavar="NAME")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--move", action="store_true", help="move the tag where there is one of this name")
    how.add_argument("--delete", action="store_true", help="delete the tag; what it named stays")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_at_arguments(parser)
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Set or delete a tag, or list all."""
    at = at_fields(args)
    if args.name is None and (at or args.move or args.delete):
        raise ConfigurationError(("Say which tag: NAME is missing.",))
    if args.delete and at:
        raise ConfigurationError(("--delete deletes the tag, wherever it is: leave the --at-… away.",))
    remote = Remote.of(args)
    found: list[context_pb2.Tag] = []
    with remote.channel() as channel, remote.refusals():
        stub = ContextServiceStub(channel)
        if args.name is None:
            found += _every(stub, args.context_id)
        elif args.delete:
            stub.DeleteTag(pb.DeleteTagRequest(context_id=args.context_id, name=args.name, request_id=str(uuid4())))
            return 0
        else:
            request = pb.TagVersionRequest(
                context_id=args.context_id, name=args.name, move=args.move, request_id=str(uuid4()), **at
            )
            found.append(stub.TagVersion(request).tag)
    if args.json:
        for tag in found:
            sys.stdout.write(MessageToJson(tag, indent=None) + "\n")
    else:
        print_rows(output(), _COLUMNS, "tag", map(_row, found))
    return 0


def _every(stub: ContextServiceStub, context_id: str) -> Iterator[context_pb2.Tag]:
    token = ""
    while True:
        page = stub.ListTags(pb.ListTagsRequest(context_id=context_id, page_size=1_000, page_token=token))
        yield from page.tags
        token = page.next_page_token
        if not token:
            return


def _row(tag: context_pb2.Tag) -> tuple[str, ...]:
    time = tag.update_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
    return str(tag.version), str(tag.revision), time, tag.name
