"""The embedded PostgreSQL: it starts, comes back, stops, and guards its directory."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kata_grpc.db.embedded import EmbeddedPostgres, running_url
from kata_grpc.db.errors import StartupError
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.db.query import Query
from kata_grpc.domain.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = Query("one", "select 1")


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kata-tests-") as name:
        yield Path(name)


@pytest.fixture
def embedded(directory: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(directory)
    server.start()
    yield server
    server.stop()


async def answers(url: str) -> bool:
    database = await Database.open(url, PoolOptions(size=1))
    try:
        return bool(await database.fetchval(ONE))
    finally:
        await database.close()


async def test_it_keeps_its_data_over_a_restart(directory: Path) -> None:
    for statement, expected in (("create table kept (n int)", None), ("select count(*) from kept", 0)):
        server = EmbeddedPostgres(directory)
        server.start()
        assert running_url(directory) == server.url
        database = await Database.open(server.url, PoolOptions(size=1))
        assert await database.fetchval(Query("q", statement)) == expected
        assert database.server_version == 18
        assert not database.pooled
        await database.close()
        server.stop()
        assert running_url(directory) is None
        assert server.pid is None


@pytest.mark.holds("P2")
async def test_the_pool_comes_back_when_a_killed_server_does(embedded: EmbeddedPostgres) -> None:
    database = await Database.open(embedded.url, PoolOptions(size=2))
    for _ in range(3):
        killed = embedded.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        give_up = time.monotonic() + 20
        while embedded.pid in (killed, None):
            with suppress(StorageUnavailable):
                await database.fetchval(ONE)
            assert time.monotonic() < give_up
            await asyncio.sleep(0.01)
        while True:
            try:
                assert await database.fetchval(ONE) == 1
                break
            except StorageUnavailable:
                assert time.monotonic() < give_up
                await asyncio.sleep(0.01)
    await database.close()


@pytest.mark.holds("P9")
def test_a_second_start_says_who_has_the_directory(embedded: EmbeddedPostgres, directory: Path) -> None:
    with pytest.raises(StartupError) as caught:
        EmbeddedPostgres(directory).start()
    assert (
        str(caught.value)
        == f"Another Kata server (process {os.getpid()}) is running on the data directory {directory}."
    )
    assert asyncio.run(answers(embedded.url))


def test_what_a_killed_owner_left_behind_is_taken_over(directory: Path) -> None:
    script = (
        "import os, sys, pathlib; from kata_grpc.db.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1])); server.start(); print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    owner = subprocess.run([sys.executable, "-c", script, str(directory)], capture_output=True, text=True, check=False)
    left_behind = int(owner.stdout)
    assert Path(f"/proc/{left_behind}/cwd").exists()
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        assert not Path(f"/proc/{left_behind}/cwd").exists(), "gone, or dead and not yet collected"
        assert asyncio.run(answers(server.url))
    finally:
        server.stop()


def test_a_stale_pid_file_with_the_number_of_another_program_is_no_obstacle(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    server.start()
    pid_file = directory / "postgres" / "postmaster.pid"
    content = pid_file.read_text(encoding="utf-8").splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(os.getppid()), *content[1:]]), encoding="utf-8")
    again = EmbeddedPostgres(directory)
    again.start()
    assert asyncio.run(answers(again.url))
    again.stop()


def test_a_long_path_and_a_path_with_odd_characters_work(directory: Path) -> None:
    deep = directory / "a directory & 100% more" / ("long" * 30)
    server = EmbeddedPostgres(deep)
    server.start()
    assert asyncio.run(answers(server.url))
    server.stop()


@pytest.mark.holds("P9")
def test_a_directory_that_cannot_be_used_is_one_sentence(directory: Path) -> None:
    (directory / "file").write_text("", encoding="utf-8")
    with pytest.raises(StartupError, match=r"cannot use .*: "):
        EmbeddedPostgres(directory / "file" / "data").start()
    half = directory / "half"
    (half / "postgres").mkdir(parents=True)
    (half / "postgres" / "PG_VERSION").write_text("18\n", encoding="utf-8")
    with pytest.raises(StartupError, match=r"did not start: .*see .*postgres\.log"):
        EmbeddedPostgres(half).start()
