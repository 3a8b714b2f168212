"""Servers as their users start them, `kata-grpc serve` in a process of its own, to be killed and started again.

Only processes started here are ended here, by their numbers.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kata_grpc.db.embedded import running_url
from tests.faults.clients import Client, dial
from tests.faults.waiting import until

START_SECONDS = 60.0
_INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")
StartServer = Callable[..., Awaitable["ServerProcess"]]


@dataclass(slots=True)
class ServerProcess:
    """One server on one address, which may be started any number of times."""

    home: Path
    settings: dict[str, str]
    address: str = field(default_factory=lambda: f"127.0.0.1:{_free_port()}")
    process: subprocess.Popen[bytes] | None = None
    _postmasters: set[int] = field(default_factory=set)

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")

    @property
    def url(self) -> str:
        """Of the database."""
        url = self.settings.get("DATABASE_URL") or running_url(self.data_dir)
        assert url, "the embedded PostgreSQL runs"
        return url

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Starts it and waits until it serves."""
        environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environ |= {"KATA_LISTEN": self.address, "KATA_DATA_DIR": str(self.data_dir), **self.settings}
        command = [sys.executable, "-m", "kata_grpc.cli", "serve"]
        with (self.home / "server.log").open("ab") as output:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - as long as it takes
                command, env=environ, stdout=output, stderr=output, cwd=self.home
            )
        await until(self._accepts, "the server's port", START_SECONDS)
        await until(lambda: self.health(health_pb2.HealthCheckResponse.SERVING), "SERVING", START_SECONDS)
        if "DATABASE_URL" not in self.settings:
            self.remember_postgres()

    def remember_postgres(self) -> None:
        """Has the PostgreSQL that runs now ended with the test, should its server not do it."""
        self._postmasters.add(self.postmaster().pid)

    def _accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.log[-2000:]}"
        host, _, port = self.address.partition(":")
        with suppress(OSError), closing(socket.create_connection((host, int(port)), timeout=1)):
            return True
        return False

    async def health(self, wanted: int) -> bool:
        async with dial(self.address) as client:
            try:
                stub: Any = health_pb2_grpc.HealthStub(client.channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True)
            except grpc.RpcError:
                return False
            return bool(answer.status == wanted)

    def postmaster(self) -> psutil.Process:
        """The embedded PostgreSQL's first process."""
        pid_file = self.data_dir / "postgres" / "postmaster.pid"
        return psutil.Process(int(pid_file.read_text().split(maxsplit=1)[0]))

    def resident(self) -> int:
        """How many bytes of memory the process holds."""
        return int(psutil.Process(self.pid).memory_info().rss)

    @asynccontextmanager
    async def dialed(self) -> AsyncIterator[Client]:
        async with dial(self.address) as client:
            yield client

    async def kill(self) -> None:
        """As the machine would: no handler runs, and its PostgreSQL is left behind."""
        assert self.process is not None
        self.process.kill()
        await self.ended(10)

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float) -> int:
        """Waits for the end of the process and returns its status."""
        process = self.process
        assert process is not None
        await until(lambda: process.poll() is not None, "the server's end", seconds)
        return process.wait()

    def clean_up(self) -> None:
        """Leaves no process of this server."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self._postmasters:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                left = psutil.Process(pid)
                if Path(left.cwd()) == self.data_dir / "postgres":
                    left.kill()


@pytest_asyncio.fixture
async def start_server(tmp_path: Path) -> AsyncIterator[StartServer]:
    """Starts servers with settings, which end with the test."""
    started: list[ServerProcess] = []

    async def start(**settings: str) -> ServerProcess:
        home = tmp_path / str(len(started))
        home.mkdir()
        server = ServerProcess(home, settings)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await asyncio.to_thread(server.clean_up)


def has_ended(process: psutil.Process) -> bool:
    """Tells whether a process is gone, or nothing of it left but a number that nobody asked for."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def processes_in(directory: Path) -> list[int]:
    """Finds the processes that work in a directory, as those of a PostgreSQL do in its data directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(directory):
                found.append(process.pid)
    return found


def rounds(short: int, long: int = 20) -> pytest.MarkDecorator:
    """Runs a test in its short form, and in its long one under `make torture`."""
    marks = (pytest.mark.torture, pytest.mark.timeout(3_600))
    return pytest.mark.parametrize(
        "rounds", [pytest.param(short, id="short"), pytest.param(long, id="long", marks=marks)]
    )


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
