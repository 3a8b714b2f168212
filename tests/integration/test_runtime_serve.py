"""The command: start, second start, workers, drain and doctor, in real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2

from kata_grpc.db.connect import open_connection
from tests.integration.processes import health_check, kata, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def data() -> Iterator[Path]:
    """Give a directory for an embedded database."""
    with tempfile.TemporaryDirectory(prefix="kata-tests-") as name:
        yield Path(name)


def health(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        answer = health_check(channel)(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True)
        return int(answer.status)


async def sessions_of(url: str) -> int:
    connection = await open_connection(url)
    try:
        return int(
            await connection.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database() "
                "and application_name = 'kata-grpc' and pid <> pg_backend_pid()"
            )
        )
    finally:
        await connection.close()


@pytest.mark.holds("P3", "P5", "P9")
def test_an_embedded_server_starts_migrates_guards_and_drains(data: Path, tmp_path: Path) -> None:
    env = {"KATA_DATA_DIR": str(data)}
    with serving(tmp_path, env) as process:
        assert health(process.address) == SERVING
        second = kata("serve", env={**env, "KATA_LISTEN": "127.0.0.1:0"})
        assert (second.returncode, len(second.stderr.splitlines())) == (1, 1)
        assert f"(process {process.popen.pid}) is running on the data directory" in second.stderr
        assert kata("health", env=env).returncode == 0
        assert "ok    schema" in kata("doctor", env=env).stdout
        (postgres,) = (pid for pid, command in process.children.items() if "postgres" in command)
        assert process.stop() == 0
        assert not Path(f"/proc/{postgres}").exists()
        assert kata("health", env=env).returncode == 1
    begun = time.monotonic()
    with serving(tmp_path, env) as process:
        assert health(process.address) == SERVING
        took = time.monotonic() - begun
        print(f"second start to first answer: {took:.2f} s")
        assert process.stop(signal.SIGINT) == 0


@pytest.mark.holds("P9")
def test_a_port_in_use_is_one_sentence(fresh_db: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": fresh_db}
    with serving(tmp_path, env):
        for workers in ("1", "2"):
            refused = kata("serve", env={**env, "KATA_WORKERS": workers})
            assert refused.returncode == 1
            assert refused.stderr.splitlines()[-1].startswith(
                f"kata-grpc: The server cannot listen on {env['KATA_LISTEN']}"
            )


@pytest.mark.holds("P1", "P2")
def test_workers_share_the_port_are_replaced_and_leave_nothing(fresh_db: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": fresh_db, "KATA_WORKERS": "3", "KATA_POOL_MAX": "2", "KATA_POOL_IDLE": "60"}
    with serving(tmp_path, env) as process:
        workers = set(process.children)
        assert len(workers) == 3
        assert asyncio.run(sessions_of(fresh_db)) <= 3 * (2 + 1) + 1
        killed = min(workers)
        os.kill(killed, signal.SIGKILL)
        give_up = time.monotonic() + 60
        while process.log.count(" serving on") < 4:
            assert health(process.address) == SERVING
            assert time.monotonic() < give_up
            time.sleep(0.05)
        replaced = set(process.children)
        assert len(replaced) == 3
        assert killed not in replaced
        assert process.stop() == 0
        assert not [pid for pid in replaced if Path(f"/proc/{pid}/cwd").exists()]
    assert asyncio.run(sessions_of(fresh_db)) == 0


@pytest.mark.holds("P2")
def test_workers_of_a_killed_parent_end(fresh_db: str, tmp_path: Path) -> None:
    with serving(tmp_path, {"DATABASE_URL": fresh_db, "KATA_WORKERS": "2"}) as process:
        workers = set(process.children)
        process.stop(signal.SIGKILL)
        give_up = time.monotonic() + 30
        while any(Path(f"/proc/{pid}/cwd").exists() for pid in workers):
            assert time.monotonic() < give_up
            time.sleep(0.05)


@pytest.mark.holds("P3")
def test_an_empty_database_is_migrated_unless_told_not_to(empty_db: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": empty_db}
    refused = kata("serve", env={**env, "KATA_MIGRATE": "off", "KATA_LISTEN": "127.0.0.1:0"})
    assert refused.returncode == 1
    assert "is empty" in refused.stderr
    with serving(tmp_path, env) as process:
        assert health(process.address) == SERVING


@pytest.mark.holds("P3")
def test_an_older_schema_is_migrated_when_told_to(fresh_db: str, tmp_path: Path) -> None:
    assert kata("migrate", "down", "-1", env={"DATABASE_URL": fresh_db}).returncode == 0
    with serving(tmp_path, {"DATABASE_URL": fresh_db, "KATA_MIGRATE": "on"}) as process:
        assert "migrating from schema" in process.log
        assert health(process.address) == SERVING


@pytest.mark.holds("P9")
def test_wrong_settings_are_all_told_before_anything_starts(tmp_path: Path) -> None:
    env = {"KATA_WORKERS": "none", "KATA_LISTEN": "0.0.0.0:1", "KATA_DATA_DIR": str(tmp_path / "data")}
    refused = kata("serve", env=env)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 2)
    assert not (tmp_path / "data").exists()


@pytest.mark.holds("P7", "P9")
def test_the_doctor_names_what_is_wrong_and_shows_no_secret(fresh_db: str, postgres_url: str) -> None:
    findings = json.loads(kata("doctor", "--json", env={"DATABASE_URL": fresh_db}).stdout)
    assert {finding["status"] for finding in findings} == {"ok"}
    assert {"queries", "migrations", "server", "connections", "vectors", "schema"} <= {f["check"] for f in findings}
    unreachable = kata("doctor", env={"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/kata"})
    assert unreachable.returncode == 1
    assert "FAIL  database" in unreachable.stdout
    assert "hunter2" not in unreachable.stdout + unreachable.stderr
    crowded = kata("doctor", env={"DATABASE_URL": fresh_db, "KATA_WORKERS": "60", "KATA_POOL_MAX": "50"})
    assert "lower KATA_POOL_MAX" in crowded.stdout
    unmigrated = kata("doctor", env={"DATABASE_URL": postgres_url})
    assert unmigrated.returncode == 1
    assert "kata-grpc migrate up" in unmigrated.stdout
    assert kata("doctor", env={"KATA_WORKERS": "0"}).returncode == 1


def test_help_is_there_for_a_newcomer() -> None:
    overview = kata("--help").stdout
    for command in ("serve", "migrate", "doctor", "health"):
        assert command in overview
        assert "usage: kata-grpc" in kata(command, "--help").stdout
    assert kata("--version").stdout.startswith("kata-grpc ")
    assert kata("no-such-command").returncode == 2
