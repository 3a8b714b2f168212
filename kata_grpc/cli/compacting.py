"""`kata-grpc compact`: hide old groups of a context behind a summary, show what that would be, or undo it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import compaction_pb2, policy_pb2
from kata.context.v1 import policy_service_pb2 as pb
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from kata_grpc.cli.listing import Column, enum_word, one_line, output, print_rows, version_ranges
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.config import ConfigurationError
from kata_grpc.limits import COMPACTION_LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.message import Message
    from rich.console import Console

    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (
    ("begun at (UTC)", "left"),
    ("compaction", "left"),
    ("state", "left"),
    ("by", "left"),
    ("before", "right"),
    ("after", "right"),
)
_STEPS: tuple[Column, ...] = (("messages", "right"), ("before", "right"), ("after", "right"))
_WHY_NOTHING = {
    compaction_pb2.NOTHING_TO_COMPACT_EMPTY: "there are no groups that are not hidden already",
    compaction_pb2.NOTHING_TO_COMPACT_ALL_PROTECTED: "all groups are protected",
    compaction_pb2.NOTHING_TO_COMPACT_BELOW_TARGET: "the view costs no more than the target",
    compaction_pb2.NOTHING_TO_COMPACT_GAIN_TOO_SMALL: "a summary would take nearly as much as what it stands for",
}
_SIZES = ("target_tokens", "preserve_recent", "summary_tokens")

DESCRIPTION = """\
Hide the old groups of a context behind a summary that the server makes, now, whether its policy finds it due or not.
With --target-tokens the rungs of the policy are taken one after the other, only as far as it takes. Nothing is
destroyed: the raw view still has every message, and --revert shows them again."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "compact", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--preview", action="store_true", help="show what would be hidden, and what stays and why")
    what.add_argument("--revert", nargs="?", const="", metavar="ID", help="undo the compaction that is in force")
    what.add_argument("--reapply", metavar="ID", help="put a compaction in force again")
    what.add_argument("--list", action="store_true", help="list the compactions of the context, newest first")
    sizes = parser.add_argument_group("how far", "What is not said here, the context's policy decides.")
    sizes.add_argument(
        "--target-tokens",
        type=int,
        metavar="N",
        help="get the view down to this; without it, hide all that may be hidden",
    )
    sizes.add_argument("--preserve-recent", type=int, metavar="N", help="groups that stay, the newest ones")
    sizes.add_argument("--summary-tokens", type=int, metavar="N", help="what the summary may take")
    parser.add_argument("--json", action="store_true", help="print the answer, or each compaction, as a JSON object")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compact, revert or list, and print what came of it."""
    sizes = {name: value for name in _SIZES if (value := getattr(args, name)) is not None}
    if sizes and (args.list or args.reapply is not None or args.revert is not None):
        given = " and ".join(f"--{name.replace('_', '-')}" for name in sizes)
        raise ConfigurationError((f"{given}: only for a compaction and its preview.",))
    remote = Remote.of(args)
    with remote.channel() as channel, remote.refusals():
        answers = list(_answers(PolicyServiceStub(channel), args, sizes))
    console = output()
    if args.json:
        for answer in answers:
            sys.stdout.write(MessageToJson(answer, indent=None) + "\n")
    elif args.list:
        print_rows(console, _COLUMNS, "what", map(_row, answers))
    else:
        show(answers[0], console)
    return 0


def _answers(stub: PolicyServiceStub, args: argparse.Namespace, sizes: dict[str, Any]) -> Iterator[Any]:
    """Yield what the server says: one answer, or every compaction of a list."""
    on: dict[str, Any] = {"context_id": args.context_id}
    if args.list:
        yield from _every(stub, args.context_id)
    elif args.preview:
        yield stub.PreviewCompaction(pb.PreviewCompactionRequest(**on, **sizes))
    elif args.reapply is not None:
        on |= {"compaction_id": args.reapply, "reapply": True, "request_id": str(uuid4())}
        yield stub.RevertCompaction(pb.RevertCompactionRequest(**on))
    elif args.revert is not None:
        on |= {"compaction_id": args.revert, "request_id": str(uuid4())}
        yield stub.RevertCompaction(pb.RevertCompactionRequest(**on))
    else:
        request = pb.CompactContextRequest(request_id=str(uuid4()), **on, **sizes)
        yield stub.CompactContext(request, timeout=COMPACTION_LEASE_SECONDS)


def _every(stub: PolicyServiceStub, context_id: str) -> Iterator[compaction_pb2.Compaction]:
    token = ""
    while True:
        request = pb.ListCompactionsRequest(context_id=context_id, page_size=1_000, page_token=token)
        page = stub.ListCompactions(request)
        yield from page.compactions
        token = page.next_page_token
        if not token:
            return


def show(answer: Message, console: Console) -> None:
    """Print what a compaction, a preview or a reversal says."""
    if steps := list(_steps(answer)):
        print_rows(console, _STEPS, "rung", map(_step, steps))
    for line in _lines(answer):
        console.print(line, markup=False, soft_wrap=True)


def _steps(answer: Message) -> Iterable[compaction_pb2.CompactionStep]:
    match answer:
        case pb.PreviewCompactionResponse():
            return answer.steps
        case pb.CompactContextResponse():
            return answer.compaction.steps
        case _:
            return ()


def _step(step: compaction_pb2.CompactionStep) -> tuple[str, ...]:
    rung = enum_word(policy_pb2.CompactionRung.DESCRIPTOR, step.rung)
    return f"{step.message_count:,}", f"{step.tokens_before:,}", f"{step.tokens_after:,}", rung


def _lines(answer: Message) -> Iterator[str]:
    match answer:
        case pb.PreviewCompactionResponse():
            yield from _preview(answer)
        case pb.CompactContextResponse() if not answer.HasField("compaction"):
            yield f"Nothing to compact: {_why(answer.nothing)}."
        case pb.CompactContextResponse():
            yield from _compacted(answer.compaction)
        case pb.RevertCompactionResponse():
            yield f"Since revision {answer.revision} {_in_force(answer)}."
        case _:
            raise TypeError(type(answer).__name__)


def _preview(answer: pb.PreviewCompactionResponse) -> Iterator[str]:
    if answer.nothing:
        yield f"Nothing would be compacted: {_why(answer.nothing)}."
        yield f"The view costs {answer.tokens_before:,} tokens."
    else:
        if answer.added_ranges:
            yield f"Would be hidden: {_hidden(answer)}."
        yield f"The view costs {answer.tokens_before:,} tokens, and then {answer.tokens_after:,} at most."
    protections = compaction_pb2.CompactionProtection.DESCRIPTOR
    held = Counter(enum_word(protections, group.protection) for group in answer.held)
    if held:
        yield f"Groups that stay: {', '.join(f'{count:,} {why}' for why, count in held.items())}."
    if answer.summary:
        kept, dropped = answer.artifacts_kept, answer.artifacts_dropped
        yield f"The summary by rule, with {kept:,} artifacts; {dropped:,} have no room:\n"
        yield from map(one_line, answer.summary.split("\n"))


def _compacted(compaction: compaction_pb2.Compaction) -> Iterator[str]:
    if compaction.added_ranges:
        yield f"Hidden: {_hidden(compaction)}."
    summary = ""
    if compaction.summary_tokens:
        summary = f", {compaction.summary_tokens:,} of them for the summary ({one_line(compaction.summariser)})"
    yield f"The view cost {compaction.tokens_before:,} tokens, and costs {compaction.tokens_after:,} now{summary}."
    yield f"Compaction {compaction.compaction_id}, revision {compaction.revision}; --revert undoes it."


def _hidden(compaction: compaction_pb2.Compaction | pb.PreviewCompactionResponse) -> str:
    ranges = version_ranges(compaction.added_ranges)
    return f"{ranges}; {compaction.message_count:,} messages in {compaction.group_count:,} groups"


def _in_force(answer: pb.RevertCompactionResponse) -> str:
    if not answer.HasField("in_force"):
        return "no compaction is in force"
    return f"compaction {answer.in_force.compaction_id} is in force: {'; '.join(_held(answer.in_force))}"


def _held(compaction: compaction_pb2.Compaction) -> Iterator[str]:
    """Say what is not in a view while a compaction is in force."""
    for what, ranges in (
        ("hidden", compaction.ranges),
        ("results cleared", compaction.cleared_ranges),
        ("texts elided", compaction.elided_ranges),
    ):
        if ranges:
            yield f"{what}: {version_ranges(ranges)}"


def _why(nothing: compaction_pb2.NothingToCompact.ValueType) -> str:
    return _WHY_NOTHING.get(nothing) or enum_word(compaction_pb2.NothingToCompact.DESCRIPTOR, nothing)


def _row(compaction: compaction_pb2.Compaction) -> tuple[str, ...]:
    ended = compaction.state == compaction_pb2.COMPACTION_STATE_COMMITTED
    return (
        compaction.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S"),
        compaction.compaction_id,
        enum_word(compaction_pb2.CompactionState.DESCRIPTOR, compaction.state),
        enum_word(compaction_pb2.CompactionOrigin.DESCRIPTOR, compaction.origin),
        f"{compaction.tokens_before:,}",
        f"{compaction.tokens_after:,}" if ended else "",
        "; ".join(_what(compaction)),
    )


def _what(compaction: compaction_pb2.Compaction) -> Iterator[str]:
    """Say what a compaction holds back, and what became of it beyond its state."""
    yield from _held(compaction)
    if compaction.erased:
        yield "erased, as some of what it was made of was redacted"
    if compaction.reason:
        yield f"attempt {compaction.attempt}: {compaction.reason}"
