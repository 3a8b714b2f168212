"""`kata-grpc watch`: what happens to a context, as it happens, until it is interrupted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from kata_grpc.cli.history import show_one
from kata_grpc.cli.listing import output
from kata_grpc.cli.remote import Remote, add_connection_arguments

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from kata_grpc.cli import Commands

DESCRIPTION = """\
Show what happens to a context as it happens, until Ctrl+C. Without --from-version or --cursor it starts now.

With --json each frame of the stream is a line; the cursor of the last one that was read goes on after it."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("watch", description=DESCRIPTION)
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--from-version", type=int, metavar="N", help="start after this version; 0 is the beginning")
    start.add_argument("--cursor", metavar="CURSOR", help="go on after the frame that had this cursor")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with the messages")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Follow the context and print what happens."""
    request = pb.WatchContextRequest(context_id=args.context_id, include_messages=args.json)
    if args.from_version is not None:
        request.from_version = args.from_version
    if args.cursor:
        request.cursor = args.cursor
    remote = Remote.of(args)
    console = output()
    with remote.channel() as channel, remote.refusals():
        stream = MessageServiceStub(channel).WatchContext(request)
        try:
            for frame in stream:
                if args.json:
                    sys.stdout.write(MessageToJson(frame, indent=None) + "\n")
                    sys.stdout.flush()
                else:
                    _show(frame, console)
        finally:
            stream.cancel()
    return 0


def _show(frame: pb.WatchContextResponse, console: Console) -> None:
    match frame.WhichOneof("frame"):
        case "event":
            show_one(frame.event.revision, console)
        case "caught_up":
            console.print("[dim]that is all so far; waiting for more[/]")
        case "fell_behind":
            console.print("[dim]more happens than is read here; what was missed follows[/]")
        case _:
            return
