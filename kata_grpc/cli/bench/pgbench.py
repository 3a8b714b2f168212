"""The floor of all appends: one statement and one commit each, by 32 connections that do nothing else.

By pgbench where it came with PostgreSQL; else, run as a module, by asyncpg in a process of its own. Its tables are
apart from the service's, and as plain as an append can be: a version, a running sum, 600 bytes.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from kata_grpc.cli.bench.figures import MeasurementError
from kata_grpc.db import connect
from kata_grpc.db.embedded import installation

if TYPE_CHECKING:
    from kata_grpc.cli.bench.rig import Rig

CLIENTS = 32
CONTEXTS = 1_000
_THREADS = 2
_TABLES = f"""
drop schema if exists bench_floor cascade;
create schema bench_floor;
create table bench_floor.contexts (
  id bigint primary key, version bigint not null default 0, tokens bigint not null default 0);
create table bench_floor.messages (
  context_id bigint, version bigint, role text not null, content text not null, token_count int not null,
  total_tokens bigint not null, create_time timestamptz not null default now(), primary key (context_id, version));
insert into bench_floor.contexts (id) select generate_series(1, {CONTEXTS});
"""
_TEXT = ("a word " * 86)[:600]
_APPEND = """
with changed as (
  update bench_floor.contexts set version = version + 1, tokens = tokens + 120 where id = {context}
  returning id, version, tokens
)
insert into bench_floor.messages (context_id, version, role, content, token_count, total_tokens)
select id, version, 'user', '{text}', 120, tokens from changed
returning version
"""
_SCRIPT = f"\\set context random(1, {CONTEXTS})\n{' '.join(_APPEND.format(context=':context', text=_TEXT).split())};\n"
_RATE = re.compile(rb"^tps = ([0-9.]+)", re.MULTILINE)


def binary() -> Path | None:
    """Return pgbench, if it is there."""
    path = installation() / "bin" / "pgbench"
    return path if path.exists() else None


def title() -> str:
    """Say what the floor is."""
    by = "pgbench" if binary() else "asyncpg"
    return f"one-statement appends of 600 bytes by {by}, {CLIENTS} connections"


async def prepare(rig: Rig) -> None:
    """Make the tables."""
    await rig.connection.execute(_TABLES)


async def rate(rig: Rig, seconds: float) -> float:
    """Return appends a second."""
    if (program := binary()) is None:
        return float(await _run(sys.executable, "-m", __name__, rig.url, str(seconds)))
    script = rig.home / "append.sql"
    script.write_text(_SCRIPT)
    options = ("--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", f"--jobs={_THREADS}")
    out = await _run(str(program), *options, f"--time={max(1, round(seconds))}", f"--file={script}", rig.url)
    found = _RATE.search(out)
    if found is None:
        raise MeasurementError(f"pgbench told no rate: {out.decode(errors='replace')[-500:]}")
    return float(found[1])


async def _run(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaints = await process.communicate()
    if process.returncode:
        raise MeasurementError(f"{Path(command[0]).name} failed: {complaints.decode(errors='replace').strip()[-500:]}")
    return out


async def _append_for(url: str, seconds: float) -> float:
    connections = [await connect.open_connection(url) for _ in range(CLIENTS)]
    started = time.perf_counter()

    async def append(connection: connect.Connection) -> int:
        statement = await connection.prepare(_APPEND.format(context="$1::bigint", text=_TEXT))
        done = 0
        while time.perf_counter() - started < seconds:
            await statement.fetch(random.randint(1, CONTEXTS))  # noqa: S311 - any context will do
            done += 1
        return done

    count = sum(await asyncio.gather(*map(append, connections)))
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    os.write(1, str(uvloop.run(_append_for(sys.argv[1], float(sys.argv[2])))).encode())
