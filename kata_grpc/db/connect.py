"""How a connection to PostgreSQL is made: its settings, what stands behind the URL, and words for a failure.

A URL may lead to the server itself or to a pooler in transaction mode, where each transaction may run on another
server connection: nothing of a session can then be relied upon. No secret of a URL leaves this module in a message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from kata_grpc.db.errors import StartupError, sqlstate

APPLICATION_NAME = "kata-grpc"
MIN_SERVER_VERSION = 14
Pooler = Literal["auto", "transaction", "none"]
"""What the operator says stands before the server; `auto` is to find out."""


if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection  # generic in its type stubs only


@dataclass(frozen=True, slots=True)
class Server:
    """What a URL leads to."""

    version: int
    pooled: bool


def _session_settings(statement_timeout: float) -> dict[str, str]:
    # A statement outlives a killed client by a second, and a stuck one by the bound and no more. Every hot statement
    # names one context by equality, so a plan made for any value is the right one; plans made for the first five
    # values of each connection are not: where one context is much of a table they read all of it. Nor is a plan that
    # was made while the tables were small, with scans and hashes of all of them, an append's among others.
    bound = str(int(statement_timeout * 1000) + 1000)
    return {
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "max_parallel_workers_per_gather": "0",  # a page is put together in the order of its rows
        "statement_timeout": bound,
        "idle_in_transaction_session_timeout": bound,
        "client_connection_check_interval": "1s",
    }


def connection_options(*, pooled: bool, statement_timeout: float) -> dict[str, Any]:
    """Choose the arguments for asyncpg: behind a pooler nothing is prepared, and nothing set in the session."""
    server_settings = {"application_name": APPLICATION_NAME}
    if pooled:
        return {"server_settings": server_settings, "statement_cache_size": 0}
    return {"server_settings": server_settings | _session_settings(statement_timeout), "statement_cache_size": 256}


def local_settings(statement_timeout: float) -> str:
    """Spell the settings of a session as statements for one transaction."""
    return "; ".join(f"set local {name} = '{value}'" for name, value in _session_settings(statement_timeout).items())


def endpoint(url: str) -> str:
    """Name the host, port and database of a URL, without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "the local socket")
    return host + parts.path


def reason(error: BaseException) -> str:
    """Say a failure in few words, without anything that a URL may hold."""
    state = sqlstate(error)
    if state:
        return f"{error} (SQLSTATE {state})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def startup_error(url: str, error: BaseException) -> StartupError:
    """Build one sentence on a database that cannot be reached."""
    return StartupError(f"The database at {endpoint(url)} cannot be used: {reason(error)}.")


async def open_connection(url: str, within: float = 10.0) -> Connection:
    """Open one connection outside the pool, for work bound to a session; StartupError when there is none to be had."""
    try:
        return await asyncpg.connect(
            url,
            timeout=within,
            statement_cache_size=0,
            server_settings={"application_name": APPLICATION_NAME},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise startup_error(url, error) from error


async def probe(url: str, direct_url: str, pooler: Pooler, within: float) -> Server:
    """Ask what the URL leads to.

    A pooler is taken for one when the operator says so or gives the direct URL another host, port or database; it
    also gives itself away, because the process id that it hands to its clients is not the one of the backend.
    """
    pooled = pooler == "transaction" or (pooler == "auto" and endpoint(url) != endpoint(direct_url))
    connection = await open_connection(url, within)
    try:
        async with asyncio.timeout(within), connection.transaction():
            version = connection.get_server_version().major
            if pooler == "auto" and not pooled:
                pooled = await is_pooled(connection)
    except (OSError, asyncpg.PostgresError) as error:
        raise startup_error(url, error) from error
    finally:
        connection.terminate()
    if version < MIN_SERVER_VERSION:
        raise StartupError(
            f"The database at {endpoint(url)} is PostgreSQL {version}; {MIN_SERVER_VERSION} or newer is needed."
        )
    return Server(version, pooled)


async def is_pooled(connection: Connection) -> bool:
    """Tell whether a pooler answers for the server: the process id that it hands out is not the one of the backend."""
    backend: int = await connection.fetchval("select pg_backend_pid()")
    return backend != connection.get_server_pid()
