"""A server as a process of its own for the clients, which are other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.databases import Databases


@pytest.fixture(scope="session")
def served(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Run one server for all clients."""
    server = ServerProcess(postgres.create(), tmp_path_factory.mktemp("served") / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def address(served: ServerProcess) -> str:
    """Say where it listens."""
    return served.address
