"""Other PostgreSQL setups that users have, run for tests: an older server, and PgBouncer in transaction mode."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kata_grpc.db.embedded import SYSTEM_USER
from tests.integration.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


def need(found: Path | str | None, what: str) -> str:
    """Skip by name where a program is absent; fail where everything must be there."""
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{what} is not installed: run make deps")
        pytest.skip(f"{what} is not installed: make deps installs it")
    return str(found)


def _as_server_user() -> dict[str, Any]:
    """Choose the user for programs that do not run as root: the one of the embedded server, which a fixture made."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(SYSTEM_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _give(directory: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(directory, user.pw_uid, user.pw_gid)


@contextmanager
def older_postgres(directory: Path) -> Iterator[str]:
    """Run the distribution's PostgreSQL and give its URL."""
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    older = [path for path in servers if int(path.parent.parent.name) < 18]
    programs = need(older[-1].parent if older else None, "an older PostgreSQL")
    _give(directory)
    cluster, port = directory / "cluster", free_port()
    subprocess.run(
        [
            f"{programs}/initdb",
            "-D",
            str(cluster),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--auth=trust",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        cwd="/",
        **_as_server_user(),
    )
    options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(directory)]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [f"{programs}/postgres", "-D", str(cluster), *options], stdout=log, stderr=log, cwd="/", **_as_server_user()
        )
    try:
        ready = [f"{programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                break
            time.sleep(0.1)
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@dataclass(frozen=True, slots=True)
class Pooler:
    """A PgBouncer before a server."""

    port: int
    backends: int

    def url(self, direct: str) -> str:
        """Turn the URL of a database into the one through the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{urlsplit(direct).path.strip('/')}"


@contextmanager
def pgbouncer(directory: Path, server_url: str, *, ignored: str = "") -> Iterator[Pooler]:
    """Run PgBouncer in transaction mode, with fewer connections to the server than a pool has to it."""
    program = need(shutil.which("pgbouncer", path="/usr/sbin:" + os.environ.get("PATH", "")), "PgBouncer")
    directory.chmod(0o755)
    _give(directory)
    socket_directory = parse_qs(urlsplit(server_url).query)["host"][0]
    pooler = Pooler(free_port(), 2)
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"""
        [databases]
        * = host={socket_directory} user=postgres
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {pooler.port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = {pooler.backends}
        max_client_conn = 200
        ignore_startup_parameters = {ignored}
        """.replace("        ", ""),
        encoding="utf-8",
    )
    configuration.chmod(0o644)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log, cwd="/", **_as_server_user())
    try:
        for _ in range(100):
            if b"process up" in (directory / "log").read_bytes():
                break
            time.sleep(0.05)
        yield pooler
    finally:
        process.terminate()
        process.wait(10)
