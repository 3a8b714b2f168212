"""A server as a process of its own for the clients, which are other programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.clients.process import ServerProcess
from tests.rpc.fixtures import fresh_url, postgres_url
from tests.rpc.serving import FreshDatabase

__all__ = ["fresh_url", "postgres_url"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(fresh_url: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """One server for all clients."""
    server = ServerProcess(await fresh_url(), tmp_path_factory.mktemp("served") / "log")
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@pytest.fixture(scope="session")
def address(served: ServerProcess) -> str:
    return served.address
