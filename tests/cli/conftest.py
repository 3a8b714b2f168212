"""Servers as processes for the command, each over a database of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from tests.cli.command import Command
from tests.clients.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.databases import Databases


@pytest.fixture(scope="session")
def server(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that tell their contexts apart by name."""
    server = ServerProcess(postgres.create(), tmp_path_factory.mktemp("server") / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_server(fresh_db: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """An empty server for one test."""
    server = ServerProcess(fresh_db, tmp_path / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def kata(server: ServerProcess) -> Command:
    return Command(server.address)


@pytest.fixture(scope="session")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture(scope="session")
def contexts(channel: grpc.Channel) -> ContextServiceStub:
    return ContextServiceStub(channel)


@pytest.fixture(scope="session")
def messages(channel: grpc.Channel) -> MessageServiceStub:
    return MessageServiceStub(channel)
