"""The life of a server: database, schema, one or several processes, and a drain at the end.

With one worker everything runs in this process. With more, this one owns the embedded PostgreSQL and the migration,
and starts workers that share the port; a worker that dies is replaced. It answers no calls itself then.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from kata_grpc.app import Server
from kata_grpc.db import connect, migrate
from kata_grpc.db.diagnosis import database_facts
from kata_grpc.db.embedded import EmbeddedPostgres
from kata_grpc.db.errors import StartupError
from kata_grpc.db.migrate import SchemaStatus
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.summarisers import SummariserUnavailable, load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kata_grpc.config import Settings

_log = logging.getLogger(__name__)

WORKER_START_SECONDS = 60.0
WORKER_PAUSE_SECONDS = (0.1, 5.0)
"""Before a dead worker is replaced: the first time, and at most, doubling while it dies young."""
KILL_SECONDS = 5.0
"""After the grace that a stopping worker has."""


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; StartupError says in one sentence why that cannot be done."""
    stop = _stop_signal()
    embedded: EmbeddedPostgres | None = None
    try:
        await load(settings).close()
    except SummariserUnavailable as error:
        raise StartupError(str(error)) from error
    with ExitStack() as reserved:
        try:
            if settings.embedded:
                embedded = EmbeddedPostgres(settings.data_dir)
                await asyncio.to_thread(embedded.start)
                may_migrate = settings.migrate != "off"
                settings = replace(settings, database_url=embedded.url, migrate="on" if may_migrate else "off")
            await _prepare_database(settings)
            if settings.workers == 1:
                await _serve(settings, stop)
            else:
                await _serve_with_workers(_reserve_port(settings, reserved), stop)
        finally:
            if embedded is not None:
                await asyncio.to_thread(embedded.stop)


async def run_worker(settings: Settings) -> None:
    """Serve as one of several: say so on standard output, and stop when the parent is gone."""
    stop = _stop_signal()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    await _serve(settings, stop, lambda: print("serving", flush=True), reuse_port=True)  # noqa: T201 - for the parent


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], None] = lambda: None, *, reuse_port: bool = False
) -> None:
    server = Server(settings, reuse_port=reuse_port)
    try:
        await server.start()
        # What a started server consists of stays: what collects garbage need not look at it again and again.
        gc.freeze()
        ready()
        await stop.wait()
        _log.info("stopping: no new calls, at most %g s for running ones", settings.shutdown_grace)
    except RuntimeError as error:
        raise StartupError(f"The server cannot listen on {settings.listen}: {error}.") from error
    finally:
        await server.stop(settings.shutdown_grace if stop.is_set() else 0)
    _log.info("stopped")


async def _prepare_database(settings: Settings) -> None:
    """Say what is used for what, and bring or hold the schema to what this version needs."""
    url = settings.database_url or ""
    direct = settings.database_url_direct or url
    database = await Database.open(direct, PoolOptions(size=1, pooler=settings.pooler))
    try:
        facts = await database_facts(database)
        _log.info("queries: %s; migrations: %s", connect.endpoint(url), connect.endpoint(direct))
        if facts.vector_available is None:
            _log.warning("this PostgreSQL %s has no extension vector: vector features are off", facts.server_version)
        if database.pooled:
            _log.warning("migrations run through a pooler: set DATABASE_URL_DIRECT to the server itself")
        state = await migrate.schema_state(database)
        if state.status is SchemaStatus.CURRENT:
            return
        may_migrate = settings.migrate == "on" or (settings.migrate == "auto" and state.status is SchemaStatus.EMPTY)
        if state.status is SchemaStatus.AHEAD or not may_migrate:
            raise StartupError(str(state))
        _log.info("migrating from schema %s to %s", state.revision or "none", state.head)
    finally:
        await database.close()
    await migrate.upgrade(direct)


def _reserve_port(settings: Settings, reserved: ExitStack) -> Settings:
    """Hold the port that the workers share, after a look whether another server has it: it would be shared too."""
    if settings.listen.startswith("unix:"):
        return settings
    host, _, port = settings.listen.rpartition(":")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        holder = reserved.enter_context(closing(socket.socket(family, kind)))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        raise StartupError(f"The server cannot listen on {settings.listen}: {error.strerror or error}.") from error
    return replace(settings, listen=f"{host}:{holder.getsockname()[1]}")


async def _serve_with_workers(settings: Settings, stop: asyncio.Event) -> None:
    environ = os.environ | replace(settings, workers=1, migrate="off").as_env()
    started = [asyncio.Event() for _ in range(settings.workers)]
    try:
        async with asyncio.TaskGroup() as group:
            for number, event in enumerate(started, 1):
                group.create_task(_keep_worker(number, environ, settings.shutdown_grace, event, stop))
            for event in started:
                await event.wait()
            if not stop.is_set():
                _log.info("%d workers serve on %s", settings.workers, settings.listen)
    except* StartupError as failures:
        raise StartupError(str(failures.exceptions[0])) from failures


async def _keep_worker(
    number: int, environ: dict[str, str], grace: float, started: asyncio.Event, stop: asyncio.Event
) -> None:
    """Run one worker, and another in its place whenever it ends, until the server stops."""
    pause, longest = WORKER_PAUSE_SECONDS
    while not stop.is_set():
        begun = time.monotonic()
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kata_grpc.cli",
            "serve",
            "--worker",
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            if await _is_serving(worker):
                started.set()
            elif not started.is_set() and not stop.is_set():
                raise StartupError(f"Worker {number} did not start; its reason is above.")
            await _first(worker.wait(), stop.wait())
        finally:
            await _end(worker, grace)
        if not stop.is_set():
            _log.error("worker %d ended with status %s and is replaced", number, worker.returncode)
            pause = WORKER_PAUSE_SECONDS[0] if time.monotonic() - begun > 2 * longest else min(pause * 2, longest)
            await _first(asyncio.sleep(pause), stop.wait())
    started.set()


async def _is_serving(worker: asyncio.subprocess.Process) -> bool:
    if worker.stdout is None:
        return False
    try:
        async with asyncio.timeout(WORKER_START_SECONDS):
            return await worker.stdout.readline() != b""
    except TimeoutError:
        return False


async def _first(*waits: Awaitable[object]) -> None:
    """Wait until one of them is done, and drop the others."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _end(worker: asyncio.subprocess.Process, grace: float) -> None:
    """Have a worker drain and wait for its end; kill it when it takes longer than it may."""
    if worker.returncode is not None:
        return
    worker.terminate()
    try:
        async with asyncio.timeout(grace + KILL_SECONDS):
            await worker.wait()
    except TimeoutError:
        worker.kill()
        await worker.wait()
