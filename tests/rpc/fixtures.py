"""The fixtures of tests over a running server; a conftest imports them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from kata_grpc.db import migrate
from kata_grpc.db.embedded import EmbeddedPostgres
from tests.rpc.serving import FreshDatabase, Running, serve
import atexit


@cache
def _postgres() -> EmbeddedPostgres:
    directory = tempfile.TemporaryDirectory()
    postgres = EmbeddedPostgres(Path(directory.name), {"fsync": "off"})
    postgres.start()
    atexit.register(directory.cleanup)
    atexit.register(postgres.stop)
    return postgres


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return _postgres().url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fresh_url(postgres_url: str) -> FreshDatabase:
    async def make() -> str:
        name = f"t_{uuid4().hex}"
        url = postgres_url.replace("/kata?", f"/{name}?")
        admin = await asyncpg.connect(postgres_url)
        try:
            await admin.execute(f"create database {name}")
        finally:
            await admin.close()
        await migrate.upgrade(url)
        return url

    return make


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(fresh_url: FreshDatabase) -> AsyncIterator[Running]:
    """One server for all tests of the package."""
    async with serve(await fresh_url()) as running:
        yield running
