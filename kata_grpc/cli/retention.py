"""`kata-grpc retention`: delete and purge what was kept long enough, or show what that would be."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from kata_grpc import logs
from kata_grpc.cli.listing import Column, output, print_rows
from kata_grpc.cli.migrate import direct_url
from kata_grpc.config import ConfigurationError, Settings
from kata_grpc.db import migrate
from kata_grpc.db.errors import StartupError
from kata_grpc.db.migrate import SchemaStatus
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.services.flattening import Flattening
from kata_grpc.services.purging import Purging
from kata_grpc.services.retention import Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kata_grpc.cli import Commands
    from kata_grpc.services.retention import Planned, Report

_COLUMNS: tuple[Column, ...] = (("tenant", "left"), ("context", "left"), ("what", "left"), ("why", "left"))

DESCRIPTION = """\
Do once what the server does every KATA_RETENTION_INTERVAL: soft-delete contexts that were kept as long as
KATA_RETENTION or their own policy says, purge deleted ones, and finish purges that were cut off. Contexts whose logs
forks read stay. It works on the database itself, for all tenants. --dry-run shows what would go, and why; --list shows
each context."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "retention", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    parser.add_argument("--list", action="store_true", help="with --dry-run: show each context")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, a context a line for --list")


def run(args: argparse.Namespace) -> int:
    """Run retention once, or preview it."""
    if args.list and not args.dry_run:
        raise ConfigurationError(("--list goes with --dry-run.",))
    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    return asyncio.run(_run(settings, args))


async def _run(settings: Settings, args: argparse.Namespace) -> int:
    async with _retention(settings) as retention:
        if args.dry_run and args.list:
            _show([planned async for planned in retention.plan()], as_json=args.json)
            return 0
        report = await (retention.preview() if args.dry_run else retention.run())
    if report is None:
        raise StartupError("Another process is at it; try again when it is done.")
    if args.json:
        print(json.dumps(asdict(report)))
        return 0
    if settings.retention is None:
        print("KATA_RETENTION is not set: nothing is deleted or purged by age, count or idle time.")
    for line in _told(report, dry_run=args.dry_run):
        print(line)
    return 0


@asynccontextmanager
async def _retention(settings: Settings) -> AsyncIterator[Retention]:
    async with direct_url(settings) as direct:
        url = settings.database_url or direct
        database = await Database.open(url, PoolOptions(size=1, pooler=settings.pooler), direct_url=direct)
        try:
            state = await migrate.schema_state(database)
            if state.status is not SchemaStatus.CURRENT:
                raise StartupError(str(state))
            yield Retention(database, Purging(database, Flattening(database)), settings.retention)
        finally:
            await database.close()


def _show(planned: list[Planned], *, as_json: bool) -> None:
    if not as_json:
        print_rows(output(), _COLUMNS, "name", map(_row, planned))
        return
    for one in planned:
        fields = {"tenant": one.tenant, "context_id": str(one.context_id), "name": one.name}
        print(json.dumps(fields | {"reason": one.reason, "has_forks": one.has_forks}))


def _row(planned: Planned) -> tuple[str, ...]:
    what = "stays for its forks" if planned.has_forks else "purged" if planned.purges else "deleted"
    return planned.tenant, str(planned.context_id), what, str(planned.reason), planned.name


def _told(report: Report, *, dry_run: bool) -> list[str]:
    would = "would be " if dry_run else ""
    lines = [
        f"{would}{'purged' if reason == 'purge' else 'deleted'}, {reason}: {count:,}"
        for reason, count in report.gone.items()
    ]
    lines.append(f"{'would ' if dry_run else ''}stay, as forks read them: {report.has_forks:,}")
    lines.append(f"purges {'to finish' if dry_run else 'finished'}: {report.finished:,}")
    if not dry_run:
        lines.append(f"stay, as they have changed meanwhile: {report.changed:,}")
    return lines
