"""The command `kata-grpc`: one module a command, imported only when it is the one that runs.

A command's module has `add_parser(commands)` and `run(args) -> int`, the exit status. Here are only the list of
commands and the sentences for what went wrong before one could start.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from kata_grpc import __version__
from kata_grpc.config import ConfigurationError
from kata_grpc.db.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

COMMANDS = {
    "serve": ("serve", "start the server"),
    "migrate": ("migrate", "show or change the version of the database's schema"),
    "doctor": ("doctor", "check settings, database and schema, and say what to do"),
    "health": ("health", "ask a running server whether it serves"),
    "import": ("importing", "read conversations from JSON lines into contexts"),
    "export": ("exporting", "write contexts as the JSON lines that they came from"),
    "window": ("window", "show what would be sent to a model now, and why"),
    "policy": ("policy", "show or set when contexts are compacted, and how windows are shaped"),
    "compact": ("compacting", "hide old groups of a context behind a summary, or show them again"),
    "artifacts": ("artifacts", "list what a context mentions by name, and where"),
    "history": ("history", "list what happened to a context"),
    "tag": ("tag", "name a point of a context, to come back to"),
    "tree": ("tree", "draw contexts and their forks"),
    "diff": ("diff", "show two contexts side by side, from where they parted"),
    "redact": ("redact", "erase the content of messages for good"),
    "purge": ("purge", "erase a deleted context for good"),
    "retention": ("retention", "delete and purge what was kept long enough"),
    "watch": ("watch", "show what happens to a context, as it happens"),
    "demo": ("demo", "see what the service does, on a real conversation"),
    "bench": ("bench", "measure the service on this machine, every figure beside its floor"),
}
"""Each command: the module that has it, and its line in the list."""

EXAMPLES = """\
examples:
  kata-grpc serve            start with an embedded PostgreSQL in .kata
  kata-grpc doctor           find out what is wrong, or that nothing is
  kata-grpc COMMAND --help   more about a command

Settings come from environment variables, all listed with their defaults in .env.example."""


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Build the parser, with the arguments of one command filled in."""
    parser = argparse.ArgumentParser(
        prog="kata-grpc",
        description="Kata keeps conversations in PostgreSQL and answers what to send to the model now.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kata-grpc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        if name == command:
            importlib.import_module(f"kata_grpc.cli.{module}").add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 1 when it cannot start, 2 for wrong arguments or settings."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    args = build_parser(chosen).parse_args(arguments)
    module, _ = COMMANDS[args.command]
    try:
        status: int = importlib.import_module(f"kata_grpc.cli.{module}").run(args)
    except ConfigurationError as error:
        for problem in error.problems:
            print(f"kata-grpc: {problem}", file=sys.stderr)
        return 2
    except StartupError as error:
        print(f"kata-grpc: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
