"""Fixtures for all tests: a clean environment and real databases.

Tests never see the developer's own settings. Databases cost: the server 1.5 s once a run, a migrated copy 30 ms.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kata_grpc.config import VARIABLES
from kata_grpc.db.embedded import EmbeddedPostgres
from tests.databases import Databases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


# Tests serve, and start databases under another user, which forks: gRPC need not come along, and may fail at it.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> None:
    for variable in (*VARIABLES, "COLUMNS", "LINES"):
        os.environ.pop(variable, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """One embedded PostgreSQL with a migrated template; about 1.5 s, once.

    It does not sync to disk: tests kill processes, not the machine. Its directory is none of pytest's, which another
    run may tidy up.
    """
    with tempfile.TemporaryDirectory(prefix="kata-tests-") as directory:
        server = EmbeddedPostgres(Path(directory), {"fsync": "off", "max_connections": "200"})
        server.start()
        try:
            databases = Databases(server.url)
            databases.make_template()
            yield databases
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres: Databases) -> str:
    """Give the URL of the server's own database, for administration."""
    return postgres.admin_url


@pytest.fixture
def fresh_db(postgres: Databases) -> Iterator[str]:
    """Give a database of its own to one test: its URL, with the newest schema; 30 ms."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_db(postgres: Databases) -> Iterator[str]:
    """Give a database without any schema to one test."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def fresh_url(postgres: Databases) -> Callable[[], Awaitable[str]]:
    """Make migrated databases for fixtures that outlive a test; they go with the server."""

    async def make() -> str:
        return await asyncio.to_thread(postgres.create)

    return make
