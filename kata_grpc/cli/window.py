"""`kata-grpc window`: what would be sent to a model now, for a person or as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import message_pb2, window_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from rich.text import Text

from kata_grpc.cli.explaining import bar, explain, summary, why, within
from kata_grpc.cli.listing import Column, enum_word, enum_words, one_line, output, print_rows
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.cli.shaping import add_shape_arguments, options_of, text_of_file
from kata_grpc.cli.travelling import add_at_arguments, at_fields
from kata_grpc.dialects import check
from kata_grpc.domain.windows import Dialect
from kata_grpc.preview import preview

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (("version", "right"), ("role", "left"), ("tokens", "right"))


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "window",
        description="Show the window of a context: the newest messages that fit a token budget, and why others do not.",
    )
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("--budget", type=int, default=8_000, metavar="TOKENS", help="default 8000")
    parser.add_argument("--reserve", type=int, default=0, metavar="TOKENS", help="kept free for the answer")
    parser.add_argument("--tools", type=text_of_file, metavar="FILE", help="schemas of tools to keep room for")
    parser.add_argument("--tokenizer", default="", help="default: the context's")
    parser.add_argument("--dialect", default="openai_chat", choices=enum_words(window_pb2.Dialect.DESCRIPTOR))
    parser.add_argument("--view", default="current", choices=enum_words(window_pb2.View.DESCRIPTOR))
    add_at_arguments(parser)
    add_shape_arguments(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--explain", action="store_true", help="where the budget went, and what is not in it and why")
    form.add_argument("--json", action="store_true", help="the whole answer as JSON")
    form.add_argument("--render", action="store_true", help="what the dialect's API takes, as its JSON")
    form.add_argument("--check", action="store_true", help="hold what --render prints to the dialect's rules")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read the window and print it."""
    request = pb.StreamWindowRequest(
        context_id=args.context_id,
        token_budget=args.budget,
        reserve_tokens=args.reserve,
        tokenizer=args.tokenizer,
        dialect=window_pb2.Dialect.Value(f"DIALECT_{args.dialect.upper()}"),
        view=window_pb2.View.Value(f"VIEW_{args.view.upper()}"),
        tools_json=args.tools or "",
        options=options_of(args),
        **at_fields(args),
    )
    window = pb.GetWindowResponse()
    remote = Remote.of(args)
    if args.render or args.check:
        with remote.channel() as channel, remote.refusals():
            window = MessageServiceStub(channel).GetWindow(_rendering(request))
        return _check(window) if args.check else _print_rendered(window)
    with remote.channel() as channel, remote.refusals():
        for frame in MessageServiceStub(channel).StreamWindow(request):
            match frame.WhichOneof("frame"):
                case "header":
                    window.header.CopyFrom(frame.header)
                case "chunk":
                    window.messages.extend(frame.chunk.messages)
                case "trailer":
                    window.trailer.CopyFrom(frame.trailer)
                case None:  # a kind of frame that a newer server sends
                    pass
    if not window.HasField("trailer"):
        print("kata-grpc: the stream ended before its trailer, so the window is incomplete", file=sys.stderr)
        return 1
    if args.json:
        sys.stdout.write(MessageToJson(window) + "\n")
    else:
        (explain if args.explain else show)(window, output())
    return 0


def _rendering(request: pb.StreamWindowRequest) -> pb.GetWindowRequest:
    """Ask for the same window in one answer, rendered; the two requests have their fields and numbers in common."""
    return pb.GetWindowRequest.FromString(
        request.SerializeToString() + pb.GetWindowRequest(render=True).SerializeToString()
    )


def _print_rendered(window: pb.GetWindowResponse) -> int:
    """Print what the API takes, and on standard error where it differs from the log."""
    sys.stdout.write(window.rendered_json + "\n")
    for adjustment in window.adjustments:
        kind = enum_word(window_pb2.RenderAdjustmentKind.DESCRIPTOR, adjustment.kind)
        print(f"version {adjustment.version}, {kind}: {adjustment.description}", file=sys.stderr)
    return 0


def _check(window: pb.GetWindowResponse) -> int:
    """Say whether the dialect's API would take the window."""
    dialect = enum_word(window_pb2.Dialect.DESCRIPTOR, window.header.dialect)
    problems = check(Dialect(dialect), window.rendered_json)
    for problem in problems:
        print(f"{problem.path}: {problem.rule}")
    if not problems:
        print(f"{window.header.message_count} messages, {window.header.window_tokens:,} tokens: legal for {dialect}")
    return int(bool(problems))


def show(window: pb.GetWindowResponse, console: Console) -> None:
    """Print a window as a table of messages, a bar of the budget, and what is not in it."""
    header = window.header
    print_rows(console, _COLUMNS, "message", map(_row, window.messages))
    console.print()
    console.print(summary(header), soft_wrap=True)
    console.print(bar(window.trailer.ledger, header.token_budget))
    for run in window.trailer.excluded:
        present = within(run, window)
        apart = f", {present} of them in whatever the budget" if present else ""
        console.print(f"  not in the window: {run.first_version} to {run.last_version}{apart}: {why(run)}")
    if pending := ", ".join(window.trailer.pending_call_ids):
        console.print(Text(f"  waiting for the results of: {one_line(pending)}"))


def _row(message: message_pb2.Message) -> tuple[str, ...]:
    role = enum_word(message_pb2.Role.DESCRIPTOR, message.role)
    text = preview(message.SerializeToString(deterministic=True))
    return str(message.version), role, f"{message.token_count:,}", text
