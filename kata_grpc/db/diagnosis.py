"""Facts about the database that a start-up message or the doctor reports. It judges nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.db.query import Query

if TYPE_CHECKING:
    from kata_grpc.db.pool import Executor

_FACTS = Query(
    "database_facts",
    """
    select current_setting('server_version') as server_version,
           current_setting('max_connections')::int as max_connections,
           current_setting('superuser_reserved_connections')::int as reserved_connections,
           coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
           (select default_version from pg_available_extensions where name = 'vector') as vector_available,
           (select extversion from pg_extension where extname = 'vector') as vector_installed
    """,
)


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a server says about itself and this connection."""

    server_version: str
    max_connections: int
    reserved_connections: int
    encrypted: bool
    vector_available: str | None
    vector_installed: str | None


async def database_facts(executor: Executor) -> DatabaseFacts:
    """Ask the server; one statement."""
    row = await executor.fetchrow(_FACTS)
    if row is None:
        raise RuntimeError("a select without a from clause returned no row")
    return DatabaseFacts(**dict(row))
