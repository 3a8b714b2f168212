"""`kata-grpc artifacts`: what a context mentions by name, and in which of its messages."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToJson
from kata.context.v1 import artifact_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as pb
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from kata_grpc.cli.listing import Column, enum_word, enum_words, output, print_rows
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.cli.travelling import add_at_arguments, at_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (("kind", "left"), ("versions", "left"))
_KINDS = enum_words(artifact_pb2.ArtifactKind.DESCRIPTOR)
_VERSIONS_SHOWN = 3

DESCRIPTION = """\
List what the messages of a context mention by name: files, addresses, tool calls and how they went, identifiers,
quantities and names in code, each with the versions that hold it. Compacted messages are among them, redacted ones
are not."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "artifacts", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument(
        "--kind", action="append", metavar="KIND", choices=_KINDS, help=f"only these; repeatable: {', '.join(_KINDS)}"
    )
    parser.add_argument(
        "--range", type=_range, default={}, metavar="VERSIONS", help="only of these, as in 7, 7-9, 7- or -9"
    )
    parser.add_argument("--view", default="current", choices=enum_words(window_pb2.View.DESCRIPTOR))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_at_arguments(parser)
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read the artifacts, page after page, and print them."""
    asked = {
        "context_id": args.context_id,
        "kinds": [artifact_pb2.ArtifactKind.Value(f"ARTIFACT_KIND_{kind.upper()}") for kind in args.kind or ()],
        "view": window_pb2.View.Value(f"VIEW_{args.view.upper()}"),
        **args.range,
        **at_fields(args),
    }
    remote = Remote.of(args)
    with remote.channel() as channel, remote.refusals():
        found = read(PolicyServiceStub(channel), asked)
    if args.json:
        for artifact in found:
            sys.stdout.write(MessageToJson(artifact, indent=None) + "\n")
    else:
        print_rows(output(), _COLUMNS, "artifact", map(_row, found))
    return 0


def read(stub: PolicyServiceStub, asked: Mapping[str, Any]) -> list[artifact_pb2.Artifact]:
    """Return the artifacts of all pages: each once, with all of its versions, then the tool calls."""
    found: dict[tuple[int, str], artifact_pb2.Artifact] = {}
    calls: list[artifact_pb2.Artifact] = []
    token = ""
    while True:
        page = stub.ListArtifacts(pb.ListArtifactsRequest(page_size=1_000, page_token=token, **asked))
        for artifact in page.artifacts:
            if artifact.HasField("run"):
                calls.append(artifact)
            elif before := found.get((artifact.kind, artifact.text)):
                before.versions.extend(artifact.versions)
            else:
                found[artifact.kind, artifact.text] = artifact
        token = page.next_page_token
        if not token:
            return [*found.values(), *calls]


def _row(artifact: artifact_pb2.Artifact) -> tuple[str, ...]:
    kind = enum_word(artifact_pb2.ArtifactKind.DESCRIPTOR, artifact.kind)
    return kind, _versions(artifact.versions), _call(artifact) if artifact.HasField("run") else artifact.text


def _versions(versions: Iterable[int]) -> str:
    spelled = list(map(str, versions))
    more = len(spelled) - _VERSIONS_SHOWN
    return ", ".join(spelled[:_VERSIONS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _call(artifact: artifact_pb2.Artifact) -> str:
    run = artifact.run
    outcome = enum_word(artifact_pb2.ToolOutcome.DESCRIPTOR, run.outcome).replace("_", " ")
    exit_code = f", exit code {run.exit_code}" if run.HasField("exit_code") else ""
    told = f": {run.detail}" if run.detail else ""
    return f"{artifact.text} {run.name}({run.arguments}) {outcome}{exit_code}{told}"


def _range(text: str) -> dict[str, int]:
    """Read one version or a run of them, either end of which may be left away."""
    first, dash, last = text.partition("-")
    try:
        ends = {"first_version": int(first or 0), "last_version": int((last if dash else first) or 0)}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no version and no range such as 7-9") from error
    if not any(ends.values()):
        raise argparse.ArgumentTypeError(f"{text!r} is no version and no range such as 7-9")
    return ends
