"""Runs `kata-grpc` as its users do: in processes of its own, with settings from the environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "kata_grpc.cli"]
START_SECONDS = 60


def health_check(channel: Any) -> Any:
    """Give the method that asks for health over a channel of either kind; the generated stub has no types."""
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def kata(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], env=os.environ | (env or {}), capture_output=True, text=True, timeout=90, check=False
    )


@dataclass(slots=True)
class Process:
    """A server in a process of its own."""

    popen: subprocess.Popen[str]
    address: str
    log_path: Path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text(encoding="utf-8")

    @property
    def children(self) -> dict[int, str]:
        """The processes that it started, with their command lines."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = status.read_text(encoding="utf-8").splitlines()
                command = (status.parent / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            except OSError:
                continue
            if f"PPid:\t{self.popen.pid}" in lines:
                found[int(status.parent.name)] = command
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.popen.send_signal(number)
        return self.popen.wait(60)


@contextmanager
def serving(directory: Path, env: dict[str, str]) -> Iterator[Process]:
    """Start a server and wait until it logs that it serves; kill it in the end if it still runs."""
    address = env.setdefault("KATA_LISTEN", f"127.0.0.1:{free_port()}")
    directory.mkdir(exist_ok=True, parents=True)
    log_path = directory / f"log-{time.monotonic_ns()}"
    with log_path.open("w", encoding="utf-8") as log:
        popen = subprocess.Popen(
            [*COMMAND, "serve"], env=os.environ | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
        )
    process = Process(popen, address, log_path)
    awaited = "workers serve on" if int(env.get("KATA_WORKERS", "1")) > 1 else "serving on"
    try:
        give_up = time.monotonic() + START_SECONDS
        while awaited not in process.log:
            if popen.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"no server after all:\n{process.log}")
            time.sleep(0.02)
        yield process
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(60)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
