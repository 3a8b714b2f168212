"""`kata-grpc policy`: what holds of a context's windows and compactions, and whose word it is; and setting it."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as pb
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from kata_grpc.cli.listing import Column, enum_word, enum_words, output, print_rows
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.cli.shaping import text_of_file
from kata_grpc.config import ConfigurationError
from kata_grpc.domain.policy import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from kata_grpc.cli import Commands

_COLUMNS: tuple[Column, ...] = (("setting", "left"), ("set by", "left"))
_PRESETS: tuple[Column, ...] = (("preset", "left"),)
_FIELDS = policy_pb2.CompactionPolicy.DESCRIPTOR.fields_by_name
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SETTINGS = {
    "preset": "what the others are where they are not said themselves",
    "enabled": "compact in the background",
    "budget_tokens": "what the model takes",
    "threshold": "the share of the budget at which it is time",
    "low_water": "the share of the budget to get down to",
    "preserve_recent": "groups that stay, the newest ones",
    "min_gain_tokens": "compact nothing for fewer",
    "cooldown": "how long after a compaction there is no other",
    "debounce": "how long nothing must have changed",
    "trigger_messages": "time when the view has so many; 0 for no matter",
    "trigger_groups": "time when the view has so many; 0 for no matter",
    "trigger_interval": "time so long after a compaction; 0 for no matter",
    "all_triggers": "all triggers that are set must hold, not one",
    "rungs": "ways to make room, in their order; repeatable",
    "keep_results": "tool results that are never cleared, the newest",
    "max_part_tokens": "how long a text may be that is not elided",
    "summary_tokens": "what a summary may take; 0 for a fifth",
}
"""Each setting of compaction, and what it says."""

DESCRIPTION = """\
Show or set a policy: when and how far a context is compacted, how its windows are shaped where a request does not say,
and how long it is kept. What a context's policy leaves unsaid, the tenant's says, and then what is built in."""
SHOW = """\
Show what holds of compaction, all layers together, and which layer says so; and the presets, with what they are for."""
SET = """\
Set a policy, and show what holds then. Settings that are given are changed in the policy that is there, and the others
stay as they are. --file sets a whole one in its place, as the member "policy" of `policy show --json` spells it; an
empty object leaves everything to the layers below. An example that keeps the newest 20 tool results in windows:

  {"window": {"clearToolResults": {"keepResults": 20}}}"""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    form = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser("policy", description=DESCRIPTION, formatter_class=form)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="show what holds, and whose word it is", description=SHOW)
    _add_whose(show)
    show.add_argument("--json", action="store_true", help="print the answer as one JSON object")
    add_connection_arguments(show)
    change = actions.add_parser("set", help="set settings, or a whole policy", description=SET, formatter_class=form)
    _add_whose(change)
    change.add_argument("--file", type=text_of_file, metavar="FILE", help="a policy as JSON; - for standard input")
    change.add_argument("--json", action="store_true", help="print the policy that was set as one JSON object")
    settings = change.add_argument_group("settings of compaction", "Times are seconds, or as in 90s, 2m, 12h, 7d.")
    for name, about in SETTINGS.items():
        _add_setting(settings, name, about)
    settings.add_argument(
        "--unset",
        action="append",
        default=[],
        choices=list(SETTINGS),
        metavar="SETTING",
        help="say nothing of this one",
    )
    add_connection_arguments(change)


def _add_whose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("context_id", nargs="?", default="", metavar="CONTEXT_ID")
    parser.add_argument("--tenant-wide", action="store_true", help="the tenant's policy, instead of a context's")


def _add_setting(group: argparse._ArgumentGroup, name: str, about: str) -> None:
    """Describe the argument of a setting by what its field takes."""
    field = _FIELDS[name]
    flag = f"--{name.replace('_', '-')}"
    given: dict[str, Any]
    if name == "preset":
        given = {"choices": list(PRESETS), "metavar": "NAME", "help": f"{', '.join(PRESETS)}: {about}"}
    elif field.is_repeated:
        words = enum_words(policy_pb2.CompactionRung.DESCRIPTOR)
        flag = "--rung"
        given = {"action": "append", "choices": words, "metavar": "RUNG", "help": f"{', '.join(words)}: {about}"}
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        given = {"action": argparse.BooleanOptionalAction, "help": about}
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        given = {"type": _duration, "metavar": "TIME", "help": about}
    else:
        read: Callable[[str], float] = float if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else int
        given = {"type": read, "metavar": "X" if read is float else "N", "help": about}
    group.add_argument(flag, dest=name, **given)


def run(args: argparse.Namespace) -> int:
    """Set the policy where that is asked for, and print the one that holds."""
    if bool(args.context_id) == args.tenant_wide:
        raise ConfigurationError(("Say whose policy: a CONTEXT_ID, or --tenant-wide.",))
    whose = {
        "context_id": args.context_id,
        "scope": pb.POLICY_SCOPE_TENANT if args.tenant_wide else pb.POLICY_SCOPE_CONTEXT,
    }
    sets = args.action == "set"
    request = _request(args, whose) if sets else pb.SetPolicyRequest()
    remote = Remote.of(args)
    with remote.channel() as channel, remote.refusals():
        stub = PolicyServiceStub(channel)
        if sets:
            request.policy.CopyFrom(_set(stub, request, args, whose))
        answer = stub.GetPolicy(pb.GetPolicyRequest(**whose))
    if args.json:
        sys.stdout.write(MessageToJson(request.policy if sets else answer) + "\n")
        return 0
    console = output()
    show(answer, console)
    if not sets:
        console.print()
        print_rows(console, _PRESETS, "what it is for", ((name, one.purpose) for name, one in PRESETS.items()))
    return 0


def _set(
    stub: PolicyServiceStub, request: pb.SetPolicyRequest, args: argparse.Namespace, whose: dict[str, Any]
) -> policy_pb2.Policy:
    """Set a policy: the one of the request, or the one that is there with what is given changed."""
    if args.file is None:
        now = stub.GetPolicy(pb.GetPolicyRequest(**whose))
        _change(now.policy, args)
        request.policy.CopyFrom(now.policy)
        request.expected_policy_revision = now.policy_revision
    return stub.SetPolicy(request).policy


def show(answer: pb.GetPolicyResponse, console: Console) -> None:
    """Print what holds of compaction, and what the policy says of the rest."""
    layers = {value.field: enum_word(pb.PolicyLayer.DESCRIPTOR, value.layer) for value in answer.values}
    rows = [(name, layer.replace("_", " "), _spelled(answer.effective, name)) for name, layer in layers.items()]
    print_rows(console, _COLUMNS, "value", rows)
    if answer.policy.compaction.preset:
        console.print(f"preset: {answer.policy.compaction.preset}", markup=False)
    for part in ("window", "retention"):
        if answer.policy.HasField(part):
            console.print(f"{part}: {MessageToJson(getattr(answer.policy, part), indent=None)}", markup=False)


def _spelled(policy: policy_pb2.CompactionPolicy, name: str) -> str:
    match getattr(policy, name):
        case bool(value):
            return "yes" if value else "no"
        case Duration() as value:
            return str(value.ToTimedelta())
        case int(value):
            return f"{value:,}"
        case float(value):
            return f"{value:g}"
        case rungs:
            return ", ".join(enum_word(policy_pb2.CompactionRung.DESCRIPTOR, rung) for rung in rungs)


def _request(args: argparse.Namespace, whose: dict[str, Any]) -> pb.SetPolicyRequest:
    """Return the request, with the policy of the file where there is one."""
    given = [name for name in SETTINGS if getattr(args, name) is not None]
    if both := sorted(set(given) & set(args.unset)):
        raise ConfigurationError(tuple(f"{name}: is given and unset." for name in both))
    request = pb.SetPolicyRequest(request_id=str(uuid4()), **whose)
    if args.file is not None:
        try:
            Parse(args.file, request.policy)
        except ParseError as error:
            raise ConfigurationError((f"--file: {error}",)) from error
        _change(request.policy, args)
    elif not given and not args.unset:
        raise ConfigurationError(("Say what to set: --file, a setting, or --unset.",))
    return request


def _change(policy: policy_pb2.Policy, args: argparse.Namespace) -> None:
    """Put the settings that are given into a policy."""
    compaction = policy.compaction
    for name in args.unset:
        compaction.ClearField(name)
    for name in SETTINGS:
        value = getattr(args, name)
        if value is None:
            continue
        if name == "rungs":
            numbers = policy_pb2.CompactionRung.Value
            compaction.rungs[:] = [numbers(f"COMPACTION_RUNG_{rung.upper()}") for rung in value]
        elif isinstance(value, timedelta):
            getattr(compaction, name).FromTimedelta(value)
        else:
            setattr(compaction, name, value)


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 2m, 12h or 7d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
