"""The arguments that shape a window, and the options that they ask for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kata.context.v1 import window_pb2

from kata_grpc.config import ConfigurationError


def add_shape_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments; what none of them says, the context's policy decides."""
    group = parser.add_argument_group("shape", "What is not said here, the context's policy decides.")
    group.add_argument("--max-messages", type=int, metavar="N", help="at most so many messages beside the pinned ones")
    group.add_argument("--pin", type=int, action="append", metavar="VERSION", help="keep this message; repeatable")
    group.add_argument("--pin-label", action="append", metavar="LABEL", help="keep messages labelled so; repeatable")
    group.add_argument("--max-part-tokens", type=int, metavar="N", help="keep head and tail of longer texts")
    group.add_argument("--keep-results", type=int, metavar="N", help="leave out tool results but the newest N")
    group.add_argument("--exclude-tool", action="append", metavar="NAME", help="but none of this tool's; repeatable")
    group.add_argument("--low-water", type=int, metavar="TOKENS", help="when the start must move, move it down to this")
    group.add_argument(
        "--min-gain", type=int, metavar="TOKENS", help="clear results or move the start for no fewer than this"
    )


def options_of(args: argparse.Namespace) -> window_pb2.WindowOptions:
    """Return the options that the arguments ask for."""
    clears, steps = args.keep_results is not None, args.low_water is not None
    problems = []
    if args.exclude_tool and not clears:
        problems.append("--exclude-tool needs --keep-results.")
    if args.min_gain is not None and not (clears or steps):
        problems.append("--min-gain needs --keep-results or --low-water.")
    if problems:
        raise ConfigurationError(tuple(problems))
    options = window_pb2.WindowOptions(
        max_messages=args.max_messages,
        pinned_versions=args.pin,
        pinned_labels=args.pin_label,
        max_part_tokens=args.max_part_tokens,
    )
    if clears:
        options.clear_tool_results.keep_results = args.keep_results
        options.clear_tool_results.exclude_tools.extend(args.exclude_tool or ())
        options.clear_tool_results.min_gain_tokens = args.min_gain or 0
    if steps:
        options.start_steps.low_water_tokens = args.low_water
        options.start_steps.min_gain_tokens = args.min_gain or 0
    return options


def text_of_file(name: str) -> str:
    """Read the file that an argument names, or standard input for `-`."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{name}: is not UTF-8") from error
