"""`kata-grpc serve`: start the server and run it until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import uvloop

from kata_grpc import logs, supervisor
from kata_grpc.config import Settings

if TYPE_CHECKING:
    from kata_grpc.cli import Commands

DESCRIPTION = """\
Start the server. Without DATABASE_URL it brings its own PostgreSQL and keeps the data in KATA_DATA_DIR.

The embedded database and an empty one are migrated first. A database with an older schema is not touched unless
told so by --migrate or KATA_MIGRATE=on; one with a newer schema is refused.

SIGTERM or Ctrl-C drains: running calls end, streams stop where they can be resumed, the database is let go."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("serve", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", metavar="HOST:PORT", help="in place of KATA_LISTEN")
    parser.add_argument("--migrate", action="store_true", help="bring an older schema up to date first")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    environ = dict(os.environ)
    if args.listen:
        environ["KATA_LISTEN"] = args.listen
    settings = Settings.from_env(environ)
    if args.migrate:
        settings = replace(settings, migrate="on")
    logs.configure(settings.log_level, settings.log_format)
    if args.worker:
        uvloop.run(supervisor.run_worker(settings))
        return 0
    for warning in settings.warnings(environ):
        logging.getLogger(__name__).warning("%s", warning)
    uvloop.run(supervisor.run(settings))
    return 0
