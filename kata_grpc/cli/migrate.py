"""`kata-grpc migrate`: show the version of the database's schema, and move it up or down."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kata_grpc import logs
from kata_grpc.config import Settings
from kata_grpc.db import migrate
from kata_grpc.db.embedded import EmbeddedPostgres, running_url
from kata_grpc.db.errors import StartupError
from kata_grpc.db.pool import Database, PoolOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kata_grpc.cli import Commands
    from kata_grpc.db.migrate import SchemaState

DESCRIPTION = """\
Show or change the version of the database's schema, over DATABASE_URL_DIRECT (or DATABASE_URL, or the embedded
database in KATA_DATA_DIR). Steps run in one transaction: a step that fails leaves the schema as it was."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "migrate", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    current = actions.add_parser("current", help="show the schema's version, and the one that this program needs")
    up = actions.add_parser("up", help="bring the schema up to date")
    up.add_argument("revision", nargs="?", default="head", help="stop at this version")
    down = actions.add_parser("down", help="take the schema back; what the steps had added is lost with its data")
    down.add_argument("revision", help="the version to go back to: a number, -1 for one step, base for nothing")
    for action in (current, up, down):
        action.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Do it, and print where the schema is."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    state = asyncio.run(_run(settings, args.action, getattr(args, "revision", "")))
    if args.json:
        print(json.dumps({"status": state.status, "revision": state.revision, "head": state.head}))
    else:
        print(state)
    return 0


async def _run(settings: Settings, action: str, revision: str) -> SchemaState:
    async with direct_url(settings) as url:
        if action == "up":
            await migrate.upgrade(url, revision)
        elif action == "down":
            await migrate.downgrade(url, revision)
        database = await Database.open(url, PoolOptions(size=1, pooler=settings.pooler))
        try:
            return await migrate.schema_state(database)
        finally:
            await database.close()


@asynccontextmanager
async def direct_url(settings: Settings) -> AsyncIterator[str]:
    """Lead to the database itself; the embedded one is started for as long as it is needed, unless it runs."""
    url = settings.database_url_direct or settings.database_url
    if url is not None:
        yield url
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        await asyncio.to_thread(embedded.start)
    except StartupError:
        running = running_url(settings.data_dir)
        if running is None:
            raise
        yield running
        return
    try:
        yield embedded.url
    finally:
        await asyncio.to_thread(embedded.stop)
