"""`kata-grpc policy`: how the windows of a context are shaped where a request does not say, as JSON."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as pb
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.cli.shaping import text_of_file
from kata_grpc.config import ConfigurationError

if TYPE_CHECKING:
    from kata_grpc.cli import Commands

DESCRIPTION = """\
Show the policy of a context: how its windows are shaped where a request does not say. With --set it is replaced by
another one, as a whole, and shown. What is shown can be edited and set; an empty object leaves everything to what is
built in. An example that keeps the newest 20 tool results and moves the start of windows in steps:

  {"window": {"clearToolResults": {"keepResults": 20}, "startSteps": {"lowWaterTokens": 4000}}}"""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "policy", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("context_id", metavar="CONTEXT_ID")
    parser.add_argument("--set", type=text_of_file, metavar="FILE", help="a policy as JSON; - for standard input")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Set the policy where one is given, and print the one that holds."""
    wanted = None if args.set is None else _parsed(args.set)
    remote = Remote.of(args)
    with remote.channel() as channel, remote.refusals():
        stub = PolicyServiceStub(channel)
        if wanted is None:
            policy = stub.GetPolicy(pb.GetPolicyRequest(context_id=args.context_id)).policy
        else:
            policy = stub.SetPolicy(pb.SetPolicyRequest(context_id=args.context_id, policy=wanted)).policy
    sys.stdout.write(MessageToJson(policy) + "\n")
    return 0


def _parsed(text: str) -> policy_pb2.Policy:
    try:
        return Parse(text, policy_pb2.Policy())
    except ParseError as error:
        raise ConfigurationError((f"--set: {error}",)) from error
