"""The processes that are measured: the server as a user starts it, and the same kind of server without a database.

Each is a process of its own behind a real socket. Only processes started here are ended here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kata_grpc.db.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

START_SECONDS = 120.0
_POLL_SECONDS = 0.005
_PLAIN_SETTINGS = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")
"""What a measured process takes from this one's environment: none of the settings of a server that runs here."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running process that answers gRPC at `address`."""

    address: str
    process: asyncio.subprocess.Process
    log: Path

    def reset_peak(self) -> None:
        """Make what is resident now the peak of the process."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def resident(self) -> int:
        """Return how many bytes are resident."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return how many bytes were resident at most since the last reset."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise StartupError(f"This system does not say how much memory a process has ({name}).")


@asynccontextmanager
async def service(home: Path, environ: Mapping[str, str]) -> AsyncIterator[Server]:
    """Run `kata-grpc serve` on a free port, until it says that it serves."""
    async with _running(["kata_grpc.cli", "serve"], home / "server.log", environ) as server:
        yield server


@asynccontextmanager
async def floor(home: Path) -> AsyncIterator[Server]:
    """Run the server without a database."""
    async with _running(["kata_grpc.cli.bench.floor"], home / "floor.log", {}) as server:
        yield server


@asynccontextmanager
async def _running(module: list[str], log: Path, environ: Mapping[str, str]) -> AsyncIterator[Server]:
    address = f"127.0.0.1:{_free_port()}"
    inherited = {name: os.environ[name] for name in _PLAIN_SETTINGS if name in os.environ}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *module,
            env={**inherited, **environ, "KATA_LISTEN": address},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        server = Server(address, process, log)
        await _until_serving(server)
        yield server
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _until_serving(server: Server) -> None:
    """Wait for the listener without gRPC's growing pauses between attempts, then for SERVING."""
    host, _, port = server.address.partition(":")
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            with closing(socket.create_connection((host, int(port)), timeout=1)):
                break
        except OSError:
            if server.process.returncode is not None or time.monotonic() > give_up:
                last = server.log.read_text(errors="replace").strip().splitlines()[-1:]
                raise StartupError(f"A measured server did not start: {' '.join(last) or 'it said nothing'}") from None
            await asyncio.sleep(_POLL_SECONDS)
    async with grpc.aio.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        while True:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=START_SECONDS, wait_for_ready=True)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(_POLL_SECONDS)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
