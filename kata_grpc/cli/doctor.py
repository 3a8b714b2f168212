"""`kata-grpc doctor`: check settings, certificates, database and schema, and say what to do about each finding."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from kata_grpc.cli.migrate import direct_url
from kata_grpc.config import ConfigurationError, Settings
from kata_grpc.db import connect, migrate
from kata_grpc.db.diagnosis import DatabaseFacts, database_facts
from kata_grpc.db.errors import StartupError
from kata_grpc.db.migrate import SchemaStatus
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.domain.errors import ContextNotFound
from kata_grpc.repositories.retention import RetentionRepository
from kata_grpc.services.integrity import verify_all
from kata_grpc.transport.tls import Certificates

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from kata_grpc.cli import Commands

Status = Literal["ok", "warning", "problem"]
SIGNS: dict[Status, str] = {"ok": "ok  ", "warning": "warn", "problem": "FAIL"}
PROBE_SECONDS = 5.0
CONTENTS_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    status: Status
    detail: str


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        description="Check settings, certificates, database and schema. Exits 1 when something must be done. "
        "Shows no secrets.",
    )
    parser.add_argument("--context", type=UUID, metavar="ID", help="verify the contents of one context, not of all")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings as they come."""
    return asyncio.run(_run(as_json=args.json, only=args.context))


async def _run(*, as_json: bool, only: UUID | None) -> int:
    findings = []
    async for finding in examine(dict(os.environ), only):
        findings.append(finding)
        if not as_json:
            print(f"{SIGNS[finding.status]}  {finding.check:<12} {finding.detail}", flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.status == "problem" for finding in findings))


async def examine(environ: dict[str, str], only: UUID | None = None) -> AsyncIterator[Finding]:
    """Look at everything that can be looked at; a finding that stops the rest is the last."""
    try:
        settings = Settings.from_env(environ)
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding("settings", "problem", problem)
        return
    warnings = settings.warnings(environ)
    for warning in warnings:
        yield Finding("settings", "warning", warning)
    if not warnings:
        yield Finding("settings", "ok", "all settings are valid")
    yield _listener(settings)
    try:
        async with direct_url(settings) as direct:
            async for finding in _database(settings, settings.database_url or direct, direct, only):
                yield finding
    except StartupError as error:
        yield Finding("database", "problem", str(error))


def _listener(settings: Settings) -> Finding:
    if settings.tls_cert is None or settings.tls_key is None:
        return Finding("listener", "ok", f"{settings.listen}, without TLS")
    try:
        Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    except StartupError as error:
        return Finding("listener", "problem", str(error))
    kind = "TLS" if settings.tls_client_ca is None else "mutual TLS"
    return Finding("listener", "ok", f"{settings.listen}, with {kind}; the certificate and its key fit")


async def _database(settings: Settings, url: str, direct: str, only: UUID | None) -> AsyncIterator[Finding]:
    queried = await connect.probe(url, direct, settings.pooler, PROBE_SECONDS)
    behind = "through a pooler in transaction mode" if queried.pooled else "directly"
    if settings.embedded:
        yield Finding("database", "ok", f"the embedded one in {settings.data_dir}, as DATABASE_URL is not set")
    else:
        yield Finding("queries", "ok", f"DATABASE_URL: {connect.endpoint(url)}, {behind}")
        yield await _direct(direct, pooled=queried.pooled, same=settings.database_url_direct is None)
    database = await Database.open(url, PoolOptions(size=1, pooler=settings.pooler), direct_url=direct)
    try:
        facts = await database_facts(database)
        encrypted = "encrypted" if facts.encrypted else "not encrypted"
        yield Finding("server", "ok", f"PostgreSQL {facts.server_version}, connection {encrypted}")
        yield _connections(settings, facts)
        yield _vector(facts)
        state = await migrate.schema_state(database)
        yield Finding("schema", "ok" if state.status is SchemaStatus.CURRENT else "problem", str(state))
        if state.status is SchemaStatus.CURRENT:
            async for finding in _contents(url, direct, settings, only):
                yield finding
            yield await _purges(database)
    finally:
        await database.close()


async def _contents(url: str, direct: str, settings: Settings, only: UUID | None) -> AsyncIterator[Finding]:
    """Hold every context, or one, to its rows; nobody waits for that, so that a statement may take its time."""
    patient = PoolOptions(size=1, pooler=settings.pooler, statement_timeout=CONTENTS_SECONDS)
    database = await Database.open(url, patient, direct_url=direct)
    contexts = wrong = 0
    try:
        async for count, differences in verify_all(database, only):
            contexts += count
            for found in differences:
                wrong += 1
                yield Finding("contents", "problem", f"context {found.context_id}: {found.difference}")
    except ContextNotFound as error:
        yield Finding("contents", "problem", str(error))
        return
    finally:
        await database.close()
    yield Finding("contents", "ok", f"{contexts:,} contexts were verified; differences: {wrong}")


async def _purges(database: Database) -> Finding:
    """Look for purges that were cut off."""
    unfinished = await RetentionRepository(database).count_unfinished()
    if not unfinished:
        return Finding("purges", "ok", "of purged contexts nothing is left")
    detail = f"{unfinished:,} purged contexts have rows left: kata-grpc retention erases them, as do servers that run"
    return Finding("purges", "warning", detail)


async def _direct(direct: str, *, pooled: bool, same: bool) -> Finding:
    endpoint = connect.endpoint(direct)
    if same and not pooled:
        return Finding("migrations", "ok", f"DATABASE_URL too, as DATABASE_URL_DIRECT is not set: {endpoint}")
    server = await connect.probe(direct, direct, "auto", PROBE_SECONDS)
    if not server.pooled:
        return Finding("migrations", "ok", f"DATABASE_URL_DIRECT: {endpoint}")
    advice = "exchange it with DATABASE_URL" if not pooled else "set DATABASE_URL_DIRECT to the server itself"
    return Finding("migrations", "warning", f"{endpoint} leads to a pooler: {advice}")


def _connections(settings: Settings, facts: DatabaseFacts) -> Finding:
    needed = settings.workers * (settings.pool_max + 1) + 1
    free = facts.max_connections - facts.reserved_connections
    detail = (
        f"at most {needed} needed (KATA_WORKERS {settings.workers}, KATA_POOL_MAX {settings.pool_max}), {free} allowed"
    )
    if needed > free:
        return Finding("connections", "problem", f"{detail}: lower KATA_POOL_MAX or KATA_WORKERS")
    return Finding("connections", "ok", detail)


def _vector(facts: DatabaseFacts) -> Finding:
    if facts.vector_installed:
        return Finding("vectors", "ok", f"extension vector {facts.vector_installed} is installed")
    if facts.vector_available:
        return Finding("vectors", "ok", f"extension vector {facts.vector_available} is available, not yet in use")
    return Finding("vectors", "warning", "this server has no extension vector: vector features are off")
