"""Programs for tests of clients: `kata-grpc serve` as a process that can be killed and started again, and the tools
that call it. Nothing here talks to the database.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tools import nodejs

if TYPE_CHECKING:
    import signal

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(sys.executable).parent
_NODE_APPLICATION = ROOT / "tests" / "clients" / "node"
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_TOOL_SECONDS = 60.0


def environment(**more: str) -> dict[str, str]:
    """This process's environment with the tools on PATH and without the settings of another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KATA_", "DATABASE_URL", "PG"))}
    return {**kept, "PATH": f"{BINARIES}{os.pathsep}{kept.get('PATH', '')}", **more}


class ServerProcess:
    """`kata-grpc serve` on one address over one database, both of which outlive it."""

    def __init__(self, url: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = url
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, unless it runs, and waits until it serves."""
        if self._process is not None:
            return
        with self._log.open("ab") as output:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "kata_grpc.cli", "serve"],
                cwd=self._log.parent,
                env=environment(KATA_LISTEN=self.address, DATABASE_URL=self.url),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + _START_SECONDS
        with grpc.insecure_channel(self.address, options=[("grpc.max_reconnect_backoff_ms", 100)]) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined] # not in its declarations
            while process.poll() is None and time.monotonic() < end:
                try:
                    answer = check(health_pb2.HealthCheckRequest(), timeout=1)
                except grpc.RpcError:
                    time.sleep(0.05)
                    continue
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
        pytest.fail(f"the server did not start:\n{self._log.read_text(encoding='utf-8')}")

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Takes it away without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=_STOP_SECONDS)
        self._process = None

    def stop(self) -> None:
        """Has it drain, which must go well; does nothing when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        code = self._process.wait(timeout=_STOP_SECONDS)
        self._process = None
        assert code == 0, self._log.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left."""

    status: int
    output: str
    errors: str


def run(*command: str | Path, text: str = "", cwd: Path = ROOT, **more: str) -> Finished:
    """Runs a program to its end, with `text` as its input and `more` in its environment."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(**more),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TOOL_SECONDS,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def missing(reason: str) -> NoReturn:
    """Gives up on a test whose program is not there: a failure in CI, a skip with its reason elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def tool(name: str) -> Path:
    """Finds a program of the development tools, and makes sure that it runs on this machine."""
    found = shutil.which(name, path=environment()["PATH"])
    if found is None:
        missing(f"{name} is missing: it comes with the dev extra.")
    try:
        status = run(found, "--version").status
    except OSError as error:
        missing(f"{name} does not run here: {error}.")
    if status != 0:
        missing(f"{name} does not run here: --version ends with status {status}.")
    return Path(found)


@cache
def node_application() -> Path:
    """Returns the folder of a Node application with the packages that its lock file names."""
    try:
        nodejs.node()
    except nodejs.NodeMissingError as error:
        missing(str(error))
    nodejs.install_locked(_NODE_APPLICATION)
    return _NODE_APPLICATION
