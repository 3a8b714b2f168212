"""`kata-grpc window`: what would be sent to a model now, for a person or as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import message_pb2, window_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kata_grpc.cli.remote import add_connection_arguments, connected, refusals
from kata_grpc.preview import preview

if TYPE_CHECKING:
    import argparse

    from google.protobuf.descriptor import EnumDescriptor

    from kata_grpc.cli import Commands

_BAR = 60
_PARTS = (
    ("pinned_tokens", "magenta"),
    ("tail_tokens", "green"),
    ("overhead_tokens", "yellow"),
    ("reserve_tokens", "blue"),
    ("unused_tokens", "bright_black"),
)


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "window",
        description="Show the window of a context: the newest messages that fit a token budget, and why others do not.",
    )
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("--budget", type=int, default=8_000, metavar="TOKENS", help="default 8000")
    parser.add_argument("--reserve", type=int, default=0, metavar="TOKENS", help="kept free for the answer")
    parser.add_argument("--tokenizer", default="", help="default: the context's")
    parser.add_argument("--dialect", default="openai_chat", choices=_names(window_pb2.Dialect.DESCRIPTOR, "DIALECT_"))
    parser.add_argument("--view", default="current", choices=_names(window_pb2.View.DESCRIPTOR, "VIEW_"))
    parser.add_argument("--at-version", type=int, metavar="N", help="as of this version")
    parser.add_argument("--at-revision", type=int, metavar="N", help="as of this revision")
    parser.add_argument("--json", action="store_true", help="the whole answer as JSON")
    add_connection_arguments(parser)


def _names(enum: EnumDescriptor, prefix: str) -> list[str]:
    return [value.name.removeprefix(prefix).lower() for value in enum.values if value.number]


def run(args: argparse.Namespace) -> int:
    """Read the window and print it."""
    request = pb.StreamWindowRequest(
        context_id=args.context_id,
        token_budget=args.budget,
        reserve_tokens=args.reserve,
        tokenizer=args.tokenizer,
        dialect=window_pb2.Dialect.Value(f"DIALECT_{args.dialect.upper()}"),
        view=window_pb2.View.Value(f"VIEW_{args.view.upper()}"),
        at_version=args.at_version,
        at_revision=args.at_revision,
    )
    window = pb.GetWindowResponse()
    with connected(args) as channel, refusals():
        for frame in MessageServiceStub(channel).StreamWindow(request):
            window.header.MergeFrom(frame.header)
            window.messages.extend(frame.chunk.messages)
            window.trailer.MergeFrom(frame.trailer)
    if args.json:
        sys.stdout.write(MessageToJson(window) + "\n")
    else:
        show(window, Console())
    return 0


def show(window: pb.GetWindowResponse, console: Console) -> None:
    """Print a window as a table of messages, a bar of the budget, and what is not in it."""
    header, ledger = window.header, window.trailer.ledger
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("version", "role", "tokens"):
        table.add_column(name, justify="left" if name == "role" else "right")
    table.add_column("message", no_wrap=True, overflow="ellipsis", max_width=100)
    for message in window.messages:
        table.add_row(*_row(message))
    console.print(table)
    console.print(
        f"\n[bold]{header.window_tokens:,}[/] of {header.token_budget:,} tokens "
        f"({header.tokenizer}, {window_pb2.Dialect.Name(header.dialect)}), {header.message_count} messages, "
        f"version {header.snapshot_version}, revision {header.snapshot_revision}"
    )
    console.print(_bar(ledger, header.token_budget))
    for run in window.trailer.excluded:
        reason = window_pb2.ExclusionReason.Name(run.reason).removeprefix("EXCLUSION_REASON_")
        console.print(f"  not in the window: {run.first_version} to {run.last_version}, {reason}")
    if pending := ", ".join(window.trailer.pending_call_ids):
        console.print(f"  waiting for the results of: {pending}")


def _row(message: message_pb2.Message) -> tuple[str, str, str, Text]:
    role = message_pb2.Role.Name(message.role).removeprefix("ROLE_").lower()
    text = preview(message.SerializeToString(deterministic=True)).replace("\n", "⏎")
    return str(message.version), role, str(message.token_count), Text(text)


def _bar(ledger: window_pb2.WindowLedger, budget: int) -> Text:
    """Draw the ledger: each part as long as its share of the budget, with its number behind."""
    bar, legend = Text(), Text()
    for name, style in _PARTS:
        tokens = getattr(ledger, name)
        if tokens:
            bar.append("█" * max(1, round(_BAR * tokens / budget)), style)
            legend.append(f" ■ {name.removesuffix('_tokens')} {tokens:,}", style)
    return Text.assemble(bar, "\n", legend)

